"""Where a key may be used: session bindings and the hops that they must match.

The rules are OpenSSH's (ssh-agent.c: `identity_permitted`, `permitted_by_dest_constraints`,
`match_key_hop`, `process_sign_request2`; PROTOCOL.agent, section 2.1): a connection collects
the host keys that ssh proved it talks to, and a constrained key is used only if every hop
of that chain is permitted. Host keys are compared by their fingerprints.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from keyholm.wire.codec import Malformed
from keyholm.wire.ssh import certificates, keys
from keyholm.wire.ssh.constraints import Hop as WireHop
from keyholm.wire.ssh.constraints import RestrictDestination
from keyholm.wire.ssh.patterns import match_pattern
from keyholm.wire.ssh.signatures import BadSignature
from keyholm.wire.ssh.userauth import UserAuth

# OpenSSH's SSH_ALLOWED_CA_SIGALGS: by which a CA may have signed a host certificate.
CA_ALGORITHMS: Final = frozenset(
    {
        "ssh-ed25519",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
        "rsa-sha2-512",
        "rsa-sha2-256",
        "ssh-mldsa44-ed25519@openssh.com",
    }
)


@dataclass(frozen=True, slots=True)
class Binding:
    """One proven `session-bind@openssh.com` of a connection."""

    host_key: bytes  # blob, of a plain key or of a host certificate
    session_id: bytes
    is_forwarding: bool


@dataclass(frozen=True, slots=True)
class HopKey:
    fingerprint: str  # SHA256:...
    is_ca: bool = False


@dataclass(frozen=True, slots=True)
class Hop:
    """One end of a connection; without a host it is where the agent runs."""

    host: str = ""
    keys: tuple[HopKey, ...] = ()


@dataclass(frozen=True, slots=True)
class Destination:
    """From `origin` to `target`, to log in as `user` (a pattern; empty: anybody)."""

    target: Hop
    user: str = ""
    origin: Hop = Hop()


@dataclass(frozen=True, slots=True)
class Verdict:
    permitted: bool
    reason: str = ""
    host: str = ""  # of the destination that matched last


def from_wire(constraint: RestrictDestination | None) -> tuple[Destination, ...]:
    if constraint is None:
        return ()
    return tuple(
        Destination(_hop(each.to_hop), each.to_hop.user, _hop(each.from_hop))
        for each in constraint.constraints
    )


def _hop(hop: WireHop) -> Hop:
    return Hop(
        hop.hostname, tuple(HopKey(keys.fingerprint(key.blob), key.is_ca) for key in hop.keys)
    )


def visible(
    destinations: Sequence[Destination], bindings: Sequence[Binding], attempted: bool
) -> bool:
    """Whether a key with these destinations is shown on such a connection."""
    return not destinations or _chain(destinations, bindings, attempted, None).permitted


def permitted(
    destinations: Sequence[Destination],
    bindings: Sequence[Binding],
    attempted: bool,
    request: UserAuth | None,
) -> Verdict:
    """Whether such a key may sign `request`, with the reason if not."""
    if not bindings:
        return Verdict(False, "the connection has not proved which host it is for")
    if request is None:
        return Verdict(False, "what is to be signed is not an SSH login")
    verdict = _chain(destinations, bindings, attempted, request.user)
    if not verdict.permitted:
        return verdict
    last = bindings[-1]
    # The session should have been bound by ssh just before it logs in.
    if request.session_id != last.session_id:
        return Verdict(False, "the login is for another session than the last one bound")
    if request.host_key is None and len(bindings) > 1:
        return Verdict(False, "a login over more than one hop must name its host key")
    if request.host_key is not None and request.host_key != last.host_key:
        return Verdict(False, "the login names another host key than the one bound")
    return verdict


def _chain(
    destinations: Sequence[Destination],
    bindings: Sequence[Binding],
    attempted: bool,
    user: str | None,
) -> Verdict:
    """Follow the hops; `user` is None where no login is asked for."""
    if not bindings:
        if attempted:
            return Verdict(False, "the connection tried to prove its host, and failed")
        return Verdict(True)
    origin: bytes | None = None
    host = ""
    for binding in bindings:
        last = binding is bindings[-1]
        if last and user is not None and binding.is_forwarding:
            return Verdict(False, "the last hop is for forwarding, not for a login")
        if not last and not binding.is_forwarding:
            return Verdict(False, "a hop that is bound for a login was forwarded")
        found = _allowing(destinations, origin, binding.host_key, user if last else None)
        if found is None:
            name = keys.fingerprint(binding.host_key)
            return Verdict(False, f"no destination of the key matches the host key {name}")
        host = found.target.host
        origin = binding.host_key
    # A key that may log in *to* the last host, but not be used beyond it, is not for a
    # connection that was forwarded there.
    beyond = bindings[-1].is_forwarding and user is None
    if beyond and _allowing(destinations, origin, None, None) is None:
        return Verdict(False, "the key may not be used beyond the host it was forwarded to")
    return Verdict(True, host=host)


def _allowing(
    destinations: Iterable[Destination],
    origin: bytes | None,
    target: bytes | None,
    user: str | None,
) -> Destination | None:
    """The first destination that matches; a target of None stands for any."""
    for destination in destinations:
        if origin is None:
            if destination.origin.host or destination.origin.keys:
                continue
        elif not _matches(origin, destination.origin):
            continue
        if target is not None and not _matches(target, destination.target):
            continue
        wrong = user is not None and destination.user
        if wrong and not match_pattern(user or "", destination.user):
            continue
        return destination
    return None


def _matches(host_key: bytes, hop: Hop) -> bool:
    if not hop.keys:
        return False
    try:
        is_certificate = certificates.is_certificate(host_key)
        certificate = certificates.decode(host_key) if is_certificate else None
    except Malformed:
        return False
    if certificate is None:
        name = keys.fingerprint(host_key)
        return any(not key.is_ca and key.fingerprint == name for key in hop.keys)
    name = keys.fingerprint(certificate.signature_key)
    trusted = any(key.is_ca and key.fingerprint == name for key in hop.keys)
    return trusted and _is_for_host(certificate, hop.host)


def _is_for_host(certificate: certificates.Certificate, host: str) -> bool:
    """As `sshkey_cert_check_host` with wildcards allowed; time is the server's and client's
    to check, who saw the certificate when it was used."""
    if certificate.kind is not certificates.Kind.HOST or certificate.critical_options:
        return False
    if not any(match_pattern(host, principal) for principal in certificate.principals):
        return False
    try:
        return certificates.verify(certificate).algorithm in CA_ALGORITHMS
    except (BadSignature, Malformed):
        return False

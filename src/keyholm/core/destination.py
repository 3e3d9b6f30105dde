"""Where a key may be used: session bindings and the hops that they must match.

The rules are OpenSSH's (ssh-agent.c: `identity_permitted`, `permitted_by_dest_constraints`,
`match_key_hop`, `process_sign_request2`; PROTOCOL.agent, section 2.1): a connection collects
the host keys that ssh proved it talks to, and a constrained key is used only if every hop
of that chain is permitted. Host keys are compared by their fingerprints.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from msgspec import Struct

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


class Binding(Struct, frozen=True):
    """One proven `session-bind@openssh.com` of a connection."""

    host_key: bytes  # blob, of a plain key or of a host certificate
    session_id: bytes
    is_forwarding: bool


class HopKey(Struct, frozen=True):
    fingerprint: str  # SHA256:...
    is_ca: bool = False


class Hop(Struct, frozen=True):
    """One end of a connection; without a host it is where the agent runs."""

    host: str = ""
    keys: tuple[HopKey, ...] = ()


class Destination(Struct, frozen=True):
    """From `origin` to `target`, to log in as `user` (a pattern; empty: anybody)."""

    target: Hop
    user: str = ""
    origin: Hop = Hop()


class Verdict(Struct, frozen=True):
    permitted: bool
    reason: str = ""
    host: str = ""  # of the destination that matched last


UNPROVEN: Final = Verdict(False, "the connection tried to prove its host, and failed")


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
    destinations: Sequence[Destination],
    bindings: Sequence[Binding],
    attempted: bool,
    *,
    now: float,
) -> bool:
    """Whether a key with these destinations is shown on such a connection."""
    return not destinations or _chain(destinations, bindings, attempted, None, now).permitted


def permitted(
    destinations: Sequence[Destination],
    bindings: Sequence[Binding],
    attempted: bool,
    request: UserAuth | None,
    *,
    now: float,
) -> Verdict:
    """Whether such a key may sign `request`, with the reason if not."""
    if not bindings:
        return UNPROVEN if attempted else Verdict(False, "the connection has not proved its host")
    if request is None:
        return Verdict(False, "what is to be signed is not an SSH login")
    verdict = _chain(destinations, bindings, attempted, request.user, now)
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
    now: float,
) -> Verdict:
    """Follow the hops; `user` is None where no login is asked for."""
    if not bindings:
        # Without a binding it is a program of this machine, or an ssh too old to say more.
        return UNPROVEN if attempted else Verdict(True)
    origin: _Host | None = None
    name = ""
    *on_the_way, last = bindings
    if not all(binding.is_forwarding for binding in on_the_way):
        return Verdict(False, "a hop that is bound for a login was forwarded")
    if user is not None and last.is_forwarding:
        return Verdict(False, "the last hop is for forwarding, not for a login")
    for number, binding in enumerate(bindings, 1):
        target = _host(binding.host_key)
        asked = user if number == len(bindings) else None
        found = _allowing(destinations, origin, target, asked, now)
        if found is None:
            login = f"{asked!r} at " if asked is not None else ""
            shown = keys.fingerprint(binding.host_key)
            return Verdict(False, f"no destination of the key is {login}the host key {shown}")
        name, origin = found.target.host, target
    # A key that may log in *to* the last host, but not be used beyond it, is not for a
    # connection that was forwarded there.
    beyond = last.is_forwarding and user is None
    if beyond and _allowing(destinations, origin, None, None, now) is None:
        return Verdict(False, "the key may not be used beyond the host it was forwarded to")
    return Verdict(True, host=name)


def _allowing(
    destinations: Iterable[Destination],
    origin: "_Host | None",
    target: "_Host | None",
    user: str | None,
    now: float,
) -> Destination | None:
    """The first destination that matches; a target of None stands for any."""
    for destination in destinations:
        if origin is None:
            if destination.origin.host or destination.origin.keys:
                continue
        elif not origin.is_at(destination.origin, now):
            continue
        if target is not None and not target.is_at(destination.target, now):
            continue
        if user is not None and destination.user and not match_pattern(user, destination.user):
            continue
        return destination
    return None


class _Host(Struct, frozen=True):
    """What a host key says of its host; a certificate that cannot be believed says nothing."""

    fingerprint: str  # of the key, or of the CA
    certificate: certificates.Certificate | None = None

    def is_at(self, hop: Hop, now: float) -> bool:
        is_ca = self.certificate is not None
        if HopKey(self.fingerprint, is_ca) not in hop.keys:
            return False
        return self.certificate is None or _is_for(self.certificate, hop.host, now)


_NOBODY: Final = _Host("")


def _is_for(certificate: certificates.Certificate, host: str, now: float) -> bool:
    """As `sshkey_cert_check_host` of OpenSSH 10.3 and later: no principals, no host."""
    return (
        certificate.kind is certificates.Kind.HOST
        and certificate.valid_at(int(now))
        and not certificate.critical_options
        and any(match_pattern(host, principal) for principal in certificate.principals)
    )


# Listing thousands of keys asks about the same few host keys again and again.
@lru_cache(maxsize=32)
def _host(blob: bytes) -> _Host:
    if not certificates.is_certificate(blob):
        return _Host(keys.fingerprint(blob))
    try:
        certificate = certificates.decode(blob)
        algorithm = certificates.verify(certificate).algorithm
    except (BadSignature, Malformed):
        return _NOBODY
    if algorithm not in CA_ALGORITHMS:
        return _NOBODY
    return _Host(keys.fingerprint(certificate.signature_key), certificate)

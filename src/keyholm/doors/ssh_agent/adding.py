"""What `ssh-add` asks for with a key: constraints, made into a policy or refused."""

import os
from collections.abc import Iterable
from typing import Final, TypeVar

from keyholm.core.errors import (
    BadCertificate,
    BadRequest,
    ConstraintUnsupported,
    PolicyForbids,
)
from keyholm.core.policy import Policy, from_constraints
from keyholm.core.store import Handover
from keyholm.doors.ssh_agent.options import Options
from keyholm.wire.codec import Malformed
from keyholm.wire.ssh import certificates
from keyholm.wire.ssh import constraints as wire
from keyholm.wire.ssh.agent import AddIdentity, AddIdentityConstrained
from keyholm.wire.ssh.patterns import match_pattern_list
from keyholm.wire.ssh.private_keys import (
    Private,
    PrivateSkEcdsa,
    PrivateSkEd25519,
    PrivateWithCertificate,
)
from keyholm.wire.ssh.signatures import BadSignature

INTERNAL: Final = "internal"
Kind = TypeVar("Kind", bound=wire.Constraint)
Request = AddIdentity | AddIdentityConstrained


def handover_of(request: Request, options: Options, *, remote: bool) -> Handover:
    try:
        label = request.comment.decode()
    except UnicodeDecodeError:
        label = request.comment.decode("latin-1")
    if "\0" in label:
        raise BadRequest("A comment cannot hold a NUL.")
    lifetime = _only(wire.Lifetime, request.constraints)
    certificate = b""
    private = request.private
    if isinstance(private, PrivateWithCertificate):
        certificate, private = private.certificate, private.private
        _check_certificate(certificate)
    return Handover(
        label=label,
        provider=_provider(request.constraints, private, options, remote=remote),
        lifetime=lifetime.seconds if lifetime else options.default_lifetime,
        certificate=certificate,
    )


def policy_of(request: Request, options: Options) -> Policy:
    if _only(wire.AssociatedCerts, request.constraints):
        raise ConstraintUnsupported("Associated certificates come with a PKCS#11 module only.")
    uses = _only(wire.MaxSign, request.constraints)
    destinations = _only(wire.RestrictDestination, request.constraints)
    return from_constraints(
        confirm=_only(wire.Confirm, request.constraints) is not None,
        max_uses=uses.count if uses else None,
        destinations=destinations,
        readable_only=options.restrict_websafe and _web(request.private, options),
    )


def _check_certificate(blob: bytes) -> None:
    """OpenSSH checks the authority's signature when it reads one, so nobody lists a forged one."""
    try:
        certificates.verify(certificates.decode(blob))
    except (Malformed, BadSignature) as error:
        raise BadCertificate(f"The certificate is not good: {error}.") from error


def _provider(
    constraints: Iterable[wire.Constraint], private: Private, options: Options, *, remote: bool
) -> str:
    given = _only(wire.SkProvider, constraints)
    is_sk = isinstance(private, PrivateSkEd25519 | PrivateSkEcdsa)
    if given is None:
        return ""
    if not is_sk:
        raise BadRequest("Only a FIDO key has a provider.")
    if given.provider == INTERNAL:
        return INTERNAL
    if remote and not options.remote_providers:
        raise PolicyForbids("A forwarded client cannot have a provider loaded.")
    try:
        path = os.path.realpath(given.provider, strict=True)
    except OSError as error:
        raise BadRequest(f"The provider {given.provider!r} is not there.") from error
    if not match_pattern_list(path, options.providers):
        raise PolicyForbids(
            f"{path} is not in the list of allowed providers.",
            remedy="Start the agent with `-P` and a pattern that it matches.",
        )
    return path


def _web(private: Private, options: Options) -> bool:
    """A FIDO key that web sites may use as well: it must not sign what they could make of it."""
    if isinstance(private, PrivateWithCertificate):
        private = private.private
    if not isinstance(private, PrivateSkEd25519 | PrivateSkEcdsa):
        return False
    application = private.public.application.decode("latin-1")
    return not match_pattern_list(application, options.websafe)


def _only(kind: type[Kind], constraints: Iterable[wire.Constraint]) -> Kind | None:
    return next((found for found in constraints if isinstance(found, kind)), None)

"""What `ssh-add` asks for with a key: constraints, made into a policy or refused."""

import os
from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

from keyholm.core.errors import (
    AbilityMissing,
    BadCertificate,
    BadRequest,
    ConstraintUnsupported,
    PolicyForbids,
)
from keyholm.core.policy import Policy, from_constraints
from keyholm.core.secret import Secret
from keyholm.core.store import Handover, Provided, Terms
from keyholm.doors.ssh_agent.options import Options
from keyholm.wire.codec import Malformed
from keyholm.wire.ssh import certificates, keys
from keyholm.wire.ssh import constraints as wire
from keyholm.wire.ssh.agent import (
    AddIdentity,
    AddIdentityConstrained,
    AddSmartcardKey,
    AddSmartcardKeyConstrained,
)
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
Constraints = Iterable[wire.Constraint]
LoadRequest = AddSmartcardKey | AddSmartcardKeyConstrained
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
    readable_only = options.restrict_websafe and _web(request.private, options)
    return _policy_of(request.constraints, readable_only=readable_only)


def _policy_of(constraints: Constraints, *, readable_only: bool = False) -> Policy:
    uses = _only(wire.MaxSign, constraints)
    return from_constraints(
        confirm=_only(wire.Confirm, constraints) is not None,
        max_uses=uses.count if uses else None,
        destinations=_only(wire.RestrictDestination, constraints),
        readable_only=readable_only,
    )


# --- PKCS#11 modules -------------------------------------------------------------------


def no_modules(path: str, pin: Secret) -> Sequence[Provided]:
    raise AbilityMissing("This agent loads no PKCS#11 modules.")


def module_terms_of(request: LoadRequest, options: Options) -> tuple[Terms, Policy]:
    """What every key of the module is offered on."""
    constraints = getattr(request, "constraints", ())
    if _only(wire.SkProvider, constraints):
        raise BadRequest("Only a FIDO key has a provider.")
    lifetime = _only(wire.Lifetime, constraints)
    associated = _only(wire.AssociatedCerts, constraints)
    terms = Terms(
        lifetime.seconds if lifetime else options.default_lifetime,
        _certificates(associated.certs) if associated else (),
        certificates_only=associated is not None and associated.certs_only,
    )
    return terms, _policy_of(constraints)


def _certificates(blobs: Iterable[bytes]) -> tuple[bytes, ...]:
    """Those of `blobs` that are certificates; a plain key among them means nothing (OpenSSH)."""
    found = []
    for blob in blobs:
        if certificates.is_certificate(blob):
            _check_certificate(blob)
            found.append(blob)
        else:
            _check_key(blob)
    return tuple(found)


def _check_key(blob: bytes) -> None:
    try:
        keys.decode(blob)
    except Malformed as error:
        raise BadCertificate(f"This is neither a certificate nor a key: {error}.") from error


def allowed_path(given: str, options: Options) -> str:
    """The real path of a library that a client names."""
    try:
        path = os.path.realpath(given, strict=True)
    except (OSError, ValueError) as error:
        raise BadRequest(f"There is no library {given!r}.") from error
    if not match_pattern_list(path, options.providers):
        raise PolicyForbids(
            f"{path} is not in the list of allowed providers.",
            remedy="Add a pattern for it (`keyholm-agent -P`, or agent.providers).",
        )
    return path


def _check_certificate(blob: bytes) -> None:
    """OpenSSH checks the authority's signature when it reads one, so nobody lists a forged one."""
    try:
        certificates.verify(certificates.decode(blob))
    except (Malformed, BadSignature) as error:
        raise BadCertificate(f"The certificate is not good: {error}.") from error


def _provider(constraints: Constraints, private: Private, options: Options, *, remote: bool) -> str:
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
    return allowed_path(given.provider, options)


def _web(private: Private, options: Options) -> bool:
    """A FIDO key that web sites may use as well: it must not sign what they could make of it."""
    if isinstance(private, PrivateWithCertificate):
        private = private.private
    if not isinstance(private, PrivateSkEd25519 | PrivateSkEcdsa):
        return False
    application = private.public.application.decode("latin-1")
    return not match_pattern_list(application, options.websafe)


def _only(kind: type[Kind], constraints: Constraints) -> Kind | None:
    return next((found for found in constraints if isinstance(found, kind)), None)

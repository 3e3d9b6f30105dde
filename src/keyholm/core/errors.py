"""Every way a request can fail: what happened, and what to do about it.

    KeyholmError
    ├── Refused               the key exists and works; this use of it is not allowed
    │   ├── PolicyForbids         ConsentDenied        NoPrompter
    │   ├── ManagementForbidden   ProofNeeded          NotTheOwner
    │   ├── PassphraseIncorrect   PinIncorrect         PinLocked
    │   ├── PinNotSet             PinUnsuitable        LoginNeeded
    │   └── LimitExceeded         DoorLocked
    ├── Unavailable           it would have been allowed, but cannot be done right now
    │   ├── TokenNotPresent       TokenLocked          TokenBusy
    │   ├── StoreFailed           StoreDamaged         StoreFull
    │   ├── TrailUnavailable      TrailDamaged
    │   └── DaemonNotRunning      DaemonFailed
    ├── Unsupported           it can never work
    │   ├── MechanismUnsupported  AlgorithmUnsupported
    │   ├── NotExportable         AbilityMissing       ConstraintUnsupported
    ├── NotFound
    │   └── KeyNotFound           TokenNotFound        CertificateNotFound
    └── Invalid               the request itself makes no sense
        ├── BadRequest            BadConfiguration     BadPolicy
        ├── AlreadyExists         BadKeyFile           BadCertificate
        └── DataInvalid           DataLengthInvalid    SignatureInvalid

The core and the stores raise these. Each door has one table that says what they are
called in its own protocol; nothing else in a door decides how an error looks.
"""

from collections.abc import Mapping
from typing import TypeVar

Name = TypeVar("Name")


class KeyholmError(Exception):
    """`what` is one sentence about this failure, `remedy` one about the way out."""

    def __init__(self, what: str, *, remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what} {self.remedy}".rstrip()


class Refused(KeyholmError):
    """The key exists and works; this use of it is not allowed."""


class PolicyForbids(Refused):
    """A rule of the key's policy says no; the sentence names the rule."""


class ConsentDenied(Refused):
    """A human was asked and said no, or did not answer in time."""


class NoPrompter(Refused):
    """A human must be asked, and nothing here can ask."""


class ManagementForbidden(Refused):
    """This connection may use keys but not manage them (forwarded, relayed, unknown)."""


class ProofNeeded(Refused):
    """Loosening a policy or exporting wants fresh proof; the uid alone is not enough."""


class NotTheOwner(Refused):
    """The token belongs to another user."""


class PassphraseIncorrect(Refused):
    pass


class PinIncorrect(Refused):
    """`attempts_left` is None where the device does not tell."""

    def __init__(self, token: str, attempts_left: int | None = None) -> None:
        left = "" if attempts_left is None else f"; {attempts_left} attempts are left"
        super().__init__(
            f"The PIN for {token} is wrong{left}.",
            remedy="Check that you have the right card, then try again.",
        )
        self.attempts_left = attempts_left


class PinLocked(Refused):
    pass


class PinNotSet(Refused):
    """The token has no PIN of that kind yet."""


class PinUnsuitable(Refused):
    """A new PIN that the token does not take."""


class LoginNeeded(Refused):
    """The token wants its PIN from the program itself."""


class LimitExceeded(Refused):
    """Too many, too fast, or too large."""


class DoorLocked(Refused):
    """The door was closed by `ssh-add -x` or `keyholm lock`."""


class Unavailable(KeyholmError):
    """It would have been allowed, but cannot be done right now."""


class TokenNotPresent(Unavailable):
    pass


class TokenLocked(Unavailable):
    pass


class TokenBusy(Unavailable):
    pass


class StoreFailed(Unavailable):
    """The device, file or helper behind the store answered with a failure."""


class StoreDamaged(Unavailable):
    """A file of the store is missing, old, swapped or altered; the sentence names it."""


class StoreFull(Unavailable):
    pass


class TrailUnavailable(Unavailable):
    """The use cannot be recorded, so it does not happen."""


class TrailDamaged(Unavailable):
    """The trail does not verify; the sentence names the place."""


class DaemonNotRunning(Unavailable):
    pass


class DaemonFailed(Unavailable):
    """The daemon answered with something the client cannot read, or died."""


class Unsupported(KeyholmError):
    """It can never work: this key or this store does not do that."""


class MechanismUnsupported(Unsupported):
    pass


class AlgorithmUnsupported(Unsupported):
    pass


class NotExportable(Unsupported):
    pass


class AbilityMissing(Unsupported):
    """The token does not have the ability that the action needs."""


class ConstraintUnsupported(Unsupported):
    """A constraint that cannot be enforced is refused, never dropped."""


class NotFound(KeyholmError):
    pass


class KeyNotFound(NotFound):
    pass


class TokenNotFound(NotFound):
    pass


class CertificateNotFound(NotFound):
    pass


class Invalid(KeyholmError):
    """The request itself makes no sense."""


class BadRequest(Invalid):
    pass


class BadConfiguration(Invalid):
    pass


class BadPolicy(Invalid):
    pass


class AlreadyExists(Invalid):
    pass


class BadKeyFile(Invalid):
    pass


class BadCertificate(Invalid):
    pass


class DataInvalid(Invalid):
    """The data is none that the mechanism could take, or was encrypted otherwise."""


class DataLengthInvalid(Invalid):
    """The data is too long, too short, or no whole number of blocks."""


class SignatureInvalid(Invalid):
    """The signature is not of this data by this key."""


def name_in(table: Mapping[type[KeyholmError], Name], error: KeyholmError) -> Name:
    """What `error` is called in a door's protocol: the nearest entry wins."""
    return next(table[kind] for kind in type(error).__mro__ if kind in table)


def leaves(kind: type[KeyholmError] = KeyholmError) -> frozenset[type[KeyholmError]]:
    """The errors that are raised; the others group them."""
    below = kind.__subclasses__()
    if not below:
        return frozenset({kind})
    return frozenset().union(*map(leaves, below))


def by_name(name: str) -> type[KeyholmError]:
    """The class called `name`, for a client that rebuilds what the daemon raised."""
    return next((kind for kind in leaves() if kind.__name__ == name), KeyholmError)

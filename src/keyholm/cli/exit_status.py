"""The exit status of every failure: those of sysexits(3), as far as one fits."""

from collections.abc import Mapping
from typing import Final

from keyholm.core import errors
from keyholm.core.errors import KeyholmError, name_in

USAGE: Final = 64  # EX_USAGE: the command line makes no sense
DATA: Final = 65  # EX_DATAERR: a file holds something else than it should
NO_INPUT: Final = 66  # EX_NOINPUT: what was named is not there
UNAVAILABLE: Final = 69  # EX_UNAVAILABLE: it cannot be done right now
SOFTWARE: Final = 70  # EX_SOFTWARE: keyholm itself went wrong
CANNOT_CREATE: Final = 73  # EX_CANTCREAT: it is there already
IO: Final = 74  # EX_IOERR: a device or disk failed
TRY_AGAIN: Final = 75  # EX_TEMPFAIL
NOT_ALLOWED: Final = 77  # EX_NOPERM: refused
CONFIGURATION: Final = 78  # EX_CONFIG
INTERRUPTED: Final = 130  # as shells report SIGINT

EXIT_STATUS: Final[Mapping[type[KeyholmError], int]] = {
    KeyholmError: SOFTWARE,
    errors.PolicyForbids: NOT_ALLOWED,
    errors.ConsentDenied: NOT_ALLOWED,
    errors.NoPrompter: NOT_ALLOWED,
    errors.ManagementForbidden: NOT_ALLOWED,
    errors.ProofNeeded: NOT_ALLOWED,
    errors.NotTheOwner: NOT_ALLOWED,
    errors.PassphraseIncorrect: NOT_ALLOWED,
    errors.PinIncorrect: NOT_ALLOWED,
    errors.PinLocked: NOT_ALLOWED,
    errors.PinNotSet: NOT_ALLOWED,
    errors.PinUnsuitable: USAGE,
    errors.LoginNeeded: NOT_ALLOWED,
    errors.LimitExceeded: TRY_AGAIN,
    errors.DoorLocked: NOT_ALLOWED,
    errors.TokenNotPresent: UNAVAILABLE,
    errors.TokenLocked: UNAVAILABLE,
    errors.TokenBusy: TRY_AGAIN,
    errors.StoreFailed: IO,
    errors.StoreDamaged: DATA,
    errors.StoreFull: IO,
    errors.TrailUnavailable: IO,
    errors.TrailDamaged: DATA,
    errors.DaemonNotRunning: UNAVAILABLE,
    errors.DaemonFailed: SOFTWARE,
    errors.MechanismUnsupported: USAGE,
    errors.AlgorithmUnsupported: USAGE,
    errors.NotExportable: NOT_ALLOWED,
    errors.AbilityMissing: USAGE,
    errors.ConstraintUnsupported: USAGE,
    errors.KeyNotFound: NO_INPUT,
    errors.TokenNotFound: NO_INPUT,
    errors.CertificateNotFound: NO_INPUT,
    errors.BadRequest: USAGE,
    errors.BadConfiguration: CONFIGURATION,
    errors.BadPolicy: DATA,
    errors.AlreadyExists: CANNOT_CREATE,
    errors.BadKeyFile: DATA,
    errors.BadCertificate: DATA,
    errors.DataInvalid: DATA,
    errors.DataLengthInvalid: DATA,
    errors.SignatureInvalid: DATA,
}


def exit_status(error: KeyholmError) -> int:
    return name_in(EXIT_STATUS, error)

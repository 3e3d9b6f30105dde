"""The exit status of each failure, as sysexits(3) has it where it has a fitting one."""

import os
from collections.abc import Mapping
from typing import Final

from keyholm.core import errors

EXIT_STATUS: Final[Mapping[type[errors.KeyholmError], int]] = {
    errors.KeyholmError: os.EX_SOFTWARE,
    errors.PolicyForbids: os.EX_NOPERM,
    errors.ConsentDenied: os.EX_NOPERM,
    errors.NoPrompter: os.EX_NOPERM,
    errors.ManagementForbidden: os.EX_NOPERM,
    errors.ProofNeeded: os.EX_NOPERM,
    errors.NotTheOwner: os.EX_NOPERM,
    errors.PassphraseIncorrect: os.EX_NOPERM,
    errors.PinIncorrect: os.EX_NOPERM,
    errors.PinLocked: os.EX_NOPERM,
    errors.LimitExceeded: os.EX_NOPERM,
    errors.DoorLocked: os.EX_NOPERM,
    errors.TokenNotPresent: os.EX_UNAVAILABLE,
    errors.TokenLocked: os.EX_UNAVAILABLE,
    errors.TokenBusy: os.EX_UNAVAILABLE,
    errors.StoreFailed: os.EX_IOERR,
    errors.StoreDamaged: os.EX_IOERR,
    errors.StoreFull: os.EX_IOERR,
    errors.TrailUnavailable: os.EX_IOERR,
    errors.TrailDamaged: os.EX_IOERR,
    errors.DaemonNotRunning: os.EX_UNAVAILABLE,
    errors.DaemonFailed: os.EX_SOFTWARE,
    errors.MechanismUnsupported: os.EX_USAGE,
    errors.AlgorithmUnsupported: os.EX_USAGE,
    errors.NotExportable: os.EX_NOPERM,
    errors.AbilityMissing: os.EX_USAGE,
    errors.ConstraintUnsupported: os.EX_USAGE,
    errors.KeyNotFound: os.EX_NOINPUT,
    errors.TokenNotFound: os.EX_NOINPUT,
    errors.CertificateNotFound: os.EX_NOINPUT,
    errors.BadRequest: os.EX_USAGE,
    errors.BadConfiguration: os.EX_DATAERR,
    errors.BadPolicy: os.EX_DATAERR,
    errors.AlreadyExists: os.EX_DATAERR,
    errors.BadKeyFile: os.EX_DATAERR,
    errors.BadCertificate: os.EX_DATAERR,
}


def exit_status(error: errors.KeyholmError) -> int:
    return errors.name_in(EXIT_STATUS, error)

"""What PKCS#11 calls each failure.

The sentence and its remedy travel beside the code to our own module (`uzz`); stock clients get
the code alone, and `keyholm why` has the rest.
"""

from collections.abc import Mapping
from typing import Final

from keyholm.core import errors
from keyholm.core.errors import KeyholmError, name_in
from keyholm.core.mechanisms import Verb
from keyholm.wire.pkcs11.constants import CKR

CODES: Final[Mapping[type[KeyholmError], int]] = {
    KeyholmError: CKR.GENERAL_ERROR,
    errors.PolicyForbids: CKR.FUNCTION_REJECTED,
    errors.ConsentDenied: CKR.FUNCTION_REJECTED,
    errors.NoPrompter: CKR.FUNCTION_REJECTED,
    errors.ManagementForbidden: CKR.TOKEN_WRITE_PROTECTED,
    errors.ProofNeeded: CKR.USER_NOT_LOGGED_IN,
    errors.NotTheOwner: CKR.TOKEN_WRITE_PROTECTED,
    errors.PassphraseIncorrect: CKR.PIN_INCORRECT,
    errors.PinIncorrect: CKR.PIN_INCORRECT,
    errors.PinLocked: CKR.PIN_LOCKED,
    errors.PinNotSet: CKR.USER_PIN_NOT_INITIALIZED,
    errors.PinUnsuitable: CKR.PIN_LEN_RANGE,
    errors.LoginNeeded: CKR.USER_NOT_LOGGED_IN,
    errors.LimitExceeded: CKR.TOKEN_RESOURCE_EXCEEDED,
    errors.DoorLocked: CKR.FUNCTION_REJECTED,
    errors.TokenNotPresent: CKR.TOKEN_NOT_PRESENT,
    errors.TokenLocked: CKR.USER_NOT_LOGGED_IN,
    errors.TokenBusy: CKR.FUNCTION_FAILED,
    errors.StoreFailed: CKR.DEVICE_ERROR,
    errors.StoreDamaged: CKR.DEVICE_ERROR,
    errors.StoreFull: CKR.DEVICE_MEMORY,
    errors.TrailUnavailable: CKR.DEVICE_ERROR,
    errors.TrailDamaged: CKR.DEVICE_ERROR,
    errors.DaemonNotRunning: CKR.DEVICE_REMOVED,
    errors.DaemonFailed: CKR.DEVICE_ERROR,
    errors.MechanismUnsupported: CKR.MECHANISM_INVALID,
    errors.AlgorithmUnsupported: CKR.MECHANISM_INVALID,
    errors.NotExportable: CKR.KEY_UNEXTRACTABLE,
    errors.AbilityMissing: CKR.FUNCTION_NOT_SUPPORTED,
    errors.ConstraintUnsupported: CKR.FUNCTION_REJECTED,
    errors.KeyNotFound: CKR.KEY_HANDLE_INVALID,
    errors.TokenNotFound: CKR.TOKEN_NOT_PRESENT,
    errors.CertificateNotFound: CKR.OBJECT_HANDLE_INVALID,
    errors.BadRequest: CKR.ARGUMENTS_BAD,
    errors.BadConfiguration: CKR.GENERAL_ERROR,
    errors.BadPolicy: CKR.GENERAL_ERROR,
    errors.AlreadyExists: CKR.ATTRIBUTE_VALUE_INVALID,
    errors.BadKeyFile: CKR.ATTRIBUTE_VALUE_INVALID,
    errors.BadCertificate: CKR.ATTRIBUTE_VALUE_INVALID,
    errors.DataInvalid: CKR.DATA_INVALID,
    errors.DataLengthInvalid: CKR.DATA_LEN_RANGE,
    errors.SignatureInvalid: CKR.SIGNATURE_INVALID,
}

# Where the standard has a word of its own for the same failure of a certain use.
_OF_DATA: Final[dict[tuple[type[KeyholmError], Verb], int]] = {
    (errors.DataInvalid, Verb.DECRYPT): CKR.ENCRYPTED_DATA_INVALID,
    (errors.DataLengthInvalid, Verb.DECRYPT): CKR.ENCRYPTED_DATA_LEN_RANGE,
    (errors.DataInvalid, Verb.UNWRAP): CKR.WRAPPED_KEY_INVALID,
    (errors.DataLengthInvalid, Verb.UNWRAP): CKR.WRAPPED_KEY_LEN_RANGE,
    (errors.DataLengthInvalid, Verb.VERIFY): CKR.SIGNATURE_LEN_RANGE,
    # The other side's public value, which C_DeriveKey gets in its mechanism's parameter.
    (errors.DataInvalid, Verb.DERIVE): CKR.MECHANISM_PARAM_INVALID,
}


def code(error: KeyholmError, verb: Verb | None = None) -> int:
    if verb is not None and (special := _OF_DATA.get((type(error), verb))) is not None:
        return special
    return name_in(CODES, error)

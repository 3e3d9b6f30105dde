"""What a module answered, as one of our errors: every CKR has a sentence and a way out.

The vendor's word stays in it, since that is what manuals and other people's reports name.
"""

from typing import Final, NamedTuple

from keyholm.core import errors
from keyholm.core.errors import KeyholmError
from keyholm.wire.pkcs11.constants import CKR, numbers


class Answered(Exception):
    """A function of the module gave something else than CKR_OK; `what` is the worker's own word."""

    def __init__(self, call: str, status: int, what: str = "", remedy: str = "") -> None:
        super().__init__(f"{call}: {CKR.name(status)}")
        self.call, self.status, self.what, self.remedy = call, status, what, remedy


class Meaning(NamedTuple):
    kind: type[KeyholmError]
    what: str  # follows the name of the token or the module
    remedy: str = ""


_AGAIN: Final = "Try again; `keyholm doctor` looks at the module."
_MAKER: Final = "Ask its maker, or use another mechanism."
_OURS: Final = "Report it: this is keyholm's to get right."
_GENERAL: Final = Meaning(errors.StoreFailed, "failed and does not say why", _AGAIN)
_DEVICE: Final = Meaning(errors.StoreFailed, "failed", _AGAIN)
_STATE: Final = Meaning(errors.StoreFailed, "lost track of what it was doing", _AGAIN)
_FULL: Final = Meaning(
    errors.StoreFull,
    "has no room left",
    "Remove an object that nobody needs, or use another token.",
)
_GONE: Final = Meaning(errors.TokenNotPresent, "is not there any more", "Insert it and try again.")
_NO_KEY: Final = Meaning(
    errors.KeyNotFound, "does not have this key any more", "`keyholm list` shows the keys."
)
_MECHANISM: Final = Meaning(errors.MechanismUnsupported, "does not do this", _MAKER)
_KEY_KIND: Final = Meaning(errors.MechanismUnsupported, "does not do this with such a key", _MAKER)
_NOT_ALLOWED: Final = Meaning(
    errors.MechanismUnsupported,
    "has this key for other uses",
    "The key was made without this use; make another one.",
)
_DATA: Final = Meaning(errors.DataInvalid, "does not take this data")
_LENGTH: Final = Meaning(errors.DataLengthInvalid, "does not take data of this length")
_LOCKED: Final = Meaning(errors.TokenLocked, "wants its PIN first", "`keyholm unlock`")
_PIN_STATE: Final = Meaning(errors.TokenBusy, "has somebody else logged in", _AGAIN)
_STAYS: Final = Meaning(errors.NotExportable, "does not let this key out")
_TEMPLATE: Final = Meaning(errors.BadRequest, "does not make such an object", _MAKER)
_PROTECTED: Final = Meaning(
    errors.AbilityMissing, "cannot be written to", "Use the tool that came with it."
)
_ALGORITHM: Final = Meaning(errors.AlgorithmUnsupported, "has no such keys", _MAKER)
_BUG: Final = Meaning(errors.StoreFailed, "was asked in a way that it does not take", _OURS)
_CANCELLED: Final = Meaning(
    errors.ConsentDenied,
    "was told no, or nobody answered it",
    "Try again, and agree at the device.",
)
_NEW_PIN: Final = Meaning(errors.PinUnsuitable, "does not take this PIN", "Choose another one.")
_SIGNATURE: Final = Meaning(errors.SignatureInvalid, "says that this is no signature of it")
_SHORT: Final = Meaning(errors.TokenBusy, "has no room for one request more", _AGAIN)

MEANINGS: Final[dict[int, Meaning]] = {
    CKR.CANCEL: _CANCELLED,
    CKR.HOST_MEMORY: Meaning(
        errors.StoreFailed, "ran out of memory", "`memory_mib` in its file gives it more."
    ),
    CKR.SLOT_ID_INVALID: _GONE,
    CKR.GENERAL_ERROR: _GENERAL,
    CKR.FUNCTION_FAILED: _GENERAL,
    CKR.ARGUMENTS_BAD: _BUG,
    CKR.NO_EVENT: _STATE,
    CKR.NEED_TO_CREATE_THREADS: _BUG,
    CKR.CANT_LOCK: _BUG,
    CKR.ATTRIBUTE_READ_ONLY: Meaning(errors.BadRequest, "does not change this of an object"),
    CKR.ATTRIBUTE_SENSITIVE: _STAYS,
    CKR.ATTRIBUTE_TYPE_INVALID: _TEMPLATE,
    CKR.ATTRIBUTE_VALUE_INVALID: _TEMPLATE,
    CKR.ACTION_PROHIBITED: Meaning(errors.BadRequest, "does not let this be done to the object"),
    CKR.DATA_INVALID: _DATA,
    CKR.DATA_LEN_RANGE: _LENGTH,
    CKR.DEVICE_ERROR: _DEVICE,
    CKR.DEVICE_MEMORY: _FULL,
    CKR.DEVICE_REMOVED: _GONE,
    CKR.ENCRYPTED_DATA_INVALID: _DATA,
    CKR.ENCRYPTED_DATA_LEN_RANGE: _LENGTH,
    CKR.AEAD_DECRYPT_FAILED: _DATA,
    CKR.FUNCTION_CANCELED: _CANCELLED,
    CKR.FUNCTION_NOT_PARALLEL: _BUG,
    CKR.FUNCTION_NOT_SUPPORTED: _MECHANISM,
    CKR.KEY_HANDLE_INVALID: _NO_KEY,
    CKR.KEY_SIZE_RANGE: _KEY_KIND,
    CKR.KEY_TYPE_INCONSISTENT: _KEY_KIND,
    CKR.KEY_NOT_NEEDED: _BUG,
    CKR.KEY_CHANGED: _STATE,
    CKR.KEY_NEEDED: _BUG,
    CKR.KEY_INDIGESTIBLE: _STAYS,
    CKR.KEY_FUNCTION_NOT_PERMITTED: _NOT_ALLOWED,
    CKR.KEY_NOT_WRAPPABLE: _STAYS,
    CKR.KEY_UNEXTRACTABLE: _STAYS,
    CKR.MECHANISM_INVALID: _MECHANISM,
    CKR.MECHANISM_PARAM_INVALID: Meaning(
        errors.MechanismUnsupported, "does not do this with these parameters", _MAKER
    ),
    CKR.OBJECT_HANDLE_INVALID: _NO_KEY,
    CKR.OPERATION_ACTIVE: _STATE,
    CKR.OPERATION_NOT_INITIALIZED: _STATE,
    CKR.PIN_INCORRECT: Meaning(errors.PinIncorrect, "says that the PIN is wrong"),
    CKR.PIN_INVALID: _NEW_PIN,
    CKR.PIN_LEN_RANGE: _NEW_PIN,
    CKR.PIN_EXPIRED: Meaning(
        errors.PinLocked, "wants a new PIN", "Change it with the tool that came with it."
    ),
    CKR.PIN_LOCKED: Meaning(
        errors.PinLocked,
        "has locked its PIN, which was wrong too often",
        "The security officer (PUK) can give the user a new one.",
    ),
    CKR.SESSION_CLOSED: _STATE,
    CKR.SESSION_COUNT: _SHORT,
    CKR.SESSION_HANDLE_INVALID: _STATE,
    CKR.SESSION_PARALLEL_NOT_SUPPORTED: _BUG,
    CKR.SESSION_READ_ONLY: _PROTECTED,
    CKR.SESSION_EXISTS: Meaning(
        errors.TokenBusy, "is in use by another program", "End that program, then try again."
    ),
    CKR.SESSION_READ_ONLY_EXISTS: _PIN_STATE,
    CKR.SESSION_READ_WRITE_SO_EXISTS: _PIN_STATE,
    CKR.SIGNATURE_INVALID: _SIGNATURE,
    CKR.SIGNATURE_LEN_RANGE: _SIGNATURE,
    CKR.TEMPLATE_INCOMPLETE: _TEMPLATE,
    CKR.TEMPLATE_INCONSISTENT: _TEMPLATE,
    CKR.TOKEN_NOT_PRESENT: _GONE,
    CKR.TOKEN_NOT_RECOGNIZED: Meaning(
        errors.TokenNotPresent,
        "is of a kind that the module does not know",
        "Try the module of its maker.",
    ),
    CKR.TOKEN_WRITE_PROTECTED: _PROTECTED,
    CKR.UNWRAPPING_KEY_HANDLE_INVALID: _NO_KEY,
    CKR.UNWRAPPING_KEY_SIZE_RANGE: _KEY_KIND,
    CKR.UNWRAPPING_KEY_TYPE_INCONSISTENT: _KEY_KIND,
    CKR.USER_ALREADY_LOGGED_IN: _PIN_STATE,
    CKR.USER_NOT_LOGGED_IN: _LOCKED,
    CKR.USER_PIN_NOT_INITIALIZED: Meaning(
        errors.PinNotSet,
        "has no PIN for its user yet",
        "The security officer gives the user one, with the tool that came with it.",
    ),
    CKR.USER_TYPE_INVALID: Meaning(errors.AbilityMissing, "does not know that kind of user"),
    CKR.USER_ANOTHER_ALREADY_LOGGED_IN: _PIN_STATE,
    CKR.USER_TOO_MANY_TYPES: _PIN_STATE,
    CKR.WRAPPED_KEY_INVALID: _DATA,
    CKR.WRAPPED_KEY_LEN_RANGE: _LENGTH,
    CKR.WRAPPING_KEY_HANDLE_INVALID: _NO_KEY,
    CKR.WRAPPING_KEY_SIZE_RANGE: _KEY_KIND,
    CKR.WRAPPING_KEY_TYPE_INCONSISTENT: _KEY_KIND,
    CKR.RANDOM_SEED_NOT_SUPPORTED: _MECHANISM,
    CKR.RANDOM_NO_RNG: _MECHANISM,
    CKR.DOMAIN_PARAMS_INVALID: _ALGORITHM,
    CKR.CURVE_NOT_SUPPORTED: _ALGORITHM,
    CKR.BUFFER_TOO_SMALL: _BUG,
    CKR.SAVED_STATE_INVALID: _STATE,
    CKR.INFORMATION_SENSITIVE: _STAYS,
    CKR.STATE_UNSAVEABLE: _MECHANISM,
    CKR.CRYPTOKI_NOT_INITIALIZED: _STATE,
    CKR.CRYPTOKI_ALREADY_INITIALIZED: _STATE,
    CKR.MUTEX_BAD: _DEVICE,
    CKR.MUTEX_NOT_LOCKED: _DEVICE,
    CKR.NEW_PIN_MODE: _NEW_PIN,
    CKR.NEXT_OTP: Meaning(errors.PinIncorrect, "wants its next one-time password"),
    CKR.EXCEEDED_MAX_ITERATIONS: _DEVICE,
    CKR.FIPS_SELF_TEST_FAILED: Meaning(
        errors.StoreFailed, "failed its self-test and does nothing more", "Ask its maker."
    ),
    CKR.LIBRARY_LOAD_FAILED: Meaning(
        errors.StoreFailed, "could not load a library that it needs", "`keyholm doctor` names it."
    ),
    CKR.PIN_TOO_WEAK: _NEW_PIN,
    CKR.PUBLIC_KEY_INVALID: _DATA,
    CKR.FUNCTION_REJECTED: _CANCELLED,
    CKR.TOKEN_RESOURCE_EXCEEDED: _SHORT,
    CKR.OPERATION_CANCEL_FAILED: _STATE,
    CKR.KEY_EXHAUSTED: Meaning(
        errors.LimitExceeded, "has used this key as often as it may be", "Make a new key."
    ),
    CKR.PENDING: _STATE,
    CKR.SESSION_ASYNC_NOT_SUPPORTED: _BUG,
    CKR.SEED_RANDOM_REQUIRED: _DEVICE,
    CKR.OPERATION_NOT_VALIDATED: _MECHANISM,
    CKR.TOKEN_NOT_INITIALIZED: Meaning(
        errors.PinNotSet, "is not initialised", "Initialise it with the tool that came with it."
    ),
    CKR.PARAMETER_SET_NOT_SUPPORTED: _ALGORITHM,
}
_VENDORS_OWN: Final = Meaning(errors.StoreFailed, "answered in a way of its own", _MAKER)


_OF_MECHANISMS: Final = ("Init", "Once", "GenerateKey", "GenerateKeyPair", "DeriveKey", "WrapKey")


# What those calls are of the standard's that only our dialect has: a user's search finds these.
_STANDARD: Final = {
    "FindObjectsWith": "FindObjects",
    **{f"{verb}Once": verb for verb in ("Sign", "Verify", "Encrypt", "Decrypt", "Digest")},
}


def function(call: str) -> str:
    """The standard's function that `call` is one of: C_Sign for SignOnce."""
    return f"C_{_STANDARD.get(call, call)}"


def error_of(answered: Answered, who: str) -> KeyholmError:
    """`who` failed: a token's label, or a module's name."""
    status = answered.status
    unknown = _VENDORS_OWN if status >= CKR.VENDOR_DEFINED else _GENERAL
    meaning = MEANINGS.get(status, unknown)
    if status == CKR.ARGUMENTS_BAD and answered.call.endswith(_OF_MECHANISMS):
        # SoftHSM2's word for a mechanism whose parameter it does not take.
        meaning = MEANINGS[CKR.MECHANISM_PARAM_INVALID]
    word = f"{CKR.name(status)} of {function(answered.call)}"
    if meaning.kind is errors.PinIncorrect:
        return errors.PinIncorrect(who)
    what = f"{who} {meaning.what} ({word})."
    if answered.what:
        what += f" {answered.what}"
    return meaning.kind(what, remedy=answered.remedy or meaning.remedy)


def known() -> frozenset[int]:
    """All that a module may answer, but CKR_OK and what vendors add."""
    return frozenset(numbers(CKR).values()) - {CKR.OK, CKR.VENDOR_DEFINED}

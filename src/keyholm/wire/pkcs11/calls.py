"""The functions of PKCS#11, each described once: what crosses the wire, in which order.

The door's dispatch, the native module's stubs and docs/reference/pkcs11.md are all read off
`CALLS`; adding a function is adding a row here and a handler of that name.

A row serves two dialects: the stock protocol of p11-kit, whose numbers are below 0x10000, and
ours, which has every number of the stock protocol and more (docs/protocols/pkcs11-rpc.md). The
parameters of a call stand in the order in which C has them, and each names the C arguments that
it is made of, so `prototype` can give the whole declaration.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple

from keyholm.wire.pkcs11.constants import CKR


class Type(StrEnum):
    """A data type, by its letters in the signatures of the protocol."""

    NOTHING = ""  # a C argument that does not cross
    BYTE = "y"
    ULONG = "u"
    VERSION = "v"
    SPACED = "s"  # text of a fixed width, filled up with spaces
    TEXT = "z"
    BYTES = "ay"
    ROOM = "fy"  # how many bytes the caller has space for
    ULONGS = "au"
    ULONG_ROOM = "fu"
    ATTRIBUTES = "aA"
    ATTRIBUTE_ROOM = "fA"  # which attributes are asked for, and the space for each
    MECHANISM = "M"
    MECHANISM_UPDATE = "P"  # what a derivation writes into its parameter; stock only
    MESSAGE = "Q"  # parameter of a message call; the bytes of a C structure in the stock protocol


class Parameter(NamedTuple):
    """One value on the wire."""

    name: str
    type: Type
    c: str = ""  # the C arguments that it is made of; `pInfo->flags` is a member of what one is
    width: int = 0  # of SPACED
    secret: bool = False  # read as a view of the frame, which its owner wipes; never copied
    authenticated: bool = False  # a mechanism with the parameter of an authenticated wrap


class Version(StrEnum):
    """The first standard that has a function; OURS are keyholm's own."""

    V2_40 = "2.40"
    V3_0 = "3.0"
    V3_2 = "3.2"
    OURS = "keyholm"


class Call(NamedTuple):
    name: str
    stock: int | None  # its number in the stock protocol
    ours: int | None  # its number in our dialect
    since: Version
    doc: str
    takes: tuple[Parameter, ...] = ()
    gives: tuple[Parameter, ...] = ()
    errors: tuple[int, ...] = ()
    c_name: str | None = None  # if it is not C_ and the name
    stock_version: int = 0  # the first version byte that has it

    @property
    def function(self) -> str | None:
        """The C function that it carries; None for calls that no program makes."""
        return None if self.since is Version.OURS else f"C_{self.c_name or self.name}"

    @property
    def is_local(self) -> bool:
        """Answered by the module itself: nothing crosses."""
        return self.stock is None and self.ours is None

    @property
    def signature(self) -> tuple[str, str]:
        """Of the request and of the answer, in our dialect."""
        return letters(self.takes), letters(self.gives)

    @property
    def stock_signature(self) -> tuple[str, str]:
        # p11-kit sends the parameter of a message call as the bytes of the C structure, and
        # never sends it back.
        return letters(self.takes).replace("Q", "ay"), letters(self.gives).replace("Q", "")

    @property
    def arguments(self) -> tuple[str, ...]:
        """The names of the C arguments, in their order."""
        found: dict[str, None] = {}
        for parameter in (*self.takes, *self.gives):
            for name in parameter.c.split():
                found[name.partition("->")[0]] = None
        return tuple(found)

    @property
    def prototype(self) -> tuple[tuple[str, str], ...]:
        """The C arguments: type and name of each."""
        special = C_TYPES_OF.get(self.name, {})
        return tuple((special.get(name) or C_TYPES[name], name) for name in self.arguments)


def letters(parameters: Iterable[Parameter]) -> str:
    return "".join(parameter.type for parameter in parameters)


# Types of C arguments by their names, which the standard uses in one sense throughout ...
C_TYPES: Final[dict[str, str]] = {
    "Notify": "CK_NOTIFY",
    "flags": "CK_FLAGS",
    "hAuthenticationKey": "CK_OBJECT_HANDLE",
    "hBaseKey": "CK_OBJECT_HANDLE",
    "hEncryptionKey": "CK_OBJECT_HANDLE",
    "hKey": "CK_OBJECT_HANDLE",
    "hObject": "CK_OBJECT_HANDLE",
    "hPrivateKey": "CK_OBJECT_HANDLE",
    "hPublicKey": "CK_OBJECT_HANDLE",
    "hSession": "CK_SESSION_HANDLE",
    "hUnwrappingKey": "CK_OBJECT_HANDLE",
    "hWrappingKey": "CK_OBJECT_HANDLE",
    "pApplication": "CK_VOID_PTR",
    "pAssociatedData": "CK_BYTE_PTR",
    "pCiphertext": "CK_BYTE_PTR",
    "pCiphertextPart": "CK_BYTE_PTR",
    "pData": "CK_BYTE_PTR",
    "pDigest": "CK_BYTE_PTR",
    "pEncryptedData": "CK_BYTE_PTR",
    "pEncryptedPart": "CK_BYTE_PTR",
    "pFlags": "CK_FLAGS *",
    "pFunctionName": "CK_UTF8CHAR_PTR",
    "pInitArgs": "CK_VOID_PTR",
    "pInterfaceName": "CK_UTF8CHAR_PTR",
    "pInterfacesList": "CK_INTERFACE_PTR",
    "pLabel": "CK_UTF8CHAR_PTR",
    "pLastEncryptedPart": "CK_BYTE_PTR",
    "pLastPart": "CK_BYTE_PTR",
    "pMechanism": "CK_MECHANISM_PTR",
    "pMechanismList": "CK_MECHANISM_TYPE_PTR",
    "pNewPin": "CK_UTF8CHAR_PTR",
    "pOldPin": "CK_UTF8CHAR_PTR",
    "pOperationState": "CK_BYTE_PTR",
    "pParameter": "CK_VOID_PTR",
    "pPart": "CK_BYTE_PTR",
    "pPin": "CK_UTF8CHAR_PTR",
    "pPlaintext": "CK_BYTE_PTR",
    "pPlaintextPart": "CK_BYTE_PTR",
    "pPrivateKeyTemplate": "CK_ATTRIBUTE_PTR",
    "pPublicKeyTemplate": "CK_ATTRIBUTE_PTR",
    "pRandomData": "CK_BYTE_PTR",
    "pReserved": "CK_VOID_PTR",
    "pResult": "CK_ASYNC_DATA_PTR",
    "pSeed": "CK_BYTE_PTR",
    "pSignature": "CK_BYTE_PTR",
    "pSlot": "CK_SLOT_ID_PTR",
    "pSlotList": "CK_SLOT_ID_PTR",
    "pTemplate": "CK_ATTRIBUTE_PTR",
    "pUsername": "CK_UTF8CHAR_PTR",
    "pVersion": "CK_VERSION_PTR",
    "pWrappedKey": "CK_BYTE_PTR",
    "phKey": "CK_OBJECT_HANDLE_PTR",
    "phNewObject": "CK_OBJECT_HANDLE_PTR",
    "phObject": "CK_OBJECT_HANDLE_PTR",
    "phPrivateKey": "CK_OBJECT_HANDLE_PTR",
    "phPublicKey": "CK_OBJECT_HANDLE_PTR",
    "phSession": "CK_SESSION_HANDLE_PTR",
    "ppFunctionList": "CK_FUNCTION_LIST_PTR_PTR",
    "ppInterface": "CK_INTERFACE_PTR_PTR",
    "pulCiphertextLen": "CK_ULONG_PTR",
    "pulCiphertextPartLen": "CK_ULONG_PTR",
    "pulCount": "CK_ULONG_PTR",
    "pulDataLen": "CK_ULONG_PTR",
    "pulDigestLen": "CK_ULONG_PTR",
    "pulEncryptedDataLen": "CK_ULONG_PTR",
    "pulEncryptedPartLen": "CK_ULONG_PTR",
    "pulID": "CK_ULONG_PTR",
    "pulLastEncryptedPartLen": "CK_ULONG_PTR",
    "pulLastPartLen": "CK_ULONG_PTR",
    "pulObjectCount": "CK_ULONG_PTR",
    "pulOperationStateLen": "CK_ULONG_PTR",
    "pulPartLen": "CK_ULONG_PTR",
    "pulPlaintextLen": "CK_ULONG_PTR",
    "pulPlaintextPartLen": "CK_ULONG_PTR",
    "pulSignatureLen": "CK_ULONG_PTR",
    "pulSize": "CK_ULONG_PTR",
    "pulWrappedKeyLen": "CK_ULONG_PTR",
    "slotID": "CK_SLOT_ID",
    "tokenPresent": "CK_BBOOL",
    "type": "CK_MECHANISM_TYPE",
    "ulAssociatedDataLen": "CK_ULONG",
    "ulAttributeCount": "CK_ULONG",
    "ulCiphertextLen": "CK_ULONG",
    "ulCiphertextPartLen": "CK_ULONG",
    "ulCount": "CK_ULONG",
    "ulData": "CK_ULONG",
    "ulDataLen": "CK_ULONG",
    "ulEncryptedDataLen": "CK_ULONG",
    "ulEncryptedPartLen": "CK_ULONG",
    "ulID": "CK_ULONG",
    "ulMaxObjectCount": "CK_ULONG",
    "ulNewLen": "CK_ULONG",
    "ulOldLen": "CK_ULONG",
    "ulOperationStateLen": "CK_ULONG",
    "ulParameterLen": "CK_ULONG",
    "ulPartLen": "CK_ULONG",
    "ulPinLen": "CK_ULONG",
    "ulPlaintextLen": "CK_ULONG",
    "ulPlaintextPartLen": "CK_ULONG",
    "ulPrivateKeyAttributeCount": "CK_ULONG",
    "ulPublicKeyAttributeCount": "CK_ULONG",
    "ulRandomLen": "CK_ULONG",
    "ulSeedLen": "CK_ULONG",
    "ulSignatureLen": "CK_ULONG",
    "ulUsernameLen": "CK_ULONG",
    "ulWrappedKeyLen": "CK_ULONG",
    "userType": "CK_USER_TYPE",
}
# ... but for these.
C_TYPES_OF: Final[dict[str, dict[str, str]]] = {
    "GetInfo": {"pInfo": "CK_INFO_PTR"},
    "GetSlotInfo": {"pInfo": "CK_SLOT_INFO_PTR"},
    "GetTokenInfo": {"pInfo": "CK_TOKEN_INFO_PTR"},
    "GetMechanismInfo": {"pInfo": "CK_MECHANISM_INFO_PTR"},
    "GetSessionInfo": {"pInfo": "CK_SESSION_INFO_PTR"},
    "GetSessionValidationFlags": {"type": "CK_SESSION_VALIDATION_FLAGS_TYPE"},
}


def _ulong(name: str, c: str) -> Parameter:
    return Parameter(name, Type.ULONG, c)


def _bytes(name: str, c: str, *, secret: bool = False) -> Parameter:
    return Parameter(name, Type.BYTES, c, secret=secret)


def _spaced(name: str, width: int, c: str) -> Parameter:
    return Parameter(name, Type.SPACED, c, width)


def _version(name: str, c: str) -> Parameter:
    return Parameter(name, Type.VERSION, c)


def _out(name: str, c: str) -> tuple[Parameter, Parameter]:
    """A result of bytes: the room for it in the request, itself in the answer."""
    return Parameter("room", Type.ROOM, c), Parameter(name, Type.BYTES, c)


def _unsent(c: str) -> Parameter:
    return Parameter("", Type.NOTHING, c)


slot = _ulong("slot", "slotID")
flags = _ulong("flags", "flags")
session = _ulong("session", "hSession")
key = _ulong("key", "hKey")
obj = _ulong("object", "hObject")
new_key = _ulong("key", "phKey")
wrapping_key = _ulong("wrapping_key", "hWrappingKey")
unwrapping_key = _ulong("unwrapping_key", "hUnwrappingKey")
mechanism = Parameter("mechanism", Type.MECHANISM, "pMechanism")
wrap_mechanism = mechanism._replace(authenticated=True)
wrap_parameter = Parameter("parameter", Type.MESSAGE, "pMechanism->pParameter")
message = Parameter("parameter", Type.MESSAGE, "pParameter ulParameterLen")
template = Parameter("template", Type.ATTRIBUTES, "pTemplate ulCount")
key_template = Parameter("template", Type.ATTRIBUTES, "pTemplate ulAttributeCount")
pin = _bytes("pin", "pPin ulPinLen", secret=True)
data = _bytes("data", "pData ulDataLen")
part = _bytes("part", "pPart ulPartLen")
associated_data = _bytes("associated_data", "pAssociatedData ulAssociatedDataLen")
signature_in = _bytes("signature", "pSignature ulSignatureLen")
wrapped_in = _bytes("wrapped_key", "pWrappedKey ulWrappedKeyLen")
encrypted_in = _bytes("encrypted_data", "pEncryptedData ulEncryptedDataLen")
encrypted_part_in = _bytes("encrypted_part", "pEncryptedPart ulEncryptedPartLen")

signature_room, signature = _out("signature", "pSignature pulSignatureLen")
data_room, data_out = _out("data", "pData pulDataLen")
part_room, part_out = _out("part", "pPart pulPartLen")
digest_room, digest = _out("digest", "pDigest pulDigestLen")
encrypted_room, encrypted = _out("encrypted_data", "pEncryptedData pulEncryptedDataLen")
encrypted_part_room, encrypted_part = _out("encrypted_part", "pEncryptedPart pulEncryptedPartLen")
last_encrypted_room, last_encrypted = _out(
    "last_encrypted_part", "pLastEncryptedPart pulLastEncryptedPartLen"
)
last_part_room, last_part = _out("last_part", "pLastPart pulLastPartLen")
state_room, state = _out("operation_state", "pOperationState pulOperationStateLen")
wrapped_room, wrapped = _out("wrapped_key", "pWrappedKey pulWrappedKeyLen")
random_room, random_data = _out("random_data", "pRandomData ulRandomLen")
ciphertext_room, ciphertext = _out("ciphertext", "pCiphertext pulCiphertextLen")
plaintext_room, plaintext = _out("plaintext", "pPlaintext pulPlaintextLen")
ciphertext_part_room, ciphertext_part = _out(
    "ciphertext_part", "pCiphertextPart pulCiphertextPartLen"
)
plaintext_part_room, plaintext_part = _out("plaintext_part", "pPlaintextPart pulPlaintextPartLen")

# What any function can return: those of its group, and its own. FUNCTION_NOT_SUPPORTED and
# DEVICE_ERROR (the daemon is gone) can come from all that cross.
_ANY = (
    CKR.ARGUMENTS_BAD,
    CKR.CRYPTOKI_NOT_INITIALIZED,
    CKR.DEVICE_ERROR,
    CKR.FUNCTION_FAILED,
    CKR.GENERAL_ERROR,
    CKR.HOST_MEMORY,
)
_SLOT = (*_ANY, CKR.SLOT_ID_INVALID)
_TOKEN = (
    *_SLOT,
    CKR.DEVICE_MEMORY,
    CKR.DEVICE_REMOVED,
    CKR.TOKEN_NOT_PRESENT,
    CKR.TOKEN_NOT_RECOGNIZED,
)
_SESSION = (
    *_ANY,
    CKR.DEVICE_MEMORY,
    CKR.DEVICE_REMOVED,
    CKR.SESSION_CLOSED,
    CKR.SESSION_HANDLE_INVALID,
)
_PIN = (
    CKR.FUNCTION_CANCELED,
    CKR.PIN_EXPIRED,
    CKR.PIN_INCORRECT,
    CKR.PIN_LEN_RANGE,
    CKR.PIN_LOCKED,
)
_NEW_PIN = (CKR.PIN_INVALID, CKR.PIN_LEN_RANGE, CKR.PIN_TOO_WEAK, CKR.TOKEN_WRITE_PROTECTED)
_LOGIN = (
    *_SESSION,
    *_PIN,
    CKR.OPERATION_ACTIVE,
    CKR.OPERATION_NOT_INITIALIZED,
    CKR.SESSION_READ_ONLY_EXISTS,
    CKR.USER_ALREADY_LOGGED_IN,
    CKR.USER_ANOTHER_ALREADY_LOGGED_IN,
    CKR.USER_PIN_NOT_INITIALIZED,
    CKR.USER_TOO_MANY_TYPES,
    CKR.USER_TYPE_INVALID,
)
_USE = (
    *_SESSION,
    CKR.FUNCTION_CANCELED,
    CKR.FUNCTION_REJECTED,
    CKR.TOKEN_RESOURCE_EXCEEDED,
    CKR.USER_NOT_LOGGED_IN,
)
_MECHANISM = (CKR.MECHANISM_INVALID, CKR.MECHANISM_PARAM_INVALID)
_INIT = (
    *_USE,
    *_MECHANISM,
    CKR.KEY_FUNCTION_NOT_PERMITTED,
    CKR.KEY_HANDLE_INVALID,
    CKR.KEY_SIZE_RANGE,
    CKR.KEY_TYPE_INCONSISTENT,
    CKR.OPERATION_ACTIVE,
    CKR.OPERATION_CANCEL_FAILED,
    CKR.PIN_EXPIRED,
)
_ACTIVE = (*_USE, CKR.OPERATION_NOT_INITIALIZED)
_RESULT = (*_ACTIVE, CKR.BUFFER_TOO_SMALL)
_DATA = (CKR.DATA_INVALID, CKR.DATA_LEN_RANGE)
_ENCRYPTED = (CKR.ENCRYPTED_DATA_INVALID, CKR.ENCRYPTED_DATA_LEN_RANGE)
_AEAD = (*_ENCRYPTED, CKR.AEAD_DECRYPT_FAILED)
_SIGNATURE = (CKR.SIGNATURE_INVALID, CKR.SIGNATURE_LEN_RANGE)
_OBJECT = (*_SESSION, CKR.OBJECT_HANDLE_INVALID)
_WRITES = (
    CKR.SESSION_READ_ONLY,
    CKR.TOKEN_RESOURCE_EXCEEDED,
    CKR.TOKEN_WRITE_PROTECTED,
    CKR.USER_NOT_LOGGED_IN,
)
_TEMPLATE = (
    CKR.ATTRIBUTE_READ_ONLY,
    CKR.ATTRIBUTE_TYPE_INVALID,
    CKR.ATTRIBUTE_VALUE_INVALID,
    CKR.TEMPLATE_INCONSISTENT,
)
_NEW_OBJECT = (
    *_SESSION,
    *_WRITES,
    *_TEMPLATE,
    CKR.CURVE_NOT_SUPPORTED,
    CKR.DOMAIN_PARAMS_INVALID,
    CKR.FUNCTION_REJECTED,
    CKR.PARAMETER_SET_NOT_SUPPORTED,
    CKR.TEMPLATE_INCOMPLETE,
)
_NEW_KEY = (
    *_NEW_OBJECT,
    *_MECHANISM,
    CKR.FUNCTION_CANCELED,
    CKR.KEY_SIZE_RANGE,
    CKR.OPERATION_ACTIVE,
    CKR.PIN_EXPIRED,
)
_FROM_KEY = (
    *_NEW_KEY,
    CKR.KEY_FUNCTION_NOT_PERMITTED,
    CKR.KEY_HANDLE_INVALID,
    CKR.KEY_TYPE_INCONSISTENT,
)
_WRAP = (
    *_USE,
    *_MECHANISM,
    CKR.BUFFER_TOO_SMALL,
    CKR.KEY_FUNCTION_NOT_PERMITTED,
    CKR.KEY_HANDLE_INVALID,
    CKR.KEY_NOT_WRAPPABLE,
    CKR.KEY_SIZE_RANGE,
    CKR.KEY_UNEXTRACTABLE,
    CKR.OPERATION_ACTIVE,
    CKR.PIN_EXPIRED,
    CKR.WRAPPING_KEY_HANDLE_INVALID,
    CKR.WRAPPING_KEY_SIZE_RANGE,
    CKR.WRAPPING_KEY_TYPE_INCONSISTENT,
)
_UNWRAP = (
    *_NEW_KEY,
    CKR.BUFFER_TOO_SMALL,
    CKR.KEY_FUNCTION_NOT_PERMITTED,
    CKR.UNWRAPPING_KEY_HANDLE_INVALID,
    CKR.UNWRAPPING_KEY_SIZE_RANGE,
    CKR.UNWRAPPING_KEY_TYPE_INCONSISTENT,
    CKR.WRAPPED_KEY_INVALID,
    CKR.WRAPPED_KEY_LEN_RANGE,
)


def _plain(
    number: int,
    name: str,
    doc: str,
    takes: tuple[Parameter, ...] = (),
    gives: tuple[Parameter, ...] = (),
    errors: tuple[int, ...] = (),
) -> Call:
    """A function of 2.40: the same number in both dialects."""
    return Call(name, number, number, Version.V2_40, doc, takes, gives, errors)


def _newer(
    stock: int,
    name: str,
    doc: str,
    takes: tuple[Parameter, ...] = (),
    gives: tuple[Parameter, ...] = (),
    errors: tuple[int, ...] = (),
    *,
    ours: int | None = None,
) -> Call:
    """A function of 3.0, which p11-kit has had since its version 1."""
    return Call(
        name, stock, ours or stock, Version.V3_0, doc, takes, gives, errors, stock_version=1
    )


def _latest(
    ours: int,
    name: str,
    doc: str,
    takes: tuple[Parameter, ...] = (),
    gives: tuple[Parameter, ...] = (),
    errors: tuple[int, ...] = (),
) -> Call:
    """A function of 3.2, which only our dialect has."""
    return Call(name, None, ours, Version.V3_2, doc, takes, gives, errors)


def _own(
    ours: int,
    name: str,
    doc: str,
    takes: tuple[Parameter, ...],
    gives: tuple[Parameter, ...] = (),
    errors: tuple[int, ...] = (),
) -> Call:
    return Call(name, None, ours, Version.OURS, doc, takes, gives, errors)


def _local(
    name: str, since: Version, doc: str, c: str, errors: tuple[int, ...] = (CKR.ARGUMENTS_BAD,)
) -> Call:
    return Call(name, None, None, since, doc, (_unsent(c),), (), errors)


_general = (
    _plain(
        1,
        "Initialize",
        "Starts the library. Stock clients say who they are with it; a hello needs it no more.",
        (
            _bytes("handshake", ""),
            Parameter("has_reserved", Type.BYTE),
            _bytes("reserved", ""),
            _unsent("pInitArgs"),
        ),
        (),
        (
            CKR.ARGUMENTS_BAD,
            CKR.CANT_LOCK,
            CKR.CRYPTOKI_ALREADY_INITIALIZED,
            CKR.FUNCTION_FAILED,
            CKR.GENERAL_ERROR,
            CKR.HOST_MEMORY,
            CKR.NEED_TO_CREATE_THREADS,
        ),
    ),
    _plain(
        2, "Finalize", "Ends the library: all sessions close.", (_unsent("pReserved"),), (), _ANY
    ),
    _plain(
        3,
        "GetInfo",
        "Who made the library, and which standard it follows.",
        (),
        (
            _version("cryptoki_version", "pInfo->cryptokiVersion"),
            _spaced("manufacturer", 32, "pInfo->manufacturerID"),
            _ulong("flags", "pInfo->flags"),
            _spaced("library_description", 32, "pInfo->libraryDescription"),
            _version("library_version", "pInfo->libraryVersion"),
        ),
        _ANY,
    ),
    _local("GetFunctionList", Version.V2_40, "The functions of 2.40.", "ppFunctionList"),
    _local(
        "GetInterfaceList",
        Version.V3_0,
        "Every interface of the module.",
        "pInterfacesList pulCount",
        (CKR.ARGUMENTS_BAD, CKR.BUFFER_TOO_SMALL),
    ),
    _local(
        "GetInterface",
        Version.V3_0,
        "The interface of a name and a version.",
        "pInterfaceName pVersion ppInterface flags",
    ),
)

_slots = (
    _plain(
        4,
        "GetSlotList",
        "The slots, or those with a token in them.",
        (
            Parameter("token_present", Type.BYTE, "tokenPresent"),
            Parameter("room", Type.ULONG_ROOM, "pSlotList pulCount"),
        ),
        (Parameter("slots", Type.ULONGS, "pSlotList pulCount"),),
        (*_ANY, CKR.BUFFER_TOO_SMALL),
    ),
    _plain(
        5,
        "GetSlotInfo",
        "What a slot is.",
        (slot,),
        (
            _spaced("description", 64, "pInfo->slotDescription"),
            _spaced("manufacturer", 32, "pInfo->manufacturerID"),
            _ulong("flags", "pInfo->flags"),
            _version("hardware_version", "pInfo->hardwareVersion"),
            _version("firmware_version", "pInfo->firmwareVersion"),
        ),
        _SLOT,
    ),
    _plain(
        6,
        "GetTokenInfo",
        "What the token in a slot is.",
        (slot,),
        (
            _spaced("label", 32, "pInfo->label"),
            _spaced("manufacturer", 32, "pInfo->manufacturerID"),
            _spaced("model", 16, "pInfo->model"),
            _spaced("serial_number", 16, "pInfo->serialNumber"),
            _ulong("flags", "pInfo->flags"),
            _ulong("max_session_count", "pInfo->ulMaxSessionCount"),
            _ulong("session_count", "pInfo->ulSessionCount"),
            _ulong("max_rw_session_count", "pInfo->ulMaxRwSessionCount"),
            _ulong("rw_session_count", "pInfo->ulRwSessionCount"),
            _ulong("max_pin_len", "pInfo->ulMaxPinLen"),
            _ulong("min_pin_len", "pInfo->ulMinPinLen"),
            _ulong("total_public_memory", "pInfo->ulTotalPublicMemory"),
            _ulong("free_public_memory", "pInfo->ulFreePublicMemory"),
            _ulong("total_private_memory", "pInfo->ulTotalPrivateMemory"),
            _ulong("free_private_memory", "pInfo->ulFreePrivateMemory"),
            _version("hardware_version", "pInfo->hardwareVersion"),
            _version("firmware_version", "pInfo->firmwareVersion"),
            _spaced("utc_time", 16, "pInfo->utcTime"),
        ),
        _TOKEN,
    ),
    _plain(
        65,
        "WaitForSlotEvent",
        "The next slot into which a token was put, or from which one was taken.",
        (flags,),
        (_ulong("slot", "pSlot"), _unsent("pReserved")),
        (*_ANY, CKR.NO_EVENT),
    ),
    _plain(
        7,
        "GetMechanismList",
        "What the token can do.",
        (slot, Parameter("room", Type.ULONG_ROOM, "pMechanismList pulCount")),
        (Parameter("mechanisms", Type.ULONGS, "pMechanismList pulCount"),),
        (*_TOKEN, CKR.BUFFER_TOO_SMALL),
    ),
    _plain(
        8,
        "GetMechanismInfo",
        "Key sizes and uses of a mechanism.",
        (slot, _ulong("type", "type")),
        (
            _ulong("min_key_size", "pInfo->ulMinKeySize"),
            _ulong("max_key_size", "pInfo->ulMaxKeySize"),
            _ulong("flags", "pInfo->flags"),
        ),
        (*_TOKEN, CKR.MECHANISM_INVALID),
    ),
    Call(
        "InitToken",
        9,
        None,
        Version.V2_40,
        "InitToken2, as version 0 of the stock protocol has it.",
        (slot, pin, Parameter("label", Type.TEXT, "pLabel")),
        (),
        (*_TOKEN, *_PIN, CKR.SESSION_EXISTS, CKR.TOKEN_WRITE_PROTECTED),
    ),
    Call(
        "InitToken2",
        88,
        88,
        Version.V2_40,
        "Makes a new, empty token in the slot.",
        (slot, pin, _spaced("label", 32, "pLabel")),
        (),
        (*_TOKEN, *_PIN, CKR.SESSION_EXISTS, CKR.TOKEN_WRITE_PROTECTED),
        c_name="InitToken",
        stock_version=1,
    ),
    _plain(
        14,
        "InitPIN",
        "Gives the user a PIN; the security officer does that.",
        (session, pin),
        (),
        (
            *_SESSION,
            *_NEW_PIN,
            CKR.FUNCTION_CANCELED,
            CKR.SESSION_READ_ONLY,
            CKR.USER_NOT_LOGGED_IN,
        ),
    ),
    _plain(
        15,
        "SetPIN",
        "Changes the PIN of whoever is logged in, or else of the user.",
        (
            session,
            _bytes("old_pin", "pOldPin ulOldLen", secret=True),
            _bytes("new_pin", "pNewPin ulNewLen", secret=True),
        ),
        (),
        (
            *_SESSION,
            *_NEW_PIN,
            CKR.FUNCTION_CANCELED,
            CKR.PIN_INCORRECT,
            CKR.PIN_LOCKED,
            CKR.SESSION_READ_ONLY,
        ),
    ),
)

_sessions = (
    _plain(
        10,
        "OpenSession",
        "Opens a session with the token in a slot.",
        (slot, flags, _unsent("pApplication Notify")),
        (_ulong("session", "phSession"),),
        (
            *_TOKEN,
            CKR.SESSION_ASYNC_NOT_SUPPORTED,
            CKR.SESSION_COUNT,
            CKR.SESSION_PARALLEL_NOT_SUPPORTED,
            CKR.SESSION_READ_WRITE_SO_EXISTS,
            CKR.TOKEN_WRITE_PROTECTED,
        ),
    ),
    _plain(11, "CloseSession", "Closes a session.", (session,), (), _SESSION),
    _plain(
        12,
        "CloseAllSessions",
        "Closes all sessions that the application has with a token.",
        (slot,),
        (),
        _TOKEN,
    ),
    _plain(
        13,
        "GetSessionInfo",
        "Where a session is, and who is logged in.",
        (session,),
        (
            _ulong("slot", "pInfo->slotID"),
            _ulong("state", "pInfo->state"),
            _ulong("flags", "pInfo->flags"),
            _ulong("device_error", "pInfo->ulDeviceError"),
        ),
        _SESSION,
    ),
    _newer(
        67,
        "SessionCancel",
        "Ends the operations that the flags name.",
        (session, flags),
        (),
        (*_SESSION, CKR.OPERATION_CANCEL_FAILED, CKR.TOKEN_NOT_PRESENT),
    ),
    _plain(
        16,
        "GetOperationState",
        "The state of the session's operation, to go on from later.",
        (session, state_room),
        (state,),
        (*_RESULT, CKR.STATE_UNSAVEABLE),
    ),
    _plain(
        17,
        "SetOperationState",
        "Goes on from a state.",
        (
            session,
            _bytes("operation_state", "pOperationState ulOperationStateLen"),
            _ulong("encryption_key", "hEncryptionKey"),
            _ulong("authentication_key", "hAuthenticationKey"),
        ),
        (),
        (
            *_SESSION,
            CKR.KEY_CHANGED,
            CKR.KEY_NEEDED,
            CKR.KEY_NOT_NEEDED,
            CKR.SAVED_STATE_INVALID,
        ),
    ),
    _plain(
        18,
        "Login",
        "Logs the application in; or, between an init and its operation, allows that one.",
        (session, _ulong("user_type", "userType"), pin),
        (),
        _LOGIN,
    ),
    _newer(
        66,
        "LoginUser",
        "Logs in by a name.",
        (
            session,
            _ulong("user_type", "userType"),
            pin,
            _bytes("username", "pUsername ulUsernameLen"),
        ),
        (),
        _LOGIN,
    ),
    _plain(
        19,
        "Logout",
        "Logs the application out.",
        (session,),
        (),
        (*_SESSION, CKR.USER_NOT_LOGGED_IN),
    ),
    _latest(
        0x10046,
        "GetSessionValidationFlags",
        "Whether what the session did last was validated.",
        (session, _ulong("type", "type")),
        (_ulong("flags", "pFlags"),),
        _SESSION,
    ),
)

_objects = (
    _plain(
        20,
        "CreateObject",
        "Makes an object of a template.",
        (session, template),
        (_ulong("object", "phObject"),),
        _NEW_OBJECT,
    ),
    _plain(
        21,
        "CopyObject",
        "Makes another object like one, with changes.",
        (session, obj, template),
        (_ulong("object", "phNewObject"),),
        (*_OBJECT, *_WRITES, *_TEMPLATE, CKR.ACTION_PROHIBITED),
    ),
    _plain(
        22,
        "DestroyObject",
        "Destroys an object.",
        (session, obj),
        (),
        (*_OBJECT, *_WRITES, CKR.ACTION_PROHIBITED, CKR.FUNCTION_REJECTED),
    ),
    _plain(
        23,
        "GetObjectSize",
        "About how many bytes an object takes.",
        (session, obj),
        (_ulong("size", "pulSize"),),
        (*_OBJECT, CKR.INFORMATION_SENSITIVE),
    ),
    _plain(
        24,
        "GetAttributeValue",
        "Attributes of an object; what can be told is told, whatever the status says.",
        (session, obj, Parameter("template", Type.ATTRIBUTE_ROOM, "pTemplate ulCount")),
        (
            Parameter("template", Type.ATTRIBUTES, "pTemplate ulCount"),
            Parameter("status", Type.ULONG),
        ),
        (
            *_OBJECT,
            CKR.ATTRIBUTE_SENSITIVE,
            CKR.ATTRIBUTE_TYPE_INVALID,
            CKR.BUFFER_TOO_SMALL,
        ),
    ),
    _plain(
        25,
        "SetAttributeValue",
        "Changes attributes of an object.",
        (session, obj, template),
        (),
        (*_OBJECT, *_WRITES, *_TEMPLATE, CKR.ACTION_PROHIBITED, CKR.FUNCTION_REJECTED),
    ),
    _plain(
        26,
        "FindObjectsInit",
        "Looks for the objects that have all these attributes.",
        (session, template),
        (),
        (
            *_SESSION,
            CKR.ATTRIBUTE_TYPE_INVALID,
            CKR.ATTRIBUTE_VALUE_INVALID,
            CKR.OPERATION_ACTIVE,
            CKR.PIN_EXPIRED,
        ),
    ),
    _plain(
        27,
        "FindObjects",
        "More of what was found.",
        (session, Parameter("room", Type.ULONG_ROOM, "phObject ulMaxObjectCount")),
        (Parameter("objects", Type.ULONGS, "phObject pulObjectCount"),),
        (*_SESSION, CKR.OPERATION_NOT_INITIALIZED),
    ),
    _plain(
        28,
        "FindObjectsFinal",
        "Ends the search.",
        (session,),
        (),
        (*_SESSION, CKR.OPERATION_NOT_INITIALIZED),
    ),
    _own(
        0x10020,
        "FindObjectsWith",
        "FindObjects, and attributes of what it found: for each object each type.",
        (
            session,
            Parameter("room", Type.ULONG_ROOM),
            Parameter("types", Type.ULONGS),
        ),
        (Parameter("objects", Type.ULONGS), Parameter("template", Type.ATTRIBUTES)),
        (*_SESSION, CKR.OPERATION_NOT_INITIALIZED),
    ),
)

_encryption = (
    _plain(29, "EncryptInit", "Begins to encrypt.", (session, mechanism, key), (), _INIT),
    _plain(
        30,
        "Encrypt",
        "Encrypts all there is.",
        (session, data, encrypted_room),
        (encrypted,),
        (*_RESULT, *_DATA),
    ),
    _plain(
        31,
        "EncryptUpdate",
        "Encrypts a part.",
        (session, part, encrypted_part_room),
        (encrypted_part,),
        (*_RESULT, CKR.DATA_LEN_RANGE),
    ),
    _plain(
        32,
        "EncryptFinal",
        "The last of what was encrypted.",
        (session, last_encrypted_room),
        (last_encrypted,),
        (*_RESULT, CKR.DATA_LEN_RANGE),
    ),
    _plain(33, "DecryptInit", "Begins to decrypt.", (session, mechanism, key), (), _INIT),
    _plain(
        34,
        "Decrypt",
        "Decrypts all there is.",
        (session, encrypted_in, data_room),
        (data_out,),
        (*_RESULT, *_AEAD),
    ),
    _plain(
        35,
        "DecryptUpdate",
        "Decrypts a part.",
        (session, encrypted_part_in, part_room),
        (part_out,),
        (*_RESULT, *_ENCRYPTED),
    ),
    _plain(
        36,
        "DecryptFinal",
        "The last of what was decrypted.",
        (session, last_part_room),
        (last_part,),
        (*_RESULT, *_AEAD),
    ),
)

_digests = (
    _plain(
        37,
        "DigestInit",
        "Begins a digest.",
        (session, mechanism),
        (),
        (*_USE, *_MECHANISM, CKR.OPERATION_ACTIVE, CKR.OPERATION_CANCEL_FAILED, CKR.PIN_EXPIRED),
    ),
    _plain(38, "Digest", "Digests all there is.", (session, data, digest_room), (digest,), _RESULT),
    _plain(39, "DigestUpdate", "Digests a part.", (session, part), (), _ACTIVE),
    _plain(
        40,
        "DigestKey",
        "Digests the value of a secret key.",
        (session, key),
        (),
        (*_ACTIVE, CKR.KEY_HANDLE_INVALID, CKR.KEY_INDIGESTIBLE, CKR.KEY_SIZE_RANGE),
    ),
    _plain(41, "DigestFinal", "The digest.", (session, digest_room), (digest,), _RESULT),
)

_signatures = (
    _plain(42, "SignInit", "Begins to sign.", (session, mechanism, key), (), _INIT),
    _plain(
        43,
        "Sign",
        "Signs all there is.",
        (session, data, signature_room),
        (signature,),
        (*_RESULT, *_DATA),
    ),
    _plain(44, "SignUpdate", "Signs a part.", (session, part), (), (*_ACTIVE, CKR.DATA_LEN_RANGE)),
    _plain(
        45,
        "SignFinal",
        "The signature.",
        (session, signature_room),
        (signature,),
        (*_RESULT, CKR.DATA_LEN_RANGE),
    ),
    _plain(
        46,
        "SignRecoverInit",
        "Begins a signature from which the data can be read.",
        (session, mechanism, key),
        (),
        _INIT,
    ),
    _plain(
        47,
        "SignRecover",
        "Signs so that the data can be read from the signature.",
        (session, data, signature_room),
        (signature,),
        (*_RESULT, *_DATA),
    ),
    _plain(48, "VerifyInit", "Begins to verify.", (session, mechanism, key), (), _INIT),
    _plain(
        49,
        "Verify",
        "Verifies a signature of all there is.",
        (session, data, signature_in),
        (),
        (*_ACTIVE, *_DATA, *_SIGNATURE),
    ),
    _plain(
        50, "VerifyUpdate", "Takes a part.", (session, part), (), (*_ACTIVE, CKR.DATA_LEN_RANGE)
    ),
    _plain(
        51,
        "VerifyFinal",
        "Verifies the signature of the parts.",
        (session, signature_in),
        (),
        (*_ACTIVE, CKR.DATA_LEN_RANGE, *_SIGNATURE),
    ),
    _plain(
        52,
        "VerifyRecoverInit",
        "Begins to read the data from a signature.",
        (session, mechanism, key),
        (),
        _INIT,
    ),
    _plain(
        53,
        "VerifyRecover",
        "Verifies a signature and reads the data from it.",
        (session, signature_in, data_room),
        (data_out,),
        (*_RESULT, *_DATA, *_SIGNATURE),
    ),
    _latest(
        0x10042,
        "VerifySignatureInit",
        "Begins to verify a signature that is known first.",
        (session, mechanism, key, signature_in),
        (),
        (*_INIT, *_SIGNATURE),
    ),
    _latest(
        0x10043,
        "VerifySignature",
        "Verifies it against all there is.",
        (session, data),
        (),
        (*_ACTIVE, *_DATA, *_SIGNATURE),
    ),
    _latest(
        0x10044,
        "VerifySignatureUpdate",
        "Takes a part.",
        (session, part),
        (),
        (*_ACTIVE, CKR.DATA_LEN_RANGE),
    ),
    _latest(
        0x10045,
        "VerifySignatureFinal",
        "Verifies it against the parts.",
        (session,),
        (),
        (*_ACTIVE, CKR.DATA_LEN_RANGE, *_SIGNATURE),
    ),
)

_dual = (
    _plain(
        54,
        "DigestEncryptUpdate",
        "Digests and encrypts a part.",
        (session, part, encrypted_part_room),
        (encrypted_part,),
        (*_RESULT, CKR.DATA_LEN_RANGE),
    ),
    _plain(
        55,
        "DecryptDigestUpdate",
        "Decrypts a part and digests it.",
        (session, encrypted_part_in, part_room),
        (part_out,),
        (*_RESULT, *_ENCRYPTED),
    ),
    _plain(
        56,
        "SignEncryptUpdate",
        "Signs and encrypts a part.",
        (session, part, encrypted_part_room),
        (encrypted_part,),
        (*_RESULT, CKR.DATA_LEN_RANGE),
    ),
    _plain(
        57,
        "DecryptVerifyUpdate",
        "Decrypts a part and verifies it.",
        (session, encrypted_part_in, part_room),
        (part_out,),
        (*_RESULT, CKR.DATA_LEN_RANGE, *_ENCRYPTED),
    ),
)

_keys = (
    _plain(
        58,
        "GenerateKey",
        "Makes a secret key, or domain parameters.",
        (session, mechanism, template),
        (new_key,),
        _NEW_KEY,
    ),
    _plain(
        59,
        "GenerateKeyPair",
        "Makes a key pair.",
        (
            session,
            mechanism,
            Parameter(
                "public_template",
                Type.ATTRIBUTES,
                "pPublicKeyTemplate ulPublicKeyAttributeCount",
            ),
            Parameter(
                "private_template",
                Type.ATTRIBUTES,
                "pPrivateKeyTemplate ulPrivateKeyAttributeCount",
            ),
        ),
        (_ulong("public_key", "phPublicKey"), _ulong("private_key", "phPrivateKey")),
        _NEW_KEY,
    ),
    _plain(
        60,
        "WrapKey",
        "Encrypts a key with another, to take it elsewhere.",
        (session, mechanism, wrapping_key, key, wrapped_room),
        (wrapped,),
        _WRAP,
    ),
    _plain(
        61,
        "UnwrapKey",
        "Makes a key of an encrypted one.",
        (session, mechanism, unwrapping_key, wrapped_in, key_template),
        (new_key,),
        _UNWRAP,
    ),
    _plain(
        62,
        "DeriveKey",
        "Makes a key from another.",
        (session, mechanism, _ulong("base_key", "hBaseKey"), key_template),
        (new_key,),
        _FROM_KEY,
    ),
    Call(
        "DeriveKey2",
        89,
        None,
        Version.V2_40,
        "DeriveKey, as version 2 of the stock protocol has it.",
        (session, mechanism, _ulong("base_key", "hBaseKey"), key_template),
        (
            Parameter("status", Type.ULONG),
            Parameter("update", Type.MECHANISM_UPDATE),
            new_key,
        ),
        _FROM_KEY,
        c_name="DeriveKey",
        stock_version=2,
    ),
    _latest(
        0x10040,
        "EncapsulateKey",
        "Makes a secret key, and the ciphertext that gives it to the holder of the private key.",
        (session, mechanism, _ulong("public_key", "hPublicKey"), key_template, ciphertext_room),
        (ciphertext, new_key),
        (*_FROM_KEY, CKR.BUFFER_TOO_SMALL),
    ),
    _latest(
        0x10041,
        "DecapsulateKey",
        "Makes the secret key that a ciphertext carries.",
        (
            session,
            mechanism,
            _ulong("private_key", "hPrivateKey"),
            key_template,
            _bytes("ciphertext", "pCiphertext ulCiphertextLen"),
        ),
        (new_key,),
        (*_FROM_KEY, CKR.WRAPPED_KEY_INVALID, CKR.WRAPPED_KEY_LEN_RANGE),
    ),
    _latest(
        0x10047,
        "WrapKeyAuthenticated",
        "WrapKey, with data that is authenticated along with the key.",
        (session, wrap_mechanism, wrapping_key, key, associated_data, wrapped_room),
        (wrap_parameter, wrapped),
        _WRAP,
    ),
    _latest(
        0x10048,
        "UnwrapKeyAuthenticated",
        "UnwrapKey, with data that was authenticated along with the key.",
        (session, wrap_mechanism, unwrapping_key, wrapped_in, key_template, associated_data),
        (new_key,),
        (*_UNWRAP, CKR.AEAD_DECRYPT_FAILED),
    ),
)

_random = (
    _plain(
        63,
        "SeedRandom",
        "Mixes something into the random numbers.",
        (session, _bytes("seed", "pSeed ulSeedLen")),
        (),
        (*_ACTIVE, CKR.OPERATION_ACTIVE, CKR.RANDOM_NO_RNG, CKR.RANDOM_SEED_NOT_SUPPORTED),
    ),
    _plain(
        64,
        "GenerateRandom",
        "Random bytes.",
        (session, random_room),
        (random_data,),
        (*_ACTIVE, CKR.OPERATION_ACTIVE, CKR.RANDOM_NO_RNG),
    ),
)

_messages = (
    _newer(
        68,
        "MessageEncryptInit",
        "Begins to encrypt messages.",
        (session, mechanism, key),
        (),
        _INIT,
    ),
    _newer(
        69,
        "EncryptMessage",
        "Encrypts a message.",
        (
            session,
            message,
            associated_data,
            _bytes("plaintext", "pPlaintext ulPlaintextLen"),
            ciphertext_room,
        ),
        (message, ciphertext),
        (*_RESULT, *_DATA, CKR.MECHANISM_PARAM_INVALID),
        ours=0x10060,
    ),
    _newer(
        70,
        "EncryptMessageBegin",
        "Begins a message that comes in parts.",
        (session, message, associated_data),
        (message,),
        (*_ACTIVE, CKR.MECHANISM_PARAM_INVALID, CKR.OPERATION_ACTIVE),
        ours=0x10061,
    ),
    _newer(
        71,
        "EncryptMessageNext",
        "Encrypts a part of a message.",
        (
            session,
            message,
            _bytes("plaintext_part", "pPlaintextPart ulPlaintextPartLen"),
            ciphertext_part_room,
            flags,
        ),
        (message, ciphertext_part),
        (*_RESULT, *_DATA, CKR.MECHANISM_PARAM_INVALID),
        ours=0x10062,
    ),
    _newer(72, "MessageEncryptFinal", "Ends it.", (session,), (), _ACTIVE),
    _newer(
        73,
        "MessageDecryptInit",
        "Begins to decrypt messages.",
        (session, mechanism, key),
        (),
        _INIT,
    ),
    _newer(
        74,
        "DecryptMessage",
        "Decrypts a message.",
        (
            session,
            message,
            associated_data,
            _bytes("ciphertext", "pCiphertext ulCiphertextLen"),
            plaintext_room,
        ),
        (plaintext,),
        (*_RESULT, *_AEAD, CKR.MECHANISM_PARAM_INVALID),
        ours=0x10063,
    ),
    _newer(
        75,
        "DecryptMessageBegin",
        "Begins a message that comes in parts.",
        (session, message, associated_data),
        (),
        (*_ACTIVE, CKR.MECHANISM_PARAM_INVALID, CKR.OPERATION_ACTIVE),
        ours=0x10064,
    ),
    _newer(
        76,
        "DecryptMessageNext",
        "Decrypts a part of a message.",
        (
            session,
            message,
            _bytes("ciphertext_part", "pCiphertextPart ulCiphertextPartLen"),
            plaintext_part_room,
            flags,
        ),
        (plaintext_part,),
        (*_RESULT, *_AEAD, CKR.MECHANISM_PARAM_INVALID),
        ours=0x10065,
    ),
    _newer(77, "MessageDecryptFinal", "Ends it.", (session,), (), _ACTIVE),
    _newer(78, "MessageSignInit", "Begins to sign messages.", (session, mechanism, key), (), _INIT),
    _newer(
        79,
        "SignMessage",
        "Signs a message.",
        (session, message, data, signature_room),
        (message, signature),
        (*_RESULT, *_DATA, CKR.MECHANISM_PARAM_INVALID),
        ours=0x10066,
    ),
    _newer(
        80,
        "SignMessageBegin",
        "Begins a message that comes in parts.",
        (session, message),
        (message,),
        (*_ACTIVE, CKR.MECHANISM_PARAM_INVALID, CKR.OPERATION_ACTIVE),
        ours=0x10067,
    ),
    _newer(
        81,
        "SignMessageNext",
        "Takes a part of a message; with the last one gives the signature.",
        (
            session,
            message,
            data,
            # 0 if pulSignatureLen is NULL: no signature is wanted then.
            Parameter("is_last", Type.BYTE),
            signature_room,
        ),
        (message, signature),
        (*_RESULT, *_DATA, CKR.MECHANISM_PARAM_INVALID),
        ours=0x10068,
    ),
    _newer(82, "MessageSignFinal", "Ends it.", (session,), (), _ACTIVE),
    _newer(
        83,
        "MessageVerifyInit",
        "Begins to verify messages.",
        (session, mechanism, key),
        (),
        _INIT,
    ),
    _newer(
        84,
        "VerifyMessage",
        "Verifies the signature of a message.",
        (session, message, data, signature_in),
        (),
        (*_ACTIVE, *_DATA, *_SIGNATURE, CKR.MECHANISM_PARAM_INVALID),
        ours=0x10069,
    ),
    _newer(
        85,
        "VerifyMessageBegin",
        "Begins a message that comes in parts.",
        (session, message),
        (),
        (*_ACTIVE, CKR.MECHANISM_PARAM_INVALID, CKR.OPERATION_ACTIVE),
        ours=0x1006A,
    ),
    _newer(
        86,
        "VerifyMessageNext",
        "Takes a part of a message; with a signature, which comes with the last, verifies it.",
        (session, message, data, signature_in),
        (),
        (*_ACTIVE, *_DATA, *_SIGNATURE, CKR.MECHANISM_PARAM_INVALID),
        ours=0x1006B,
    ),
    _newer(87, "MessageVerifyFinal", "Ends it.", (session,), (), _ACTIVE),
)

_parallel = (
    _local(
        "GetFunctionStatus",
        Version.V2_40,
        "Of the days of parallel functions: CKR_FUNCTION_NOT_PARALLEL.",
        "hSession",
        (CKR.CRYPTOKI_NOT_INITIALIZED, CKR.FUNCTION_NOT_PARALLEL, CKR.SESSION_HANDLE_INVALID),
    ),
    _local(
        "CancelFunction",
        Version.V2_40,
        "Of the days of parallel functions: CKR_FUNCTION_NOT_PARALLEL.",
        "hSession",
        (CKR.CRYPTOKI_NOT_INITIALIZED, CKR.FUNCTION_NOT_PARALLEL, CKR.SESSION_HANDLE_INVALID),
    ),
    _local(
        "AsyncComplete",
        Version.V3_2,
        "No session of ours is asynchronous.",
        "hSession pFunctionName pResult",
        (
            CKR.CRYPTOKI_NOT_INITIALIZED,
            CKR.SESSION_ASYNC_NOT_SUPPORTED,
            CKR.SESSION_HANDLE_INVALID,
        ),
    ),
    _local(
        "AsyncGetID",
        Version.V3_2,
        "No session of ours is asynchronous.",
        "hSession pFunctionName pulID",
        (
            CKR.CRYPTOKI_NOT_INITIALIZED,
            CKR.SESSION_ASYNC_NOT_SUPPORTED,
            CKR.SESSION_HANDLE_INVALID,
        ),
    ),
    _local(
        "AsyncJoin",
        Version.V3_2,
        "No session of ours is asynchronous.",
        "hSession pFunctionName ulID pData ulData",
        (
            CKR.CRYPTOKI_NOT_INITIALIZED,
            CKR.SESSION_ASYNC_NOT_SUPPORTED,
            CKR.SESSION_HANDLE_INVALID,
        ),
    ),
)

_DATA_ROOM = Parameter("room", Type.ROOM)
_RESULT_BYTES = Parameter("result", Type.BYTES)
_folded = (
    _own(
        0x10010,
        "Begin",
        "An init that tells more than CKR_OK; `what` is 0 sign, 1 verify, 2 encrypt, 3 decrypt, "
        "4 digest.",
        (session, _ulong("what", ""), mechanism, key),
        (_ulong("length", ""), _ulong("flags", "")),
        _INIT,
    ),
    _own(
        0x10001,
        "SignOnce",
        "SignInit and Sign in one.",
        (session, mechanism, key, data, _DATA_ROOM),
        (_RESULT_BYTES,),
        (*_INIT, *_DATA),
    ),
    _own(
        0x10002,
        "VerifyOnce",
        "VerifyInit and Verify in one.",
        (session, mechanism, key, data, signature_in),
        (),
        (*_INIT, *_DATA, *_SIGNATURE),
    ),
    _own(
        0x10003,
        "EncryptOnce",
        "EncryptInit and Encrypt in one.",
        (session, mechanism, key, data, _DATA_ROOM),
        (_RESULT_BYTES,),
        (*_INIT, *_DATA),
    ),
    _own(
        0x10004,
        "DecryptOnce",
        "DecryptInit and Decrypt in one.",
        (session, mechanism, key, encrypted_in, _DATA_ROOM),
        (_RESULT_BYTES,),
        (*_INIT, *_AEAD),
    ),
    _own(
        0x10005,
        "DigestOnce",
        "DigestInit and Digest in one.",
        (session, mechanism, data, _DATA_ROOM),
        (_RESULT_BYTES,),
        (*_USE, *_MECHANISM),
    ),
)

CALLS: Final[tuple[Call, ...]] = (
    *_general,
    *_slots,
    *_sessions,
    *_objects,
    *_encryption,
    *_digests,
    *_signatures,
    *_dual,
    *_keys,
    *_random,
    *_messages,
    *_parallel,
    *_folded,
)
STOCK: Final = {call.stock: call for call in CALLS if call.stock is not None}
OURS: Final = {call.ours: call for call in CALLS if call.ours is not None}
BY_NAME: Final = {call.name: call for call in CALLS}

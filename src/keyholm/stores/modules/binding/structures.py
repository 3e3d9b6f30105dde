"""The structures of PKCS#11 in memory, by the widths and the alignment of this platform."""

import ctypes
import struct
import sys
from typing import Final, NamedTuple, cast

WORD: Final = ctypes.sizeof(ctypes.c_ulong)
# CK_UNAVAILABLE_INFORMATION, as the platform has it and as it crosses.
UNAVAILABLE: Final = (1 << 8 * WORD) - 1
UNAVAILABLE_ON_WIRE: Final = (1 << 64) - 1

# PKCS#11 2.1.2: packed to one byte on Windows, and only there.
_PACKED: Final = sys.platform == "win32"
_TYPES: Final = {
    "u": ctypes.c_ulong,
    "p": ctypes.c_void_p,
    "b": ctypes.c_ubyte,
    "v": ctypes.c_ubyte * 2,  # CK_VERSION
}
# Members and their types; a number is an array of so many bytes.
_MEMBERS: Final[dict[str, str]] = {
    "CK_ATTRIBUTE": "type:u pValue:p ulValueLen:u",
    "CK_MECHANISM": "mechanism:u pParameter:p ulParameterLen:u",
    "CK_INTERFACE": "pInterfaceName:p pFunctionList:p flags:u",
    # NSS has its parameters where the standard has pReserved, and one more member behind them.
    "CK_C_INITIALIZE_ARGS": "CreateMutex:p DestroyMutex:p LockMutex:p UnlockMutex:p flags:u "
    "pReserved:p behind:p",
    "CK_INFO": "cryptokiVersion:v manufacturerID:32 flags:u libraryDescription:32 libraryVersion:v",
    "CK_SLOT_INFO": "slotDescription:64 manufacturerID:32 flags:u hardwareVersion:v "
    "firmwareVersion:v",
    "CK_TOKEN_INFO": "label:32 manufacturerID:32 model:16 serialNumber:16 flags:u "
    "ulMaxSessionCount:u ulSessionCount:u ulMaxRwSessionCount:u ulRwSessionCount:u ulMaxPinLen:u "
    "ulMinPinLen:u ulTotalPublicMemory:u ulFreePublicMemory:u ulTotalPrivateMemory:u "
    "ulFreePrivateMemory:u hardwareVersion:v firmwareVersion:v utcTime:16",
    "CK_SESSION_INFO": "slotID:u state:u flags:u ulDeviceError:u",
    "CK_MECHANISM_INFO": "ulMinKeySize:u ulMaxKeySize:u flags:u",
    "CK_RSA_PKCS_PSS_PARAMS": "hashAlg:u mgf:u sLen:u",
    "CK_RSA_PKCS_OAEP_PARAMS": "hashAlg:u mgf:u source:u pSourceData:p ulSourceDataLen:u",
    "CK_RSA_AES_KEY_WRAP_PARAMS": "ulAESKeyBits:u pOAEPParams:p",
    "CK_ECDH_AES_KEY_WRAP_PARAMS": "ulAESKeyBits:u kdf:u ulSharedDataLen:u pSharedData:p",
    "CK_ECDH1_DERIVE_PARAMS": "kdf:u ulSharedDataLen:u pSharedData:p ulPublicDataLen:u "
    "pPublicData:p",
    "CK_EDDSA_PARAMS": "phFlag:b ulContextDataLen:u pContextData:p",
    "CK_SIGN_ADDITIONAL_CONTEXT": "hedgeVariant:u pContext:p ulContextLen:u",
    "CK_HASH_SIGN_ADDITIONAL_CONTEXT": "hedgeVariant:u pContext:p ulContextLen:u hash:u",
    "CK_AES_CTR_PARAMS": "ulCounterBits:u cb:16",
    "CK_GCM_PARAMS": "pIv:p ulIvLen:u ulIvBits:u pAAD:p ulAADLen:u ulTagBits:u",
    "CK_CCM_PARAMS": "ulDataLen:u pNonce:p ulNonceLen:u pAAD:p ulAADLen:u ulMACLen:u",
    "CK_CHACHA20_PARAMS": "pBlockCounter:p blockCounterBits:u pNonce:p ulNonceBits:u",
    "CK_SALSA20_CHACHA20_POLY1305_PARAMS": "pNonce:p ulNonceLen:u pAAD:p ulAADLen:u",
    "CK_GCM_WRAP_PARAMS": "pIv:p ulIvLen:u ulIvFixedBits:u ivGenerator:u pAAD:p ulAADLen:u "
    "ulTagBits:u",
    "CK_CCM_WRAP_PARAMS": "ulDataLen:u pNonce:p ulNonceLen:u ulNonceFixedBits:u nonceGenerator:u "
    "pAAD:p ulAADLen:u ulMACLen:u",
    "CK_GCM_MESSAGE_PARAMS": "pIv:p ulIvLen:u ulIvFixedBits:u ivGenerator:u pTag:p ulTagBits:u",
    "CK_CCM_MESSAGE_PARAMS": "ulDataLen:u pNonce:p ulNonceLen:u ulNonceFixedBits:u "
    "nonceGenerator:u pMAC:p ulMACLen:u",
    "CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS": "pNonce:p ulNonceLen:u pTag:p",
    "CK_KEY_DERIVATION_STRING_DATA": "pData:p ulLen:u",
    "CK_AES_CBC_ENCRYPT_DATA_PARAMS": "iv:16 pData:p length:u",
    "CK_DES_CBC_ENCRYPT_DATA_PARAMS": "iv:8 pData:p length:u",
    "CK_HKDF_PARAMS": "bExtract:b bExpand:b prfHashMechanism:u ulSaltType:u pSalt:p ulSaltLen:u "
    "hSaltKey:u pInfo:p ulInfoLen:u",
    "CK_PKCS5_PBKD2_PARAMS2": "saltSource:u pSaltSourceData:p ulSaltSourceDataLen:u iterations:u "
    "prf:u pPrfData:p ulPrfDataLen:u pPassword:p ulPasswordLen:u",
    "CK_PKCS5_PBKD2_PARAMS": "saltSource:u pSaltSourceData:p ulSaltSourceDataLen:u iterations:u "
    "prf:u pPrfData:p ulPrfDataLen:u pPassword:p ulPasswordLen:p",
    "CK_PRF_DATA_PARAM": "type:u pValue:p ulValueLen:u",
    "CK_SP800_108_COUNTER_FORMAT": "bLittleEndian:b ulWidthInBits:u",
    "CK_SP800_108_DKM_LENGTH_FORMAT": "dkmLengthMethod:u bLittleEndian:b ulWidthInBits:u",
    "CK_SP800_108_KDF_PARAMS": "prfType:u ulNumberOfDataParams:u pDataParams:p "
    "ulAdditionalDerivedKeys:u pAdditionalDerivedKeys:p",
    "CK_SP800_108_FEEDBACK_KDF_PARAMS": "prfType:u ulNumberOfDataParams:u pDataParams:p ulIVLen:u "
    "pIV:p ulAdditionalDerivedKeys:u pAdditionalDerivedKeys:p",
}


class Member(NamedTuple):
    offset: int
    type: str
    size: int

    @property
    def is_array(self) -> bool:
        return self.type.isdigit()


class Layout(NamedTuple):
    name: str
    size: int
    members: dict[str, Member]

    def put_ulong(self, structure: bytearray, name: str, value: int) -> None:
        _ULONG.pack_into(structure, self.members[name].offset, narrow(value))

    def put_pointer(self, structure: bytearray, name: str, address: int | None) -> None:
        _POINTER.pack_into(structure, self.members[name].offset, address or 0)

    def put_bytes(self, structure: bytearray, name: str, value: bytes) -> None:
        member = self.members[name]
        structure[member.offset : member.offset + member.size] = value.ljust(member.size, b"\0")

    def ulong(self, structure: bytes, name: str) -> int:
        (value,) = _ULONG.unpack_from(structure, self.members[name].offset)
        return wide(value)

    def pointer(self, structure: bytes, name: str) -> int:
        return cast(int, _POINTER.unpack_from(structure, self.members[name].offset)[0])

    def bytes_of(self, structure: bytes, name: str) -> bytes:
        member = self.members[name]
        return structure[member.offset : member.offset + member.size]


_ULONG: Final = struct.Struct("@L")
_POINTER: Final = struct.Struct("@P")
_made: dict[str, Layout] = {}


def layout(name: str) -> Layout:
    if name not in _made:
        _made[name] = _layout(name, _MEMBERS[name])
    return _made[name]


def _layout(name: str, members: str) -> Layout:
    pairs = [member.split(":") for member in members.split()]
    fields = [(member, _TYPES.get(kind) or ctypes.c_ubyte * int(kind)) for member, kind in pairs]
    packed = {"_pack_": 1} if _PACKED else {}
    kind = type(name, (ctypes.Structure,), {**packed, "_fields_": fields})
    places = {
        member: Member(getattr(kind, member).offset, letter, getattr(kind, member).size)
        for member, letter in pairs
    }
    return Layout(name, ctypes.sizeof(kind), places)


def narrow(value: int) -> int:
    """A number off the wire as this platform's CK_ULONG; OverflowError if it does not fit."""
    if value <= UNAVAILABLE:
        return value
    if value == UNAVAILABLE_ON_WIRE:
        return UNAVAILABLE
    raise OverflowError(f"{value} is no CK_ULONG here")


def wide(value: int) -> int:
    return UNAVAILABLE_ON_WIRE if value == UNAVAILABLE else value

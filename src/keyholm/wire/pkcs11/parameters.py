"""Parameters of mechanisms: the fields of each, and where C has them.

A `Form` says both: which fields cross, in which order, and of which members of the C structure each
is made, so that the native module can walk the caller's structure by the same table.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final, NamedTuple, cast

from msgspec import Struct
from msgspec.structs import astuple

from keyholm.wire.codec import Malformed, Reader
from keyholm.wire.pkcs11.constants import CK
from keyholm.wire.pkcs11.values import (
    read_bool,
    read_bytes,
    read_uint32,
    read_ulong,
    read_view,
    write_bool,
    write_bytes,
    write_uint32,
    write_ulong,
)


class Parameter(Struct, frozen=True):
    """What a mechanism is given besides the key."""


class FieldKind(StrEnum):
    ULONG = "uint64"
    BOOL = "byte"
    BYTES = "string"
    BITS = "string "  # its length in C is in bits
    OAEP = "string: an RSA_PKCS_OAEP parameter"
    DATA_PARAMS = "uint32 count, data parameters"


class Flow(StrEnum):
    """Which way a field of a message's parameter goes."""

    IN = "in"
    BOTH = "both"  # a nonce: what encrypting made of it is written back
    TAG = "tag"  # sent, if not to encrypt; else empty, and written back


class Field(NamedTuple):
    name: str
    kind: FieldKind
    # The members of the structure that it is made of: the pointer first, if it is one. Without
    # any it is the parameter itself.
    c: str = ""
    size: int = 0  # of an array of bytes that is a member itself, or behind a pointer
    secret: bool = False
    flow: Flow = Flow.IN


class Form(NamedTuple):
    kind: type[Parameter]
    structure: str  # the C structure; or what the parameter itself is
    fields: tuple[Field, ...]
    optional: bool = False  # NULL is as good

    @property
    def name(self) -> str:
        return self.kind.__name__


def _ulong(name: str, c: str = "") -> Field:
    return Field(name, FieldKind.ULONG, c)


def _bool(name: str, c: str) -> Field:
    return Field(name, FieldKind.BOOL, c)


def _bytes(
    name: str, c: str = "", size: int = 0, *, secret: bool = False, flow: Flow = Flow.IN
) -> Field:
    return Field(name, FieldKind.BYTES, c, size, secret, flow)


def _bits(name: str, c: str, *, flow: Flow = Flow.IN) -> Field:
    return Field(name, FieldKind.BITS, c, flow=flow)


class Iv(Parameter, frozen=True):
    iv: bytes


class Number(Parameter, frozen=True):
    """The length of a MAC in bytes, or the bit at which to extract a key."""

    number: int


class KeyHandle(Parameter, frozen=True):
    key: int


class PublicValue(Parameter, frozen=True):
    """The other side's part in a Diffie-Hellman agreement."""

    public_data: bytes


class Pss(Parameter, frozen=True):
    hash: int
    mgf: int
    salt_length: int


class Oaep(Parameter, frozen=True):
    hash: int
    mgf: int
    source: int
    label: bytes


class RsaAesWrap(Parameter, frozen=True):
    aes_bits: int
    oaep: Oaep


class EcdhAesWrap(Parameter, frozen=True):
    aes_bits: int
    kdf: int
    shared_data: bytes


class Ecdh1(Parameter, frozen=True):
    kdf: int
    shared_data: bytes
    public_data: bytes


class Eddsa(Parameter, frozen=True):
    prehash: bool
    context: bytes


class SignContext(Parameter, frozen=True):
    hedge: int
    context: bytes


class HashSignContext(Parameter, frozen=True):
    hedge: int
    context: bytes
    hash: int


class Counter(Parameter, frozen=True):
    counter_bits: int
    block: bytes


class Gcm(Parameter, frozen=True):
    iv: bytes
    iv_bits: int
    associated_data: bytes
    tag_bits: int


class Ccm(Parameter, frozen=True):
    data_length: int
    nonce: bytes
    associated_data: bytes
    mac_length: int


class ChaCha20(Parameter, frozen=True):
    block_counter: bytes
    nonce: bytes


class ChaCha20Poly1305(Parameter, frozen=True):
    nonce: bytes
    associated_data: bytes


class GcmWrap(Parameter, frozen=True):
    iv: bytes
    iv_fixed_bits: int
    iv_generator: int
    associated_data: bytes
    tag_bits: int


class CcmWrap(Parameter, frozen=True):
    data_length: int
    nonce: bytes
    nonce_fixed_bits: int
    nonce_generator: int
    associated_data: bytes
    mac_length: int


class GcmMessage(Parameter, frozen=True):
    iv: bytes
    iv_fixed_bits: int
    iv_generator: int
    tag_bits: int
    tag: bytes


class CcmMessage(Parameter, frozen=True):
    data_length: int
    nonce: bytes
    nonce_fixed_bits: int
    nonce_generator: int
    mac_length: int
    mac: bytes


class ChaCha20Poly1305Message(Parameter, frozen=True):
    nonce: bytes
    tag: bytes


class StringData(Parameter, frozen=True):
    data: bytes | memoryview


class CbcData(Parameter, frozen=True):
    iv: bytes
    data: bytes


class Hkdf(Parameter, frozen=True):
    extract: bool
    expand: bool
    hash: int
    salt_type: int
    salt: bytes
    salt_key: int
    info: bytes


class Pbkdf2(Parameter, frozen=True):
    salt_source: int
    salt: bytes
    iterations: int
    prf: int
    prf_data: bytes
    password: memoryview


class CounterFormat(Struct, frozen=True):
    little_endian: bool
    width_in_bits: int


class DkmLength(Struct, frozen=True):
    method: int
    little_endian: bool
    width_in_bits: int


class DataParam(Struct, frozen=True):
    """A piece of what SP 800-108 feeds its function with.

    Its value: of ITERATION_VARIABLE and COUNTER a CounterFormat, or None for a NULL one; of
    DKM_LENGTH a DkmLength; of BYTE_ARRAY bytes; of KEY_HANDLE an int; of any other type the bytes.
    """

    type: int
    value: CounterFormat | DkmLength | bytes | int | None


class CounterKdf(Parameter, frozen=True):
    """Of the counter mode and of the double pipeline."""

    prf: int
    data: tuple[DataParam, ...]
    additional_keys: int  # how many: we make none


class FeedbackKdf(Parameter, frozen=True):
    prf: int
    data: tuple[DataParam, ...]
    iv: bytes
    additional_keys: int


_LABEL = _bytes("label", "pSourceData ulSourceDataLen")
_SHARED = _bytes("shared_data", "pSharedData ulSharedDataLen")
_AAD = _bytes("associated_data", "pAAD ulAADLen")
_CONTEXT = _bytes("context", "pContext ulContextLen")
_NONCE = _bytes("nonce", "pNonce ulNonceLen")
_DATA_PARAMS = Field("data", FieldKind.DATA_PARAMS, "pDataParams ulNumberOfDataParams")
_ADDITIONAL = _ulong("additional_keys", "ulAdditionalDerivedKeys")
_GENERATED_IV = (
    _bytes("iv", "pIv ulIvLen", flow=Flow.BOTH),
    _ulong("iv_fixed_bits", "ulIvFixedBits"),
    _ulong("iv_generator", "ivGenerator"),
)
_GENERATED_NONCE = (
    _ulong("data_length", "ulDataLen"),
    _bytes("nonce", "pNonce ulNonceLen", flow=Flow.BOTH),
    _ulong("nonce_fixed_bits", "ulNonceFixedBits"),
    _ulong("nonce_generator", "nonceGenerator"),
)

IV_16: Final = Form(Iv, "CK_BYTE[16]", (_bytes("iv", size=16),))
IV_8: Final = Form(Iv, "CK_BYTE[8]", (_bytes("iv", size=8),))
IV: Final = Form(Iv, "CK_BYTE[]", (_bytes("iv"),))
OPTIONAL_IV: Final = IV._replace(optional=True)
MAC_LENGTH: Final = Form(Number, "CK_MAC_GENERAL_PARAMS", (_ulong("number"),))
EXTRACT: Final = Form(Number, "CK_EXTRACT_PARAMS", (_ulong("number"),))
KEY_HANDLE: Final = Form(KeyHandle, "CK_OBJECT_HANDLE", (_ulong("key"),))
PUBLIC_VALUE: Final = Form(PublicValue, "CK_BYTE[]", (_bytes("public_data"),))
PSS: Final = Form(
    Pss,
    "CK_RSA_PKCS_PSS_PARAMS",
    (_ulong("hash", "hashAlg"), _ulong("mgf", "mgf"), _ulong("salt_length", "sLen")),
)
OAEP: Final = Form(
    Oaep,
    "CK_RSA_PKCS_OAEP_PARAMS",
    (_ulong("hash", "hashAlg"), _ulong("mgf", "mgf"), _ulong("source", "source"), _LABEL),
)
RSA_AES_WRAP: Final = Form(
    RsaAesWrap,
    "CK_RSA_AES_KEY_WRAP_PARAMS",
    (_ulong("aes_bits", "ulAESKeyBits"), Field("oaep", FieldKind.OAEP, "pOAEPParams")),
)
ECDH_AES_WRAP: Final = Form(
    EcdhAesWrap,
    "CK_ECDH_AES_KEY_WRAP_PARAMS",
    (_ulong("aes_bits", "ulAESKeyBits"), _ulong("kdf", "kdf"), _SHARED),
)
ECDH1: Final = Form(
    Ecdh1,
    "CK_ECDH1_DERIVE_PARAMS",
    (_ulong("kdf", "kdf"), _SHARED, _bytes("public_data", "pPublicData ulPublicDataLen")),
)
EDDSA: Final = Form(
    Eddsa,
    "CK_EDDSA_PARAMS",
    (_bool("prehash", "phFlag"), _bytes("context", "pContextData ulContextDataLen")),
    optional=True,
)
SIGN_CONTEXT: Final = Form(
    SignContext,
    "CK_SIGN_ADDITIONAL_CONTEXT",
    (_ulong("hedge", "hedgeVariant"), _CONTEXT),
    optional=True,
)
HASH_SIGN_CONTEXT: Final = Form(
    HashSignContext,
    "CK_HASH_SIGN_ADDITIONAL_CONTEXT",
    (_ulong("hedge", "hedgeVariant"), _CONTEXT, _ulong("hash", "hash")),
)
AES_CTR: Final = Form(
    Counter,
    "CK_AES_CTR_PARAMS",
    (_ulong("counter_bits", "ulCounterBits"), _bytes("block", "cb", 16)),
)
GCM: Final = Form(
    Gcm,
    "CK_GCM_PARAMS",
    (
        _bytes("iv", "pIv ulIvLen"),
        _ulong("iv_bits", "ulIvBits"),
        _AAD,
        _ulong("tag_bits", "ulTagBits"),
    ),
)
CCM: Final = Form(
    Ccm,
    "CK_CCM_PARAMS",
    (_ulong("data_length", "ulDataLen"), _NONCE, _AAD, _ulong("mac_length", "ulMACLen")),
)
CHACHA20: Final = Form(
    ChaCha20,
    "CK_CHACHA20_PARAMS",
    (
        _bits("block_counter", "pBlockCounter blockCounterBits"),
        _bits("nonce", "pNonce ulNonceBits"),
    ),
)
CHACHA20_POLY1305: Final = Form(
    ChaCha20Poly1305, "CK_SALSA20_CHACHA20_POLY1305_PARAMS", (_NONCE, _AAD)
)
GCM_WRAP: Final = Form(
    GcmWrap, "CK_GCM_WRAP_PARAMS", (*_GENERATED_IV, _AAD, _ulong("tag_bits", "ulTagBits"))
)
CCM_WRAP: Final = Form(
    CcmWrap, "CK_CCM_WRAP_PARAMS", (*_GENERATED_NONCE, _AAD, _ulong("mac_length", "ulMACLen"))
)
GCM_MESSAGE: Final = Form(
    GcmMessage,
    "CK_GCM_MESSAGE_PARAMS",
    (
        *_GENERATED_IV,
        _ulong("tag_bits", "ulTagBits"),
        _bits("tag", "pTag ulTagBits", flow=Flow.TAG),
    ),
)
CCM_MESSAGE: Final = Form(
    CcmMessage,
    "CK_CCM_MESSAGE_PARAMS",
    (
        *_GENERATED_NONCE,
        _ulong("mac_length", "ulMACLen"),
        _bytes("mac", "pMAC ulMACLen", flow=Flow.TAG),
    ),
)
CHACHA20_POLY1305_MESSAGE: Final = Form(
    ChaCha20Poly1305Message,
    "CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS",
    (
        _bytes("nonce", "pNonce ulNonceLen", flow=Flow.BOTH),
        _bytes("tag", "pTag", 16, flow=Flow.TAG),
    ),
)
STRING_DATA: Final = Form(
    StringData, "CK_KEY_DERIVATION_STRING_DATA", (_bytes("data", "pData ulLen", secret=True),)
)
AES_CBC_DATA: Final = Form(
    CbcData,
    "CK_AES_CBC_ENCRYPT_DATA_PARAMS",
    (_bytes("iv", "iv", 16), _bytes("data", "pData length")),
)
DES_CBC_DATA: Final = Form(
    CbcData,
    "CK_DES_CBC_ENCRYPT_DATA_PARAMS",
    (_bytes("iv", "iv", 8), _bytes("data", "pData length")),
)
HKDF: Final = Form(
    Hkdf,
    "CK_HKDF_PARAMS",
    (
        _bool("extract", "bExtract"),
        _bool("expand", "bExpand"),
        _ulong("hash", "prfHashMechanism"),
        _ulong("salt_type", "ulSaltType"),
        _bytes("salt", "pSalt ulSaltLen"),
        _ulong("salt_key", "hSaltKey"),
        _bytes("info", "pInfo ulInfoLen"),
    ),
)
PBKDF2: Final = Form(
    Pbkdf2,
    "CK_PKCS5_PBKD2_PARAMS2",
    (
        _ulong("salt_source", "saltSource"),
        _bytes("salt", "pSaltSourceData ulSaltSourceDataLen"),
        _ulong("iterations", "iterations"),
        _ulong("prf", "prf"),
        _bytes("prf_data", "pPrfData ulPrfDataLen"),
        _bytes("password", "pPassword ulPasswordLen", secret=True),
    ),
)
COUNTER_KDF: Final = Form(
    CounterKdf,
    "CK_SP800_108_KDF_PARAMS",
    (_ulong("prf", "prfType"), _DATA_PARAMS, _ADDITIONAL),
)
FEEDBACK_KDF: Final = Form(
    FeedbackKdf,
    "CK_SP800_108_FEEDBACK_KDF_PARAMS",
    (_ulong("prf", "prfType"), _DATA_PARAMS, _bytes("iv", "pIV ulIVLen"), _ADDITIONAL),
)


class FormCodec(NamedTuple):
    """Both directions of a form, without a length of its own in front."""

    read: Callable[[Reader], Parameter]
    write: Callable[[Parameter], bytes]


def compiled(form: Form) -> FormCodec:
    reads = tuple(_reader(field) for field in form.fields)
    writes = tuple(_WRITERS[field.kind] for field in form.fields)
    kind = form.kind

    def read(reader: Reader) -> Parameter:
        return kind(*[read_field(reader) for read_field in reads])

    def write(parameter: Parameter) -> bytes:
        values = astuple(parameter)
        return b"".join([put(value) for put, value in zip(writes, values, strict=True)])

    return FormCodec(read, write)


def _reader(field: Field) -> Callable[[Reader], Any]:
    if field.kind is FieldKind.BYTES:
        if field.size and field.flow is not Flow.TAG:
            return _fixed(field)
        return read_view if field.secret else read_bytes
    return _READERS[field.kind]


def _fixed(field: Field) -> Callable[[Reader], bytes]:
    def read(reader: Reader) -> bytes:
        value = read_bytes(reader)
        if len(value) != field.size:
            raise Malformed(f"{field.name} of {len(value)} bytes, not {field.size}")
        return value

    return read


def _read_oaep(reader: Reader) -> Oaep:
    nested = Reader(read_view(reader))
    inner = compiled(OAEP).read(nested)
    nested.end()
    return cast(Oaep, inner)


def _write_oaep(value: Oaep) -> bytes:
    return write_bytes(compiled(OAEP).write(value))


def _read_data_params(reader: Reader) -> tuple[DataParam, ...]:
    return tuple(_read_data_param(reader) for _ in range(read_uint32(reader)))


def _write_data_params(values: tuple[DataParam, ...]) -> bytes:
    return write_uint32(len(values)) + b"".join(map(_write_data_param, values))


def _read_data_param(reader: Reader) -> DataParam:
    number = read_ulong(reader)
    inside = Reader(read_bytes(reader))
    value: CounterFormat | DkmLength | bytes | int | None
    match number:
        case CK.SP800_108_ITERATION_VARIABLE | CK.SP800_108_COUNTER:
            value = CounterFormat(read_bool(inside), read_ulong(inside)) if inside.left else None
        case CK.SP800_108_DKM_LENGTH:
            value = DkmLength(read_ulong(inside), read_bool(inside), read_ulong(inside))
        case CK.SP800_108_KEY_HANDLE:
            value = read_ulong(inside)
        case _:
            value = inside.rest()
    inside.end()
    return DataParam(number, value)


def _write_data_param(param: DataParam) -> bytes:
    match param.value:
        case None:
            inside = b""
        case CounterFormat(little_endian, width):
            inside = write_bool(little_endian) + write_ulong(width)
        case DkmLength(method, little_endian, width):
            inside = write_ulong(method) + write_bool(little_endian) + write_ulong(width)
        case int() as handle:
            inside = write_ulong(handle)
        case data:
            inside = data
    return write_ulong(param.type) + write_bytes(inside)


_READERS: Final[dict[FieldKind, Callable[[Reader], Any]]] = {
    FieldKind.ULONG: read_ulong,
    FieldKind.BOOL: read_bool,
    FieldKind.BITS: read_bytes,
    FieldKind.OAEP: _read_oaep,
    FieldKind.DATA_PARAMS: _read_data_params,
}
_WRITERS: Final[dict[FieldKind, Callable[[Any], bytes]]] = {
    FieldKind.ULONG: write_ulong,
    FieldKind.BOOL: write_bool,
    FieldKind.BYTES: write_bytes,
    FieldKind.BITS: write_bytes,
    FieldKind.OAEP: _write_oaep,
    FieldKind.DATA_PARAMS: _write_data_params,
}

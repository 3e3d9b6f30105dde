"""Mechanisms: which parameter each one takes, and how both cross (the letters M and Q).

In our dialect a parameter is a string with the fields of its form. p11-kit has forms for a few
mechanisms only, and two ways to send them, of which no byte tells: the one until 0.25.5 and the
one since. `StockForm` names them; messages.py finds out which it is.
"""

from collections.abc import Callable
from enum import Enum
from typing import Final

from msgspec import Struct

from keyholm.wire.codec import Bytes, Malformed, Reader
from keyholm.wire.pkcs11 import parameters
from keyholm.wire.pkcs11.constants import CKM
from keyholm.wire.pkcs11.parameters import Form, FormCodec, Parameter, compiled
from keyholm.wire.pkcs11.values import (
    NULL,
    read_byte,
    read_bytes,
    read_uint32,
    read_view,
    write_bytes,
    write_uint32,
)


class Mechanism(Struct, frozen=True):
    """A CKM number and its parameter.

    Without one the parameter is None, whether the caller gave none or the mechanism has none.
    Bytes are one that we have no form for: as the caller has it in memory, or as a newer module
    sends it. Who does not know the mechanism refuses it anyway.
    """

    type: int
    parameter: Parameter | bytes | None = None


# What a NULL pointer to a mechanism is: to end the operation (3.0).
NO_MECHANISM: Final = Mechanism(NULL)

_HASHES = ("SHA_1", "SHA224", "SHA256", "SHA384", "SHA512", "SHA512_224", "SHA512_256")
_SHA3 = ("SHA3_224", "SHA3_256", "SHA3_384", "SHA3_512")


def _all(*names: str) -> tuple[int, ...]:
    return tuple(getattr(CKM, name) for name in names)


def _per_hash(pattern: str, hashes: tuple[str, ...] = (*_HASHES, *_SHA3)) -> tuple[int, ...]:
    return _all(*(pattern.format(name) for name in hashes))


_SIGNING_HASHES = ("SHA1", "SHA224", "SHA256", "SHA384", "SHA512", *_SHA3)
_PREHASHES = ("SHA224", "SHA256", "SHA384", "SHA512", *_SHA3, "SHAKE128", "SHAKE256")
_AES_BLOCKS = _all(
    "AES_CBC",
    "AES_CBC_PAD",
    "AES_CTS",
    "AES_OFB",
    "AES_CFB1",
    "AES_CFB8",
    "AES_CFB64",
    "AES_CFB128",
)
_DES_BLOCKS = _all(
    "DES_CBC",
    "DES_CBC_PAD",
    "DES_OFB8",
    "DES_OFB64",
    "DES_CFB8",
    "DES_CFB64",
    "DES3_CBC",
    "DES3_CBC_PAD",
)
_PSS = _all("RSA_PKCS_PSS", *(f"{name}_RSA_PKCS_PSS" for name in _SIGNING_HASHES))
_STOCK_PSS = _all(
    "RSA_PKCS_PSS",
    *(f"{name}_RSA_PKCS_PSS" for name in ("SHA1", "SHA224", "SHA256", "SHA384", "SHA512")),
)
_MAC_GENERAL = _all(
    "AES_MAC_GENERAL",
    "AES_CMAC_GENERAL",
    "DES_MAC_GENERAL",
    "DES3_MAC_GENERAL",
    "DES3_CMAC_GENERAL",
    "MD5_HMAC_GENERAL",
    "RIPEMD160_HMAC_GENERAL",
)

_BY_FORM: Final[tuple[tuple[Form, tuple[int, ...]], ...]] = (
    (parameters.PSS, _PSS),
    (parameters.OAEP, _all("RSA_PKCS_OAEP")),
    (parameters.RSA_AES_WRAP, _all("RSA_AES_KEY_WRAP")),
    (
        parameters.ECDH1,
        _all("ECDH1_DERIVE", "ECDH1_COFACTOR_DERIVE"),
    ),
    (
        parameters.ECDH_AES_WRAP,
        _all("ECDH_AES_KEY_WRAP", "ECDH_X_AES_KEY_WRAP", "ECDH_COF_AES_KEY_WRAP"),
    ),
    (parameters.EDDSA, _all("EDDSA")),
    (
        parameters.SIGN_CONTEXT,
        (
            *_all("ML_DSA", "SLH_DSA"),
            *_per_hash("HASH_ML_DSA_{}", _PREHASHES),
            *_per_hash("HASH_SLH_DSA_{}", _PREHASHES),
        ),
    ),
    (parameters.HASH_SIGN_CONTEXT, _all("HASH_ML_DSA", "HASH_SLH_DSA")),
    (parameters.IV_16, (*_AES_BLOCKS, *_all("AES_XTS"))),
    (parameters.IV_8, _DES_BLOCKS),
    (parameters.IV, _all("AES_GMAC")),
    (
        parameters.OPTIONAL_IV,
        _all("AES_KEY_WRAP", "AES_KEY_WRAP_PAD", "AES_KEY_WRAP_KWP", "AES_KEY_WRAP_PKCS7"),
    ),
    (parameters.AES_CTR, _all("AES_CTR")),
    (parameters.GCM, _all("AES_GCM")),
    (parameters.CCM, _all("AES_CCM")),
    (parameters.CHACHA20, _all("CHACHA20")),
    (parameters.CHACHA20_POLY1305, _all("CHACHA20_POLY1305")),
    (parameters.MAC_LENGTH, (*_MAC_GENERAL, *_per_hash("{}_HMAC_GENERAL"))),
    (parameters.PUBLIC_VALUE, _all("DH_PKCS_DERIVE")),
    (parameters.KEY_HANDLE, _all("CONCATENATE_BASE_AND_KEY")),
    (
        parameters.STRING_DATA,
        _all(
            "CONCATENATE_BASE_AND_DATA",
            "CONCATENATE_DATA_AND_BASE",
            "XOR_BASE_AND_DATA",
            "AES_ECB_ENCRYPT_DATA",
            "DES_ECB_ENCRYPT_DATA",
            "DES3_ECB_ENCRYPT_DATA",
        ),
    ),
    (parameters.EXTRACT, _all("EXTRACT_KEY_FROM_KEY")),
    (parameters.AES_CBC_DATA, _all("AES_CBC_ENCRYPT_DATA")),
    (parameters.DES_CBC_DATA, _all("DES_CBC_ENCRYPT_DATA", "DES3_CBC_ENCRYPT_DATA")),
    (parameters.HKDF, _all("HKDF_DERIVE", "HKDF_DATA")),
    (parameters.PBKDF2, _all("PKCS5_PBKD2")),
    (parameters.COUNTER_KDF, _all("SP800_108_COUNTER_KDF", "SP800_108_DOUBLE_PIPELINE_KDF")),
    (parameters.FEEDBACK_KDF, _all("SP800_108_FEEDBACK_KDF")),
)
FORMS: Final[dict[int, Form]] = {number: form for form, numbers in _BY_FORM for number in numbers}
# C_WrapKeyAuthenticated and its reverse (3.2) give these another structure.
WRAP_FORMS: Final[dict[int, Form]] = {
    CKM.AES_GCM: parameters.GCM_WRAP,
    CKM.AES_CCM: parameters.CCM_WRAP,
}
# The parameter of each message (3.0).
MESSAGE_FORMS: Final[dict[int, Form]] = {
    CKM.AES_GCM: parameters.GCM_MESSAGE,
    CKM.AES_CCM: parameters.CCM_MESSAGE,
    CKM.CHACHA20_POLY1305: parameters.CHACHA20_POLY1305_MESSAGE,
}
# Those that we know and that take no parameter.
PARAMETERLESS: Final[tuple[int, ...]] = (
    *_all("RSA_PKCS_KEY_PAIR_GEN", "RSA_X9_31_KEY_PAIR_GEN", "RSA_PKCS", "RSA_X_509"),
    *_all("MD5_RSA_PKCS", "RIPEMD160_RSA_PKCS"),
    *_per_hash("{}_RSA_PKCS", _SIGNING_HASHES),
    *_all("DSA_KEY_PAIR_GEN", "DSA_PARAMETER_GEN", "DSA"),
    *_per_hash("DSA_{}", _SIGNING_HASHES),
    *_all("DH_PKCS_KEY_PAIR_GEN", "DH_PKCS_PARAMETER_GEN"),
    *_all("EC_KEY_PAIR_GEN", "EC_KEY_PAIR_GEN_W_EXTRA_BITS"),
    *_all("EC_EDWARDS_KEY_PAIR_GEN", "EC_MONTGOMERY_KEY_PAIR_GEN", "ECDSA"),
    *_per_hash("ECDSA_{}", _SIGNING_HASHES),
    *_all("ML_DSA_KEY_PAIR_GEN", "ML_KEM_KEY_PAIR_GEN", "ML_KEM", "SLH_DSA_KEY_PAIR_GEN"),
    *_all("GENERIC_SECRET_KEY_GEN", "AES_KEY_GEN", "AES_XTS_KEY_GEN", "CHACHA20_KEY_GEN"),
    *_all("HKDF_KEY_GEN", "DES_KEY_GEN", "DES2_KEY_GEN", "DES3_KEY_GEN"),
    *_per_hash("{}_KEY_GEN"),
    *_all("AES_ECB", "AES_MAC", "AES_CMAC", "AES_XCBC_MAC", "AES_XCBC_MAC_96"),
    *_all("DES_ECB", "DES_MAC", "DES3_ECB", "DES3_MAC", "DES3_CMAC"),
    *_all("MD5", "MD5_HMAC", "RIPEMD160", "RIPEMD160_HMAC"),
    *_per_hash("{}"),
    *_per_hash("{}_HMAC"),
    *_all("SHA1_KEY_DERIVATION"),
    *_per_hash("{}_KEY_DERIVATION", (*_HASHES[1:], *_SHA3)),
    *_all("SHAKE_128_KEY_DERIVATION", "SHAKE_256_KEY_DERIVATION", "PUB_KEY_FROM_PRIV_KEY"),
)
# Those that p11-kit sends a parameter of (0.26.4; in 0.24 PSS and OAEP only). It knows no others.
STOCK_FORMS: Final[dict[int, Form]] = {
    number: FORMS[number]
    for number in (
        *_STOCK_PSS,
        *_all("RSA_PKCS_OAEP", "ECDH1_DERIVE", "AES_CTR", "AES_GCM", "DH_PKCS_DERIVE"),
        *_AES_BLOCKS,
        *_DES_BLOCKS,
        *_MAC_GENERAL,
        *_per_hash("{}_HMAC_GENERAL", _HASHES),
    )
}


class Way(Enum):
    """How a mechanism crosses."""

    OURS = "ours"
    OLD = "p11-kit until 0.25.5"
    NEW = "p11-kit since 0.25.6"


Read = Callable[[Reader], Mechanism]
Write = Callable[[Mechanism], bytes]

CodecOf = Callable[[int], FormCodec | None]


def _codecs(forms: dict[int, Form]) -> CodecOf:
    """Gives the codec of a mechanism's parameter, which is made when it is first wanted."""
    made: dict[int, FormCodec] = {}

    def codec_of(number: int) -> FormCodec | None:
        found = made.get(number)
        if found is None and number in forms:
            found = made[number] = compiled(forms[number])
        return found

    return codec_of


_own_codec: Final = _codecs(FORMS)
_wrap_codec: Final = _codecs(FORMS | WRAP_FORMS)
_message_codec: Final = _codecs(MESSAGE_FORMS)
_stock_codec: Final = _codecs(STOCK_FORMS)


# Of each of those that we know there is one object: most mechanisms cross without a parameter.
_plain: Final = {number: Mechanism(number) for number in PARAMETERLESS}


def without_parameter(number: int) -> Mechanism:
    return _plain.get(number) or Mechanism(number)


def _read_own(codec_of: CodecOf) -> Read:
    def read(reader: Reader) -> Mechanism:
        number = read_uint32(reader)
        way = read_byte(reader)
        if way == 0:
            return without_parameter(number)
        if way > 2:
            raise Malformed(f"a parameter of the kind {way}")
        codec = codec_of(number)
        if way == 2 or codec is None:
            return Mechanism(number, read_bytes(reader))
        return Mechanism(number, _whole(codec, read_view(reader)))

    return read


def _whole(codec: FormCodec, fields: Bytes) -> Parameter:
    reader = Reader(fields)
    parameter = codec.read(reader)
    reader.end()
    return parameter


def _write_own(codec_of: CodecOf) -> Write:
    def write(mechanism: Mechanism) -> bytes:
        head = write_uint32(mechanism.type)
        parameter = mechanism.parameter
        if parameter is None:
            return head + b"\0"
        if isinstance(parameter, Parameter):
            return head + b"\1" + write_bytes(_fields(codec_of, mechanism.type, parameter))
        return head + b"\2" + write_bytes(parameter)

    return write


def _fields(codec_of: CodecOf, number: int, parameter: Parameter | bytes | None) -> bytes:
    codec = codec_of(number)
    if codec is None or not isinstance(parameter, Parameter):
        raise TypeError(f"{CKM.name(number)} without the parameter that it takes")
    return codec.write(parameter)


def _read_old(reader: Reader) -> Mechanism:
    number = read_uint32(reader)
    if number == NULL:
        return NO_MECHANISM
    codec = _stock_codec(number)
    if codec is not None:
        # A number or a length stands there, and none is so large. The new way has a 1 there.
        if reader.left and reader.data[reader.at]:
            raise Malformed("no parameter as older clients send it")
        return Mechanism(number, codec.read(reader))
    if read_uint32(reader) != NULL:
        raise Malformed("a parameter where there is none")
    return Mechanism(number)


def _read_new(reader: Reader) -> Mechanism:
    number = read_uint32(reader)
    codec = _stock_codec(number)
    if codec is None:
        return Mechanism(number)
    is_there = read_byte(reader)
    if is_there > 1:
        raise Malformed(f"a parameter of the kind {is_there}")
    return Mechanism(number, codec.read(reader) if is_there else None)


def _read_new_instead(reader: Reader) -> Mechanism:
    """The new way where the old one was expected: nothing that a cut old one could be."""
    mechanism = _read_new(reader)
    if mechanism.type in STOCK_FORMS and mechanism.parameter is None:
        raise Malformed("no parameter where there must be one")
    if bytes(reader.data[reader.at : reader.at + 4]) == b"\xff\xff\xff\xff":
        raise Malformed("a mechanism as older clients send it, cut short")
    return mechanism


def _write_old(mechanism: Mechanism) -> bytes:
    head = write_uint32(mechanism.type)
    if mechanism.type == NULL:
        return head
    if mechanism.type not in STOCK_FORMS:
        return head + b"\xff\xff\xff\xff"
    return head + _fields(_stock_codec, mechanism.type, mechanism.parameter)


def _write_new(mechanism: Mechanism) -> bytes:
    head = write_uint32(mechanism.type)
    if mechanism.type not in STOCK_FORMS:
        return head
    if mechanism.parameter is None:
        return head + b"\0"
    return head + b"\1" + _fields(_stock_codec, mechanism.type, mechanism.parameter)


def reader(way: Way, *, authenticated: bool = False) -> Read:
    if way is Way.OURS:
        return _read_own(_wrap_codec if authenticated else _own_codec)
    return _read_old if way is Way.OLD else _read_new


def other_reader(way: Way) -> Read:
    """What to try when a stock client's request could not be read that way."""
    return _read_new_instead if way is Way.OLD else _read_old


def writer(way: Way, *, authenticated: bool = False) -> Write:
    if way is Way.OURS:
        return _write_own(_wrap_codec if authenticated else _own_codec)
    return _write_old if way is Way.OLD else _write_new


def write_parameter(mechanism: Mechanism) -> bytes:
    """The parameter alone, as it crosses in our dialect."""
    return writer(Way.OURS)(mechanism)[4:]


def with_parameter(number: int, parameter: Bytes) -> Mechanism:
    """The way back. Raises `Malformed`."""
    reader_ = Reader(write_uint32(number) + parameter)
    mechanism = reader(Way.OURS)(reader_)
    reader_.end()
    return mechanism


def update(mechanism: Mechanism) -> bytes:
    """What the answer to DeriveKey2 says that became of the parameter (P): nothing, of all we do."""
    if mechanism.type not in STOCK_FORMS:
        return b""
    return b"\0" if mechanism.parameter is None else b"\1"


def read_message(number: int, fields: Bytes) -> Parameter | None:
    """The parameter of a message from the bytes of Q; None of a mechanism that has no such."""
    codec = _message_codec(number)
    return None if codec is None else _whole(codec, fields)


def write_message(number: int, parameter: Parameter) -> bytes:
    return _fields(_message_codec, number, parameter)


def write_wrap_parameter(number: int, parameter: Parameter) -> bytes:
    """What C_WrapKeyAuthenticated made of the parameter of its mechanism, as Q has it."""
    return _fields(_wrap_codec, number, parameter)

"""Private keys as PKCS#8, and the attributes that hold their parts.

All of it happens in locked memory (`Secret`), or in views of somebody else's.
"""

from collections.abc import Mapping
from typing import Final

from keyholm.core.secret import Secret
from keyholm.cryptoki.forms import RSA, Form
from keyholm.wire import der
from keyholm.wire.codec import Reader
from keyholm.wire.pkcs11.constants import CKA, CKK

Part = bytes | memoryview
Parts = list[Part]

_SEED: Final = 0x80  # [0] IMPLICIT OCTET STRING (RFC 9881, RFC 9935)
RSA_PARTS: Final = (
    CKA.MODULUS,
    CKA.PUBLIC_EXPONENT,
    CKA.PRIVATE_EXPONENT,
    CKA.PRIME_1,
    CKA.PRIME_2,
    CKA.EXPONENT_1,
    CKA.EXPONENT_2,
    CKA.COEFFICIENT,
)


# --- DER whose parts are not copied --------------------------------------------------


def _size(parts: Parts) -> int:
    return sum(map(len, parts))


def _tlv(tag: int, parts: Parts) -> Parts:
    return [der.header(tag, _size(parts)), *parts]


def _integer(number: memoryview) -> Parts:
    value = stripped(number)
    if not value:
        return [der.integer(0)]
    return _tlv(der.INTEGER, [b"\0", value] if value[0] & 0x80 else [value])


def stripped(number: memoryview) -> memoryview:
    start = 0
    while start < len(number) and not number[start]:
        start += 1
    return number[start:]


def _joined(parts: Parts) -> Secret:
    whole = Secret(_size(parts))
    at = 0
    for part in parts:
        whole.view[at : at + len(part)] = part
        at += len(part)
    return whole


def _pkcs8(form: Form, key: Parts) -> Secret:
    inside = [der.integer(0), form.algorithm, *_tlv(der.OCTET_STRING, key)]
    return _joined(_tlv(der.SEQUENCE, inside))


# --- there and back ------------------------------------------------------------------


def pkcs8_of(form: Form, parts: Mapping[int, memoryview]) -> Secret:
    """`parts` has all that `parts_of` gives of such a key. The public point of a curve is left
    out: whoever reads this computes it (RFC 5915)."""
    match form.key_type:
        case CKK.RSA:
            numbers = [part for cka in RSA_PARTS for part in _integer(parts[cka])]
            return _pkcs8(RSA, _tlv(der.SEQUENCE, [der.integer(0), *numbers]))
        case CKK.EC:
            value, width = stripped(parts[CKA.VALUE]), (form.size - 1) // 2
            scalar = _tlv(der.OCTET_STRING, [bytes(width - len(value)), value])
            return _pkcs8(form, _tlv(der.SEQUENCE, [der.integer(1), *scalar]))
        case CKK.EC_EDWARDS | CKK.EC_MONTGOMERY:
            return _pkcs8(form, _tlv(der.OCTET_STRING, [parts[CKA.VALUE]]))
        case _:
            return _pkcs8(form, _tlv(_SEED, [parts[CKA.SEED]]))


def parts_of(form: Form, pkcs8: memoryview) -> dict[int, memoryview]:
    """Raises `Malformed`."""
    outer = der.view_sequence(pkcs8)
    der.read_integer(outer)
    der.read_tlv(outer, der.SEQUENCE)
    return _parts(form, der.view_tlv(outer, der.OCTET_STRING))


def _parts(form: Form, key: memoryview) -> dict[int, memoryview]:
    reader = Reader(key)
    match form.key_type:
        case CKK.RSA:
            numbers = der.view_sequence(key)
            der.read_integer(numbers)
            return {cka: stripped(der.view_tlv(numbers, der.INTEGER)) for cka in RSA_PARTS}
        case CKK.EC:
            fields = der.view_sequence(key)
            der.read_integer(fields)
            return {CKA.VALUE: der.view_tlv(fields, der.OCTET_STRING)}
        case CKK.EC_EDWARDS | CKK.EC_MONTGOMERY:
            return {CKA.VALUE: der.view_tlv(reader, der.OCTET_STRING)}
        case _:
            return {CKA.SEED: der.view_tlv(reader, _SEED)}

"""X.509 certificates, as far as whoever looks for one must read them (RFC 5280, section 4.1).

Nothing is verified: that is the business of who relies on a certificate. `read` takes the
outline of one apart strictly, so that its names can be compared byte by byte.
"""

from typing import Final, NamedTuple

from keyholm.wire import der
from keyholm.wire.codec import Bytes, Malformed, Reader

MAX_SIZE: Final = 256 * 1024
_VERSION, _EXTENSIONS = 0xA0, 0xA3
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_BOOLEAN = 0x01
_BASIC_CONSTRAINTS = der.oid("2.5.29.19")


class Certificate(NamedTuple):
    """All but the key is as it stands there, with tag and length."""

    serial: bytes  # INTEGER
    issuer: bytes  # Name
    subject: bytes  # Name
    spki: bytes
    not_before: bytes  # YYYYMMDD
    not_after: bytes
    is_authority: bool


def read(data: Bytes) -> Certificate:
    """Raises `Malformed`."""
    if len(data) > MAX_SIZE:
        raise Malformed(f"a certificate of more than {MAX_SIZE} bytes")
    outer = der.read_sequence(data)
    signed = der.read_sequence(der.read_element(outer, der.SEQUENCE))
    der.read_element(outer, der.SEQUENCE)  # the algorithm of the signature
    der.read_element(outer, der.BIT_STRING)
    outer.end()
    if _next(signed) == _VERSION:
        der.read_tlv(signed, _VERSION)
    serial = der.read_element(signed, der.INTEGER)
    der.read_element(signed, der.SEQUENCE)  # the same algorithm
    issuer = der.read_element(signed, der.SEQUENCE)
    validity = Reader(der.read_tlv(signed, der.SEQUENCE))
    not_before, not_after = _date(validity), _date(validity)
    validity.end()
    subject = der.read_element(signed, der.SEQUENCE)
    spki = der.read_element(signed, der.SEQUENCE)
    return Certificate(
        serial, issuer, subject, spki, not_before, not_after, _says_authority(signed)
    )


def _next(reader: Reader) -> int:
    return reader.data[reader.at] if reader.left else -1


def _date(reader: Reader) -> bytes:
    if _next(reader) == _UTC_TIME:
        time = der.read_tlv(reader, _UTC_TIME)
        # RFC 5280, section 4.1.2.5.1: two digits of a year mean 1950 to 2049.
        date = (b"19" if time[:2] >= b"50" else b"20") + time[:6]
    else:
        date = der.read_tlv(reader, _GENERALIZED_TIME)[:8]
    if len(date) != 8 or not date.isdigit():
        raise Malformed("a date that is none")
    return date


def _says_authority(signed: Reader) -> bool:
    """Whether its basic constraints say that it is an authority's."""
    while signed.left and _next(signed) != _EXTENSIONS:
        der.read_tlv(signed, _next(signed))  # unique identifiers, of old
    if not signed.left:
        return False
    extensions = der.read_sequence(der.read_tlv(signed, _EXTENSIONS))
    signed.end()
    while extensions.left:
        extension = Reader(der.read_tlv(extensions, der.SEQUENCE))
        if der.read_element(extension, der.OBJECT_IDENTIFIER) == _BASIC_CONSTRAINTS:
            if _next(extension) == _BOOLEAN:  # critical
                der.read_tlv(extension, _BOOLEAN)
            constraints = der.read_sequence(der.read_tlv(extension, der.OCTET_STRING))
            return _next(constraints) == _BOOLEAN and der.read_tlv(constraints, _BOOLEAN) == b"\xff"
    return False

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
_BASIC_CONSTRAINTS: Final = der.oid("2.5.29.19")


class Extension(NamedTuple):
    id: bytes  # OBJECT IDENTIFIER, with tag and length
    critical: bool
    value: bytes  # what is in its OCTET STRING


class Certificate(NamedTuple):
    """All but the times is as it stands there, with tag and length."""

    serial: bytes  # INTEGER
    issuer: bytes  # Name
    subject: bytes  # Name
    spki: bytes
    begins: bytes  # YYYYMMDDhhmmss, UTC
    ends: bytes
    extensions: tuple[Extension, ...]
    constraints: "Constraints"
    signed: bytes  # TBSCertificate
    algorithm: bytes  # AlgorithmIdentifier
    signature: bytes  # the bits

    @property
    def not_before(self) -> bytes:
        """YYYYMMDD."""
        return self.begins[:8]

    @property
    def not_after(self) -> bytes:
        return self.ends[:8]

    @property
    def is_authority(self) -> bool:
        """Whether its basic constraints say that it is an authority's."""
        return self.constraints.is_authority

    def extension(self, oid: bytes) -> Extension | None:
        return next((each for each in self.extensions if each.id == oid), None)


class Constraints(NamedTuple):
    """BasicConstraints: of an authority, and how many others may stand below it."""

    is_authority: bool
    path_length: int | None = None


def read(data: Bytes) -> Certificate:
    """Raises `Malformed`."""
    if len(data) > MAX_SIZE:
        raise Malformed(f"a certificate of more than {MAX_SIZE} bytes")
    outer = der.read_sequence(data)
    signed_bytes = der.read_element(outer, der.SEQUENCE)
    algorithm = der.read_element(outer, der.SEQUENCE)
    bits = der.read_tlv(outer, der.BIT_STRING)
    outer.end()
    if bits[:1] != b"\0":
        raise Malformed("a signature that is no whole number of bytes")
    signed = der.read_sequence(signed_bytes)
    if _next(signed) == _VERSION:
        der.read_tlv(signed, _VERSION)
    serial = der.read_element(signed, der.INTEGER)
    if der.read_element(signed, der.SEQUENCE) != algorithm:
        raise Malformed("a certificate that names two algorithms of its signature")
    issuer = der.read_element(signed, der.SEQUENCE)
    validity = Reader(der.read_tlv(signed, der.SEQUENCE))
    begins, ends = _time(validity), _time(validity)
    validity.end()
    subject = der.read_element(signed, der.SEQUENCE)
    spki = der.read_element(signed, der.SEQUENCE)
    extensions = _extensions(signed)
    return Certificate(
        serial,
        issuer,
        subject,
        spki,
        begins,
        ends,
        extensions,
        _constraints(extensions),
        signed_bytes,
        algorithm,
        bits[1:],
    )


def _next(reader: Reader) -> int:
    return reader.data[reader.at] if reader.left else -1


def _time(reader: Reader) -> bytes:
    if _next(reader) == _UTC_TIME:
        time = der.read_tlv(reader, _UTC_TIME)
        # RFC 5280, section 4.1.2.5.1: two digits of a year mean 1950 to 2049.
        time = (b"19" if time[:2] >= b"50" else b"20") + time
    else:
        time = der.read_tlv(reader, _GENERALIZED_TIME)
    if len(time) != 15 or not time[:14].isdigit() or time[14:] != b"Z":
        raise Malformed("a time that is none, or not in UTC")
    return time[:14]


def _extensions(signed: Reader) -> tuple[Extension, ...]:
    while signed.left and _next(signed) != _EXTENSIONS:
        der.read_tlv(signed, _next(signed))  # unique identifiers, of old
    if not signed.left:
        return ()
    listed = der.read_sequence(der.read_tlv(signed, _EXTENSIONS))
    signed.end()
    found: dict[bytes, Extension] = {}
    while listed.left:
        extension = _extension(Reader(der.read_tlv(listed, der.SEQUENCE)))
        if extension.id in found:
            raise Malformed("an extension that stands there twice")
        found[extension.id] = extension
    return tuple(found.values())


def _extension(reader: Reader) -> Extension:
    oid = der.read_element(reader, der.OBJECT_IDENTIFIER)
    critical = False
    if _next(reader) == _BOOLEAN:
        critical = der.read_tlv(reader, _BOOLEAN) != b"\0"
    value = der.read_tlv(reader, der.OCTET_STRING)
    reader.end()
    return Extension(oid, critical, value)


def _constraints(extensions: tuple[Extension, ...]) -> Constraints:
    found = next((each for each in extensions if each.id == _BASIC_CONSTRAINTS), None)
    if found is None:
        return Constraints(False)
    reader = der.read_sequence(found.value)
    is_authority = False
    if _next(reader) == _BOOLEAN:
        is_authority = der.read_tlv(reader, _BOOLEAN) == b"\xff"
    path_length = der.read_integer(reader) if reader.left else None
    reader.end()
    return Constraints(is_authority, path_length)

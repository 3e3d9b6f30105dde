"""The little DER that public keys and ECDSA signatures need (X.690): written, and read strictly."""

from keyholm.wire.codec import Bytes, Malformed, Reader

INTEGER, BIT_STRING, OCTET_STRING, OBJECT_IDENTIFIER, SEQUENCE = 0x02, 0x03, 0x04, 0x06, 0x30
NULL = b"\x05\x00"


def header(tag: int, size: int) -> bytes:
    """What stands in front of so many bytes."""
    if size < 0x80:
        return bytes((tag, size))
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(length))) + length


def tlv(tag: int, value: bytes) -> bytes:
    return header(tag, len(value)) + value


def sequence(*items: bytes) -> bytes:
    return tlv(SEQUENCE, b"".join(items))


def integer(value: int) -> bytes:
    """A number that is not negative."""
    return tlv(INTEGER, value.to_bytes(value.bit_length() // 8 + 1))


def bit_string(value: bytes) -> bytes:
    return tlv(BIT_STRING, b"\0" + value)


def octet_string(value: bytes) -> bytes:
    return tlv(OCTET_STRING, value)


def oid(dotted: str) -> bytes:
    first, second, *others = map(int, dotted.split("."))
    return tlv(OBJECT_IDENTIFIER, b"".join(map(_base128, (40 * first + second, *others))))


def _base128(value: int) -> bytes:
    digits = [value & 0x7F]
    while value := value >> 7:
        digits.append(value & 0x7F | 0x80)
    return bytes(reversed(digits))


def _read_header(reader: Reader, tag: int) -> int:
    """The size of the next element, which must have this tag and the shortest length."""
    if reader.take(1)[0] != tag:
        raise Malformed(f"DER element {tag:#04x} expected")
    size = reader.take(1)[0]
    if size >= 0x80:
        octets = reader.take(size & 0x7F)
        size = int.from_bytes(octets)
        if size < 0x80 or octets[0] == 0:
            raise Malformed("a DER length that is longer than it must be")
    return size


def read_tlv(reader: Reader, tag: int) -> bytes:
    """The contents of the next element."""
    return reader.take(_read_header(reader, tag))


def view_tlv(reader: Reader, tag: int) -> memoryview:
    """The same where they lie: of a secret."""
    return reader.view(_read_header(reader, tag))


def read_element(reader: Reader, tag: int) -> bytes:
    """The whole of the next element, with its tag and length."""
    start = reader.at
    read_tlv(reader, tag)
    return bytes(reader.data[start : reader.at])


def read_integer(reader: Reader) -> int:
    """A number that is not negative."""
    value = read_tlv(reader, INTEGER)
    if not value or value[0] & 0x80:
        raise Malformed("a DER number that is empty or negative")
    if value[0] == 0 and len(value) > 1 and not value[1] & 0x80:
        raise Malformed("a DER number with needless zeros in front")
    return int.from_bytes(value)


def read_sequence(data: Bytes) -> Reader:
    """The contents of a sequence that fills `data`."""
    reader = Reader(data)
    contents = read_tlv(reader, SEQUENCE)
    reader.end()
    return Reader(contents)


def view_sequence(data: Bytes) -> Reader:
    """The same of a secret, without a copy."""
    reader = Reader(data)
    contents = view_tlv(reader, SEQUENCE)
    reader.end()
    return Reader(contents)

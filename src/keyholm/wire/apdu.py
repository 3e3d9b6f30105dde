"""Commands to a smart card (ISO 7816-4, section 5) and the BER-TLV that they carry, read strictly."""

from collections.abc import Iterator
from dataclasses import dataclass

from keyholm.wire.codec import Bytes, Malformed, Reader

# The most that an extended command or answer can carry.
MOST_DATA = 0xFFFF
MOST_EXPECTED = 0x10000
# Class byte: more of this command follows (5.4.1).
CHAINED = 0x10


@dataclass(frozen=True, slots=True)
class Command:
    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes = b""
    expected: int = 0  # Ne: how many bytes of an answer the sender has room for

    @property
    def chained(self) -> bool:
        return bool(self.cla & CHAINED)


def decode(data: Bytes) -> Command:
    """A command in one of the four cases, with short or extended lengths."""
    reader = Reader(data)
    cla, ins, p1, p2 = reader.take(4)
    body, expected = _read_body(reader)
    reader.end()
    return Command(cla, ins, p1, p2, body, expected)


def _read_body(reader: Reader) -> tuple[bytes, int]:
    if not reader.left:
        return b"", 0
    first = reader.take(1)[0]
    if first == 0 and reader.left >= 2:
        return _read_extended(reader)
    if not reader.left:
        return b"", first or 0x100
    if first == 0:
        raise Malformed("a command whose data have no length")
    body = reader.take(first)
    return body, (reader.take(1)[0] or 0x100) if reader.left else 0


def _read_extended(reader: Reader) -> tuple[bytes, int]:
    size = int.from_bytes(reader.take(2))
    if not reader.left:
        return b"", size or MOST_EXPECTED
    if size == 0:
        raise Malformed("a command whose data have no length")
    body = reader.take(size)
    return body, (int.from_bytes(reader.take(2)) or MOST_EXPECTED) if reader.left else 0


def encode(command: Command) -> bytes:
    """With short lengths where they fit."""
    header = bytes((command.cla, command.ins, command.p1, command.p2))
    size, expected = len(command.data), command.expected
    if size > MOST_DATA or expected > MOST_EXPECTED:
        raise ValueError("more than a command can carry")
    if size <= 0xFF and expected <= 0x100:
        body = bytes((size,)) + command.data if size else b""
        return header + body + (bytes((expected & 0xFF,)) if expected else b"")
    body = size.to_bytes(2) + command.data if size else b""
    return header + b"\0" + body + ((expected & 0xFFFF).to_bytes(2) if expected else b"")


# --- BER-TLV ---------------------------------------------------------------------------


def tlv(tag: int, *values: bytes) -> bytes:
    """An element; `tag` is written as it stands: 0x53, 0x7f49, 0x5fc102."""
    value = b"".join(values)
    size = len(value)
    head = tag.to_bytes((tag.bit_length() + 7) // 8)
    if size < 0x80:
        return head + bytes((size,)) + value
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return head + bytes((0x80 | len(length),)) + length + value


def read_tlv(reader: Reader) -> tuple[int, bytes]:
    tag = _read_tag(reader)
    return tag, reader.take(_read_length(reader))


def elements(data: Bytes) -> dict[int, bytes]:
    """The elements that fill `data`, each tag once."""
    found: dict[int, bytes] = {}
    for tag, value in _each(data):
        if tag in found:
            raise Malformed(f"element {tag:#x} twice")
        found[tag] = value
    return found


def _each(data: Bytes) -> Iterator[tuple[int, bytes]]:
    reader = Reader(data)
    while reader.left:
        yield read_tlv(reader)


def _read_tag(reader: Reader) -> int:
    octets = reader.take(1)
    if octets[0] & 0x1F == 0x1F:
        octets += reader.take(1)
        while octets[-1] & 0x80:
            if len(octets) == 3:  # 5.2.2.1: no tag is longer
                raise Malformed("a tag of more than three bytes")
            octets += reader.take(1)
    return int.from_bytes(octets)


def _read_length(reader: Reader) -> int:
    # 5.2.2.2: lengths may be written longer than need be, unlike in DER.
    size = reader.take(1)[0]
    if size < 0x80:
        return size
    if not 0x81 <= size <= 0x84:
        raise Malformed("a length of no definite form")
    return int.from_bytes(reader.take(size & 0x7F))

"""The plain data types of the protocol: numbers and byte-strings."""

import struct
from collections.abc import Callable
from typing import Final, Protocol

from keyholm.wire.codec import UINT32, Bytes, Malformed, Reader

# The length of a byte-string that is a NULL pointer, and the room of a buffer of no bytes.
NULL: Final = 0xFFFFFFFF

_ULONG = struct.Struct(">Q")
_LENGTH = struct.Struct(">I")
_unpack_ulong = _ULONG.unpack_from
_unpack_length = _LENGTH.unpack_from

write_ulong: Callable[[int], bytes] = _ULONG.pack
write_uint32: Callable[[int], bytes] = _LENGTH.pack
read_uint32: Final = UINT32.read


class Read(Protocol):
    def __call__(self, reader: Reader, /) -> object: ...


def read_ulong(reader: Reader) -> int:
    at = reader.at
    try:
        (value,) = _unpack_ulong(reader.data, at)
    except struct.error:
        reader.take(8)
        raise
    reader.at = at + 8
    number: int = value
    return number


def read_byte(reader: Reader) -> int:
    return reader.take(1)[0]


def read_bool(reader: Reader) -> bool:
    return reader.take(1) != b"\0"


def write_byte(value: int) -> bytes:
    return value.to_bytes(1)


def write_bool(value: bool) -> bytes:
    return b"\1" if value else b"\0"


def read_bytes(reader: Reader) -> bytes:
    """A byte-string. What is NULL is as good as empty."""
    size = read_uint32(reader)
    return b"" if size == NULL else reader.take(size)


def read_view(reader: Reader) -> memoryview:
    """A secret byte-string, where it lies."""
    size = read_uint32(reader)
    return reader.view(0 if size == NULL else size)


def write_bytes(value: Bytes) -> bytes:
    return write_uint32(len(value)) + value


def read_nullable(reader: Reader) -> bytes | None:
    size = read_uint32(reader)
    return None if size == NULL else reader.take(size)


def read_nullable_view(reader: Reader) -> memoryview | None:
    size = read_uint32(reader)
    return None if size == NULL else reader.view(size)


def write_nullable(value: Bytes | None) -> bytes:
    return b"\xff\xff\xff\xff" if value is None else write_uint32(len(value)) + value


def read_ulongs(reader: Reader) -> tuple[int, ...]:
    """A count, then that many numbers; nothing is made before all their bytes are there."""
    count = read_uint32(reader)
    at, end = reader.at, reader.at + 8 * count
    if end > reader.size:
        raise Malformed(f"{count} numbers promised, {reader.left} bytes left")
    reader.at = end
    return struct.unpack_from(f">{count}Q", reader.data, at)


def write_ulongs(values: tuple[int, ...]) -> bytes:
    return struct.pack(f">I{len(values)}Q", len(values), *values)

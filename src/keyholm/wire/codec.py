"""SSH data types, each described once for both directions (RFC 4251, section 5).

Every wire format here is built from these. A codec is a pair of plain functions; `record`,
`many`, `nested` and the rest combine them. Nothing is allocated before the bytes for it are
there: a boastful length or count fails at its first missing byte.

Secrets are read with `VIEW`: a slice of the buffer that the frame was received in. Whoever
owns that buffer wipes it; nothing here makes a copy of them.
"""

import struct
from collections.abc import Callable
from enum import IntFlag
from operator import attrgetter
from typing import Any, Generic, NoReturn, TypeVar, cast

from msgspec import Struct

T = TypeVar("T")
F = TypeVar("F", bound=IntFlag)

Bytes = bytes | bytearray | memoryview

# OpenSSH's bound (SSHBUF_MAX_BIGNUM); enough for the largest RSA key that anybody accepts.
MPINT_MAX_BYTES = 16384 // 8

_UINT32 = struct.Struct(">I")
_UINT64 = struct.Struct(">Q")
_pack32 = _UINT32.pack
_unpack32 = _UINT32.unpack_from


class Malformed(ValueError):
    """The bytes do not hold what their format promises."""


class Reader:
    """Takes values off the front of `data`."""

    __slots__ = ("at", "data", "size")

    def __init__(self, data: Bytes) -> None:
        # Offset and size are open: the codecs below are the hot path of every request.
        self.data, self.at, self.size = data, 0, len(data)

    @property
    def left(self) -> int:
        return self.size - self.at

    def take(self, size: int) -> bytes:
        at = self.at
        end = at + size
        if end > self.size:
            self._short(size)
        self.at = end
        return bytes(self.data[at:end])

    def view(self, size: int) -> memoryview:
        """The next `size` bytes where they lie, not a copy of them."""
        at = self.at
        end = at + size
        if end > self.size:
            self._short(size)
        self.at = end
        return memoryview(self.data)[at:end]

    def rest(self) -> bytes:
        return self.take(self.left)

    def end(self) -> None:
        if self.at != self.size:
            raise Malformed(f"{self.left} bytes left over")

    def _short(self, wanted: int) -> NoReturn:
        raise Malformed(f"{wanted} bytes wanted at offset {self.at}, {self.left} left")


class HoldsSecrets(Struct, frozen=True):
    """A value with a `VIEW` in it, which its `repr` does not show."""

    def __repr__(self) -> str:
        fields = ((name, getattr(self, name)) for name in self.__struct_fields__)
        shown = [f"{name}={value!r}" for name, value in fields if not isinstance(value, memoryview)]
        return f"{type(self).__name__}({', '.join(shown)})"


class Codec(Struct, Generic[T], frozen=True):
    write: Callable[[T], bytes]
    read: Callable[[Reader], T]


class Record(Codec[T], frozen=True):
    """The codec of a `Struct` or a dataclass."""

    kind: type[T]


def decode(codec: Codec[T], data: Bytes) -> T:
    """Read `data` as one value that fills it."""
    reader = Reader(data)
    value = codec.read(reader)
    if reader.at != reader.size:
        reader.end()
    return value


def _read_uint32(reader: Reader) -> int:
    try:
        (value,) = _unpack32(reader.data, reader.at)
    except struct.error:
        reader.take(4)
        raise
    reader.at += 4
    return cast(int, value)


def _read_string(reader: Reader) -> bytes:
    at = reader.at
    data = reader.data
    try:
        (size,) = _unpack32(data, at)
    except struct.error:
        reader.take(4)
        raise
    at += 4
    end = at + size
    if end > reader.size:
        reader.at = at
        reader.take(size)
    reader.at = end
    return bytes(data[at:end])


def _write_string(value: Bytes) -> bytes:
    return _pack32(len(value)) + value


def _read_boolean(reader: Reader) -> bool:
    # "All non-zero values MUST be interpreted as TRUE" (RFC 4251).
    return reader.take(1) != b"\0"


def _read_text(reader: Reader) -> str:
    try:
        return _read_string(reader).decode()
    except UnicodeDecodeError:
        raise Malformed("text that is not UTF-8") from None


def _read_view(reader: Reader) -> memoryview:
    return reader.view(_read_uint32(reader))


def _magnitude(value: Bytes) -> Bytes:
    """The bytes of a canonical, not negative mpint, without its sign byte."""
    if len(value) > MPINT_MAX_BYTES + 1:
        raise Malformed("a number of more than 16384 bits")
    if not value:
        return value
    if value[0] & 0x80:
        raise Malformed("a negative number")
    if value[0] == 0:
        if len(value) == 1 or not value[1] & 0x80:
            raise Malformed("a number with needless zeros in front")
        return value[1:]
    if len(value) > MPINT_MAX_BYTES:
        raise Malformed("a number of more than 16384 bits")
    return value


def write_magnitude(value: Bytes) -> bytes:
    """The mpint of a number, given its bytes without zeros in front."""
    if value and value[0] & 0x80:
        return _pack32(len(value) + 1) + b"\0" + value
    return _pack32(len(value)) + value


def _read_mpint_view(reader: Reader) -> memoryview:
    return memoryview(_magnitude(_read_view(reader)))


def _write_mpint(value: int) -> bytes:
    return write_magnitude(value.to_bytes((value.bit_length() + 7) // 8))


BYTE: Codec[int] = Codec(
    write=lambda value: value.to_bytes(1),
    read=lambda reader: reader.take(1)[0],
)
BOOLEAN: Codec[bool] = Codec(
    write=lambda value: b"\1" if value else b"\0",
    read=_read_boolean,
)
UINT32: Codec[int] = Codec(write=_pack32, read=_read_uint32)
UINT64: Codec[int] = Codec(
    write=_UINT64.pack,
    read=lambda reader: int.from_bytes(reader.take(8)),
)
STRING: Codec[bytes] = Codec(write=_write_string, read=_read_string)
TEXT: Codec[str] = Codec(
    write=lambda value: _write_string(value.encode()),
    read=_read_text,
)
VIEW: Codec[memoryview] = Codec(write=_write_string, read=_read_view)
MPINT: Codec[int] = Codec(
    write=_write_mpint,
    read=lambda reader: int.from_bytes(_magnitude(_read_string(reader))),
)
# A secret number: its magnitude, big-endian, where it lies.
MPINT_VIEW: Codec[memoryview] = Codec(write=write_magnitude, read=_read_mpint_view)
REST: Codec[bytes] = Codec(write=bytes, read=lambda reader: reader.rest())


def flag_set(kind: type[F]) -> Codec[F]:
    """A uint32 of bits. Those we have no name for are ignored, as the agent protocol wants.

    They cannot be kept in `kind` either: an enum remembers every value it ever made, and a
    hostile client could have it remember four thousand million.
    """
    named = sum(int(bit) for bit in kind)
    known = {value: kind(value) for value in range(named + 1) if value & named == value}

    def read(reader: Reader) -> F:
        return known[_read_uint32(reader) & named]

    return Codec(write=_pack32, read=read)


def fixed(size: int, what: str) -> Codec[bytes]:
    """A string of exactly `size` bytes."""

    def read(reader: Reader) -> bytes:
        value = _read_string(reader)
        if len(value) != size:
            raise Malformed(f"{what} has {len(value)} bytes, not {size}")
        return value

    return Codec(write=_write_string, read=read)


def fixed_view(size: int, what: str) -> Codec[memoryview]:
    """A string of exactly `size` secret bytes, where they lie."""

    def read(reader: Reader) -> memoryview:
        value = _read_view(reader)
        if len(value) != size:
            raise Malformed(f"{what} has {len(value)} bytes, not {size}")
        return value

    return Codec(write=_write_string, read=read)


def many(item: Codec[T]) -> Codec[tuple[T, ...]]:
    """A count, then that many of `item`."""
    write_item, read_item = item.write, item.read
    return Codec(
        write=lambda values: _pack32(len(values)) + b"".join(map(write_item, values)),
        read=lambda reader: tuple(read_item(reader) for _ in range(_read_uint32(reader))),
    )


def repeated(item: Codec[T], *, most: int | None = None) -> Codec[tuple[T, ...]]:
    """As many of `item` as fit in what is left."""
    write_item, read_item = item.write, item.read

    def read(reader: Reader) -> tuple[T, ...]:
        values: list[T] = []
        while reader.at < reader.size:
            if len(values) == most:
                raise Malformed(f"more than {most} items")
            before = reader.at
            values.append(read_item(reader))
            if reader.at == before:
                raise Malformed("an item of no bytes, repeated for ever")
        return tuple(values)

    return Codec(write=lambda values: b"".join(map(write_item, values)), read=read)


def nested(inner: Codec[T]) -> Codec[T]:
    """A string that holds `inner` and nothing else."""
    write_inner = inner.write
    return Codec(
        write=lambda value: _write_string(write_inner(value)),
        read=lambda reader: decode(inner, _read_view(reader)),
    )


def record(kind: type[T], /, **layout: Codec[Any]) -> Record[T]:
    """The fields of `kind`, one after the other, in the order of `layout`."""
    if tuple(layout) != _field_names(cast(Any, kind)):
        raise TypeError(f"the layout of {kind.__name__} must name its fields, in their order")
    reads = tuple(codec.read for codec in layout.values())
    return Record(
        write=_record_writer(layout),
        read=lambda reader: kind(*[read(reader) for read in reads]),
        kind=kind,
    )


def _field_names(kind: Any) -> tuple[str, ...]:
    """Of a `Struct`, or of a dataclass: 0.4 ms each, for what nobody waits for."""
    names = getattr(kind, "__struct_fields__", None)
    return tuple(kind.__dataclass_fields__ if names is None else names)


def _record_writer(layout: dict[str, Codec[Any]]) -> Callable[[Any], bytes]:
    writes = tuple(codec.write for codec in layout.values())
    if not layout:
        return lambda value: b""
    values = attrgetter(*layout)
    if len(writes) == 1:
        (write_one,) = writes
        return lambda value: write_one(values(value))
    return lambda value: b"".join(
        [write(part) for write, part in zip(writes, values(value), strict=True)]
    )

"""Templates as bytes: `aA`, attributes with values, and `fA`, attributes that are asked for.

How a value crosses follows from its kind and the dialect. In the stock protocol only some types
have a form; the others are the bytes that lie in the caller's memory, so that a CK_ULONG among
them is as wide, and in the order, as the caller has it.

Counts are held against the bytes that are there before anything is made, and templates in
templates end at a fixed depth (CVE-2020-29361, CVE-2026-13757).
"""

import struct
import sys
from collections.abc import Callable, Iterable
from typing import Final, cast

from keyholm.wire.codec import Bytes, Malformed, Reader
from keyholm.wire.pkcs11.attributes import (
    KINDS,
    SECRET,
    STOCK,
    Attribute,
    Kind,
    Template,
    Value,
    Wanted,
)
from keyholm.wire.pkcs11.constants import CKA
from keyholm.wire.pkcs11.dialect import Dialect
from keyholm.wire.pkcs11.values import (
    NULL,
    read_byte,
    read_uint32,
    read_ulong,
    read_ulongs,
    write_uint32,
    write_ulongs,
)

# How deep templates may lie in a template: p11-kit's bound since CVE-2026-13757, and ours.
STOCK_DEPTH: Final = 8
OWN_DEPTH: Final = 4

# Reads what follows the length that the value has in the caller's memory.
ReadValue = Callable[[Reader, int], Value]
# Writes a whole attribute.
WriteAttribute = Callable[[int, Value], bytes]

_WIDTHS: Final = (4, 8)
_ABSENT = struct.Struct(">IB")
_PRESENT = struct.Struct(">IBI")
_WANTED = struct.Struct(">II")
_pack_absent, _unpack_absent = _ABSENT.pack, _ABSENT.unpack_from
_pack_present = _PRESENT.pack
_pack_string = struct.Struct(">IBII").pack
_pack_bool = struct.Struct(">IBIB").pack
_pack_ulong = struct.Struct(">IBIQ").pack


def has_form(number: int, dialect: Dialect) -> bool:
    """Whether a value of this type crosses in a form of its own, not as the caller's bytes."""
    if dialect.is_ours:
        return number in KINDS
    return number in STOCK and (number != CKA.DERIVE_TEMPLATE or dialect.version >= 1)


class Templates:
    """Reads and writes the templates of one dialect."""

    __slots__ = ("_depth", "_nested", "_readers", "_writers")

    def __init__(self, dialect: Dialect) -> None:
        self._depth = OWN_DEPTH if dialect.is_ours else STOCK_DEPTH
        self._nested = frozenset(
            number
            for number, kind in KINDS.items()
            if kind is Kind.TEMPLATE and has_form(number, dialect)
        )
        self._readers = {
            number: _reader(number, kind, dialect)
            for number, kind in KINDS.items()
            if number not in self._nested
        }
        self._writers = {
            number: self._template_writer(dialect)
            if number in self._nested
            else _writer(number, kind, dialect)
            for number, kind in KINDS.items()
        }

    def read(self, reader: Reader) -> Template:
        return self._read(reader, self._depth)

    def _read(self, reader: Reader, depth: int) -> Template:
        count = _count(reader, _ABSENT.size)
        found: list[Attribute] = []
        for _ in range(count):
            at = reader.at
            if at + 5 > reader.size:
                reader.take(5)
            number, is_there = _unpack_absent(reader.data, at)
            reader.at = at + 5
            if not is_there:
                found.append((number, None))
                continue
            length = read_uint32(reader)
            if number in self._nested:
                if not depth:
                    raise Malformed("templates too deep in templates")
                found.append((number, self._read(reader, depth - 1)))
            else:
                found.append((number, self._readers.get(number, _read_bytes)(reader, length)))
        return tuple(found)

    def write(self, template: Iterable[Attribute]) -> bytes:
        writers = self._writers
        parts = [
            _pack_absent(number, 0)
            if value is None
            else writers.get(number, _write_bytes)(number, value)
            for number, value in template
        ]
        parts.insert(0, write_uint32(len(parts)))
        return b"".join(parts)

    def read_wanted(self, reader: Reader) -> tuple[Wanted, ...]:
        count = _count(reader, _WANTED.size)
        at = reader.at
        reader.at = at + 8 * count
        flat = struct.unpack_from(f">{2 * count}I", reader.data, at)
        return tuple(zip(flat[::2], flat[1::2], strict=True))

    def read_wanted_nested(self, reader: Reader) -> tuple[Wanted, ...]:
        """As p11-kit from 0.25.4 on, and we, have it: after a template with room what is in it."""
        return self._read_nested(reader, self._depth)

    def _read_nested(self, reader: Reader, depth: int) -> tuple[Wanted, ...]:
        found: list[Wanted] = []
        for _ in range(_count(reader, _WANTED.size)):
            number, room = read_uint32(reader), read_uint32(reader)
            found.append((number, room))
            if room and number in self._nested:
                if not depth:
                    raise Malformed("templates too deep in templates")
                self._read_nested(reader, depth - 1)
        return tuple(found)

    def write_wanted(self, wanted: Iterable[Wanted]) -> bytes:
        # What is wanted of a template that has room would have to be told. Asked for its length
        # alone it has none, and a daemon of ours answers in full.
        asked = [
            _WANTED.pack(number, 0 if number in self._nested else room) for number, room in wanted
        ]
        return write_uint32(len(asked)) + b"".join(asked)

    def _template_writer(self, dialect: Dialect) -> WriteAttribute:
        size = dialect.attribute_size

        def write(number: int, value: Value) -> bytes:
            inside = cast(Template, value)
            return _pack_present(number, 1, len(inside) * size) + self.write(inside)

        return write


def _count(reader: Reader, least: int) -> int:
    """A count of things that take at least so many bytes each."""
    count = read_uint32(reader)
    if count * least > reader.size - reader.at:
        raise Malformed(f"{count} attributes promised, {reader.left} bytes left")
    return count


def _reader(number: int, kind: Kind, dialect: Dialect) -> ReadValue:
    if has_form(number, dialect) and kind in _READ:
        return _READ[kind]
    if kind is Kind.ULONGS:
        return _raw_ulongs_reader(dialect.ulong)
    return _READ_RAW.get(kind) or (_read_string if number in SECRET else _read_bytes)


def _writer(number: int, kind: Kind, dialect: Dialect) -> WriteAttribute:
    if kind is Kind.BOOL and has_form(number, dialect):
        return _write_bool
    forms = _WRITE if has_form(number, dialect) else _WRITE_RAW
    return forms[kind](dialect.ulong) if kind in forms else _write_bytes


def _read_bool(reader: Reader, length: int) -> Value:
    value = read_byte(reader)
    return value != 0 if length == 1 else None


def _read_ulong(reader: Reader, length: int) -> Value:
    value = read_ulong(reader)
    return value if length in _WIDTHS else None


def _read_ulongs(reader: Reader, _length: int) -> Value:
    return read_ulongs(reader)


def _read_string(reader: Reader, length: int) -> memoryview | None:
    """A byte-string. Its length stands there twice (CVE-2020-29363: one of them was believed)."""
    size = read_uint32(reader)
    if size == NULL:
        return memoryview(b"") if length == 0 else None
    if size != length:
        raise Malformed(f"an attribute of {length} bytes that has {size}")
    return reader.view(size)


def _read_bytes(reader: Reader, length: int) -> Value:
    value = _read_string(reader, length)
    return value if value is None else bytes(value)


def _read_date(reader: Reader, length: int) -> Value:
    """p11-kit writes nothing or eight bytes, whatever length the caller has given."""
    size = read_uint32(reader)
    value = b"" if size == NULL else reader.take(size)
    return value if len(value) == length and length in (0, 8) else None


def _read_raw_bool(reader: Reader, length: int) -> Value:
    value = _read_bytes(reader, length)
    return value != b"\0" if length == 1 and value is not None else None


def _read_raw_ulong(reader: Reader, length: int) -> Value:
    value = cast(bytes | None, _read_bytes(reader, length))
    return int.from_bytes(value, sys.byteorder) if value and length in _WIDTHS else None


def _raw_ulongs_reader(width: int) -> ReadValue:
    def read(reader: Reader, length: int) -> Value:
        value = cast(bytes | None, _read_bytes(reader, length))
        if value is None or length % width:
            return None
        return tuple(
            int.from_bytes(value[at : at + width], sys.byteorder) for at in range(0, length, width)
        )

    return read


def _read_pointers(reader: Reader, length: int) -> Value:
    """The bytes of CK_ATTRIBUTE structures: addresses in somebody else's memory."""
    _read_bytes(reader, length)
    return None


_READ: Final[dict[Kind, ReadValue]] = {
    Kind.BOOL: _read_bool,
    Kind.ULONG: _read_ulong,
    Kind.ULONGS: _read_ulongs,
    Kind.DATE: _read_date,
}
_READ_RAW: Final[dict[Kind, ReadValue]] = {
    Kind.BOOL: _read_raw_bool,
    Kind.ULONG: _read_raw_ulong,
    Kind.TEMPLATE: _read_pointers,
}


def _write_bytes(number: int, value: Value) -> bytes:
    data = cast(Bytes, value)
    size = len(data)
    return _pack_string(number, 1, size, size) + data


def _write_bool(number: int, value: Value) -> bytes:
    return _pack_bool(number, 1, 1, 1 if value else 0)


def _ulong_writer(width: int) -> WriteAttribute:
    return lambda number, value: _pack_ulong(number, 1, width, value)


def _ulongs_writer(width: int) -> WriteAttribute:
    def write(number: int, value: Value) -> bytes:
        values = cast(tuple[int, ...], value)
        return _pack_present(number, 1, len(values) * width) + write_ulongs(values)

    return write


def _raw_bool_writer(_width: int) -> WriteAttribute:
    return lambda number, value: _write_bytes(number, b"\1" if value else b"\0")


def _raw_ulong_writer(width: int) -> WriteAttribute:
    return lambda number, value: _write_bytes(number, _raw(cast(int, value), width))


def _raw_ulongs_writer(width: int) -> WriteAttribute:
    return lambda number, value: _write_bytes(
        number, b"".join(_raw(item, width) for item in cast(tuple[int, ...], value))
    )


def _pointers_writer(_width: int) -> WriteAttribute:
    return lambda number, _: _pack_absent(number, 0)


def _raw(value: int, width: int) -> bytes:
    """As it lies in the memory of the client; what is -1 in 64 bits is -1 in 32."""
    return (value & (1 << 8 * width) - 1).to_bytes(width, sys.byteorder)


_WRITE: Final[dict[Kind, Callable[[int], WriteAttribute]]] = {
    Kind.ULONG: _ulong_writer,
    Kind.ULONGS: _ulongs_writer,
}
_WRITE_RAW: Final[dict[Kind, Callable[[int], WriteAttribute]]] = {
    Kind.BOOL: _raw_bool_writer,
    Kind.ULONG: _raw_ulong_writer,
    Kind.ULONGS: _raw_ulongs_writer,
    Kind.TEMPLATE: _pointers_writer,
}

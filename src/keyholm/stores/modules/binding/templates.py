"""Templates: attributes of a request as C has them."""

import struct
import sys
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, cast

from keyholm.stores.modules.binding.failing import Failed
from keyholm.stores.modules.binding.memory import Memory
from keyholm.stores.modules.binding.structures import WORD, layout, narrow
from keyholm.wire.codec import Bytes
from keyholm.wire.pkcs11.attributes import KINDS, Attribute, Kind, Template, Value
from keyholm.wire.pkcs11.constants import CKA, CKR

# CK_ATTRIBUTE: two CK_ULONG with a pointer between.
ROW: Final = layout("CK_ATTRIBUTE").size
ROWS: Final = struct.Struct("@LPL" if sys.platform != "win32" else "=LQL")

Row = tuple[int, int, int]  # type, address, length


class LaidTemplate(NamedTuple):
    address: int
    rows: int


def lay_template(memory: Memory, template: Template) -> LaidTemplate:
    rows = [_row(memory, attribute) for attribute in template]
    return LaidTemplate(lay_rows(memory, rows), len(rows))


def lay_rows(memory: Memory, rows: Iterable[Row]) -> int:
    pack = ROWS.pack
    return memory.put(b"".join([pack(*row) for row in rows]))


def _row(memory: Memory, attribute: Attribute) -> Row:
    number, value = attribute
    if value is None:
        raise Failed(CKR.ATTRIBUTE_VALUE_INVALID, f"{CKA.name(number)} has no such value.")
    kind = KINDS.get(number, Kind.BYTES)
    if kind is Kind.TEMPLATE:
        inside = lay_template(memory, cast("Template", value))
        return number, inside.address, inside.rows * ROW
    data = _BYTES.get(kind, _plain)(value)
    return number, memory.put(data), len(data)


def _bool(value: Value) -> bytes:
    return b"\1" if value else b"\0"


def _ulong(value: Value) -> bytes:
    return narrow(cast(int, value)).to_bytes(WORD, sys.byteorder)


def _ulongs(value: Value) -> bytes:
    return b"".join(map(_ulong, cast("tuple[int, ...]", value)))


def _plain(value: Value) -> Bytes:
    return cast("Bytes", value)


_BYTES: Final[dict[Kind, Callable[[Value], Bytes]]] = {
    Kind.BOOL: _bool,
    Kind.ULONG: _ulong,
    Kind.ULONGS: _ulongs,
}

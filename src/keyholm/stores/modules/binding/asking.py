"""C_GetAttributeValue of one object: what it says, held against what it was given."""

import ctypes
import struct
import sys
from collections.abc import Callable, Sequence
from typing import Final

from keyholm.stores.modules.binding.failing import Failed, broken, refused
from keyholm.stores.modules.binding.memory import Memory
from keyholm.stores.modules.binding.structures import UNAVAILABLE, WORD, wide
from keyholm.stores.modules.binding.templates import ROW, ROWS, Row
from keyholm.wire.pkcs11.attributes import KINDS, Kind, Value
from keyholm.wire.pkcs11.constants import CKA, CKR

ReadValue = Callable[[bytes], Value]
GetAttributeValue = Callable[[int, int, int, int], int]

FUNCTION: Final = "C_GetAttributeValue"
UNTOLD: Final = (CKR.ATTRIBUTE_SENSITIVE, CKR.ATTRIBUTE_TYPE_INVALID)
PARTLY: Final = (*UNTOLD, CKR.BUFFER_TOO_SMALL)
_REMEMBERED: Final = 64  # forms of so many rows
MOST_BYTES: Final = 16 << 20  # of all values of an answer


class Asking:
    def __init__(
        self, function: GetAttributeValue, memory: Memory, session: int, target: int
    ) -> None:
        self._function = function
        self._memory = memory
        self._session = session
        self._object = target
        self._left = MOST_BYTES

    def ask(self, *rows: int) -> tuple[int, tuple[int, ...]]:
        """The code, and the lengths: each row is a type, an address and the room that is there.

        What the module made of the types and addresses is not looked at.
        """
        count = len(rows) // 3
        form = _forms.get(count) or _form(count)
        address = self._memory.put(form.pack(*rows))
        rv = self._function(self._session, self._object, address, count)
        if rv and rv not in PARTLY:
            raise refused(FUNCTION, rv)
        return rv, form.unpack(self._memory.bytes_at(address, form.size))[2::3]

    def length(self, number: int) -> tuple[int, int]:
        """The code and the length of one: UNAVAILABLE if it is not told."""
        rv, (length,) = self.ask(number, 0, 0)
        return rv, UNAVAILABLE if rv in PARTLY else length

    def guess(self, size: int) -> int:
        return self._memory.room(size)

    def room(self, number: int, length: int) -> int:
        """Room for what a module says that it has."""
        self._left -= length
        if self._left < 0:
            raise broken(FUNCTION, f"says that {CKA.name(number)} has {length} bytes")
        return self._memory.room(length)

    def bytes_at(self, address: int, length: int) -> bytes:
        return self._memory.bytes_at(address, length)


_forms: dict[int, struct.Struct] = {}


def _form(count: int) -> struct.Struct:
    """So many rows."""
    form = struct.Struct(ROWS.format[:1] + ROWS.format[1:] * count)
    if count <= _REMEMBERED:
        _forms[count] = form
    return form


def too_long(number: int, length: int, room: int) -> Failed:
    return broken(FUNCTION, f"gave {length} bytes of {CKA.name(number)} into room for {room}")


def value_of(number: int, data: bytes) -> Value:
    """A value as it crosses; None of what cannot be one of its kind."""
    return reader_of(number)(data)


def reader_of(number: int) -> ReadValue:
    return _VALUES.get(KINDS.get(number, Kind.BYTES), bytes)


def write_rows(address: int, rows: Sequence[Row]) -> None:
    """Into memory that has room for them."""
    ctypes.memmove(address, b"".join([ROWS.pack(*row) for row in rows]), len(rows) * ROW)


def _bool(data: bytes) -> bool | None:
    return any(data) if 1 <= len(data) <= 8 else None


def _ulong(data: bytes) -> int | None:
    # Cards' modules have been seen to give a number in four bytes where CK_ULONG has eight.
    if len(data) == WORD:
        return wide(int.from_bytes(data, sys.byteorder))
    return int.from_bytes(data, sys.byteorder) if len(data) in (1, 2, 4) else None


def _ulongs(data: bytes) -> tuple[int, ...] | None:
    if len(data) % WORD:
        return None
    return tuple(
        wide(int.from_bytes(data[at : at + WORD], sys.byteorder))
        for at in range(0, len(data), WORD)
    )


def _date(data: bytes) -> bytes | None:
    return data if len(data) in (0, 8) else None


_VALUES: Final[dict[Kind, ReadValue]] = {
    Kind.BOOL: _bool,
    Kind.ULONG: _ulong,
    Kind.ULONGS: _ulongs,
    Kind.DATE: _date,
}

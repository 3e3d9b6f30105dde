"""Attributes of an object, each in full, whatever a module makes of the others.

All are asked for at once, with more room than most values take. What was too large, and what a
module left alone when it came upon one that it does not tell, is asked for by itself: the code
of a call is that of one attribute, and nothing says of which. So it is with all of them where one
spoils the call: SoftHSM2 has CKR_GENERAL_ERROR for the date of a private object.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from keyholm.stores.modules.binding import nested
from keyholm.stores.modules.binding.asking import (
    PARTLY,
    UNTOLD,
    Asking,
    ReadValue,
    reader_of,
    too_long,
    value_of,
)
from keyholm.stores.modules.binding.failing import Failed
from keyholm.stores.modules.binding.structures import UNAVAILABLE
from keyholm.wire.pkcs11.attributes import KINDS, Kind, Template, Value
from keyholm.wire.pkcs11.constants import CKR

MOST_ATTRIBUTES: Final = 4096  # asked for at once

# What a module may say of all because of one.
_SPOILED: Final = (
    CKR.GENERAL_ERROR,
    CKR.FUNCTION_FAILED,
    CKR.FUNCTION_NOT_SUPPORTED,
    CKR.ARGUMENTS_BAD,
    CKR.ATTRIBUTE_VALUE_INVALID,
)


class _Shape(NamedTuple):
    """How an attribute is asked for."""

    number: int
    room: int
    is_small: bool  # no value is larger than its room
    value: ReadValue


# More than a value takes, so that a length which a module left alone is that of no value.
_ROOMS: Final = {Kind.BOOL: 16, Kind.ULONG: 16, Kind.DATE: 16}
_ROOM: Final = 4096
_SMALL: Final = frozenset((*_ROOMS, Kind.NUMBER))


def _shape(number: int) -> _Shape:
    kind = KINDS.get(number, Kind.BYTES)
    return _Shape(number, _ROOMS.get(kind, _ROOM), kind in _SMALL, reader_of(number))


_shapes: Final = {number: _shape(number) for number in KINDS}


def read_attributes(asking: Asking, types: Sequence[int]) -> tuple[Template, int]:
    """The attributes in that order, and the code: OK, or why one of them is not told."""
    if len(types) > MOST_ATTRIBUTES:
        raise Failed(CKR.ARGUMENTS_BAD, f"{len(types)} attributes are too many at once.")
    told: dict[int, Value] = {}
    plain = [number for number in types if KINDS.get(number) is not Kind.TEMPLATE]
    code = _read_plain(asking, plain, told) if plain else CKR.OK
    for number in types:
        if number not in told:
            told[number], reason = nested.read_template(asking, number)
            code = code or reason
    return tuple([(number, told[number]) for number in types]), code


def _read_plain(asking: Asking, types: Sequence[int], told: dict[int, Value]) -> int:
    shapes = [_shapes.get(number) or _shape(number) for number in types]
    address = asking.guess(sum([shape.room for shape in shapes]))
    rows: list[int] = []
    for shape in shapes:
        rows += (shape.number, address, shape.room)
        address += shape.room
    try:
        rv, lengths = asking.ask(*rows)
    except Failed as failed:
        if failed.code not in _SPOILED or len(types) == 1:
            raise
        return _read_each(asking, types, told, failed)
    code = rv if rv in UNTOLD else CKR.OK
    for (number, room, is_small, value), at, length in zip(
        shapes, rows[1::3], lengths, strict=True
    ):
        if length < room or (length == room and rv == CKR.OK):
            told[number] = value(asking.bytes_at(at, length))
        elif length == UNAVAILABLE and (rv == CKR.OK or (is_small and rv in UNTOLD)):
            told[number] = None  # nor would it be with more room
        elif rv == CKR.OK:
            raise too_long(number, length, room)
        else:
            told[number], reason = _read_alone(asking, number)
            code = code or reason
    return code


def _read_each(
    asking: Asking, types: Sequence[int], told: dict[int, Value], spoiled: Failed
) -> int:
    code = CKR.OK
    for number in types:
        try:
            told[number], reason = _read_alone(asking, number)
        except Failed as failed:
            if failed.code not in _SPOILED:
                raise
            told[number], reason = None, CKR.ATTRIBUTE_TYPE_INVALID
        code = code or reason
    if all(value is None for value in told.values()):
        raise spoiled
    return code


def _read_alone(asking: Asking, number: int) -> tuple[Value, int]:
    """Its length first, as it may be long."""
    rv, length = asking.length(number)
    if length == UNAVAILABLE:
        return None, rv if rv in UNTOLD else CKR.OK
    address = asking.room(number, length)
    rv, (now,) = asking.ask(number, address, length)
    if rv in PARTLY or now == UNAVAILABLE:
        return None, rv if rv in UNTOLD else CKR.OK
    if now > length:
        raise too_long(number, now, length)
    return value_of(number, asking.bytes_at(address, now)), CKR.OK

"""Attributes of an object, each in full, whatever a module makes of the others.

All are asked for at once, with more room than most values take. What was too large, and what a
module left alone when it came upon one that it does not tell, is asked for by itself: the code
of a call is that of one attribute, and nothing says of which. So it is with all of them where one
spoils the call: SoftHSM2 has CKR_GENERAL_ERROR for the date of a private object.
"""

from collections.abc import Sequence
from typing import Final

from keyholm.stores.modules.binding import nested
from keyholm.stores.modules.binding.asking import PARTLY, UNTOLD, Asking, too_long
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
# More than a value takes, so that a length which a module left alone is that of no value.
_ROOMS: Final = {Kind.BOOL: 16, Kind.ULONG: 16, Kind.DATE: 16}
_ROOM: Final = 4096
# No value of these is larger than its room.
_SMALL: Final = frozenset((*_ROOMS, Kind.NUMBER))


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
    asked = [_with_room(asking, number) for number in types]
    try:
        rv, lengths = asking.ask(asked)
    except Failed as failed:
        if failed.code not in _SPOILED or len(types) == 1:
            raise
        return _read_each(asking, types, told, failed)
    code = rv if rv in UNTOLD else CKR.OK
    for (number, address, size), length in zip(asked, lengths, strict=True):
        if length < size or (length == size and rv == CKR.OK):
            told[number] = asking.value(number, address, length)
        elif length == UNAVAILABLE and _is_untold(number, rv):
            told[number] = None
        elif rv == CKR.OK:
            raise too_long(number, length, size)
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


def _with_room(asking: Asking, number: int) -> tuple[int, int, int]:
    size = _ROOMS.get(KINDS.get(number, Kind.BYTES), _ROOM)
    return number, asking.guess(size), size


def _is_untold(number: int, rv: int) -> bool:
    """Whether a value that was not given would not be with more room either."""
    return rv == CKR.OK or (rv in UNTOLD and KINDS.get(number) in _SMALL)


def _read_alone(asking: Asking, number: int) -> tuple[Value, int]:
    """Its length first, as it may be long."""
    rv, length = asking.length(number)
    if length == UNAVAILABLE:
        return None, rv if rv in UNTOLD else CKR.OK
    address = asking.room(number, length)
    rv, (now,) = asking.ask([(number, address, length)])
    if rv in PARTLY or now == UNAVAILABLE:
        return None, rv if rv in UNTOLD else CKR.OK
    if now > length:
        raise too_long(number, now, length)
    return asking.value(number, address, now), CKR.OK

"""Templates as attributes: CKA_WRAP_TEMPLATE and its like, read from a module.

The length of one tells how many attributes are in it; those, without room, tell their types and
lengths; with room, their values. Each round makes room for what the one before told of.
"""

from collections.abc import Iterator
from typing import Final

from msgspec import Struct, field

from keyholm.stores.modules.binding.asking import (
    FUNCTION,
    UNTOLD,
    Asking,
    too_long,
    value_of,
    write_rows,
)
from keyholm.stores.modules.binding.failing import broken
from keyholm.stores.modules.binding.memory import read
from keyholm.stores.modules.binding.structures import UNAVAILABLE
from keyholm.stores.modules.binding.templates import ROW, ROWS
from keyholm.wire.pkcs11.attributes import KINDS, Attribute, Kind, Template, Value
from keyholm.wire.pkcs11.constants import CKA, CKR
from keyholm.wire.pkcs11.templates import OWN_DEPTH

_LARGEST_TYPE: Final = 0xFFFFFFFF  # that crosses


class _Row(Struct):
    type: int = 0
    length: int = 0
    address: int = 0
    room: int = 0
    inside: list["_Row"] = field(default_factory=list)

    @property
    def is_template(self) -> bool:
        return KINDS.get(self.type) is Kind.TEMPLATE


def read_template(asking: Asking, number: int) -> tuple[Value, int]:
    """The template, or None and the code that says why not."""
    rv, length = asking.length(number)
    root = _Row(number, length)
    while _make_room(asking, root, OWN_DEPTH):
        for row in _templates(root):
            write_rows(row.address, [(each.type, each.address, each.room) for each in row.inside])
        rv, (root.length,) = asking.ask(root.type, root.address, root.room)
        for row in _templates(root):
            _look(row)
    return _value(root), rv if rv in UNTOLD else CKR.OK


def _make_room(asking: Asking, row: _Row, depth: int) -> bool:
    """For what has none; whether there was such."""
    if row.address:
        # All of them, not until the first.
        return sum(_make_room(asking, each, depth - 1) for each in row.inside) > 0
    if row.length in (0, UNAVAILABLE):
        return False
    if row.is_template:
        if row.length % ROW:
            raise broken(FUNCTION, f"says that {CKA.name(row.type)} has {row.length} bytes")
        if depth < 1:
            raise broken(FUNCTION, "nests templates too deep")
    row.address, row.room = asking.room(row.type, row.length), row.length
    if row.is_template:
        row.inside = [_Row() for _ in range(row.length // ROW)]
    return True


def _templates(row: _Row) -> Iterator[_Row]:
    """Those with room, from the outermost inwards."""
    if row.inside:
        yield row
        for each in row.inside:
            yield from _templates(each)


def _look(row: _Row) -> None:
    """At what a module wrote there: its pointers are not followed."""
    written = ROWS.iter_unpack(read(row.address, row.room))
    for each, (number, _, length) in zip(row.inside, written, strict=True):
        if each.address and number != each.type:
            raise broken(FUNCTION, f"changes the types in {CKA.name(row.type)}")
        if number > _LARGEST_TYPE:
            raise broken(FUNCTION, f"tells of the attribute 0x{number:X}")
        each.type, each.length = number, length


def _value(row: _Row) -> Value:
    if row.length == UNAVAILABLE:
        return None
    if row.length > row.room:
        raise too_long(row.type, row.length, row.room)
    if row.is_template:
        return _template(row)
    return value_of(row.type, read(row.address, row.length) if row.length else b"")


def _template(row: _Row) -> Template:
    found: list[Attribute] = [(each.type, _value(each)) for each in row.inside]
    return tuple(found[: row.length // ROW])

"""How one call of the table is made of a C function, worked out once."""

from typing import Any, Final

from keyholm.stores.modules.binding.arguments import LENGTH, Load, loader
from keyholm.stores.modules.binding.failing import broken, refused
from keyholm.stores.modules.binding.output import MOST
from keyholm.stores.modules.binding.results import LONGEST, Give, giver, member_giver
from keyholm.stores.modules.binding.structures import Layout, layout
from keyholm.stores.modules.binding.work import Work
from keyholm.wire.pkcs11.calls import Call, Parameter, Type
from keyholm.wire.pkcs11.constants import CKR
from keyholm.wire.pkcs11.messages import NO_BYTES

_GROWTH: Final = 4


class Plan:
    __slots__ = ("_cells", "_gives", "_loads", "_result", "_structure", "call", "function", "size")

    def __init__(self, call: Call) -> None:
        self.call = call
        self.function = (call.function or "").removeprefix("C_")
        self.size = len(call.arguments)
        self._loads: tuple[Load, ...] = tuple(
            loader(call, parameter) for parameter in call.takes if parameter.type
        )
        cells = _cells_of(call)
        # What the module writes a number into, but for the length of a result: the room has that.
        self._cells = tuple(
            (call.arguments.index(name), cell) for name, cell in cells.items() if cell != LENGTH
        )
        self._structure = _structure_of(call)
        self._gives: tuple[Give, ...] = tuple(
            self._giver(parameter, cells) for parameter in call.gives if parameter.type
        )
        self._result = _result_of(call)

    def run(self, work: Work, values: tuple[Any, ...]) -> tuple[Any, ...]:
        function = work.function(self.function)
        arguments: list[Any] = [None] * self.size
        for at, cell in self._cells:
            work.cells[cell] = 0
            arguments[at] = work.addresses[cell]
        if self._structure:
            at, kind = self._structure
            arguments[at] = work.memory.room(kind.size)
        for load, value in zip(self._loads, values, strict=True):
            load(work, arguments, value)
        rv = function(*arguments)
        while rv == CKR.BUFFER_TOO_SMALL and self._grow(work, arguments):
            rv = function(*arguments)
        if rv and not (rv == CKR.BUFFER_TOO_SMALL and work.only_length):
            work.output.wipe()
            raise refused(f"C_{self.function}", rv)
        return tuple([give(work, arguments) for give in self._gives])

    def _giver(self, parameter: Parameter, cells: dict[str, int]) -> Give:
        if self._structure and "->" in parameter.c:
            return member_giver(self.call, parameter, self._structure[1])
        name = parameter.c.split()[-1]
        return giver(self.call, parameter, cells.get(name, LENGTH))

    def _grow(self, work: Work, arguments: list[Any]) -> bool:
        """More room, if the caller has it; else it is told how much that takes."""
        told: int = work.cells[LENGTH]
        most = 0 if work.room == NO_BYTES else min(work.room, MOST)
        if told > most and told <= LONGEST:
            work.only_length = True
            return False
        if self._result is None or work.capacity >= most:
            what = f"says that {work.capacity} are too few, and not how many it takes"
            raise broken(f"C_{self.function}", what)
        work.output.wipe()
        capacity = told if told > work.capacity else work.capacity * _GROWTH + 1
        work.capacity = min(capacity, most)
        arguments[self._result] = work.output.room(work.capacity)
        work.cells[LENGTH] = work.capacity
        return True


def _cells_of(call: Call) -> dict[str, int]:
    """The cell of each argument that a number is written through."""
    found: dict[str, int] = {}
    rooms = {p.c.split()[1] for p in call.takes if p.type in (Type.ROOM, Type.ULONG_ROOM)}
    for parameter in call.gives:
        if parameter.type not in (Type.ULONG, Type.ULONGS, Type.BYTES) or "->" in parameter.c:
            continue
        name = parameter.c.split()[-1]
        found[name] = (
            LENGTH if name in rooms else 1 + sum(cell != LENGTH for cell in found.values())
        )
    return found


def _structure_of(call: Call) -> tuple[int, Layout] | None:
    """The structure that the module fills: which argument points to it."""
    for kind, name in call.prototype:
        if name == "pInfo":
            return call.arguments.index(name), layout(kind.removesuffix("_PTR"))
    return None


def _result_of(call: Call) -> int | None:
    """The argument that points to the room of a result of bytes."""
    for parameter in call.takes:
        names = parameter.c.split()
        if parameter.type is Type.ROOM and names[1].startswith("pul"):
            return call.arguments.index(names[0])
    return None

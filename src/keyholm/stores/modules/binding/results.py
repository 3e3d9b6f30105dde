"""What a call gives: from memory to the values of the answer, which are checked."""

import struct
from collections.abc import Callable
from typing import Any, Final

from keyholm.stores.modules.binding.arguments import LENGTH
from keyholm.stores.modules.binding.failing import broken
from keyholm.stores.modules.binding.memory import read
from keyholm.stores.modules.binding.parameters import taken_back
from keyholm.stores.modules.binding.structures import WORD, Layout, wide
from keyholm.stores.modules.binding.work import Work
from keyholm.wire.pkcs11.calls import Call, Parameter, Type
from keyholm.wire.pkcs11.mechanisms import write_message, write_wrap_parameter
from keyholm.wire.pkcs11.parameters import Parameter as Fields

Arguments = list[Any]
Give = Callable[[Work, Arguments], Any]

LONGEST: Final = 0xFFFFFFFE  # a length that crosses

_LETTER: Final = "L" if struct.calcsize("@L") == WORD else "I"


def giver(call: Call, parameter: Parameter, cell: int) -> Give:
    """`cell` is where a number lies that the module writes through a pointer."""
    names = parameter.c.split()
    function = call.function or ""
    match parameter.type:
        case Type.ULONG if names[0].startswith("ph"):
            return _handle(function, cell)
        case Type.ULONG:
            return lambda work, _: wide(work.cells[cell])
        case Type.BYTES if names[1].startswith("ul"):
            return lambda work, _: work.output.take(work.capacity)
        case Type.BYTES:
            return lambda work, _: result(work, function)
        case Type.ULONGS:
            pointer = call.arguments.index(names[0])
            is_handles = names[0].startswith("ph")
            return _list(function, pointer, cell, is_handles=is_handles)
        case Type.MESSAGE if "->" in parameter.c:
            return _wrap_parameter
        case Type.MESSAGE:
            return _message_parameter
        case other:
            raise TypeError(f"{call.name}: no way to take {other!r}")


def member_giver(call: Call, parameter: Parameter, layout: Layout) -> Give:
    """Of a value that is a member of the structure that a call fills."""
    pointer, _, name = parameter.c.partition("->")
    at = call.arguments.index(pointer)
    member = layout.members[name]
    take = _MEMBERS[parameter.type]

    def give(_work: Work, arguments: Arguments) -> Any:
        return take(read(arguments[at] + member.offset, member.size))

    return give


def result(work: Work, function: str) -> bytes | int:
    """The bytes, or only their length if that was asked for."""
    if not work.is_last:
        return b""
    length: int = work.cells[LENGTH]
    if length > LONGEST:
        raise broken(function, f"says that its result has {length} bytes")
    if work.only_length:
        return length
    if length > work.capacity:
        raise broken(function, f"gave {length} bytes into room for {work.capacity}")
    return work.output.take(length)


def _handle(function: str, cell: int) -> Give:
    def give(work: Work, _arguments: Arguments) -> int:
        handle: int = work.cells[cell]
        # Nothing was made if only a length was asked for.
        if handle == 0 and not work.only_length:
            raise broken(function, "gave the handle 0, which is none")
        return handle

    return give


def _list(function: str, pointer: int, cell: int, *, is_handles: bool) -> Give:
    def give(work: Work, arguments: Arguments) -> tuple[int, ...] | int:
        count: int = work.cells[cell]
        if count > LONGEST:
            raise broken(function, f"says that there are {count}")
        if work.only_length:
            return count
        if count > work.capacity:
            raise broken(function, f"gave {count} where {work.capacity} were asked for")
        found = struct.unpack(f"@{count}{_LETTER}", read(arguments[pointer], count * WORD))
        if is_handles and 0 in found:
            # YKCS11 counts its objects from 0, which names none: a data object, so never mind.
            found = tuple(filter(None, found))
        return tuple(map(wide, found)) if WORD < 8 else found

    return give


def _message_parameter(work: Work, _arguments: Arguments) -> bytes | None:
    parameter = _now(work)
    if isinstance(parameter, Fields):
        return write_message(work.mechanism_type, parameter)
    return parameter


def _wrap_parameter(work: Work, _arguments: Arguments) -> bytes | None:
    parameter = _now(work)
    if isinstance(parameter, Fields):
        return write_wrap_parameter(work.mechanism_type, parameter)
    return parameter


def _now(work: Work) -> Fields | bytes | None:
    """The parameter as the module left it."""
    parameter, laid = work.parameter, work.laid
    if isinstance(parameter, Fields):
        return taken_back(parameter, laid)
    return read(laid.address, laid.size) if parameter and laid.address else parameter


def _text(data: bytes) -> str:
    """Filled up with spaces by the standard, and by some modules as C strings are."""
    return data.partition(b"\0")[0].decode(errors="replace").rstrip(" ")


def _number(data: bytes) -> int:
    (value,) = struct.unpack(f"@{_LETTER}", data)
    return wide(value)


_MEMBERS: Final[dict[Type, Callable[[bytes], Any]]] = {
    Type.ULONG: _number,
    Type.SPACED: _text,
    Type.VERSION: lambda data: (data[0], data[1]),
}

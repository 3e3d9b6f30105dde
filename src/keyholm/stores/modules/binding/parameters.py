"""Parameters of mechanisms: from their fields to the structures that C has, and back.

Read off the forms of `wire.pkcs11.parameters`, which say of which members each field is made.
A pointer to no bytes is NULL: modules that take none (a label, shared data) say so of any other.
"""

import sys
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar, cast

from msgspec.structs import replace

from keyholm.stores.modules.binding.failing import Failed
from keyholm.stores.modules.binding.memory import Memory, read
from keyholm.stores.modules.binding.structures import WORD, Layout, layout, narrow
from keyholm.wire.codec import Bytes
from keyholm.wire.pkcs11.constants import CKR
from keyholm.wire.pkcs11.parameters import (
    OAEP,
    CounterFormat,
    DataParam,
    DkmLength,
    Field,
    FieldKind,
    Flow,
    Form,
    Oaep,
    Parameter,
)

MOST_DATA_PARAMS: Final = 1024
MOST_TAG: Final = 1024

P = TypeVar("P", bound=Parameter)


class Place(NamedTuple):
    address: int
    size: int


class Laid(NamedTuple):
    """A parameter in memory."""

    address: int | None
    size: int
    # Of each field that the module may write into, where it is.
    written: tuple[tuple[str, Place], ...] = ()


NOTHING: Final = Laid(None, 0)


class _Structure(NamedTuple):
    """One that is being filled."""

    memory: Memory
    layout: Layout
    bytes: bytearray
    parameter: Parameter
    encrypts: bool
    written: list[tuple[str, Place]]


Put = Callable[[_Structure, Any], None]


def lay(memory: Memory, form: Form, parameter: Parameter, *, encrypts: bool = False) -> Laid:
    """Whoever encrypts has no tag yet: it gets room for one."""
    if not any(field.c for field in form.fields):
        return _lay_bare(memory, form, parameter)
    kind = layout(form.structure)
    structure = _Structure(memory, kind, bytearray(kind.size), parameter, encrypts, [])
    for field, put in _puts(form):
        put(structure, getattr(parameter, field))
    return Laid(memory.put(structure.bytes), kind.size, tuple(structure.written))


def taken_back(parameter: P, laid: Laid) -> P:
    """The parameter with what the module made of the fields that it may write."""
    return replace(parameter, **{name: read(*place) for name, place in laid.written})


_made: dict[str, tuple[tuple[str, Put], ...]] = {}


def _puts(form: Form) -> tuple[tuple[str, Put], ...]:
    found = _made.get(form.structure)
    if found is None:
        found = tuple((field.name, _put_of(form, field)) for field in form.fields)
        _made[form.structure] = found
    return found


def _lay_bare(memory: Memory, form: Form, parameter: Parameter) -> Laid:
    """The parameter is itself the one field."""
    (field,) = form.fields
    value = getattr(parameter, field.name)
    if field.kind is FieldKind.ULONG:
        return Laid(memory.put(_ulong(value)), WORD)
    return Laid(memory.put(value), len(value)) if value else NOTHING


def _put_of(form: Form, field: Field) -> Put:
    pointer, _, length = field.c.partition(" ")
    match field.kind:
        case FieldKind.ULONG:
            additional = pointer == "ulAdditionalDerivedKeys"
            return _no_additional_keys if additional else _put_ulong(pointer)
        case FieldKind.BOOL:
            return _put_bool(pointer)
        case FieldKind.OAEP:
            return _put_oaep(pointer)
        case FieldKind.DATA_PARAMS:
            return _put_data_params(pointer, length)
        case _ if field.flow is Flow.TAG:
            return _put_tag(field, pointer, _tag_size(form, field, length))
        case _ if layout(form.structure).members[pointer].is_array:
            return _put_array(pointer)
        case kind:
            return _put_string(field, pointer, length, 8 if kind is FieldKind.BITS else 1)


def _put_ulong(member: str) -> Put:
    return lambda structure, value: structure.layout.put_ulong(structure.bytes, member, value)


def _no_additional_keys(_structure: _Structure, value: int) -> None:
    # They do not cross, and a module that was told of some would follow a NULL pointer.
    if value:
        raise _invalid("it asks for additional keys")


def _put_bool(member: str) -> Put:
    return lambda structure, value: structure.layout.put_bytes(
        structure.bytes, member, b"\1" if value else b"\0"
    )


def _put_array(member: str) -> Put:
    return lambda structure, value: structure.layout.put_bytes(structure.bytes, member, value)


def _put_string(field: Field, pointer: str, length: str, per_byte: int) -> Put:
    def put(structure: _Structure, value: Bytes) -> None:
        size = len(value)
        address = structure.memory.put(value) if size else None
        structure.layout.put_pointer(structure.bytes, pointer, address)
        if length:
            _put_length(structure, length, size * per_byte)
        if address and field.flow is Flow.BOTH:
            structure.written.append((field.name, Place(address, size)))

    return put


def _put_length(structure: _Structure, member: str, length: int) -> None:
    if structure.layout.members[member].type == "p":
        address = structure.memory.put(_ulong(length))
        structure.layout.put_pointer(structure.bytes, member, address)
    else:
        structure.layout.put_ulong(structure.bytes, member, length)


def _tag_size(form: Form, field: Field, length: str) -> Callable[[Parameter], int]:
    """How many bytes a tag has: another field says so, or the form."""
    if not length:
        return lambda _: field.size
    name = next(other.name for other in form.fields if other.c == length)
    if field.kind is FieldKind.BITS:
        return lambda parameter: (cast(int, getattr(parameter, name)) + 7) // 8
    return lambda parameter: cast(int, getattr(parameter, name))


def _put_tag(field: Field, pointer: str, size_of: Callable[[Parameter], int]) -> Put:
    def put(structure: _Structure, value: bytes) -> None:
        size = size_of(structure.parameter)
        if size > MOST_TAG or len(value) > size or (value and len(value) != size):
            raise _invalid(f"a tag of {len(value)} bytes where it says {size}")
        # Before the last part of a message there is none, which modules need not look at.
        address = structure.memory.put(value.ljust(size, b"\0"))
        structure.layout.put_pointer(structure.bytes, pointer, address)
        if structure.encrypts:
            structure.written.append((field.name, Place(address, size)))

    return put


def _put_oaep(pointer: str) -> Put:
    def put(structure: _Structure, value: Oaep) -> None:
        laid = lay(structure.memory, OAEP, value)
        structure.layout.put_pointer(structure.bytes, pointer, laid.address)

    return put


def _put_data_params(pointer: str, length: str) -> Put:
    def put(structure: _Structure, values: tuple[DataParam, ...]) -> None:
        if len(values) > MOST_DATA_PARAMS:
            raise _invalid(f"it has {len(values)} pieces of data")
        rows = b"".join(_data_param(structure.memory, value) for value in values)
        address = structure.memory.put(rows) if rows else None
        structure.layout.put_pointer(structure.bytes, pointer, address)
        structure.layout.put_ulong(structure.bytes, length, len(values))

    return put


def _data_param(memory: Memory, param: DataParam) -> bytes:
    kind = layout("CK_PRF_DATA_PARAM")
    row = bytearray(kind.size)
    value = _data_value(param)
    kind.put_ulong(row, "type", param.type)
    kind.put_pointer(row, "pValue", memory.put(value) if value else None)
    kind.put_ulong(row, "ulValueLen", len(value))
    return bytes(row)


def _data_value(param: DataParam) -> bytes:
    match param.value:
        case None:
            return b""
        case CounterFormat(little_endian, width):
            kind = layout("CK_SP800_108_COUNTER_FORMAT")
            value = bytearray(kind.size)
            kind.put_bytes(value, "bLittleEndian", b"\1" if little_endian else b"\0")
            kind.put_ulong(value, "ulWidthInBits", width)
            return bytes(value)
        case DkmLength(method, little_endian, width):
            kind = layout("CK_SP800_108_DKM_LENGTH_FORMAT")
            value = bytearray(kind.size)
            kind.put_ulong(value, "dkmLengthMethod", method)
            kind.put_bytes(value, "bLittleEndian", b"\1" if little_endian else b"\0")
            kind.put_ulong(value, "ulWidthInBits", width)
            return bytes(value)
        case int() as handle:
            return _ulong(handle)
        case data:
            return data


def _ulong(value: int) -> bytes:
    return narrow(value).to_bytes(WORD, sys.byteorder)


def _invalid(what: str) -> Failed:
    return Failed(
        CKR.MECHANISM_PARAM_INVALID, f"The parameter of the mechanism is not valid: {what}."
    )

"""Parameters of mechanisms: what the module makes of the program's structures, the tables read.

The structures are laid out here by the members that native/pkcs11/parameters.h declares.
"""

import ctypes
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from tests.native.driver import ULONG, Mechanism, Module
from tests.native.fake_daemon import FakeDaemon

from keyholm.wire.codec import Reader
from keyholm.wire.pkcs11.constants import CK, CKM, CKR, names
from keyholm.wire.pkcs11.mechanisms import (
    FORMS,
    MESSAGE_FORMS,
    WRAP_FORMS,
    Way,
    read_message,
    reader,
    write_message,
    write_wrap_parameter,
)
from keyholm.wire.pkcs11.parameters import (
    CounterFormat,
    DataParam,
    DkmLength,
    Field,
    FieldKind,
    Flow,
    Form,
)
from native import build

HEADER = (build.SOURCES / "parameters.h").read_text()
SCALARS: dict[str, Any] = {"CK_BBOOL": ctypes.c_ubyte}


class Structure(ctypes.Structure):
    """Keeps what its pointers point to."""

    kept: list[Any]


@cache
def structure(name: str) -> type[Structure]:
    body = re.search(rf"struct {name} {{(.*?)}}", HEADER, re.DOTALL)
    assert body, name
    fields: list[tuple[str, Any]] = []
    for kind, star, member, size in re.findall(r"(\w+) (\*?)(\w+)(?:\[(\d+)\])?;", body[1]):
        if star:
            fields.append((member, ctypes.c_void_p))
        elif size:
            fields.append((member, ctypes.c_ubyte * int(size)))
        else:
            fields.append((member, SCALARS.get(kind, ULONG)))
    return type(name, (Structure,), {"_fields_": fields})


def point(made: Structure, member: str, value: bytes | memoryview) -> None:
    memory = ctypes.create_string_buffer(bytes(value), max(1, len(value)))
    made.kept.append(memory)
    setattr(made, member, ctypes.addressof(memory))


def value_of(form: Form, field: Field, seed: int) -> Any:
    match field.kind:
        case FieldKind.ULONG:
            return seed + 1
        case FieldKind.BOOL:
            return seed % 2 == 0
        case FieldKind.OAEP:
            return example(FORMS[CKM.RSA_PKCS_OAEP])
        case FieldKind.DATA_PARAMS:
            return (
                DataParam(CK.SP800_108_ITERATION_VARIABLE, CounterFormat(True, 16)),
                DataParam(CK.SP800_108_ITERATION_VARIABLE, None),
                DataParam(CK.SP800_108_DKM_LENGTH, DkmLength(1, False, 32)),
                DataParam(CK.SP800_108_BYTE_ARRAY, b"label"),
                DataParam(CK.SP800_108_KEY_HANDLE, 77),
            )
        case _:
            return bytes(range(seed, seed + (field.size or 12)))


def example(form: Form) -> Any:
    values = [value_of(form, field, n) for n, field in enumerate(form.fields)]
    made = form.kind(*values)
    if "tag_bits" in form.kind.__struct_fields__:
        made = type(made)(**{**_fields(made), "tag_bits": 96})
    if "mac_length" in form.kind.__struct_fields__:
        made = type(made)(**{**_fields(made), "mac_length": 12})
    return made


def _fields(made: Any) -> dict[str, Any]:
    return {name: getattr(made, name) for name in made.__struct_fields__}


def in_memory(form: Form, parameter: Any) -> Any:
    """As a C program has it."""
    if not any(field.c for field in form.fields):
        (value,) = _fields(parameter).values()
        return (
            ULONG(value)
            if isinstance(value, int)
            else ctypes.create_string_buffer(value, len(value))
        )
    made = structure(form.structure)()
    made.kept = []
    for field in form.fields:
        _fill(made, field, getattr(parameter, field.name))
    return made


def _fill(made: Structure, field: Field, value: Any) -> None:
    members = field.c.split()
    match field.kind:
        case FieldKind.ULONG | FieldKind.BOOL:
            setattr(made, members[0], value)
        case FieldKind.OAEP:
            inner = in_memory(FORMS[CKM.RSA_PKCS_OAEP], value)
            made.kept.append(inner)
            setattr(made, members[0], ctypes.addressof(inner))
        case FieldKind.DATA_PARAMS:
            params = (structure("CK_PRF_DATA_PARAM") * len(value))(*map(_data_param, value))
            made.kept.append((params, value))
            setattr(made, members[0], ctypes.addressof(params))
            setattr(made, members[1], len(value))
        case FieldKind.BYTES if is_array(made, members[0]):
            setattr(made, members[0], (ctypes.c_ubyte * field.size)(*value))
        case _:
            point(made, members[0], value)
            if len(members) > 1:
                setattr(made, members[1], len(value) * (8 if field.kind is FieldKind.BITS else 1))


def is_array(made: Structure, member: str) -> bool:
    return isinstance(getattr(made, member), ctypes.Array)


KEPT: list[Any] = []


def _data_param(param: DataParam) -> Any:
    match param.value:
        case None:
            return structure("CK_PRF_DATA_PARAM")(param.type, None, 0)
        case CounterFormat(little, width):
            inner: Any = structure("CK_SP800_108_COUNTER_FORMAT")(little, width)
        case DkmLength(method, little, width):
            inner = structure("CK_SP800_108_DKM_LENGTH_FORMAT")(method, little, width)
        case int() as handle:
            inner = ULONG(handle)
        case data:
            inner = ctypes.create_string_buffer(data, len(data))
    KEPT.append(inner)
    return structure("CK_PRF_DATA_PARAM")(param.type, ctypes.addressof(inner), ctypes.sizeof(inner))


def sent_mechanism(daemon: FakeDaemon) -> bytes:
    """From the last request: after the call, its signature and the session, and what Begin does."""
    body = daemon.raw_requests[-1][12:]
    return body[4 + 4 + int.from_bytes(body[4:8]) + 8 :]


def read_back(data: bytes, *, authenticated: bool = False) -> Any:
    return reader(Way.OURS, authenticated=authenticated)(Reader(data)).parameter


ALL = [(number, form) for number, form in sorted(FORMS.items())]


@pytest.mark.parametrize(("number", "form"), ALL, ids=[names(CKM)[number] for number, _ in ALL])
def test_the_tables_read_what_the_module_makes_of_a_parameter(
    module: Module, session: int, daemon: FakeDaemon, number: int, form: Form
) -> None:
    parameter = example(form)
    memory = in_memory(form, parameter)
    mechanism = Mechanism(number, ctypes.addressof(memory), ctypes.sizeof(memory))
    key = ULONG()
    module.GenerateKey(session, ctypes.byref(mechanism), None, 0, ctypes.byref(key))
    assert read_back(sent_mechanism(daemon)) == parameter


@pytest.mark.parametrize(("number", "form"), ALL, ids=[names(CKM)[number] for number, _ in ALL])
def test_a_structure_of_another_size_is_refused(
    module: Module, session: int, daemon: FakeDaemon, number: int, form: Form
) -> None:
    memory = ctypes.create_string_buffer(500)
    daemon.requests.clear()
    mechanism = Mechanism(number, ctypes.addressof(memory), 499)
    key = ULONG()
    rv = module.GenerateKey(session, ctypes.byref(mechanism), None, 0, ctypes.byref(key))
    if form.structure == "CK_BYTE[]":
        assert rv == CKR.FUNCTION_NOT_SUPPORTED
    else:
        assert rv == CKR.MECHANISM_PARAM_INVALID
        assert daemon.requests == []


def pointers_of(form: Form) -> Iterator[tuple[str, str]]:
    for field in form.fields:
        members = field.c.split()
        if len(members) == 2 and field.kind is not FieldKind.DATA_PARAMS:
            yield members[0], members[1]


@pytest.mark.parametrize(("number", "form"), ALL, ids=[names(CKM)[number] for number, _ in ALL])
def test_a_null_pointer_with_a_length_and_a_mad_length_are_refused(
    module: Module, session: int, number: int, form: Form
) -> None:
    key = ULONG()
    for pointer, length in pointers_of(form):
        for member, value in ((pointer, None), (length, 1 << 50)):
            memory = in_memory(form, example(form))
            setattr(memory, member, value)
            mechanism = Mechanism(number, ctypes.addressof(memory), ctypes.sizeof(memory))
            rv = module.GenerateKey(session, ctypes.byref(mechanism), None, 0, ctypes.byref(key))
            assert rv == CKR.MECHANISM_PARAM_INVALID, member


def test_a_mechanism_without_a_form_sends_its_bytes(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    memory = ctypes.create_string_buffer(b"as they lie", 11)
    mechanism = Mechanism(0x80000005, ctypes.addressof(memory), 11)
    module.GenerateKey(session, ctypes.byref(mechanism), None, 0, ctypes.byref(ULONG()))
    assert daemon.requests[-1][1][1] == (0x80000005, 2, b"as they lie")


# --- what the daemon writes back ------------------------------------------------------------------


@pytest.mark.parametrize(("number", "form"), sorted(MESSAGE_FORMS.items()))
def test_a_nonce_and_a_tag_that_encrypting_made_reach_the_program(
    module: Module, session: int, daemon: FakeDaemon, number: int, form: Form
) -> None:
    sent = example(form)
    nonce, tag = _flow(form, Flow.BOTH), _flow(form, Flow.TAG)
    got = type(sent)(**{**_fields(sent), nonce: b"N" * 12, tag: b"T" * len(getattr(sent, tag))})
    daemon.handlers["MessageEncryptInit"] = lambda *_: ()
    daemon.handlers["EncryptMessage"] = lambda *_: (write_message(number, got), b"ciphertext")
    module.check("MessageEncryptInit", session, ctypes.byref(Mechanism(number)), 1)
    memory, room, length = in_memory(form, sent), ctypes.create_string_buffer(64), ULONG(64)
    arguments = (ctypes.byref(memory), ctypes.sizeof(memory), b"aad", 3, b"plain", 5)
    module.check("EncryptMessage", session, *arguments, room, ctypes.byref(length))
    assert room.raw[: length.value] == b"ciphertext"
    # Who encrypts has no tag to send.
    fields = daemon.requests[-1][1][1]
    assert read_message(number, fields) == type(sent)(**{**_fields(sent), tag: b""})
    written = [bytes(kept.raw[: len(getattr(got, n))]) for kept, n in _memory(form, memory)]
    assert written == [b"N" * 12, getattr(got, tag)]


def _flow(form: Form, flow: Flow) -> str:
    return next(field.name for field in form.fields if field.flow is flow)


def _memory(form: Form, memory: Structure) -> Iterator[tuple[Any, str]]:
    pointed = [field for field in form.fields if field.kind in (FieldKind.BYTES, FieldKind.BITS)]
    yield from zip(memory.kept, [field.name for field in pointed], strict=True)


@pytest.mark.parametrize(("number", "form"), sorted(MESSAGE_FORMS.items()))
def test_who_decrypts_a_message_sends_its_tag(
    module: Module, session: int, daemon: FakeDaemon, number: int, form: Form
) -> None:
    sent = example(form)
    daemon.handlers["MessageDecryptInit"] = lambda *_: ()
    daemon.handlers["DecryptMessage"] = lambda *_: (b"plain",)
    module.check("MessageDecryptInit", session, ctypes.byref(Mechanism(number)), 1)
    memory, room, length = in_memory(form, sent), ctypes.create_string_buffer(64), ULONG(64)
    arguments = (ctypes.byref(memory), ctypes.sizeof(memory), None, 0, b"cipher", 6)
    module.check("DecryptMessage", session, *arguments, room, ctypes.byref(length))
    assert read_message(number, daemon.requests[-1][1][1]) == sent


@pytest.mark.parametrize("fields", [b"", b"\0" * 200, b"\xff" * 64])
def test_a_written_parameter_that_has_not_its_form_is_not_believed(
    module: Module, session: int, daemon: FakeDaemon, fields: bytes
) -> None:
    form = MESSAGE_FORMS[CKM.AES_GCM]
    daemon.handlers["MessageEncryptInit"] = lambda *_: ()
    daemon.handlers["EncryptMessageBegin"] = lambda *_: (fields,)
    module.check("MessageEncryptInit", session, ctypes.byref(Mechanism(CKM.AES_GCM)), 1)
    memory = in_memory(form, example(form))
    arguments = (ctypes.byref(memory), ctypes.sizeof(memory), None, 0)
    assert module.EncryptMessageBegin(session, *arguments) == CKR.DEVICE_ERROR


def test_a_message_without_an_init_has_no_form(module: Module, session: int) -> None:
    memory = ctypes.create_string_buffer(48)
    rv = module.EncryptMessageBegin(session, memory, 48, None, 0)
    assert rv == CKR.MECHANISM_PARAM_INVALID


@pytest.mark.parametrize(("number", "form"), sorted(WRAP_FORMS.items()))
def test_what_wrapping_made_of_its_parameter_reaches_the_program(
    module: Module, session: int, daemon: FakeDaemon, number: int, form: Form
) -> None:
    sent = example(form)
    nonce = _flow(form, Flow.BOTH)
    got = type(sent)(**{**_fields(sent), nonce: b"N" * 12})
    daemon.handlers["WrapKeyAuthenticated"] = lambda *_: (write_wrap_parameter(number, got), b"w")
    memory, room, length = in_memory(form, sent), ctypes.create_string_buffer(8), ULONG(8)
    mechanism = Mechanism(number, ctypes.addressof(memory), ctypes.sizeof(memory))
    arguments = (ctypes.byref(mechanism), 1, 2, None, 0, room, ctypes.byref(length))
    module.check("WrapKeyAuthenticated", session, *arguments)
    assert read_back(sent_mechanism(daemon), authenticated=True) == sent
    assert memory.kept[0].raw == b"N" * 12
    assert (room.raw[:1], length.value) == (b"w", 1)


def test_the_last_part_of_a_signed_message_has_a_place_for_the_signature(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    daemon.handlers["MessageSignInit"] = lambda *_: ()
    daemon.handlers["SignMessageNext"] = lambda _, got: (None, b"s" * 8 if got[3] else b"")
    module.check("MessageSignInit", session, ctypes.byref(Mechanism(CKM.ECDSA)), 1)
    module.check("SignMessageNext", session, None, 0, b"part", 4, None, None)
    memory, length = ctypes.create_string_buffer(8), ULONG(8)
    module.check("SignMessageNext", session, None, 0, b"last", 4, memory, ctypes.byref(length))
    assert (memory.raw, length.value) == (b"s" * 8, 8)
    assert [a[3] for name, a in daemon.requests if name == "SignMessageNext"] == [0, 1]

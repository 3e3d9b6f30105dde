"""The reference of the PKCS#11 protocol, made from its tables: docs/reference/pkcs11.md."""

from collections.abc import Iterable, Iterator
from typing import Final

from keyholm.wire.pkcs11.attributes import KINDS, SECRET, Kind
from keyholm.wire.pkcs11.calls import CALLS, Call, Type, Version, letters
from keyholm.wire.pkcs11.constants import CKA, CKM, CKR
from keyholm.wire.pkcs11.dialect import Dialect
from keyholm.wire.pkcs11.mechanisms import (
    FORMS,
    MESSAGE_FORMS,
    PARAMETERLESS,
    STOCK_FORMS,
    WRAP_FORMS,
)
from keyholm.wire.pkcs11.parameters import FieldKind, Flow, Form
from keyholm.wire.pkcs11.templates import has_form

HEAD: Final = """\
# PKCS#11: calls, attributes and mechanisms

Made from the tables in `src/keyholm/wire/pkcs11` by `python -m keyholm.wire.pkcs11.reference`; a
test says when it is out of date. How they cross is in [protocols/pkcs11-rpc.md](../protocols/pkcs11-rpc.md).

## Calls

A function without a number is answered by the module itself. `CKR_FUNCTION_NOT_SUPPORTED` can be the
answer to any call that has one: then the daemon is older than the module.
"""
ATTRIBUTES: Final = """\
## Attributes

In our dialect every one crosses by its type. p11-kit knows the types of those marked *stock*; it sends
the others as the bytes that the caller has in memory.

| number | attribute | type | |
|---|---|---|---|
"""
MECHANISMS: Final = """\
## Mechanisms

What the daemon can read the parameter of, or that takes none; which of them a token offers,
C_GetMechanismList says. Those marked *stock* take their parameter through p11-kit, too.

### Without a parameter

"""
FORMS_HEAD: Final = """\
### Fields of parameters

A uint64, a byte, or a string: a uint32 length and the bytes. In C the field is in the members named.
"""


def document() -> str:
    lines = [
        HEAD.rstrip("\n"),
        *_calls(),
        "",
        ATTRIBUTES.rstrip("\n"),
        *_attributes(),
        "",
        MECHANISMS.rstrip("\n"),
        "",
        _listed(CKM.name(number) for number in sorted(PARAMETERLESS)),
        "",
        "### With one\n\n| number | mechanism | parameter | |\n|---|---|---|---|",
        *_mechanisms(),
        "",
        FORMS_HEAD.rstrip("\n"),
        *_forms(),
    ]
    return "\n".join(lines) + "\n"


def _calls() -> Iterator[str]:
    for call in CALLS:
        yield f"\n### {call.function or call.name}{_suffix(call)}\n"
        yield f"{call.doc}\n"
        yield f"{_numbers(call)}\n"
        if sent := [p for p in call.takes if p.type is not Type.NOTHING]:
            yield f"- takes {', '.join(f'{p.name} `{p.type}`' for p in sent)}"
        if given := [p for p in call.gives if p.type is not Type.NOTHING]:
            yield f"- gives {', '.join(f'{p.name} `{p.type}`' for p in given)}"
        yield f"- errors: {_listed(CKR.name(number) for number in sorted(call.errors))}"


def _suffix(call: Call) -> str:
    return f" ({call.name})" if call.c_name else ""


def _numbers(call: Call) -> str:
    if call.is_local:
        return f"Since {call.since}. Answered by the module."
    since = "Of keyholm's own" if call.since is Version.OURS else f"Since {call.since}"
    ours = _signature(letters(call.takes), letters(call.gives))
    if call.ours == call.stock:
        return f"{since}. Number {call.ours} in both dialects: {ours}."
    parts = [since]
    if call.stock is not None:
        asked, given = call.stock_signature
        parts.append(f"Number {call.stock} in the stock protocol: {_signature(asked, given)}")
    if call.ours is not None:
        parts.append(f"Number 0x{call.ours:x} in ours: {ours}")
    if call.stock_version:
        parts.append(f"p11-kit has it since its version {call.stock_version}")
    return ". ".join(parts) + "."


def _signature(asked: str, given: str) -> str:
    return f"`{asked or '-'}` → `{given or '-'}`"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _attributes() -> Iterator[str]:
    for number, kind in sorted(KINDS.items()):
        notes = []
        if has_form(number, Dialect(0)):
            notes.append("stock")
        elif has_form(number, Dialect(1)):
            notes.append("stock, since version 1")
        elif kind in (Kind.TEXT, Kind.NUMBER, Kind.DER, Kind.BYTES):
            notes.append("the same in both")
        if number in SECRET:
            notes.append("secret")
        yield f"| 0x{number:08X} | {CKA.name(number)} | {kind} | {', '.join(notes)} |"


def _mechanisms() -> Iterator[str]:
    for number, form in sorted(FORMS.items()):
        notes = []
        if number in STOCK_FORMS:
            notes.append("stock")
        if form.optional:
            notes.append("may be NULL")
        if number in WRAP_FORMS:
            notes.append(f"authenticated wrap: {_link(WRAP_FORMS[number])}")
        if number in MESSAGE_FORMS:
            notes.append(f"messages: {_link(MESSAGE_FORMS[number])}")
        about = "; ".join(notes)
        yield f"| 0x{number:08X} | {CKM.name(number)} | {_link(form)} | {about} |"


def _link(form: Form) -> str:
    return f"`{form.structure}`"


def _forms() -> Iterator[str]:
    every = (*FORMS.values(), *WRAP_FORMS.values(), *MESSAGE_FORMS.values())
    seen = {(form.structure, form.fields): form for form in every}
    for form in sorted(seen.values(), key=lambda form: form.structure):
        yield f"\n#### {form.structure}\n\n| field | form | in C | |\n|---|---|---|---|"
        for field in form.fields:
            notes = []
            if field.size:
                notes.append(f"{field.size} bytes")
            if field.kind is FieldKind.BITS:
                notes.append("its length in C is in bits")
            if field.secret:
                notes.append("secret")
            if field.flow is not Flow.IN:
                notes.append(_FLOWS[field.flow])
            members = ", ".join(f"`{name}`" for name in field.c.split()) or "the parameter itself"
            yield (f"| {field.name} | {field.kind.strip()} | {members} | {'; '.join(notes)} |")
    yield _DATA_PARAMETERS


_FLOWS: Final = {
    Flow.BOTH: "written back",
    Flow.TAG: "empty in the request of an encryption; written back",
}
_DATA_PARAMETERS: Final = """\

A data parameter (`CK_PRF_DATA_PARAM`) is a uint64 type and a string. What the string holds depends
on the type: of an iteration variable or a counter a byte bLittleEndian and a uint64 ulWidthInBits, or
nothing; of a DKM length a uint64 dkmLengthMethod, a byte and a uint64; of a key handle a uint64; of
all else the bytes."""


if __name__ == "__main__":
    print(document(), end="")  # noqa: T201 - it is a program

"""Write what the native module has from the tables: its functions, numbers and forms.

    python3 -m native.generate            write native/pkcs11/{calls.h,stubs.c,forms.c}

The three files are committed, so that nobody needs Python to build the module, and a test says
when they are no longer what the tables make of them.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

from keyholm.wire.pkcs11 import constants  # noqa: E402
from keyholm.wire.pkcs11.attributes import KINDS, Kind  # noqa: E402
from keyholm.wire.pkcs11.calls import CALLS, Call, Parameter, Type  # noqa: E402
from keyholm.wire.pkcs11.constants import CKA, CKM, Numbers, names, numbers  # noqa: E402
from keyholm.wire.pkcs11.functions import IN_2_40, IN_3_0, IN_3_2  # noqa: E402
from keyholm.wire.pkcs11.mechanisms import FORMS as PARAMETERS  # noqa: E402
from keyholm.wire.pkcs11.mechanisms import MESSAGE_FORMS, WRAP_FORMS  # noqa: E402
from keyholm.wire.pkcs11.parameters import OAEP, Field, FieldKind, Flow, Form  # noqa: E402

NATIVE = ROOT / "native" / "pkcs11"
WIDTH = 100
NOTICE = "/* Made by native.generate.py from src/keyholm/wire/pkcs11/; do not edit. */\n"

# Looked up from outside by name; everything else is reached through a list.
EXPORTED = ("GetFunctionList", "GetInterface", "GetInterfaceList")

# With a mechanism of NULL these end what goes on (3.0).
CANCELLED_BY_NULL = {
    "SignRecoverInit": "CKF_SIGN_RECOVER",
    "VerifyRecoverInit": "CKF_VERIFY_RECOVER",
    "VerifySignatureInit": "CKF_VERIFY",
}

ATTRIBUTE_FORMS = {
    Kind.BOOL: "FORM_BOOL",
    Kind.ULONG: "FORM_ULONG",
    Kind.ULONGS: "FORM_ULONGS",
    Kind.TEMPLATE: "FORM_TEMPLATE",
    Kind.DATE: "FORM_DATE",
}


# --- which calls ----------------------------------------------------------------------------------


def ours() -> list[Call]:
    """The calls that cross in our dialect, by number."""
    return sorted(
        (call for call in CALLS if call.ours is not None), key=lambda call: call.ours or 0
    )


def functions() -> dict[str, Call]:
    """The C functions by their names without C_. What the stock protocol alone has is left out."""
    found = {}
    for call in CALLS:
        if call.function and (call.is_local or call.ours is not None):
            found[call.function.removeprefix("C_")] = call
    return found


def hand_written(folder: Path = NATIVE) -> set[str]:
    """What is defined in the other files."""
    others = (path for path in folder.glob("*.c") if path.name not in ("stubs.c", "forms.c"))
    return {
        name
        for path in others
        for name in re.findall(r"^C_(\w+)\(", path.read_text(), re.MULTILINE)
    }


# --- C text ---------------------------------------------------------------------------------------


def wrapped(head: str, arguments: Iterable[str], tail: str) -> str:
    """`head(a, b, c)tail`, broken as the rest of the code is."""
    lines = [head]
    for argument in arguments:
        if len(lines[-1]) + len(argument) + len(tail) + 1 > WIDTH:
            lines[-1] = lines[-1].rstrip()
            lines.append("    ")
        lines[-1] += f"{argument}, "
    return "\n".join(lines).removesuffix(", ") + tail


def declared(call: Call) -> list[str]:
    return [f"{kind} {name}".replace("* ", "*") for kind, name in call.prototype]


def prototype(name: str, call: Call) -> str:
    return wrapped(f"C_{name}(", declared(call) or ["void"], ")")


# --- calls.h --------------------------------------------------------------------------------------


def calls_h(text_that_uses_them: str) -> str:
    known = functions()
    blocks = [
        NOTICE + "/* calls.h: numbers, functions and their lists. */",
        "#ifndef KEYHOLM_CALLS_H\n#define KEYHOLM_CALLS_H",
        '#include "pkcs11.h"',
        "\n".join(defines(text_that_uses_them)),
        "enum call_number {\n"
        + "".join(f"\tCALL_{call.name},\n" for call in ours())
        + "\tCALLS\n};",
        "/* The only symbols that the module shows. */\n"
        "#ifdef _WIN32\n#define EXPORTED __declspec(dllexport)\n#else\n"
        '#define EXPORTED __attribute__((visibility("default")))\n#endif',
        "\n".join(
            f"{'EXPORTED ' if name in EXPORTED else ''}CK_RV {prototype(name, known[name])};"
            for name in (*IN_2_40, *IN_3_0, *IN_3_2)
        ),
        "/* On Windows packed like everything else. */\n"
        "#ifdef _WIN32\n#pragma pack(push, 1)\n#endif",
        *(function_list_type(*row) for row in lists()),
        "#ifdef _WIN32\n#pragma pack(pop)\n#endif",
        "\n".join(f"extern {kind} {variable};" for kind, variable, _, _ in lists()),
        "#endif\n",
    ]
    return "\n\n".join(blocks)


def lists() -> list[tuple[str, str, str, tuple[str, ...]]]:
    return [
        ("CK_FUNCTION_LIST", "function_list_2_40", "{2, 40}", IN_2_40),
        ("CK_FUNCTION_LIST_3_0", "function_list_3_0", "{3, 0}", (*IN_2_40, *IN_3_0)),
        ("CK_FUNCTION_LIST_3_2", "function_list_3_2", "{3, 2}", (*IN_2_40, *IN_3_0, *IN_3_2)),
    ]


def function_list_type(kind: str, _variable: str, _version: str, members: tuple[str, ...]) -> str:
    known = functions()
    lines = [
        "\t" + wrapped(f"CK_RV (*C_{name})(", declared(known[name]) or ["void"], ");")
        for name in members
    ]
    body = "\n".join(["\tCK_VERSION version;", *lines])
    return f"typedef struct {kind} {{\n{body}\n}} {kind};"


def defines(text: str) -> Iterator[str]:
    """The numbers of the standard that the C code names."""
    known = {}
    for kind in vars(constants).values():
        if isinstance(kind, type) and issubclass(kind, Numbers):
            known.update(
                {f"{kind.__name__}_{name}": number for name, number in numbers(kind).items()}
            )
    used = set(re.findall(r"\bCK[A-Z]{0,2}_[A-Z0-9_]+\b", text))
    # pkcs11.h has those that are no plain numbers in C.
    used -= {"CK_UNAVAILABLE_INFORMATION", "CK_TRUE", "CK_FALSE"}
    for name in sorted(used & known.keys(), key=lambda name: (name[:4], known[name], name)):
        yield f"#define {name} 0x{known[name]:x}UL"


# --- stubs.c --------------------------------------------------------------------------------------


def stubs_c() -> str:
    known, others = functions(), hand_written()
    names_of_all = (*IN_2_40, *IN_3_0, *IN_3_2)
    blocks = [
        NOTICE + "/* stubs.c: functions that are nothing but their arguments and results. */",
        '#include "call.h"\n#include "operations.h"',
        "const struct call_form call_forms[CALLS] = {\n"
        + "\n".join(form(call) for call in ours())
        + "\n};",
        *(stub(name, known[name]) for name in names_of_all if name not in others),
        *(function_list(*row) for row in lists()),
    ]
    return "\n\n".join(blocks) + "\n"


def form(call: Call) -> str:
    takes, gives = call.signature
    function = f"C_{call.c_name or call.name}"
    return f'    [CALL_{call.name}] = {{"{function}", 0x{call.ours:x}, "{takes}", "{gives}"}},'


def function_list(kind: str, variable: str, version: str, members: tuple[str, ...]) -> str:
    lines = "".join(f"    C_{name},\n" for name in members)
    return f"{kind} {variable} = {{\n    {version},\n{lines}}};"


def stub(name: str, call: Call) -> str:
    lines = [
        "struct call call;",
        "",
        f"if (!call_begin(&call, CALL_{call.name}))",
        "\treturn call.rv;",
    ]
    if flag := CANCELLED_BY_NULL.get(name):
        lines += [
            "if (pMechanism == NULL) { /* end what goes on */",
            "\t(void)call_end(&call);",
            f"\treturn operations_cancel(hSession, {flag});",
            "}",
        ]
    lines += list(needed(call))
    lines += [put(call, parameter) for parameter in call.takes if parameter.type]
    lines += ["call_run(&call);"]
    results = [get(call, parameter) for parameter in call.gives if parameter.type]
    if any("->" in line for line in results):  # no member of what is NULL
        results = ["if (call.answered) {", *(f"\t{line}" for line in results), "}"]
    lines += results
    if name in ("CreateObject", "CopyObject", "GenerateKey", "GenerateKeyPair"):
        lines += ["if (call.rv == CKR_OK)", "\tstate_note_object();"]
    lines += ["return call_end(&call);"]
    body = "\n".join(f"\t{line}".rstrip() for line in lines)
    return f"CK_RV\n{prototype(name, call)}\n{{\n{body}\n}}"


def needed(call: Call) -> Iterator[str]:
    """Results that are written straight through a pointer."""
    straight = (Type.ULONG, Type.VERSION, Type.SPACED)
    pointers = (given.c.partition("->")[0] for given in call.gives if given.type in straight)
    for pointer in dict.fromkeys(pointers):
        yield f"call_need(&call, {pointer});"


def kind_of_message(call: Call) -> str:
    found = re.match("Encrypt|Decrypt|Sign|Verify", call.name)
    assert found, call.name
    return f"MESSAGE_{found[0].upper()}"


def put(call: Call, parameter: Parameter) -> str:
    arguments = parameter.c.split()
    match parameter.type:
        case Type.ULONG if parameter.c == "hSession":
            return "call_put_session(&call, hSession);"
        case Type.ULONG:
            return f"call_put_ulong(&call, {parameter.c});"
        case Type.BYTE:
            return f"call_put_byte(&call, {parameter.c});"
        case Type.SPACED:
            return f"call_put_spaced(&call, {parameter.c}, {parameter.width});"
        case Type.BYTES:
            return f"call_put_bytes(&call, {', '.join(arguments)});"
        case Type.ROOM:
            return f"call_put_room(&call, {arguments[0]}, {length(call, arguments[1])});"
        case Type.ULONG_ROOM:
            return f"call_put_ulong_room(&call, {', '.join(arguments)});"
        case Type.ATTRIBUTES:
            return f"call_put_template(&call, {', '.join(arguments)});"
        case Type.MECHANISM if parameter.authenticated:
            return f"call_put_wrap_mechanism(&call, {parameter.c});"
        case Type.MECHANISM:
            return f"call_put_mechanism(&call, {parameter.c});"
        case Type.MESSAGE:
            return f"call_put_message(&call, {kind_of_message(call)}, {', '.join(arguments)});"
        case _:
            raise ValueError(f"{call.name}: no way to send {parameter}")


def get(call: Call, parameter: Parameter) -> str:
    arguments = parameter.c.split()
    target = parameter.c if "->" not in parameter.c else f"&{parameter.c}"
    match parameter.type:
        case Type.ULONG:
            return f"call_get_ulong(&call, {target});"
        case Type.VERSION:
            return f"call_get_version(&call, {target});"
        case Type.SPACED:
            return f"call_get_spaced(&call, {parameter.c}, {parameter.width});"
        case Type.BYTES:
            return f"call_get_bytes(&call, {arguments[0]}, {length(call, arguments[1])});"
        case Type.ULONGS:
            return f"call_get_ulongs(&call, {', '.join(arguments)});"
        case Type.MESSAGE:
            if parameter.c == "pMechanism->pParameter":
                return "call_get_wrap_parameter(&call, pMechanism);"
            return f"call_get_message(&call, {kind_of_message(call)}, {arguments[0]});"
        case _:
            raise ValueError(f"{call.name}: no way to receive {parameter}")


def length(call: Call, name: str) -> str:
    """C_GenerateRandom alone has the length of its result as a value."""
    kinds = {argument: kind for kind, argument in call.prototype}
    return f"&{name}" if kinds[name] == "CK_ULONG" else name


# --- forms.c --------------------------------------------------------------------------------------


def forms_c() -> str:
    return "\n\n".join(
        [
            NOTICE + "/* forms.c: how attributes and parameters of mechanisms cross. */",
            '#include "calls.h"\n#include "parameters.h"\n#include "values.h"',
            attribute_forms(),
            parameter_forms(),
        ]
    )


def attribute_forms() -> str:
    lines = [
        "enum attribute_form",
        "attribute_form(CK_ATTRIBUTE_TYPE type)",
        "{",
        "\tswitch (type) {",
    ]
    known = names(CKA)
    for kind, name in ATTRIBUTE_FORMS.items():
        numbers_of_kind = sorted(number for number, its in KINDS.items() if its is kind)
        lines += [f"\tcase CKA_{known[number]}:" for number in numbers_of_kind]
        lines += [f"\t\treturn {name};"]
    lines += ["\tdefault:", "\t\treturn FORM_BYTES;", "\t}", "}"]
    return "\n".join(lines)


def function_name(form: Form) -> str:
    """put_rsa_pkcs_pss_params, put_bytes_16, ..."""
    plain = form.structure.removeprefix("CK_").replace("BYTE[", "BYTES_[")
    return re.sub(r"\W+", "", plain).strip("_").lower()


def parameter_forms() -> str:
    sent = {function_name(form): form for form in (*all_forms(), *MESSAGE_FORMS.values())}
    written_back = {
        function_name(form): form for form in (*WRAP_FORMS.values(), *MESSAGE_FORMS.values())
    }
    return "\n\n".join(
        [
            *(put_function(name, sent[name]) for name in in_order(sent)),
            *(get_function(name, form) for name, form in written_back.items()),
            put_switch("put_parameter", PARAMETERS, "return false;"),
            put_switch(
                "put_wrap_parameter",
                WRAP_FORMS,
                "return put_parameter(writer, type, parameter, length, rv);",
            ),
            put_switch("put_message_parameter", MESSAGE_FORMS, "return false;"),
            get_switch("get_wrap_parameter", WRAP_FORMS),
            get_switch("get_message_parameter", MESSAGE_FORMS) + "\n",
        ]
    )


def all_forms() -> Iterator[Form]:
    yield from PARAMETERS.values()
    yield from WRAP_FORMS.values()


def in_order(forms: dict[str, Form]) -> list[str]:
    """One that another contains comes before it."""
    inner = function_name(OAEP)
    return [inner, *(name for name in forms if name != inner)]


def is_structure(form: Form) -> bool:
    return any(field.c for field in form.fields)


def put_function(name: str, form: Form) -> str:
    encrypts = "bool encrypts, " if has_tag(form) else ""
    arguments = f"struct writer *writer, {encrypts}const void *parameter, CK_ULONG length"
    head = ["static bool", wrapped(f"put_{name}(", arguments.split(", "), ")"), "{"]
    if not is_structure(form):
        return "\n".join([*head, *put_bare(form), "}"])
    body = [f"\tconst {form.structure} *from = parameter;", ""]
    body += ["\tif (length != sizeof(*from))", "\t\treturn false;"]
    for field in form.fields:
        body += put_field(form, field)
    return "\n".join([*head, *body, "\treturn true;", "}"])


def has_tag(form: Form) -> bool:
    """Who encrypts a message gets the tag and sends none."""
    return any(field.flow is Flow.TAG for field in form.fields)


def put_bare(form: Form) -> list[str]:
    """The parameter is itself the one field."""
    (field,) = form.fields
    if field.kind is FieldKind.ULONG:
        kind = form.structure
        return [
            f"\tif (length != sizeof({kind}))",
            "\t\treturn false;",
            f"\tput_ulong(writer, *(const {kind} *)parameter);",
            "\treturn true;",
        ]
    fits = f"length == {field.size} && " if field.size else ""
    return [f"\treturn {fits}put_member(writer, parameter, length);"]


def put_field(form: Form, field: Field) -> list[str]:
    members = [f"from->{name}" for name in field.c.split()]
    match field.kind:
        case FieldKind.ULONG:
            return [f"\tput_ulong(writer, {members[0]});"]
        case FieldKind.BOOL:
            return [f"\tput_byte(writer, {members[0]});"]
        case FieldKind.OAEP:
            return nested(members[0])
        case FieldKind.DATA_PARAMS:
            put = f"put_data_params(writer, {', '.join(members)})"
        case FieldKind.BITS if field.flow is Flow.TAG:
            put = f"put_tag_bits(writer, encrypts, {', '.join(members)})"
        case FieldKind.BITS:
            put = f"put_bits(writer, {', '.join(members)})"
        case _ if field.flow is Flow.TAG:
            put = f"put_tag(writer, encrypts, {member(field, members)})"
        case _:
            put = f"put_member(writer, {member(field, members)})"
    return [f"\tif (!{put})", "\t\treturn false;"]


def member(field: Field, members: list[str]) -> str:
    return ", ".join([*members, str(field.size)] if field.size else members)


def nested(pointer: str) -> list[str]:
    return [
        "\tsize_t begun = put_string_begin(writer);",
        f"\tif ({pointer} == NULL ||",
        f"\t    !put_{function_name(OAEP)}(writer, {pointer}, sizeof(*{pointer})))",
        "\t\treturn false;",
        "\tput_string_end(writer, begun);",
    ]


def get_function(name: str, form: Form) -> str:
    lines = [
        "static void",
        f"get_{name}(struct reader *fields, void *parameter)",
        "{",
        f"\t{form.structure} *to = parameter;",
        "",
        *(get_field(field) for field in form.fields),
        "}",
    ]
    return "\n".join(lines)


def get_field(field: Field) -> str:
    members = [f"to->{name}" for name in field.c.split()]
    match field.kind, field.flow:
        case FieldKind.ULONG, _:
            return "\t(void)get_u64(fields);"
        case FieldKind.BOOL, _:
            return "\t(void)get_byte(fields);"
        case _, Flow.IN:
            return "\tskip_member(fields);"
        case FieldKind.BITS, Flow.TAG:
            return f"\tget_tag_bits(fields, {', '.join(members)});"
        case FieldKind.BITS, Flow.BOTH:
            return f"\tget_bits(fields, {', '.join(members)});"
        case _, Flow.TAG:
            return f"\tget_tag(fields, {member(field, members)});"
        case _:
            return f"\tget_member(fields, {member(field, members)});"


def cases(forms: dict[int, Form]) -> Iterator[tuple[list[str], str]]:
    known = names(CKM)
    for name in dict.fromkeys(map(function_name, forms.values())):
        numbers_of_form = sorted(n for n, form in forms.items() if function_name(form) == name)
        yield [f"\tcase CKM_{known[number]}:" for number in numbers_of_form], name


def put_switch(function: str, forms: dict[int, Form], otherwise: str) -> str:
    tags = "encrypts, " if any(map(has_tag, forms.values())) else ""
    arguments = ["struct writer *writer", "CK_MECHANISM_TYPE type"]
    arguments += ["bool encrypts"] if tags else []
    arguments += ["const void *parameter", "CK_ULONG length", "CK_RV *rv"]
    lines = ["bool", wrapped(f"{function}(", arguments, ")"), "{", "\tbool good;", ""]
    lines += ["\tswitch (type) {"]
    for labels, name in cases(forms):
        lines += [*labels, f"\t\tgood = put_{name}(writer, {tags}parameter, length);"]
        lines += ["\t\tbreak;"]
    lines += ["\tdefault:", f"\t\t{otherwise}", "\t}", "\tif (!good)"]
    lines += ["\t\t*rv = CKR_MECHANISM_PARAM_INVALID;", "\treturn true;", "}"]
    return "\n".join(lines)


def get_switch(function: str, forms: dict[int, Form]) -> str:
    lines = [
        "bool",
        f"{function}(struct reader *fields, CK_MECHANISM_TYPE type, void *parameter)",
        "{",
        "\tswitch (type) {",
    ]
    for labels, name in cases(forms):
        lines += [*labels, f"\t\tget_{name}(fields, parameter);", "\t\treturn true;"]
    return "\n".join([*lines, "\tdefault:", "\t\treturn false;", "\t}", "}"])


# --- all ------------------------------------------------------------------------------------------


def written() -> dict[Path, str]:
    """Each generated file, and what it should hold."""
    generated = {NATIVE / "stubs.c": stubs_c(), NATIVE / "forms.c": forms_c()}
    others = [
        path
        for path in sorted(NATIVE.glob("*.[ch]"))
        if path.name not in ("calls.h", "stubs.c", "forms.c")
    ]
    text = "\n".join([*(path.read_text() for path in others), *generated.values()])
    return {NATIVE / "calls.h": calls_h(text), **generated}


if __name__ == "__main__":
    for path, content in written().items():
        path.write_text(content)

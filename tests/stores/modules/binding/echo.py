"""Builds the echo module: each function of the table, written down by the code of the native module.

What a C program means by a structure is thus said by code that knows nothing of ctypes.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from keyholm.wire.pkcs11.calls import Call, Parameter, Type
from native import build, generate

HERE: Final = Path(__file__).parent
NAME: Final = "echo.so"
BY_HAND: Final = (
    "Initialize",
    "Finalize",
    "GetAttributeValue",
    "GetFunctionList",
    "GetInterfaceList",
    "GetInterface",
)
NATIVE: Final = ("forms.c", "parameters.c", "rpc.c", "values.c")


def module(folder: Path) -> Path:
    """Raises `NoCompiler`."""
    compiler = build.system_compiler()
    if compiler is None:
        raise build.NoCompiler("no C compiler: the echo module is made with cc, gcc or clang")
    made = folder / "functions.c"
    made.write_text(functions())
    sources = [HERE / "echo.c", made, *(build.SOURCES / name for name in NATIVE)]
    flags = (
        "-std=c11",
        "-D_GNU_SOURCE",
        "-g1",
        "-O1",
        "-fPIC",
        "-shared",
        *build.STRICT,
        "-Werror",
    )
    folders = (f"-I{build.SOURCES}", f"-I{HERE}")
    command = [*compiler, *flags, *folders, "-o", folder / NAME, *sources]
    subprocess.run([str(word) for word in command], check=True)
    return folder / NAME


def functions() -> str:
    known = generate.functions()
    names = [name for _, _, _, members in generate.lists()[-1:] for name in members]
    return "\n".join(
        [
            "/* Made by tests/stores/modules/binding/echo.py. */",
            '#include "echo.h"',
            *(function(name, known[name]) for name in names if name not in BY_HAND),
            *(generate.function_list(*row) for row in generate.lists()),
            "",
        ]
    )


def function(name: str, call: Call) -> str:
    unused = [f"\t(void){argument};" for argument in call.arguments]
    puts = [f"\t{line}" for p in call.takes for line in put(call, p)]
    gives = [f"\t{line}" for line in results(call)]
    return "\n".join(
        [
            "",
            "CK_RV",
            generate.prototype(name, call),
            "{",
            "\tstruct writer told = {.limit = LARGEST_BODY};",
            "\tCK_RV rv = CKR_OK;",
            "",
            *unused,
            *puts,
            f'\techo_told("C_{name}", &told);',
            *gives,
            "\treturn rv;",
            "}",
        ]
    )


def put(call: Call, parameter: Parameter) -> Iterator[str]:
    c = parameter.c.split()
    match parameter.type:
        case Type.NOTHING:
            return
        case Type.ULONG:
            yield f"put_ulong(&told, {c[0]});"
        case Type.BYTE if not c:
            yield "put_byte(&told, pulSignatureLen != NULL);"
        case Type.BYTE:
            yield f"put_byte(&told, {c[0]});"
        case Type.SPACED:
            yield f"put_string(&told, {c[0]}, {parameter.width});"
        case Type.BYTES:
            yield f"echo_bytes(&told, {c[0]}, {c[1]});"
        case Type.ROOM | Type.ULONG_ROOM:
            by_value = c[1].startswith("ul")
            size = f"{c[1]}" if by_value else f"({c[1]} == NULL ? 0 : *{c[1]})"
            yield f"put_u32(&told, (uint32_t){size});"
        case Type.ATTRIBUTES:
            yield f"if (put_template(&told, {c[0]}, {c[1]}) != CKR_OK)"
            yield "\treturn CKR_ARGUMENTS_BAD;"
        case Type.MECHANISM:
            authenticated = "true" if parameter.authenticated else "false"
            yield f"echo_mechanism(&told, {c[0]}, {authenticated});"
        case Type.MESSAGE:
            encrypts = "true" if "Encrypt" in call.name else "false"
            yield f"echo_message(&told, {encrypts}, {c[0]}, {c[1]});"
        case other:
            raise ValueError(f"{call.name}: {other}")


def results(call: Call) -> Iterator[str]:
    structures = {p.c.partition("->")[0] for p in call.gives if p.c.startswith("pInfo->")}
    yield from (f"memset({name}, 0x41, sizeof(*{name}));" for name in sorted(structures))
    handle = 0x11
    for parameter in call.gives:
        c = parameter.c.split()
        match parameter.type:
            case Type.ULONG if "->" not in parameter.c:
                yield f"*{c[0]} = {handle};"
                handle += 1
            case Type.BYTES if c[1].startswith("ul"):
                yield f"memset({c[0]}, 'r', {c[1]});"
            case Type.BYTES:
                yield f"rv = echo_result({c[0]}, {c[1]});"
            case Type.ULONGS if "ulMaxObjectCount" in call.arguments:
                yield f"*{c[1]} = ulMaxObjectCount;"
                yield f"rv = echo_list({c[0]}, {c[1]});"
            case Type.ULONGS:
                yield f"rv = echo_list({c[0]}, {c[1]});"
            case Type.MESSAGE if "->" in parameter.c:
                yield "memset(((CK_GCM_WRAP_PARAMS *)pMechanism->pParameter)->pIv, 0xaa, 12);"
            case Type.MESSAGE if "Encrypt" in call.name:
                yield f"echo_scribble({c[0]});"
            case _:
                pass

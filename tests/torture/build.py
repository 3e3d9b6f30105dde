"""Build the torture module: its sources, and a wrapper for each function of PKCS#11 2.40."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.native.driver import BY_FUNCTION

from keyholm.wire.pkcs11.functions import IN_2_40
from native import build

HERE: Final = Path(__file__).parent
NAME: Final = "torture.so"
WARNINGS: Final = (*build.STRICT, "-Werror")
NAMES: Final = tuple(name for name in IN_2_40 if name != "GetFunctionList")
# What a function fills, by the type of its argument.
LISTS: Final = ("CK_SLOT_ID_PTR", "CK_MECHANISM_TYPE_PTR", "CK_OBJECT_HANDLE_PTR")
STRUCTURES: Final = tuple(
    f"CK_{name}_INFO_PTR" for name in ("SLOT", "TOKEN", "SESSION", "MECHANISM")
)


def module(folder: Path) -> Path:
    """Raises `NoCompiler`."""
    compiler = build.system_compiler()
    if compiler is None:
        raise build.NoCompiler("no C compiler: the torture module is made with cc, gcc or clang")
    made = folder / "wrapped.c"
    made.write_text(wrappers())
    sources = [*sorted(HERE.glob("*.c")), made]
    flags = ("-std=c11", "-D_GNU_SOURCE", "-g1", "-O1", "-fPIC", "-shared", *WARNINGS)
    folders = (f"-I{build.SOURCES}", f"-I{HERE}")
    command = [*compiler, *flags, *folders, "-o", folder / NAME, *sources, "-ldl"]
    subprocess.run([str(word) for word in command], check=True)
    return folder / NAME


def wrappers() -> str:
    parts = ["/* Made by tests/torture/build.py. */", '#include "torture.h"', *map(wrapper, NAMES)]
    fields = [f"\t.C_{name} = {own(name)}," for name in IN_2_40]
    return "\n".join([*parts, "CK_FUNCTION_LIST wrapped = {", *fields, "};", ""])


def own(name: str) -> str:
    return f"wrapped_{name}" if name in NAMES else f"C_{name}"


def wrapper(name: str) -> str:
    arguments = BY_FUNCTION[name].prototype
    declared = ", ".join(f"{kind} {each}" for kind, each in arguments)
    passed = ", ".join(each for _, each in arguments)
    found = ", ".join(answers(name, dict(arguments))) or "NULL"
    return f"""
static CK_RV
{own(name)}({declared})
{{
	struct answers answers = {{{found}}};
	struct order order;
	CK_RV rv = 0;

	if (!ordered(&order, "C_{name}", {subject(arguments)}))
		return behind->C_{name}({passed});
	if (before(&order, &rv))
		return rv;
	return after(&order, behind->C_{name}({passed}), &answers);
}}"""


def subject(arguments: tuple[tuple[str, str], ...]) -> str:
    kind, name = arguments[0] if arguments else ("", "")
    known = {"CK_SLOT_ID": "SLOT", "CK_SESSION_HANDLE": "SESSION"}
    return f"{known[kind]}, {name}" if kind in known else "NOTHING, 0"


def answers(name: str, arguments: dict[str, str]) -> Iterator[str]:
    """Initialisers of `struct answers`."""
    if "CK_ULONG_PTR" in arguments:
        yield f".count = {arguments['CK_ULONG_PTR']}"
    for kind in LISTS:
        if kind in arguments:
            yield f".list = {arguments[kind]}"
    for kind in STRUCTURES:
        if kind in arguments:
            yield f".structure = {arguments[kind]}, .size = sizeof(*{arguments[kind]})"
    if name == "GetAttributeValue":
        yield ".attributes = pTemplate, .attribute_count = ulCount"

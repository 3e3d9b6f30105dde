"""What a C header of PKCS#11 says: numbers, prototypes, structures."""

import re
from functools import cache
from pathlib import Path

# The standard's own, 3.2: tests/vectors/pkcs11/README.md.
HEADER = Path(__file__).parents[2] / "vectors" / "pkcs11" / "pkcs11.h"
# p11-kit's, which somebody else wrote (libp11-kit-dev).
P11_KIT = Path("/usr/include/p11-kit-1/p11-kit/pkcs11.h")

_DEFINE = re.compile(
    r"^#define\s+(CK[A-Z]?)_(\w+)\s+\(?(~?(?:0[xX][0-9a-fA-F]+|\d+))[uUlL]*\)?\s*$"
)
_PROTOTYPE = re.compile(r"^extern CK_RV (C_\w+)\(([^)]*)\);", re.MULTILINE)
_STRUCT = re.compile(r"^struct (CK_\w+)\s*\{([^}]*)\}", re.MULTILINE)


def defines(path: Path) -> dict[str, dict[str, int]]:
    """The numbers by their prefix (CKR, CKA, ...) and the rest of their name."""
    found: dict[str, dict[str, int]] = {}
    for line in path.read_text().splitlines():
        if match := _DEFINE.match(line):
            prefix, name, text = match.groups()
            number = int(text.lstrip("~"), 0)
            found.setdefault(prefix, {})[name] = 2**64 - 1 - number if "~" in text else number
    return found


@cache
def prototypes() -> dict[str, tuple[str, ...]]:
    """The types of the arguments of each function."""
    found = _PROTOTYPE.findall(HEADER.read_text())
    return {name: tuple(map(spelling, inside.split(","))) for name, inside in found}


@cache
def structures() -> dict[str, tuple[tuple[str, str], ...]]:
    """Type and name of each member of each structure; an array is `type[16]`."""
    return {
        name: tuple(_member(line) for line in inside.split(";") if line.strip())
        for name, inside in _STRUCT.findall(HEADER.read_text())
    }


def _member(line: str) -> tuple[str, str]:
    type_, name = re.sub(r"/\*.*?\*/", "", line, flags=re.DOTALL).strip().rsplit(maxsplit=1)
    if "[" in name:
        name, size = name.rstrip("]").split("[")
        return f"{type_}[{size}]", name
    return spelling(type_), name


def spelling(type_: str) -> str:
    """One spelling for what C allows several of."""
    words = type_.replace("*", " * ").replace("struct ", "").split()
    plain = " ".join(words)
    while plain.endswith("_PTR"):
        plain = plain.removesuffix("_PTR") + " *"
        # CK_X_PTR_PTR
        head, _, stars = plain.partition(" ")
        while head.endswith("_PTR"):
            head, stars = head.removesuffix("_PTR"), stars + " *"
        plain = f"{head} {stars}"
    return plain.replace("CK_VOID", "void").replace("* *", "**")

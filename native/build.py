"""Build keyholm-pkcs11, the native module, with whatever compiles C.

The system's compiler if there is one (`KEYHOLM_CC` names another, with its options), else zig,
which comes from PyPI as `ziglang` and also builds for other systems. This file needs nothing but
the standard library: the wheel's build hook uses it before anything is installed.
"""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "native" / "pkcs11"
FUZZ = ROOT / "native" / "fuzz"
PLACE = ROOT / "src" / "keyholm" / "_native"
NAME = "keyholm-pkcs11"

STRICT = (
    "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Wstrict-prototypes",
    "-Wmissing-prototypes",
)  # fmt: skip
# Only what is marked is seen from outside. Never unloaded: a thread may still be in a call.
LINKED = {
    "linux": ("-fPIC", "-shared", "-Wl,-z,nodelete", "-Wl,-z,defs", "-Wl,-z,now", "-Wl,-z,relro"),
    "macos": ("-fPIC", "-shared"),
    "windows": ("-shared", "-lws2_32"),
}
SUFFIXES = {"linux": ".so", "macos": ".dylib", "windows": ".dll"}


class NoCompiler(Exception):
    """Neither a C compiler nor zig."""


@dataclass(frozen=True, slots=True)
class Target:
    """A system to build for: what zig calls it, and what a wheel's name does."""

    zig: str
    wheel: str

    @property
    def system(self) -> str:
        return next(name for name in SUFFIXES if name in self.zig)

    @property
    def file(self) -> str:
        return NAME + SUFFIXES[self.system]


TARGETS = (
    Target("x86_64-linux-gnu.2.17", "manylinux_2_17_x86_64"),
    Target("aarch64-linux-gnu.2.17", "manylinux_2_17_aarch64"),
    Target("x86_64-linux-musl", "musllinux_1_1_x86_64"),
    Target("aarch64-linux-musl", "musllinux_1_1_aarch64"),
    Target("x86_64-macos.11.0", "macosx_11_0_x86_64"),
    Target("aarch64-macos.11.0", "macosx_11_0_arm64"),
    Target("x86_64-windows-gnu", "win_amd64"),
    Target("aarch64-windows-gnu", "win_arm64"),
)


def here() -> str:
    """The name that LINKED and SUFFIXES have for this system."""
    return {"darwin": "macos", "win32": "windows"}.get(sys.platform, "linux")


def file_here() -> str:
    return NAME + SUFFIXES[here()]


def platform_here() -> str:
    """As the name of a wheel has it."""
    return sysconfig.get_platform().replace("-", "_").replace(".", "_")


def system_compiler() -> list[str] | None:
    if named := os.environ.get("KEYHOLM_CC"):
        return shlex.split(named)
    found = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    return [found] if found else None


def zig_compiler() -> list[str] | None:
    return [sys.executable, "-m", "ziglang", "cc"] if find_spec("ziglang") else None


def compiler() -> list[str]:
    found = system_compiler() or zig_compiler()
    if found is None:
        raise NoCompiler("There is no C compiler here, and no zig.")
    return found


def version_number() -> int:
    """The project's version as the hello has it: 8, 8 and 16 bits."""
    text = (ROOT / "src" / "keyholm" / "version.py").read_text()
    found = re.search(r'VERSION = "(\d+)\.(\d+)\.(\d+)', text)
    assert found, "version.py has no version"
    major, minor, patch = map(int, found.groups())
    return major << 24 | minor << 16 | patch


def command(
    out: Path, with_compiler: Sequence[str], *, system: str = "", more: Sequence[str] = ("-O2",)
) -> list[str]:
    system = system or here()
    others = "platform_unix.c" if system == "windows" else "platform_win.c"
    sources = [str(path) for path in sorted(SOURCES.glob("*.c")) if path.name != others]
    return [
        *with_compiler, "-std=c11", "-g1", "-fvisibility=hidden", *STRICT, *more,
        f"-DKEYHOLM_VERSION={version_number():#x}", "-o", str(out), *sources, *LINKED[system],
    ]  # fmt: skip


def build(out: Path, *, more: Sequence[str] = ("-O2",)) -> Path:
    """For this machine. Raises `NoCompiler`, and CalledProcessError where it fails."""
    out.parent.mkdir(parents=True, exist_ok=True)
    _run(command(out, compiler(), more=more))
    return out


def cross_build(target: Target, folder: Path) -> Path:
    zig = zig_compiler()
    if zig is None:
        raise NoCompiler("Building for other systems needs zig (the package ziglang).")
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / target.file
    _run(command(out, [*zig, "-target", target.zig], system=target.system, more=("-O2", "-s")))
    return out


def build_fuzzer(out: Path, *, with_libfuzzer: bool = False, sanitized: bool = True) -> Path:
    """A program that gives the module the answers of a daemon that lies."""
    found = shutil.which("clang") if with_libfuzzer else None
    words = [found] if found else compiler()
    sources = [path for path in SOURCES.glob("*.c") if not path.name.startswith("platform_")]
    sources += [FUZZ / "platform_fuzz.c", FUZZ / "answers.c"]
    sanitizers = "address,undefined"
    if found:
        sanitizers += ",fuzzer"
    else:
        sources.append(FUZZ / "standalone.c")
    watched = (f"-fsanitize={sanitizers}", "-fno-sanitize-recover=all") if sanitized else ()
    _run(
        [
            *words, "-std=c11", "-g", "-O1", *STRICT, "-Werror", *watched,
            "-o", str(out), *map(str, sorted(sources)),
        ]
    )  # fmt: skip
    return out


def _run(words: Sequence[str]) -> None:
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL)


def fingerprint() -> str:
    """Of all that goes in: the sources, this file, the version."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for path in sorted(SOURCES.glob("*.[ch]")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    digest.update(str(version_number()).encode())
    return digest.hexdigest()


def in_place() -> Path | None:
    """In a clone: build it where the package looks for it, if it is not there or not the newest.

    None where there is no compiler: everything works without but PKCS#11 by our own module.
    """
    out = PLACE / file_here()
    stamp = PLACE / "built-from"
    wanted = fingerprint()
    if out.exists() and stamp.exists() and stamp.read_text() == wanted:
        return out
    try:
        fresh = build(out.with_suffix(".new"))
    except NoCompiler:
        return None
    fresh.replace(out)  # never written to: a program may have it mapped
    stamp.write_text(wanted)
    return out


if __name__ == "__main__":
    sys.exit(0 if in_place() else "The PKCS#11 module was not built: there is no C compiler.")

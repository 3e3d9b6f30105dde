"""What the file shows to the program that loads it: three names, and no library but libc."""

import shutil
import subprocess
from pathlib import Path

import pytest

from native import build, generate

READELF = shutil.which("readelf")
pytestmark = [
    pytest.mark.skipif(READELF is None, reason="no readelf (binutils)"),
    pytest.mark.skipif(build.here() != "linux", reason="contract only: no ELF here"),
]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return build.build(tmp_path_factory.mktemp("plain") / "module.so")
    except build.NoCompiler:
        pytest.skip("no C compiler, and no ziglang")


def readelf(path: Path, *options: str) -> list[list[str]]:
    done = subprocess.run(
        [READELF or "", "-W", *options, path], check=True, capture_output=True, text=True
    )
    return [line.split() for line in done.stdout.splitlines()]


def test_only_the_three_entry_points_are_exported(plain: Path) -> None:
    rows = [row for row in readelf(plain, "--dyn-syms") if len(row) == 8 and row[0] != "Num:"]
    shown = {row[7] for row in rows if row[6] != "UND" and row[4] in ("GLOBAL", "WEAK")}
    assert shown == {f"C_{name}" for name in generate.EXPORTED}


def test_nothing_is_needed_but_libc(plain: Path) -> None:
    rows = readelf(plain, "-d")
    needed = {row[-1].strip("[]") for row in rows if "(NEEDED)" in row}
    assert {name.partition(".so")[0] for name in needed} <= {"libc", "libpthread"}


def test_it_stays_loaded_and_runs_nothing_at_its_own_end(plain: Path) -> None:
    rows = readelf(plain, "-d")
    flags = {word for row in rows for word in row}
    assert "NODELETE" in flags
    imported = {row[7].partition("@")[0] for row in readelf(plain, "--dyn-syms") if len(row) == 8}
    # __cxa_finalize is what crtbegin brings along; it calls what nobody registers.
    assert not imported & {"atexit", "__cxa_atexit", "pthread_atfork", "pthread_create", "printf"}

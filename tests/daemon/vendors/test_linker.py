"""What the dynamic linker would find, held against the dynamic linker."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.daemon.vendors.elf_files import library, write
from tests.programs import program

from keyholm.daemon.vendors.linker import Linker, Missing, read_cache


def linker(*folders: Path) -> Linker:
    return Linker({}, tuple(map(str, folders)))


def test_what_is_there_is_not_missing(tmp_path: Path) -> None:
    first = write(tmp_path / "first.so", library(("a.so",)))
    write(tmp_path / "lib/a.so", library(("b.so", "linux-vdso.so.1")))
    write(tmp_path / "lib/b.so", library(("a.so",)))  # a circle
    assert linker(tmp_path / "lib").missing(first) == []


def test_a_library_of_a_library_is_missed(tmp_path: Path) -> None:
    first = write(tmp_path / "first.so", library(("a.so",)))
    other = write(tmp_path / "lib/a.so", library(("gone.so.2",)))
    found = linker(tmp_path / "lib").missing(first)
    assert found == [Missing("gone.so.2", other, "it is not installed")]


def test_one_for_another_machine_is_passed_over(tmp_path: Path) -> None:
    first = write(tmp_path / "first.so", library(("a.so",)))
    wrong = write(tmp_path / "one/a.so", library(machine=183))
    (missing,) = linker(tmp_path / "one").missing(first)
    assert missing.why == f"{wrong} is for AArch64 of 64 bits"
    write(tmp_path / "two/a.so", library())
    assert linker(tmp_path / "one", tmp_path / "two").missing(first) == []


def test_a_damaged_one_is_told(tmp_path: Path) -> None:
    first = write(tmp_path / "first.so", library(("a.so",)))
    write(tmp_path / "a.so", b"\x7fELF")
    (missing,) = linker(tmp_path).missing(first)
    assert missing.why.endswith("a.so is no library: it is cut off or damaged")


@pytest.mark.parametrize("origin", ["$ORIGIN", "${ORIGIN}"])
def test_a_library_looks_beside_itself(tmp_path: Path, origin: str) -> None:
    first = write(tmp_path / "real/first.so", library(("a.so",), runpath=f"{origin}/../lib"))
    (tmp_path / "link.so").symlink_to(first)
    write(tmp_path / "lib/a.so", library())
    assert linker().missing(str(tmp_path / "link.so")) == []


def test_rpath_is_inherited_and_runpath_is_not(tmp_path: Path) -> None:
    write(tmp_path / "lib/a.so", library(("b.so",)))
    write(tmp_path / "lib/b.so", library())
    folder = str(tmp_path / "lib")
    by_rpath = write(tmp_path / "1.so", library(("a.so",), rpath=folder))
    by_runpath = write(tmp_path / "2.so", library(("a.so",), runpath=folder))
    assert linker().missing(by_rpath) == []
    assert [each.library for each in linker().missing(by_runpath)] == ["b.so"]


@pytest.mark.interop
def test_the_cache_of_this_machine_names_what_ldconfig_lists() -> None:
    ldconfig = program("ldconfig")
    told = subprocess.run([ldconfig, "-p"], capture_output=True, text=True, check=True).stdout
    lines = [line.strip().split(" => ") for line in told.splitlines() if " => " in line]
    found = read_cache()
    assert lines
    for head, path in lines:
        assert path in found[head.split(" ")[0]]


def test_what_is_no_cache_names_nothing(tmp_path: Path) -> None:
    assert read_cache(str(tmp_path / "none")) == {}
    (tmp_path / "cache").write_bytes(b"glibc-ld.so.cache1.1" + b"\xff" * 7)
    assert read_cache(str(tmp_path / "cache")) == {}


def test_all_that_this_python_has_loaded_is_found() -> None:
    with open("/proc/self/maps", encoding="utf-8") as maps:
        loaded = {line.split(maxsplit=5)[-1].strip() for line in maps if ".so" in line}
    paths = [path for path in loaded if os.path.exists(path)]
    assert paths
    for path in (*paths, os.path.realpath(sys.executable)):
        assert Linker().missing(path) == [], path

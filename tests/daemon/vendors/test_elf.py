"""A library's header, read: libraries of this system, of other machines, and of nobody."""

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.daemon.vendors.elf_files import library, write
from tests.programs import program

from keyholm.core.errors import BadConfiguration
from keyholm.daemon.vendors import elf

OF_PYTHON = sorted(Path(sysconfig.get_path("platstdlib"), "lib-dynload").glob("*.so"))


@pytest.mark.interop
def test_what_readelf_says_is_what_we_read() -> None:
    readelf = program("readelf")
    for path in (*OF_PYTHON[:20], Path(sys.executable).resolve()):
        told = subprocess.run([readelf, "-d", path], capture_output=True, text=True, check=True)
        lines = [line for line in told.stdout.splitlines() if "(NEEDED)" in line]
        assert list(elf.read(str(path)).needed) == [line.split("[")[1][:-1] for line in lines]


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("big", [False, True])
def test_every_form_of_the_header_is_read(tmp_path: Path, bits: int, big: bool) -> None:
    content = library(
        ("libc.so.6", "libz.so.1"),
        bits=bits,
        big=big,
        machine=8,
        runpath="$ORIGIN/a:/b",
        rpath="/c",
        soname="libx.so.1",
    )
    found = elf.read(write(tmp_path / "lib.so", content))
    assert found.machine == elf.Machine(8, bits, big)
    assert (found.shared, found.cryptoki, found.soname) == (True, True, "libx.so.1")
    assert found.needed == ("libc.so.6", "libz.so.1")
    assert (found.runpath, found.rpath) == (("$ORIGIN/a", "/b"), ("/c",))


def test_machines_are_told_by_name() -> None:
    assert str(elf.Machine(183, 64, False)) == "AArch64 of 64 bits"
    assert str(elf.Machine(8, 32, True)) == "MIPS of 32 bits, big-endian"
    assert str(elf.Machine(9999, 32, False)) == "machine 9999 of 32 bits"


def test_a_library_without_the_entry_point_is_no_module(tmp_path: Path) -> None:
    assert not elf.read(write(tmp_path / "a.so", library(names=("C_GetFunctionLists",)))).cryptoki
    assert elf.read(write(tmp_path / "b.so", library(names=("C_GetInterface",)))).cryptoki


NONE = {
    b"": "is empty",
    b"#!/bin/sh\n": "not in ELF format; it looks like text",
    b"MZ\x90": "but a library of Windows",
    b"\xcf\xfa\xed\xfe\0": "but a library of macOS",
    b"\x7fELF": "cut off or damaged",
    b"\x7fELF\x09\x01" + bytes(60): "cut off or damaged",
}


@pytest.mark.parametrize(("content", "sentence"), NONE.items())
def test_what_is_no_library_is_told(tmp_path: Path, content: bytes, sentence: str) -> None:
    with pytest.raises(BadConfiguration, match=sentence):
        elf.read(write(tmp_path / "a.so", content))


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(BadConfiguration, match="cannot be read"):
            elf.read(str(path))


WHOLE = library(("libc.so.6",), runpath="/a")


@given(st.data())
def test_any_bytes_give_a_library_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Of a good file, so that the changed offsets and lengths are reached."""
    content = bytearray(WHOLE[: data.draw(st.integers(1, len(WHOLE)))])
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "any.so"
    path.write_bytes(content)
    try:
        found = elf.read(str(path))
    except BadConfiguration:
        return
    assert len(found.needed) <= elf.MOST_ENTRIES

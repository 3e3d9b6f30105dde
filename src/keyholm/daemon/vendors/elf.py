"""A shared library's header: for which machine it is, and which libraries it wants.

Read, never loaded: to load a library is to run it. What is read comes from a file that may be
anything, so each offset and each length is held against the file's own size. System V ABI,
chapters 4 and 5 (gABI, "ELF Header", "Program Header", "Dynamic Section").
"""

import mmap
import os
import struct
from dataclasses import dataclass
from typing import Final

from keyholm.core.errors import BadConfiguration

MAGIC: Final = b"\x7fELF"
CLASSES: Final = {1: 32, 2: 64}
MACHINES: Final = {
    2: "SPARC",
    3: "x86",
    8: "MIPS",
    20: "PowerPC",
    21: "PowerPC 64",
    22: "s390",
    40: "ARM",
    43: "SPARC 64",
    62: "x86-64",
    183: "AArch64",
    243: "RISC-V",
    258: "LoongArch",
}
DYNAMIC_LIBRARY: Final = 3  # ET_DYN
LOAD, DYNAMIC = 1, 2  # PT_LOAD, PT_DYNAMIC
NEEDED, STRINGS, STRINGS_SIZE, SONAME, RPATH, RUNPATH = 1, 5, 10, 14, 15, 29  # DT_...
MOST_SEGMENTS: Final = 512
MOST_ENTRIES: Final = 65536
LONGEST_NAME: Final = 4096
ENTRIES: Final = (b"C_GetFunctionList\0", b"C_GetInterfaceList\0", b"C_GetInterface\0")


@dataclass(frozen=True, slots=True)
class Machine:
    """What must be equal in a program and in what it loads."""

    number: int
    bits: int
    big_endian: bool

    def __str__(self) -> str:
        name = MACHINES.get(self.number, f"machine {self.number}")
        order = ", big-endian" if self.big_endian and self.number in (8, 20, 21, 40, 183) else ""
        return f"{name} of {self.bits} bits{order}"


@dataclass(frozen=True, slots=True)
class Library:
    path: str
    machine: Machine
    shared: bool  # a library, and no program
    soname: str = ""
    needed: tuple[str, ...] = ()
    rpath: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()
    cryptoki: bool = False  # whether it names PKCS#11's entry point


def machine_of(path: str) -> Machine:
    """Raises `BadConfiguration` for what is no ELF file."""
    return read(path).machine


def read(path: str) -> Library:
    """Raises `BadConfiguration`, with what is wrong with the file."""
    try:
        with open(path, "rb") as file:
            if not os.fstat(file.fileno()).st_size:
                raise BadConfiguration(f"{path} is empty.")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _read(path, data)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadConfiguration(f"{path} cannot be read: {reason}.") from error
    except (struct.error, IndexError, KeyError) as error:
        raise BadConfiguration(
            f"{path} is no library: it is cut off or damaged.", remedy="Install its package again."
        ) from error


def _read(path: str, data: mmap.mmap) -> Library:
    if data[:4] != MAGIC:
        raise BadConfiguration(f"{path} is no library: it is not in ELF format{_else(data)}.")
    bits, big = CLASSES[data[4]], data[5] == 2
    order = ">" if big else "<"
    kind, number = struct.unpack_from(f"{order}HH", data, 16)
    machine = Machine(number, bits, big)
    segments = _segments(data, order, bits)
    strings, names = _dynamic(data, order, bits, segments)
    return Library(
        path,
        machine,
        kind == DYNAMIC_LIBRARY,
        "".join(_texts(strings, names.get(SONAME, [])[:1])),
        tuple(_texts(strings, names.get(NEEDED, []))),
        _folders(strings, names.get(RPATH, [])),
        _folders(strings, names.get(RUNPATH, [])),
        any(entry in strings for entry in ENTRIES),
    )


def _else(data: mmap.mmap) -> str:
    if data[:2] == b"MZ":
        return ", but a library of Windows"
    if data[:4] in (b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe"):
        return ", but a library of macOS"
    text = bytes(data[:64])
    return "; it looks like text" if text.isascii() and b"\0" not in text else ""


Segment = tuple[int, int, int, int]  # type, offset in the file, address, size in the file


def _segments(data: mmap.mmap, order: str, bits: int) -> list[Segment]:
    if bits == 64:
        (start,) = struct.unpack_from(f"{order}Q", data, 32)
        size, count = struct.unpack_from(f"{order}HH", data, 54)
        form, picked = f"{order}IIQQQQ", (0, 2, 3, 5)
    else:
        (start,) = struct.unpack_from(f"{order}I", data, 28)
        size, count = struct.unpack_from(f"{order}HH", data, 42)
        form, picked = f"{order}IIIII", (0, 1, 2, 4)
    found = []
    for index in range(min(count, MOST_SEGMENTS)):
        fields = struct.unpack_from(form, data, start + index * size)
        found.append((fields[picked[0]], fields[picked[1]], fields[picked[2]], fields[picked[3]]))
    return found


def _dynamic(
    data: mmap.mmap, order: str, bits: int, segments: list[Segment]
) -> tuple[bytes, dict[int, list[int]]]:
    """The table of strings, and for each tag its values."""
    tags: dict[int, list[int]] = {}
    form = struct.Struct(f"{order}{'qQ' if bits == 64 else 'iI'}")
    for kind, offset, _, size in segments:
        if kind != DYNAMIC:
            continue
        for index in range(min(size // form.size, MOST_ENTRIES)):
            tag, value = form.unpack_from(data, offset + index * form.size)
            if tag == 0:
                break
            tags.setdefault(tag, []).append(value)
    if STRINGS not in tags or STRINGS_SIZE not in tags:
        return b"", {}
    start = _in_file(tags[STRINGS][0], segments)
    return data[start : start + tags[STRINGS_SIZE][0]], tags


def _in_file(address: int, segments: list[Segment]) -> int:
    for kind, offset, start, size in segments:
        if kind == LOAD and start <= address < start + size:
            return address - start + offset
    raise IndexError(address)


def _texts(strings: bytes, offsets: list[int]) -> list[str]:
    return [
        os.fsdecode(strings[offset : offset + LONGEST_NAME].partition(b"\0")[0])
        for offset in offsets
        if offset < len(strings)
    ]


def _folders(strings: bytes, offsets: list[int]) -> tuple[str, ...]:
    return tuple(
        folder for text in _texts(strings, offsets) for folder in text.split(":") if folder
    )

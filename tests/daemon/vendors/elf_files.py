"""ELF files as small as they can be, for a machine of choice."""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final

X86_64: Final = 62
ENTRY: Final = "C_GetFunctionList"


def library(
    needed: Sequence[str] = (),
    *,
    bits: int = 64,
    big: bool = False,
    machine: int = X86_64,
    kind: int = 3,
    names: Sequence[str] = (ENTRY,),
    runpath: str = "",
    rpath: str = "",
    soname: str = "",
) -> bytes:
    """A shared library that wants `needed`: header, two segments, strings, dynamic section."""
    order, wide = (">" if big else "<"), bits == 64
    strings = b"\0"
    tags: list[tuple[int, int]] = []
    for tag, texts in ((1, needed), (14, [soname]), (15, [rpath]), (29, [runpath])):
        for text in filter(None, texts):
            tags.append((tag, len(strings)))
            strings += text.encode() + b"\0"
    strings += b"".join(name.encode() + b"\0" for name in names)
    head, segment, entry = (64, 56, 16) if wide else (52, 32, 8)
    start = head + 2 * segment
    tags += [(5, start), (10, len(strings)), (0, 0)]
    form = f"{order}{'qQ' if wide else 'iI'}"
    dynamic = b"".join(struct.pack(form, *each) for each in tags)
    size = start + len(strings) + len(dynamic)
    assert entry * len(tags) == len(dynamic)
    ident = b"\x7fELF" + bytes((2 if wide else 1, 2 if big else 1, 1)) + bytes(9)
    fields = (kind, machine, 1, 0, head, 0, 0, head, segment, 2, 0, 0, 0)
    header = struct.pack(f"{order}{'HHIQQQIHHHHHH' if wide else 'HHIIIIIHHHHHH'}", *fields)
    place = start + len(strings)
    segments = _segment(order, wide, 1, 0, size) + _segment(order, wide, 2, place, len(dynamic))
    return ident + header + segments + strings + dynamic


def _segment(order: str, wide: bool, kind: int, offset: int, size: int) -> bytes:
    if wide:
        return struct.pack(f"{order}IIQQQQQQ", kind, 5, offset, offset, offset, size, size, 8)
    return struct.pack(f"{order}IIIIIIII", kind, offset, offset, offset, size, size, 5, 8)


def write(path: Path, content: bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o755)
    return str(path)

"""Where the dynamic linker would find the libraries that a library wants, and which it would not.

As ld.so(8): DT_RPATH of the library and of those that loaded it, unless it has a DT_RUNPATH;
then DT_RUNPATH; then /etc/ld.so.cache; then /lib and /usr/lib. A file for another machine is
passed over, as ld.so does. Nothing is loaded.
"""

import os
import struct
import sys
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from keyholm.core.errors import BadConfiguration
from keyholm.daemon.vendors import elf

CACHE: Final = "/etc/ld.so.cache"
CACHE_MAGIC: Final = b"glibc-ld.so.cache1.1"
LARGEST_CACHE: Final = 64 << 20
MOST: Final = 1000  # libraries that are looked at
# Of the C library and the linker itself; musl's has all of them in one.
OF_THE_SYSTEM: Final = ("linux-vdso", "ld-linux", "ld-musl", "libc.musl-")


class Missing(NamedTuple):
    library: str
    wanted_by: str  # a path
    why: str


class Linker:
    """`cache` and `folders` are where this machine's linker looks, whatever a library says."""

    def __init__(
        self, cache: Mapping[str, list[str]] | None = None, folders: tuple[str, ...] | None = None
    ) -> None:
        self._cache = read_cache() if cache is None else cache
        self._folders = usual_folders() if folders is None else folders

    def missing(self, path: str) -> list[Missing]:
        """What cannot be found of all that `path` wants, directly or through others.

        Raises `BadConfiguration` if `path` is no library at all.
        """
        first = elf.read(path)
        found: dict[str, elf.Library] = {}
        absent: list[Missing] = []
        waiting = [(first, first.rpath)]
        while waiting and len(found) < MOST:
            library, inherited = waiting.pop()
            for name in library.needed:
                if name in found or name.startswith(OF_THE_SYSTEM):
                    continue
                other, why = self._find(name, library, inherited)
                if other is None:
                    absent.append(Missing(name, library.path, why))
                    continue
                found[name] = other
                waiting.append((other, inherited + _expanded(other, other.rpath)))
        return absent

    def _find(
        self, name: str, library: elf.Library, inherited: tuple[str, ...]
    ) -> tuple[elf.Library | None, str]:
        why = "it is not installed"
        for path in self._places(name, library, inherited):
            if not os.path.exists(path):
                continue
            try:
                found = elf.read(path)
            except BadConfiguration as error:
                why = error.what.rstrip(".")
                continue
            if found.machine == library.machine:
                return found, ""
            why = f"{path} is for {found.machine}"
        return None, why

    def _places(self, name: str, library: elf.Library, inherited: tuple[str, ...]) -> Iterator[str]:
        if "/" in name:
            yield name
            return
        own = _expanded(library, library.runpath)
        folders = own or (*_expanded(library, library.rpath), *inherited)
        yield from (os.path.join(folder, name) for folder in folders)
        yield from self._cache.get(name, ())
        yield from (os.path.join(folder, name) for folder in self._folders)


def _expanded(library: elf.Library, folders: tuple[str, ...]) -> tuple[str, ...]:
    origin = os.path.dirname(os.path.realpath(library.path))
    bits = "lib64" if library.machine.bits == 64 else "lib"
    found = []
    for folder in folders:
        for name, value in (("ORIGIN", origin), ("LIB", bits)):
            folder = folder.replace(f"${{{name}}}", value).replace(f"${name}", value)
        found.append(folder)
    return tuple(found)


def usual_folders() -> tuple[str, ...]:
    triplet = getattr(sys.implementation, "_multiarch", "")
    there = ["/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/local/lib"]
    if triplet:
        there = [f"/usr/lib/{triplet}", f"/lib/{triplet}", *there]
    return tuple(there)


def read_cache(path: str = CACHE) -> dict[str, list[str]]:
    """Each library's paths; nothing where there is no such cache, as with musl."""
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST_CACHE)
    except OSError:
        return {}
    # A cache of the old format may stand before it; offsets count from this one's start.
    start = data.find(CACHE_MAGIC)
    if start < 0:
        return {}
    data = data[start:]
    order = "<" if sys.byteorder == "little" else ">"
    found: dict[str, list[str]] = {}
    try:
        (count,) = struct.unpack_from(f"{order}I", data, len(CACHE_MAGIC))
        for index in range(min(count, len(data) // 24)):
            _, key, value = struct.unpack_from(f"{order}iII", data, 48 + 24 * index)
            found.setdefault(_text(data, key), []).append(_text(data, value))
    except struct.error:
        pass  # what could be read counts
    return found


def _text(data: bytes, offset: int) -> str:
    end = data.find(b"\0", offset, offset + elf.LONGEST_NAME)
    return os.fsdecode(data[offset:end])

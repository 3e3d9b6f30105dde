"""How often a PIN was tried in vain: two copies of a small file beside the header.

    {"magic": "keyholm-pins", "user": 1, "so": 0, "format": 1}\n
    SHA-256 of the first line, in hexadecimal\n

It is written before a PIN is compared, so that pulling the plug gives nobody another try. It
needs no key, since a locked token counts as well: whoever can write it can copy the token's
folder and guess elsewhere (SECURITY.md). Where both copies are damaged one try is left.
"""

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from keyholm.core.errors import KeyholmError, StoreDamaged
from keyholm.core.session import Role
from keyholm.stores.disk import files
from keyholm.stores.disk.line import read as read_line

NAME: Final = "pins"
COPY: Final = "pins.copy"
MAGIC: Final = "keyholm-pins"
FORMAT: Final = 1
MAX_FILE: Final = 4096
MOST: Final = 10  # tries in a row, of each PIN


class Counted(msgspec.Struct, frozen=True, tag_field="magic", tag=MAGIC):
    """Tries in vain since the last success."""

    user: int = 0
    so: int = 0
    format: int = FORMAT

    def of(self, role: Role) -> int:
        return self.user if role is Role.USER else self.so

    def with_(self, role: Role, count: int) -> "Counted":
        if role is Role.USER:
            return msgspec.structs.replace(self, user=count)
        return msgspec.structs.replace(self, so=count)


class Tries:
    """The counters of one token. Whoever calls holds its lock."""

    def __init__(self, place: Path) -> None:
        self._paths = (place / NAME, place / COPY)
        self.damage: list[str] = []
        self._counted = self._read()

    def _read(self) -> Counted:
        good = []
        for path in self._paths:
            try:
                good.append(parse(files.read(path, MAX_FILE), path))
            except KeyholmError as error:
                self.damage.append(error.what)
        if not good:
            return Counted(MOST - 1, MOST - 1)
        # A crash came between the two: then the one with more tries is the later one, or one
        # try more is counted than there was.
        return max(good, key=lambda each: each.user + each.so)

    def left(self, role: Role) -> int:
        return max(0, MOST - self._counted.of(role))

    def count(self, role: Role) -> None:
        """One more, on the disk when it returns. Raises where it cannot be written."""
        self._write(self._counted.with_(role, self._counted.of(role) + 1))

    def take_back(self, role: Role) -> None:
        """It was counted and then not compared. Where it cannot be written, it was a try."""
        with suppress(KeyholmError):
            self._write(self._counted.with_(role, self._counted.of(role) - 1))

    def forget(self, role: Role) -> None:
        """It was right, or another one is in its place."""
        self._write(self._counted.with_(role, 0))

    def _write(self, counted: Counted) -> None:
        files.replace(encoded(counted), *self._paths)
        self._counted = counted


def create(place: Path) -> None:
    for name in (NAME, COPY):
        files.write_new(place / name, encoded(Counted()), sync_parent=False)


def encoded(counted: Counted) -> bytes:
    line = msgspec.json.encode(counted)
    return line + b"\n" + hashlib.sha256(line).hexdigest().encode() + b"\n"


def parse(content: bytes, path: Path) -> Counted:
    """Raises `StoreDamaged`, which names the file."""
    line, _, _ = content.partition(b"\n")
    try:
        counted = read_line(line, Counted)
        if encoded(counted) != content:
            raise ValueError("its checksum does not fit")
        if not (0 <= counted.user <= MOST and 0 <= counted.so <= MOST):
            raise ValueError("it counts what cannot be")
    except ValueError as error:
        raise StoreDamaged(
            f"{path} is damaged: {error}.", remedy="A right PIN writes it anew."
        ) from error
    return counted

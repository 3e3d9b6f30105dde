"""The manifest of a token: an append-only journal that says what there must be.

Each line is `JSON <tab> MAC`. The MAC, under a key of the KEK, covers the line and the MAC
before it. A line holds every fact that is searched for and the hash of its file, so that a
missing, old, swapped or altered file is named. A write is acknowledged when its line is on
the disk; a last line that is not whole was never acknowledged.
"""

import hmac
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Final

import msgspec

from keyholm.core.errors import StoreFull
from keyholm.core.model import Kind
from keyholm.core.secret import Secret
from keyholm.stores.disk import crypto, files
from keyholm.stores.disk.attributes import Kept
from keyholm.stores.disk.entry import Facts

NAME: Final = "journal"
MAGIC: Final = "keyholm-journal"
FORMAT: Final = 1
MAX_FILE: Final = 256 * 1024 * 1024
HEX: Final = 64
FIRST: Final = b"0" * HEX  # in the place of the MAC before the first line
# A journal is written anew when most of it says what is no longer so.
COMPACT_FACTOR: Final = 4
COMPACT_SLACK: Final = 64
ROOM: Final = 1024 * 1024  # for one line more


class Version(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One file of a key."""

    generation: int
    hash: str  # SHA-256 of the whole file


class Begin(msgspec.Struct, frozen=True, tag_field="op", tag="begin", forbid_unknown_fields=True):
    token: str
    header: int  # the generation of token.json
    magic: str = MAGIC
    format: int = FORMAT


class Put(
    msgspec.Struct,
    frozen=True,
    tag_field="op",
    tag="put",
    forbid_unknown_fields=True,
    gc=False,
):
    object: str
    file: Version
    previous: Version | None
    key: Facts


class Hold(
    msgspec.Struct,
    frozen=True,
    tag_field="op",
    tag="object",
    forbid_unknown_fields=True,
    gc=False,
):
    """A public object was made or changed: all of it is here, and nowhere else."""

    object: str
    kind: Kind
    order: int
    attributes: Kept

    @property
    def is_public(self) -> bool:
        """Whether it is of a kind that can stand here."""
        return self.kind in (Kind.PUBLIC, Kind.CERTIFICATE, Kind.DATA)


class Remove(msgspec.Struct, frozen=True, tag_field="op", tag="remove", forbid_unknown_fields=True):
    object: str


class HeaderIs(
    msgspec.Struct, frozen=True, tag_field="op", tag="header", forbid_unknown_fields=True
):
    """token.json was written."""

    header: int


Record = Begin | Put | Hold | Remove | HeaderIs

_decode = msgspec.json.Decoder(Record).decode  # 10,000 lines at a time


class Line(msgspec.Struct, frozen=True, gc=False):
    json: bytes
    mac: bytes  # hexadecimal, as it is written
    record: Record | None  # None: cannot be read, or was not asked for


class Ending(Enum):
    """How the file ends."""

    WHOLE = auto()
    UNENDED = auto()  # all of a line but its end: a crash
    TORN = auto()  # the beginning of a line, which was never acknowledged: a crash
    ALTERED = auto()  # something else than the end of a line where it should be


@dataclass(frozen=True, slots=True)
class Contents:
    lines: tuple[Line, ...]
    ending: Ending


def parse(raw: bytes) -> Contents:
    """What it says, as far as it can be read; no key is needed."""
    return Contents(tuple(lines(raw)), ending_of(raw))


def lines(raw: bytes, *, decoded: bool = True) -> Iterator[Line]:
    """Each line, one at a time: a large journal is not held twice."""
    make = _line if decoded else _undecoded
    at = 0
    while (end := raw.find(b"\n", at)) >= 0:
        yield make(raw[at:end])
        at = end + 1
    last, _ = _last(raw[at:])
    if last is not None:
        yield last


def ending_of(raw: bytes) -> Ending:
    return _last(raw[raw.rfind(b"\n") + 1 :])[1]


def _last(rest: bytes) -> tuple[Line | None, Ending]:
    if not rest:
        return None, Ending.WHOLE
    for text, ending in ((rest, Ending.UNENDED), (rest[:-1], Ending.ALTERED)):
        last = _line(text)
        if last.record is not None:
            return last, ending
    return None, Ending.TORN


def _undecoded(text: bytes) -> Line:
    return Line(text[: -HEX - 1], text[-HEX:], None)


def _line(text: bytes) -> Line:
    # By its length, so that a line is known to follow even one whose tab was changed.
    content, tab, mac = text[: -HEX - 1], text[-HEX - 1 : -HEX], text[-HEX:]
    if tab != b"\t":
        return Line(content, mac, None)
    try:
        return Line(content, mac, _decode(content))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return Line(content, mac, None)


class Chain:
    """The MACs, line by line.

    A line after one that was altered may follow the MAC that stands there or the one that
    should: where only one of both was changed, what comes after it is still known to be good.
    """

    def __init__(self, key: Secret) -> None:
        self._key = key
        self._before: tuple[bytes, ...] = (FIRST,)

    def fits(self, line: Line) -> bool:
        right = [_mac(self._key, each, line.json) for each in self._before]
        if any(hmac.compare_digest(line.mac, mac) for mac in right):
            self._before = (line.mac,)
            return True
        self._before = (line.mac, right[0])
        return False


def altered(lines: Iterable[Line], key: Secret) -> list[int]:
    """Which lines, counted from 1, are not as they were written."""
    chain = Chain(key)
    return [
        number
        for number, line in enumerate(lines, 1)
        if not chain.fits(line) or line.record is None
    ]


def _mac(key: Secret, before: bytes, content: bytes) -> bytes:
    return crypto.mac(key, before, content).hex().encode()


class Journal:
    """The file. `append` and `rewrite` raise with nothing changed, or it is on the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._last = FIRST
        self._count = self._size = 0
        self._appendable = False

    def load(self) -> bytes:
        """All of it. Who has gone through its lines says so by `went_through`."""
        return files.read(self.path, MAX_FILE)

    def went_through(self, size: int, count: int, last: bytes, ending: Ending) -> None:
        self._size, self._count, self._last = size, count, last
        self._appendable = ending is Ending.WHOLE and count > 0

    def spoil(self) -> None:
        """Its next write shall write all of it anew."""
        self._appendable = False

    def wants_rewriting(self, live: int) -> bool:
        return (
            not self._appendable
            or self._count > COMPACT_FACTOR * live + COMPACT_SLACK
            or self._size > MAX_FILE - ROOM
        )

    def append(self, record: Record, key: Secret) -> None:
        content = msgspec.json.encode(record)
        mac = _mac(key, self._last, content)
        line = content + b"\t" + mac + b"\n"
        self._write(line)
        self._last = mac
        self._count, self._size = self._count + 1, self._size + len(line)

    def _write(self, text: bytes) -> None:
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | files.FLAGS)
        except OSError as error:
            raise files.failed(self.path, "written", error) from error
        size = os.fstat(descriptor).st_size
        try:
            files.write_all(descriptor, text)
            os.fdatasync(descriptor)
        except OSError as error:
            self._appendable = False
            with suppress(OSError):
                os.ftruncate(descriptor, size)
                os.fsync(descriptor)
                self._appendable = True
            raise files.failed(self.path, "written", error) from error
        finally:
            os.close(descriptor)

    def rewrite(self, records: Iterable[Record], key: Secret) -> None:
        last = FIRST
        lines = []
        for record in records:
            content = msgspec.json.encode(record)
            last = _mac(key, last, content)
            lines.append(content + b"\t" + last + b"\n")
        text = b"".join(lines)
        if len(text) > MAX_FILE:
            raise StoreFull(
                f"{self.path} would have more than {MAX_FILE >> 20} MiB.",
                remedy="Make another token; nothing was changed.",
            )
        files.replace(text, self.path)
        self._last, self._count, self._size = last, len(lines), len(text)
        self._appendable = True

"""Trails for tests: small files, short times, a clock that can be turned."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from keyholm.core.audit.background import Timing
from keyholm.core.audit.clock import Clock
from keyholm.core.audit.folder import Folder, segment_name
from keyholm.core.audit.frame import HEADER, records
from keyholm.core.audit.records import Operation, Session
from keyholm.core.audit.segments import Sizes
from keyholm.core.audit.trail import Settings

KIB = 1024
KEY = "ab" * 32
DIGEST = "cd" * 32
SIZES = Sizes(segment=32 * KIB, reserve=32 * KIB, step=8 * KIB)
QUICK = Settings(sizes=SIZES, timing=Timing(sync_within=0.005, checkpoint_within=0.02))
SELDOM = Settings(
    sizes=SIZES, timing=Timing(sync_within=3600, checkpoint_records=10**9, checkpoint_within=3600)
)
"""Nothing is synced or signed unless the test says so."""

SESSION = Session(1, "agent", "direct", os.getuid(), os.getgid(), 4711, exe="/usr/bin/ssh")


def operation(session: int = 2, **more: Any) -> Operation:
    return Operation(
        session, "agent", "sign", "eddsa", KEY, "disk", "main", DIGEST, 120, DIGEST, **more
    )


@dataclass
class Hands:
    """A clock whose hands the test turns."""

    wall: int = 1_790_000_000 * 10**9
    boot: int = 10**9

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.wall, lambda: self.boot)

    def turn(self, seconds: float) -> None:
        self.wall += int(seconds * 10**9)
        self.boot += int(seconds * 10**9)


@dataclass
class Stored:
    """What is in a trail's segments, read without any code of the reader."""

    path: Path
    raw: list[bytes] = field(default_factory=list)

    @property
    def facts(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(record) for record in self.raw]

    @property
    def events(self) -> list[str]:
        return [facts["event"] for facts in self.facts]


def stored(path: Path) -> Stored:
    found = Stored(path)
    for segment in sorted(path.glob("*.segment")):
        found.raw += [record for _, record in records(segment.read_bytes())]
    return found


def frames(path: Path) -> Iterator[tuple[int, int]]:
    """Where each frame of the only segment begins and ends."""
    for at, record in records((path / segment_name(0)).read_bytes()):
        yield at, at + HEADER.size + len(record)


def folder_of(path: Path) -> Folder:
    return Folder(path)


def read_with_a_hole(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The first reading of a segment misses 512 bytes in its midst, as one may that runs beside
    a write. Gives the names of what is read."""
    read = Folder.read
    reads: list[str] = []

    def with_a_hole(folder: Folder, name: str, start: int = 0) -> bytes | None:
        reads.append(name)
        data = read(folder, name, start)
        if data is None or name != segment_name(0) or reads.count(name) > 1:
            return data
        return data[:1024] + bytes(512) + data[1536:]

    monkeypatch.setattr(Folder, "read", with_a_hole)
    return reads

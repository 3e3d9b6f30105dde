"""The manifest of a token: an append-only journal that names what there must be.

Each line is `SHA-256 MAC JSON`: the sum finds what a disk did before there is a key, the
MAC (under a key of the KEK, over the line before as well) what somebody did. A line holds
every fact that is searched for and the hash of its file, so that a missing, old, swapped
or altered file is named. A line without its end was never acknowledged.
"""

import hashlib
import hmac
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from keyholm.core.secret import Secret
from keyholm.stores.disk import files
from keyholm.stores.disk.entry import Facts, facts_of

MAX_JOURNAL: Final = 64 * 1024 * 1024
HEX: Final = 64
COMPACT_FACTOR: Final = 4
COMPACT_SLACK: Final = 64


@dataclass(frozen=True, slots=True)
class Line:
    content: bytes  # JSON
    mac: bytes

    def encoded(self) -> bytes:
        total = hashlib.sha256(self.mac + self.content).hexdigest().encode()
        return b"%s %s %s\n" % (total, self.mac.hex().encode(), self.content)


@dataclass(frozen=True, slots=True)
class Listed:
    facts: Facts
    file: str  # SHA-256 of the file


@dataclass(slots=True)
class Contents:
    """What a journal says, and what is wrong with it."""

    listed: dict[str, Listed] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    lines: list[Line] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)
    torn: int = 0  # bytes of a line that was not finished


class Journal:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._last = b""  # MAC of the last line
        self._count = 0

    def read(self) -> Contents:
        """What it says, as far as it can be read; no key is needed."""
        contents = Contents()
        raw = files.read(self.path, MAX_JOURNAL)
        *whole, rest = raw.split(b"\n")
        for number, text in enumerate(whole, 1):
            line = _parsed(text)
            if line is None or not _take(contents, line):
                contents.damage.append(f"line {number} of {self.path} was changed")
                continue
            contents.lines.append(line)
        if rest:
            self._end(contents, rest)
        self._last = contents.lines[-1].mac if contents.lines else b""
        self._count = len(contents.lines)
        return contents

    def _end(self, contents: Contents, rest: bytes) -> None:
        """A last line without its end: cut off by a crash, or with its end changed."""
        try:
            json.loads(rest[2 * HEX + 2 :])
            finished = True
        except json.JSONDecodeError as error:
            # Something behind a whole JSON text: a crash writes less, never more.
            finished = error.msg.startswith("Extra data")
        except ValueError:
            finished = True  # not even text
        if finished:
            contents.damage.append(f"the last line of {self.path} was changed")
        else:
            contents.torn = len(rest)

    def check(self, lines: list[Line], key: Secret) -> list[str]:
        """Which lines somebody else wrote."""
        wrong = []
        before = b""
        for number, line in enumerate(lines, 1):
            if not hmac.compare_digest(_mac(key, before, line.content), line.mac):
                wrong.append(f"line {number} of {self.path} is not of this token")
            before = line.mac
        return wrong

    def begin(self, token: str, key: Secret) -> None:
        self._last, self._count = b"", 0
        line = self._line({"op": "begin", "format": 1, "token": token}, key)
        files.write(self.path, line.encoded())
        self._accepted(line)

    def put(self, facts: Facts, file: str, key: Secret) -> None:
        self._append({"op": "put", "file": file, **facts.told()}, key)

    def remove(self, name: str, key: Secret) -> None:
        self._append({"op": "remove", "object": name}, key)

    def wants_compaction(self, listed: int) -> bool:
        return self._count > COMPACT_FACTOR * listed + COMPACT_SLACK

    def rewrite(self, token: str, listed: Iterator[Listed], removed: set[str], key: Secret) -> None:
        """The same in as few lines as it takes. Names of what was removed stay."""
        self._last, self._count = b"", 0
        told: list[dict[str, Any]] = [{"op": "begin", "format": 1, "token": token}]
        told += [{"op": "put", "file": each.file, **each.facts.told()} for each in listed]
        told += [{"op": "remove", "object": name} for name in sorted(removed)]
        text = b""
        for each in told:
            line = self._line(each, key)
            text += line.encoded()
            self._accepted(line)
        files.write(self.path, text, keep=self.path.with_name(f"{self.path.name}.prev"))

    def _append(self, told: dict[str, Any], key: Secret) -> None:
        """On the disk when it returns; as before when it raises."""
        line = self._line(told, key)
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except OSError as error:
            raise files.failed(self.path, "written", error) from error
        size = os.fstat(descriptor).st_size
        try:
            files.write_all(descriptor, line.encoded())
            os.fsync(descriptor)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(descriptor, size)
                os.fsync(descriptor)
            raise files.failed(self.path, "written", error) from error
        finally:
            os.close(descriptor)
        self._accepted(line)

    def cut_torn(self, size: int) -> None:
        """Take away a line that was never finished, so never acknowledged."""
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.ftruncate(descriptor, os.fstat(descriptor).st_size - size)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise files.failed(self.path, "written", error) from error

    def _line(self, told: dict[str, Any], key: Secret) -> Line:
        content = json.dumps(told, sort_keys=True).encode()
        return Line(content, _mac(key, self._last, content))

    def _accepted(self, line: Line) -> None:
        self._last = line.mac
        self._count += 1


def _mac(key: Secret, before: bytes, content: bytes) -> bytes:
    return hmac.digest(key.view, before + b"|" + content, "sha256")


def _parsed(text: bytes) -> Line | None:
    total, _, rest = text.partition(b" ")
    mac, _, content = rest.partition(b" ")
    if len(total) != HEX or len(mac) != HEX:
        return None
    try:
        line = Line(content, bytes.fromhex(mac.decode()))
    except ValueError:
        return None
    return line if line.encoded() == text + b"\n" else None


def _take(contents: Contents, line: Line) -> bool:
    """Whether the line could be understood."""
    try:
        told = json.loads(line.content)
        match told["op"]:
            case "begin":
                return bool(told["format"] == 1)
            case "put":
                facts = facts_of(told)
                contents.listed[facts.object] = Listed(facts, str(told["file"]))
                contents.removed.discard(facts.object)
            case "remove":
                contents.listed.pop(told["object"], None)
                contents.removed.add(str(told["object"]))
            case _:
                return False
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
    return True

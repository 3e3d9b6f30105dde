"""Reading a trail for people and programs: records in order, with who was behind them.

Nothing is verified here, and nothing is hidden: bytes that are no record end a segment
and are counted in `unreadable`; `verify` says what they are worth.
"""

import time
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keyholm.core.audit.decoding import fields_of, head_of
from keyholm.core.audit.folder import Folder, segment_name
from keyholm.core.audit.frame import HEADER, LOOKS, PAUSE, is_zero, next_sound, records
from keyholm.core.errors import TrailUnavailable

Fields = dict[str, Any]


@dataclass(slots=True)
class Entry:
    """One record, and the records that it names."""

    trail: str
    raw: bytes  # as stored and hashed
    fields: Fields
    session: Fields = field(default_factory=dict)  # the caller's facts
    intent: Fields = field(default_factory=dict)  # of an outcome: what was announced

    @property
    def seq(self) -> int:
        return int(self.fields["seq"])

    @property
    def time(self) -> int:
        """Microseconds since the epoch."""
        return int(self.fields["t_wall"])

    @property
    def event(self) -> str:
        return str(self.fields["event"])

    def get(self, name: str) -> Any:
        """A fact of the record, or of the one that announced it."""
        return self.fields.get(name, self.intent.get(name))


class Reader:
    """One trail. `read` gives what it has not given before, so that a trail can be followed."""

    def __init__(self, path: Path) -> None:
        self._folder = Folder(path)
        self.name = path.name
        self.unreadable = 0
        self._segment: int | None = None
        self._offset = 0
        self._sessions: dict[int, Fields] = {}
        self._intents: dict[int, Fields] = {}

    def close(self) -> None:
        self._folder.close()

    def skip_before(self, time: int) -> None:
        """Begin with the segment in which the first record since `time` can be."""
        for first in self._folder.segments():
            try:
                begun = head_of(next(self._records_of(first))).t_wall
            except (StopIteration, ValueError):
                break
            if begun >= time:
                break
            self._segment, self._offset = first, 0

    def read(self) -> Iterator[Entry]:
        firsts = self._folder.segments()
        for first in firsts:
            if self._segment is not None and first < self._segment:
                continue
            if first != self._segment:
                self._segment, self._offset = first, 0
            looks = LOOKS if first == firsts[-1] else 1
            data = self._data(first, self._offset)
            end: int | None = 0
            read_to = 0
            while end is not None:
                read_to = end
                for at, raw in records(data, end):
                    read_to = at + HEADER.size + len(raw)
                    entry = self._entry(raw)
                    if entry is not None:
                        yield entry
                looks -= 1
                if looks > 0 and self._is_half_written(data, read_to):
                    time.sleep(PAUSE)
                    data, end = self._data(first, self._offset), read_to
                else:
                    end = self._after_damage(data, read_to)
            self._offset += read_to

    def _is_half_written(self, data: bytes, at: int) -> bool:
        return not is_zero(data, at) and self._folder.is_being_written()

    def _after_damage(self, data: bytes, at: int) -> int | None:
        """Where it can be read again, if something there is no record."""
        if is_zero(data, at):
            return None
        following = next_sound(data, at)
        self.unreadable += (len(data) if following is None else following) - at
        return following

    def record(self, number: int) -> bytes | None:
        """The record of that number, as stored."""
        firsts = self._folder.segments()
        place = bisect_right(firsts, number) - 1
        if place < 0:
            return None
        skipped = number - firsts[place]
        return next(
            (raw for at, raw in enumerate(self._records_of(firsts[place])) if at == skipped), None
        )

    def _records_of(self, first: int) -> Iterator[bytes]:
        return (raw for _, raw in records(self._data(first)))

    def _data(self, first: int, start: int = 0) -> bytes:
        name = segment_name(first)
        try:
            return self._folder.read(name, start) or b""
        except OSError as error:
            raise TrailUnavailable(
                f"{self._folder.path / name} cannot be read: {error.strerror}.",
                remedy="Read it as the user whose trail it is.",
            ) from error

    # --- what records say of each other --------------------------------------------------------

    def _entry(self, raw: bytes) -> Entry | None:
        try:
            fields = fields_of(raw)
        except ValueError:
            self.unreadable += len(raw)  # a sound frame around something else
            return None
        entry = Entry(self.name, raw, fields)
        event = fields["event"]
        if event == "session":
            self._sessions[fields["seq"]] = fields
            return entry
        if fields.get("result") == "intent":
            self._intents[fields["seq"]] = fields
        if event == "outcome":
            entry.intent = self._named(self._intents, fields.get("intent"))
            self._intents.pop(fields.get("intent", -1), None)
        entry.session = self._named(self._sessions, entry.get("session"))
        return entry

    def _named(self, known: dict[int, Fields], number: object) -> Fields:
        """A record that another one names; it may stand in a segment that was skipped."""
        if not isinstance(number, int) or number <= 0:
            return {}
        if number not in known:
            try:
                known[number] = fields_of(self.record(number) or b"")
            except ValueError:
                known[number] = {}  # pruned, or damaged
        return known[number]

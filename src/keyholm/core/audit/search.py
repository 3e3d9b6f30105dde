"""Searching the pool: all trails as one sequence in time, filtered, once or for ever."""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keyholm.core.audit.pool import trails
from keyholm.core.audit.reading import Entry, Reader

LIFE: Final = frozenset({"session", "segment"})
"""Events that only serve to understand others."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a search is for; what is empty does not matter. Times are microseconds."""

    key: str = ""  # the beginning of an id, a fingerprint, or a name
    client: str = ""  # part of the program's path or name, of its unit, or its pid
    host: str = ""  # part of the destination's name, or its key's fingerprint; or a user
    result: str = ""
    since: int = 0
    until: int = 0
    with_life: bool = False

    def matches(self, entry: Entry, names: "Names") -> bool:
        return (
            (self.with_life or entry.event not in LIFE)
            and entry.time >= self.since
            and (not self.until or entry.time < self.until)
            and (not self.result or self.result == entry.fields.get("result"))
            and (not self.key or self._is_of_key(entry, names))
            and (not self.client or self._is_of_client(entry))
            and (not self.host or self._is_of_host(entry))
        )

    def _is_of_key(self, entry: Entry, names: "Names") -> bool:
        key = str(entry.get("key") or "")
        return bool(key) and (
            key.startswith(self.key)
            or self.key in (entry.get("fingerprint"), names.of.get(key), entry.get("target"))
        )

    def _is_of_client(self, entry: Entry) -> bool:
        who = entry.session
        if self.client == str(who.get("pid", "")):
            return True
        return any(self.client in str(who.get(part, "")) for part in ("exe", "command", "unit"))

    def _is_of_host(self, entry: Entry) -> bool:
        destination = entry.get("destination") or {}
        if self.host in (entry.get("user"), destination.get("host_key")):
            return True
        return bool(destination.get("host")) and self.host in destination["host"]


class Names:
    """What keys were called, as the acts of management in the trail tell it."""

    def __init__(self) -> None:
        self.of: dict[str, str] = {}

    def learn(self, entry: Entry) -> None:
        label = (entry.get("detail") or {}).get("label")
        key = entry.fields.get("key") or entry.intent.get("key")
        if label and key and entry.fields.get("result", "ok") == "ok":
            self.of[key] = label


class Search:
    """Also keeps what a reader must be told: names of keys, and what could not be read."""

    def __init__(self, directory: Path, wanted: Wanted | None = None) -> None:
        self.names = Names()
        self._directory, self._wanted = directory, wanted or Wanted()
        self._readers: dict[Path, Reader] = {}

    def __enter__(self) -> "Search":
        return self

    def __exit__(self, *_: object) -> None:
        for reader in self._readers.values():
            reader.close()

    @property
    def unreadable(self) -> dict[str, int]:
        """Bytes that are no record, by trail."""
        return {each.name: each.unreadable for each in self._readers.values() if each.unreadable}

    def now(self) -> Iterator[Entry]:
        """What is there and was not given before, oldest first."""
        for path in trails(self._directory):
            if path not in self._readers:
                self._readers[path] = reader = Reader(path)
                if self._wanted.since:
                    reader.skip_before(self._wanted.since)
        streams = [reader.read() for reader in self._readers.values()]
        for entry in heapq.merge(*streams, key=lambda entry: entry.time):
            self.names.learn(entry)
            if self._wanted.matches(entry, self.names):
                yield entry

    def follow(self, pause: Callable[[], None]) -> Iterator[Entry]:
        """What is there, then what comes; `pause` waits, and raises to make an end."""
        while True:
            yield from self.now()
            pause()

"""What a worker writes to its standard error: a few lines for the log, the last ones kept.

A library may write as much as it likes. It is read at once, so that it never waits, and
nearly all of it is thrown away.
"""

import time
from collections.abc import Callable
from typing import Final

KEPT: Final = 8 * 1024  # bytes that are there to be asked for
LONGEST: Final = 400  # characters of a line
TOLD: Final = 20  # of the last lines, to whoever asks
LOGGED: Final = 30  # lines that go to the log within
SECONDS: Final = 10.0


class Tail:
    """`log` takes one line at a time."""

    def __init__(
        self, log: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log, self._clock = log, clock
        self._kept = self._begun = b""
        self._since = clock()
        self._room = LOGGED
        self._left_out = 0

    def take(self, data: bytes) -> None:
        self._kept = (self._kept + data[-KEPT:])[-KEPT:]
        if self._clock() - self._since >= SECONDS:
            self._begin_again()
        if not self._room:
            self._left_out += len(data)
            return
        text = self._begun + data
        while self._room and (end := text.find(b"\n")) >= 0:
            self._tell(text[:end])
            text = text[end + 1 :]
        if self._room:
            self._begun = text[-LONGEST:]
        else:
            self._begun, self._left_out = b"", len(text)

    def close(self) -> None:
        """There is no more to come."""
        if self._begun and self._room:
            self._tell(self._begun)
        self._begun = b""
        self._begin_again()

    def say(self, sentence: str) -> None:
        """Of the worker, and not by it."""
        self._log(sentence)

    def lines(self) -> tuple[str, ...]:
        kept = [printable(line) for line in self._kept.split(b"\n")]
        return tuple([line for line in kept if line][-TOLD:])

    def _begin_again(self) -> None:
        if self._left_out:
            self._log(f"... and {self._left_out} bytes more")
        self._since, self._room, self._left_out = self._clock(), LOGGED, 0

    def _tell(self, line: bytes) -> None:
        if text := printable(line):
            self._log(text)
            self._room -= 1


def printable(line: bytes) -> str:
    text = line[: 4 * LONGEST].decode(errors="replace").strip()[:LONGEST]
    return "".join(letter if letter.isprintable() else "?" for letter in text)

"""Refusals beyond ten a second of one caller are counted, so that nobody can fill the disk."""

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final

from keyholm.core.audit.records import Management, Operation, Refused

SECOND: Final = 1_000_000_000
MOST_CALLERS: Final = 1024

Refusal = Operation | Management | Refused
"""The records that can tell of a refusal; each has `session`, `door` and `suppressed`."""


@dataclass(slots=True)
class _Window:
    """One second of one caller."""

    start: int
    listed: int = 0
    counted: int = 0
    last: Refusal | None = None


class RefusalLimiter:
    def __init__(self, now: Callable[[], int], per_second: int = 10) -> None:
        self._now, self._per_second = now, per_second
        self._lock = threading.Lock()
        self._windows: dict[Hashable, _Window] = {}
        self.is_counting = False  # some were counted that no record tells of yet

    def admit(self, caller: Hashable, refusal: Refusal) -> int | None:
        """How many were counted before this one; None: this one is only counted, too."""
        with self._lock:
            now = self._now()
            window = self._window(caller, now)
            if now - window.start >= SECOND:
                window.start, window.listed = now, 0
            if window.listed >= self._per_second:
                window.counted += 1
                window.last = refusal
                self.is_counting = True
                return None
            window.listed += 1
            counted, window.counted = window.counted, 0
            return counted

    def _window(self, caller: Hashable, now: int) -> _Window:
        if caller not in self._windows and len(self._windows) >= MOST_CALLERS:
            self._forget_quiet(now)
            if len(self._windows) >= MOST_CALLERS:
                caller = None  # so many at once share one window
        return self._windows.setdefault(caller, _Window(now))

    def _forget_quiet(self, now: int) -> None:
        quiet = [
            caller
            for caller, window in self._windows.items()
            if not window.counted and now - window.start >= SECOND
        ]
        for caller in quiet:
            del self._windows[caller]

    def take_counted(self, *, everyone: bool = False) -> list[Refused]:
        """A record for each caller whose second is over and of whom some were counted."""
        with self._lock:
            now = self._now()
            taken = []
            for window in self._windows.values():
                over = everyone or now - window.start >= SECOND
                if over and window.counted and window.last is not None:
                    taken.append(_counted(window.last, window.counted))
                    window.counted, window.last = 0, None
            self._forget_quiet(now)
            self.is_counting = any(window.counted for window in self._windows.values())
            return taken


def _counted(last: Refusal, count: int) -> Refused:
    return Refused(
        door=last.door,
        reason="more refusals of this caller within one second",
        session=last.session,
        error=last.error,
        what=last.what,
        suppressed=count,
    )

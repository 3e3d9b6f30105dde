"""A spinner on stderr for work that takes more than half a second."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from threading import Event

PATIENCE: Final = 0.5  # seconds before anything is shown
FRAMES: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
PLAIN_FRAMES: Final = "|/-\\"


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Turn while the block runs, if a human looks on."""
    if not sys.stderr.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        yield
        return
    from threading import Event, Thread

    done = Event()
    thread = Thread(target=_spin, args=(what, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _spin(what: str, done: "Event") -> None:
    from itertools import cycle
    from time import monotonic

    begun = monotonic()
    if done.wait(PATIENCE):
        return
    utf8 = (sys.stderr.encoding or "").lower().startswith("utf")
    for frame in cycle(FRAMES if utf8 else PLAIN_FRAMES):
        sys.stderr.write(f"\r{frame} {what} ({monotonic() - begun:.0f} s)")
        sys.stderr.flush()
        if done.wait(0.1):
            break
    sys.stderr.write("\r\x1b[K")
    sys.stderr.flush()

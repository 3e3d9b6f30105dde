"""What commands print: tables that fit, colour on terminals only, JSON, and a spinner."""

import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

BOLD: Final = "1"
DIM: Final = "2"
RED: Final = "31"
GREEN: Final = "32"
YELLOW: Final = "33"
PATIENCE: Final = 0.5  # seconds until work is shown to be going on
FRAMES: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


def is_terminal(stream: Any = None) -> bool:
    return bool((stream or sys.stdout).isatty())


def painted(text: str, colour: str, stream: Any = None) -> str:
    """NO_COLOR (no-color.org) and dumb terminals get the text alone."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    if plain or not is_terminal(stream):
        return text
    return f"\033[{colour}m{text}\033[0m"


def shown(text: str) -> str:
    """Text that somebody else chose, without anything that acts on a terminal."""
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


def as_json(value: Any) -> int:
    import json

    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")
    return 0


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as needed; the widest gives way where the terminal is too narrow."""
    cleaned = [[shown(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headings, *cleaned, strict=True)]
    room = shutil.get_terminal_size().columns if is_terminal() else 10_000
    while sum(widths) + 2 * (len(widths) - 1) > room and max(widths) > 12:
        widths[widths.index(max(widths))] -= 1
    print(painted(_line(headings, widths), BOLD))
    for row in cleaned:
        print(_line(row, widths))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    fitted = [
        cell if len(cell) <= width else f"{cell[: width - 1]}…"
        for cell, width in zip(cells, widths, strict=True)
    ]
    padded = [f"{cell:{width}}" for cell, width in zip(fitted, widths, strict=True)]
    return "  ".join(padded).rstrip()


def facts(pairs: Sequence[tuple[str, str]]) -> None:
    """Names and values, one pair a line; empty values are left out."""
    width = max((len(name) for name, value in pairs if value), default=0)
    for name, value in pairs:
        if value:
            print(f"{painted(f'{name:{width}}', DIM)}  {shown(value)}")


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show on stderr that something goes on, once it takes longer than half a second."""
    if not is_terminal(sys.stderr):
        yield
        return
    done = threading.Event()
    spinner = threading.Thread(target=_spin, args=(what, done), daemon=True)
    spinner.start()
    try:
        yield
    finally:
        done.set()
        spinner.join()


def _spin(what: str, done: threading.Event) -> None:
    begun = time.monotonic()
    if done.wait(PATIENCE):
        return
    turn = 0
    while True:
        seconds = time.monotonic() - begun
        sys.stderr.write(f"\r{FRAMES[turn % len(FRAMES)]} {what} ({seconds:.0f} s)")
        sys.stderr.flush()
        turn += 1
        if done.wait(0.1):
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
            return

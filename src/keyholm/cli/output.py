"""What a command prints: tables that fit, colour where it is wanted, JSON where asked for."""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TextIO

from keyholm.cli.parser import terminal_width

GAP: Final = "  "
NARROWEST: Final = 6  # a column that is cut keeps at least this much


class Style:
    """Colours for a terminal, plain text for everything else (https://no-color.org)."""

    def __init__(self, stream: TextIO, environment: Mapping[str, str] = os.environ) -> None:
        self.colour = (
            stream.isatty()
            and not environment.get("NO_COLOR")
            and environment.get("TERM", "dumb") != "dumb"
        )

    def _with(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text

    def strong(self, text: str) -> str:
        return self._with("1", text)

    def faint(self, text: str) -> str:
        return self._with("2", text)

    def good(self, text: str) -> str:
        return self._with("32", text)

    def warning(self, text: str) -> str:
        return self._with("33", text)

    def bad(self, text: str) -> str:
        return self._with("31", text)


def printable(text: str) -> str:
    """Without what could move the cursor, hide text, or ring: names come from clients too."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


def width_of(text: str) -> int:
    """How many cells of a terminal `text` takes."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(
        0 if combining(letter) else 2 if east_asian_width(letter) in "WF" else 1 for letter in text
    )


def cut(text: str, width: int) -> str:
    if width_of(text) <= width:
        return text
    while text and width_of(text) > width - 1:
        text = text[:-1]
    return f"{text}…"


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    colour: Callable[[int, str], str] = lambda column, text: text,
    room: int | None = None,
) -> str:
    """Columns as wide as their widest cell; the widest ones are cut where `room` is less.

    It is the width of the terminal, if there is one. `colour(column, text)` may colour a cell.
    """
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [
        max(width_of(line[column]) for line in (heads, *cells)) for column in range(len(heads))
    ]
    if room is None and sys.stdout.isatty():
        room = terminal_width()
    if room is not None:
        _narrow(widths, room)
    style = Style(sys.stdout)
    lines = [style.faint(_line(heads, widths, lambda _, text: text))]
    lines += [_line(row, widths, colour) for row in cells]
    return "\n".join(lines) + "\n"


def _narrow(widths: list[int], room: int) -> None:
    room -= len(GAP) * (len(widths) - 1)
    while sum(widths) > room:
        widest = max(range(len(widths)), key=lambda column: widths[column])
        if widths[widest] <= NARROWEST:
            return
        widths[widest] -= 1


def _line(row: Sequence[str], widths: Sequence[int], colour: Callable[[int, str], str]) -> str:
    parts = []
    for column, (text, width) in enumerate(zip(row, widths, strict=True)):
        shown = cut(text, width)
        last = column == len(widths) - 1
        padding = "" if last else " " * (width - width_of(shown))
        parts.append(colour(column, shown) + padding)
    return GAP.join(parts).rstrip()


def fields(pairs: Sequence[tuple[str, str]]) -> str:
    """One fact a line, aligned."""
    style = Style(sys.stdout)
    width = max((len(name) for name, _ in pairs), default=0)
    return "".join(
        f"{style.faint(name.ljust(width))}{GAP}{printable(value)}\n" for name, value in pairs
    )


def print_json(value: Mapping[str, Any]) -> None:
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def when(seconds: float | None) -> str:
    """A time of the wall clock, as people here write it."""
    if seconds is None:
        return ""
    from time import localtime, strftime

    return strftime("%Y-%m-%d %H:%M:%S", localtime(seconds))


def amount(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


def size(count: int) -> str:
    for unit, scale in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} bytes"

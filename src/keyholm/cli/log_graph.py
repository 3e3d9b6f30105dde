"""Use over time, one line a key: how often, when."""

import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from keyholm.cli.output import Style, amount, cut, printable, when, width_of
from keyholm.cli.parser import terminal_width

BLOCKS: Final = " ▁▂▃▄▅▆▇█"
PLAIN_BLOCKS: Final = " .:-=+*#@"
MICRO: Final = 1_000_000
MINUTE: Final = 60
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
WIDTHS: Final = (
    1, 5, 15, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR,
    DAY, 2 * DAY, 7 * DAY, 14 * DAY, 28 * DAY, 91 * DAY, 364 * DAY,
)  # fmt: skip
"""Seconds that one column can stand for."""
REFUSED: Final = "refused"
MOST_LINES: Final = 12


@dataclass(slots=True)
class Use:
    """When each key was used, and when somebody was refused."""

    times: dict[str, list[int]] = field(default_factory=dict)

    def add(self, line: str, time: int) -> None:
        self.times.setdefault(line, []).append(time // MICRO)

    def span(self) -> tuple[int, int]:
        return min(map(min, self.times.values())), max(map(max, self.times.values()))

    def step(self, columns: int) -> int:
        first, last = self.span()
        fitting = (step for step in WIDTHS if last // step - first // step < columns)
        return next(fitting, WIDTHS[-1])

    def series(self, step: int) -> tuple[int, dict[str, list[int]]]:
        """Where the first column begins, and how often in each, the busiest key first."""
        first, last = (time // step for time in self.span())
        counted = {}
        for name, times in sorted(self.times.items(), key=lambda item: -len(item[1])):
            found = Counter(time // step for time in times)
            counted[name] = [found[column] for column in range(first, last + 1)]
        return first * step, counted


def draw(use: Use, names: Mapping[str, str]) -> Iterable[str]:
    if not use.times:
        yield "No key was used."
        return
    style = Style(sys.stdout)
    shown = {line: cut(printable(names.get(line, line[:12])), 20) for line in use.times}
    margin = max(map(width_of, shown.values()))
    width = max(20, min(terminal_width(), 120) - margin - 12)
    step = use.step(width)
    start, series = use.series(step)
    blocks = BLOCKS if _unicode() else PLAIN_BLOCKS
    for line, counts in list(series.items())[:MOST_LINES]:
        paint = style.bad if line == REFUSED else style.good
        padding = " " * (margin - width_of(shown[line]))
        yield f"{shown[line]}{padding}  {paint(_bars(counts, blocks))}  {sum(counts)}"
    if len(series) > MOST_LINES:
        yield f"and {amount(len(series) - MOST_LINES, 'more key')}"
    yield style.faint(f"{' ' * margin}  {_axis(start, step, len(next(iter(series.values()))))}")


def as_json(use: Use, names: Mapping[str, str]) -> dict[str, Any]:
    if not use.times:
        return {"start": 0, "step": 0, "lines": []}
    step = use.step(100)
    start, series = use.series(step)
    lines = [
        {"key": "" if line == REFUSED else line, "name": names.get(line, ""), "counts": counts}
        for line, counts in series.items()
    ]
    return {"start": start, "step": step, "lines": lines}


def _bars(counts: list[int], blocks: str) -> str:
    """Each line has its own scale: what is seldom used shall be seen as well."""
    most = max(counts)
    return "".join(blocks[-(-count * (len(blocks) - 1) // most)] for count in counts)


def _axis(start: int, step: int, columns: int) -> str:
    last = start + (columns - 1) * step
    told = f"{when(start)} to {when(last)}" if columns > 1 else when(start)
    return f"{told}, a column is {_spoken(step)}"


def _spoken(step: int) -> str:
    for size, unit in ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")):
        if step >= size:
            return amount(step // size, unit)
    return amount(step, "second")


def _unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")

"""Turn by turn, then the ratio within each round, then the median of the ratios.

Other work on the machine slows both peers of a round alike, so the ratio holds where the
figures themselves do not.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Peer = TypeVar("Peer")  # what is measured


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement of one peer: the value that is compared, and what is shown beside it."""

    value: float
    p90: float | None = None
    p99: float | None = None
    cpu_us: float | None = None


@dataclass(frozen=True, slots=True)
class Case(Generic[Peer]):
    name: str
    unit: str
    measure: Callable[[Peer], Figure]
    more_is_better: bool = False
    wanted: float | None = None  # how many times better than the peer


@dataclass
class Series(Generic[Peer]):
    """What one case gave, round by round: the peer's figure and ours."""

    case: Case[Peer]
    rounds: list[tuple[Figure, Figure]] = field(default_factory=list)

    def ratios(self) -> list[float]:
        """How many times better we are."""
        pairs = [(peer.value, ours.value) for peer, ours in self.rounds]
        if self.case.more_is_better:
            return [ours / peer for peer, ours in pairs]
        # Nothing is 0, but what an ordinary user may not look at.
        return [peer / ours if ours else 1.0 for peer, ours in pairs]

    def row(self) -> list[str]:
        peers, ours = zip(*self.rounds, strict=True)
        ratios = self.ratios()
        return [
            self.case.name,
            self.case.unit,
            _number(_median([figure.value for figure in peers])),
            _number(_median([figure.value for figure in ours])),
            _optional([figure.p90 for figure in ours]),
            _optional([figure.p99 for figure in peers]),
            _optional([figure.p99 for figure in ours]),
            _optional([figure.cpu_us for figure in peers]),
            _optional([figure.cpu_us for figure in ours]),
            f"{_median(ratios):.2f}",
            f"{min(ratios):.2f}-{max(ratios):.2f}",
            self.verdict(),
        ]

    def verdict(self) -> str:
        if self.case.wanted is None:
            return ""
        reached = _median(self.ratios()) >= self.case.wanted
        return f"{'yes' if reached else 'NO'}, {self.case.wanted:g}"


def head(peer: str, ours: str) -> list[str]:
    return [
        "case", "unit", peer, ours, "p90", "p99 peer", "p99",
        "CPU us peer", "CPU us", "times better", "range", "wanted",
    ]  # fmt: skip


def take_turns(
    cases: Sequence[Case[Peer]], peer: Peer, ours: Peer, rounds: int, told: Callable[[str], None]
) -> list[Series[Peer]]:
    series = [Series(case) for case in cases]
    for number in range(rounds):
        for one in series:
            told(f"round {number + 1} of {rounds}: {one.case.name}")
            # Who comes first changes with the round.
            if number % 2:
                our_figure = one.case.measure(ours)
                one.rounds.append((one.case.measure(peer), our_figure))
            else:
                peer_figure = one.case.measure(peer)
                one.rounds.append((peer_figure, one.case.measure(ours)))
    return series


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    shown = [head, *rows]
    widths = [max(len(row[column]) for row in shown) for column in range(len(head))]
    lines = []
    for row in shown:
        cells = [row[0].ljust(widths[0]), row[1].ljust(widths[1])]
        cells += [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _median(values: Sequence[float]) -> float:
    return statistics.median(values)


def _optional(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return _number(_median(known)) if known else ""


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"

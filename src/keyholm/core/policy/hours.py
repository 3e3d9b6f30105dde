"""When a key may be used: days of the week and a span of the day, in a time zone.

`Mon-Fri 07:00-20:00 Europe/Berlin`: from the first minute until before the last, by the
clocks of that zone, whatever summer time does to them. A span that ends before it begins
goes on past midnight and belongs to the day on which it began.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct

MINUTES_OF_DAY: Final = 24 * 60
DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_FORM: Final = re.compile(
    r"([A-Z][a-z]{2}(?:[-,][A-Z][a-z]{2})*) (\d\d):([0-5]\d)-(\d\d):([0-5]\d) ([\w+/-]{1,64})",
    re.ASCII,
)


class Hours(Struct, frozen=True):
    """Days of the week (Monday is 0) and minutes of the day; `end` may be past midnight."""

    days: frozenset[int]
    start: int
    end: int
    zone: str

    def contains(self, now: float) -> bool | None:
        """Whether `now`, in seconds since the epoch, is within; None: the zone is unknown."""
        zone = zone_called(self.zone)
        if zone is None:
            return None
        local = datetime.fromtimestamp(now, zone)
        minute = 60 * local.hour + local.minute
        if local.weekday() in self.days and self.start <= minute < self.end:
            return True
        yesterday = (local - timedelta(days=1)).weekday()
        return yesterday in self.days and minute < self.end - MINUTES_OF_DAY

    def is_within(self, other: "Hours") -> bool:
        """Whether each moment of this one is surely one of `other` as well."""
        return (
            self.zone == other.zone
            and self.days <= other.days
            and other.start <= self.start
            and self.end <= other.end
        )

    def __str__(self) -> str:
        end = self.end - MINUTES_OF_DAY if self.end > MINUTES_OF_DAY else self.end
        days = ",".join(map(_run, _runs(self.days)))
        return f"{days} {_time(self.start)}-{_time(end)} {self.zone}"


def zone_called(name: str) -> tzinfo | None:
    """None where this machine does not know it: its time zones are files."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def parse(text: str) -> Hours | None:
    """None where `text` does not have the form. That its zone exists is not asked."""
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    days = _days(found[1])
    start, end = (60 * int(found[at]) + int(found[at + 1]) for at in (2, 4))
    if days is None or start >= MINUTES_OF_DAY or end > MINUTES_OF_DAY:
        return None
    return Hours(days, start, end if end > start else end + MINUTES_OF_DAY, found[6])


def _days(text: str) -> frozenset[int] | None:
    days: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first not in DAYS or (last or first) not in DAYS:
            return None
        start, end = DAYS.index(first), DAYS.index(last or first)
        days.update((start + step) % 7 for step in range((end - start) % 7 + 1))
    return frozenset(days)


def _runs(days: frozenset[int]) -> Iterator[tuple[int, int]]:
    """First and last day of each run of days, which may go on over Sunday."""
    if len(days) == 7:
        yield 0, 6
        return
    for first in sorted(days):
        if (first - 1) % 7 in days:
            continue
        last = first
        while (last + 1) % 7 in days:
            last = (last + 1) % 7
        yield first, last


def _run(run: tuple[int, int]) -> str:
    first, last = run
    return DAYS[first] if first == last else f"{DAYS[first]}-{DAYS[last]}"


def _time(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"

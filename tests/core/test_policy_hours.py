"""Hours by the clocks of a place: midnight, weekends, and what summer time does to them."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.policies import NOON, hours

from keyholm.core.policy import hours as module
from keyholm.core.policy.hours import DAYS, MINUTES_OF_DAY, Hours

WEEK = st.floats(NOON - 200 * 86400, NOON + 200 * 86400)


def hours_of(text: str) -> Hours:
    found = module.parse(text)
    assert found is not None
    return found


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


# hours, and moments in UTC that are within or not
MOMENTS = {
    "Mon-Fri 07:00-20:00 Europe/Berlin": {
        "2026-01-05 05:59:59": False,  # Monday, winter: an hour ahead of UTC
        "2026-01-05 06:00:00": True,
        "2026-01-05 18:59:59": True,
        "2026-01-05 19:00:00": False,
        "2026-07-06 05:00:00": True,  # summer: two hours
        "2026-07-06 18:00:00": False,
        "2026-01-10 12:00:00": False,  # Saturday
    },
    "Fri 22:00-06:00 UTC": {
        "2026-01-09 21:59:59": False,
        "2026-01-09 22:00:00": True,
        "2026-01-10 05:59:59": True,  # Saturday morning belongs to Friday
        "2026-01-10 06:00:00": False,
        "2026-01-09 05:00:00": False,  # Friday morning would belong to Thursday
        "2026-01-10 22:00:00": False,
    },
    "Sun-Mon 08:00-08:00 UTC": {  # Sunday 08:00 till Tuesday 08:00
        "2026-01-11 07:59:00": False,
        "2026-01-11 08:00:00": True,
        "2026-01-12 07:30:00": True,
        "2026-01-13 07:59:00": True,
        "2026-01-13 08:00:00": False,
    },
    # The clocks of Berlin go from 02:00 to 03:00 on 2026-03-29, and back on 2026-10-25.
    "Sun 02:30-03:30 Europe/Berlin": {
        "2026-03-29 00:59:59": False,  # 01:59:59
        "2026-03-29 01:00:00": True,  # 03:00: there is no half past two
        "2026-03-29 01:30:00": False,  # 03:30
        "2026-10-25 00:29:59": False,  # 02:29:59, in summer
        "2026-10-25 00:30:00": True,  # 02:30, in summer
        "2026-10-25 01:00:00": False,  # 02:00 again, in winter
        "2026-10-25 01:30:00": True,  # 02:30, in winter
        "2026-10-25 02:29:59": True,
        "2026-10-25 02:30:00": False,
    },
    # Samoa left out Friday 2011-12-30, on its way over the date line.
    "Fri 00:00-24:00 Pacific/Apia": {
        "2011-12-30 09:59:59": False,  # still Thursday
        "2011-12-30 10:00:00": False,  # Saturday
    },
    "Mon-Sun 00:00-24:00 UTC": {"2026-01-05 00:00:00": True, "2026-01-11 23:59:59": True},
}


@pytest.mark.parametrize("text", MOMENTS)
def test_hours_begin_with_their_first_minute_and_end_before_their_last(text: str) -> None:
    for moment, within in MOMENTS[text].items():
        assert hours_of(text).contains(at(moment)) is within, moment


@given(hours, WEEK)
def test_hours_are_what_the_clocks_of_the_place_show(hours: Hours, now: float) -> None:
    local = datetime.fromtimestamp(now, UTC if hours.zone == "UTC" else ZoneInfo(hours.zone))
    expected = any(
        hours.start <= (day * MINUTES_OF_DAY + 60 * local.hour + local.minute) < hours.end
        and (local.date() - timedelta(days=day)).weekday() in hours.days
        for day in (0, 1)
    )
    assert hours.contains(now) is expected


@given(hours, hours, WEEK)
def test_hours_within_others_never_exceed_them(inner: Hours, outer: Hours, now: float) -> None:
    assert inner.is_within(inner)
    if inner.is_within(outer) and inner.contains(now):
        assert outer.contains(now)


@given(hours)
def test_hours_are_read_as_they_are_written(hours: Hours) -> None:
    assert module.parse(str(hours)) == hours


@given(st.frozensets(st.sampled_from(DAYS), min_size=1))
def test_days_may_be_given_in_any_order(days: frozenset[str]) -> None:
    listed = hours_of(f"{','.join(days)} 00:00-01:00 UTC")
    assert {DAYS[day] for day in listed.days} == days


def test_an_unknown_zone_is_neither_inside_nor_outside() -> None:
    assert Hours(frozenset({0}), 0, 60, "Mars/Olympus").contains(NOON) is None

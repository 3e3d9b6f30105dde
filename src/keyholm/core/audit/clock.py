"""The two clocks of a trail, passed in so that tests can turn them."""

import time
from collections.abc import Callable
from functools import partial

from msgspec import Struct


class Clock(Struct, frozen=True):
    """Both in nanoseconds."""

    wall: Callable[[], int]
    boot: Callable[[], int]


# CLOCK_BOOTTIME where there is one: it goes on while the machine sleeps.
_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
SYSTEM_CLOCK = Clock(time.time_ns, partial(time.clock_gettime_ns, _BOOT))

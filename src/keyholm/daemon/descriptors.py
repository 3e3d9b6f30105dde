"""Room for files: clients never take the descriptors that the trail and the stores need.

A limit of 1024 is usual, and each client costs one and more. Where the last one is gone, no
segment can be begun and no checkpoint written, so nothing can be recorded and every key is
refused. So the limit is raised as far as it may be, and no more clients are let in than it
has room for.
"""

import resource
from typing import Final

SPARE: Final = 128
"""For the trail, the stores, Python's own modules, and channels to the steward."""
EACH: Final = 2
"""A client's connection, and a handle on its process or a channel while that is looked up."""


def room_for_clients(wanted: int) -> int:
    """How many of so many clients may come, after the limit was raised for them.

    Called before the sandbox closes, and after the steward was forked: programs that it starts may
    not be used to more descriptors than they had.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = SPARE + EACH * wanted
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    raised = needed if hard == resource.RLIM_INFINITY else min(needed, max(soft, hard))
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    except OSError:
        raised = soft
    return max(1, min(wanted, (raised - SPARE) // EACH))

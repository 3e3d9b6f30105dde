"""The system calls that a worker may make: much of what libraries do, and no program, no
process, no namespace, no look into another process."""

from collections.abc import Collection
from typing import Final

from keyholm.sandbox.seccomp import Allowed, Argument, Condition, Unlike
from keyholm.sandbox.system_calls import EVERYWHERE, LIBRARIES, SHARED_MEMORY

CLONE_THREAD: Final = 0x00010000
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
TIOCSTI, TIOCLINUX = 0x5412, 0x541C  # type at a terminal
PR_SET_NAME, PR_SET_TIMERSLACK, PR_SET_VMA = 15, 29, 0x53564D41
# Asking only: signal at the parent's death, dumpable, name, seccomp, a capability of the
# bounding set, slack of timers, no-new-privileges.
PRCTL_ASKS: Final = (2, 3, 16, 21, 23, 30, 39)


def allowed(pid: int, families: Collection[int], *, ipc: bool) -> Allowed:
    """`pid` as the process itself sees it; `families` of the sockets that it may make."""
    always = EVERYWHERE.keys() - {"tgkill"} | LIBRARIES.keys()
    if ipc:
        always |= SHARED_MEMORY.keys()
    return Allowed(sorted(always), _conditions(pid, families))


def _conditions(pid: int, families: Collection[int]) -> dict[str, tuple[Condition, ...]]:
    itself = ((Argument(0, pid),),)
    return {
        # Threads, never processes.
        "clone": ((Argument(0, CLONE_THREAD, CLONE_THREAD),),),
        # Its flags are behind a pointer. Told that there is no such call, glibc uses clone.
        "clone3": (),
        "socket": tuple((Argument(0, family),) for family in sorted(families)),
        "socketpair": ((Argument(0, AF_UNIX),),),
        "prctl": tuple(
            (Argument(0, option),)
            for option in (PR_SET_NAME, PR_SET_TIMERSLACK, PR_SET_VMA, *PRCTL_ASKS)
        ),
        # What a device understands is nobody's business here.
        "ioctl": ((Unlike(1, TIOCSTI), Unlike(1, TIOCLINUX)),),
        "prlimit64": ((Argument(0, 0),),),
        "kill": itself,
        "tgkill": itself,
        "rt_sigqueueinfo": itself,
        "rt_tgsigqueueinfo": itself,
    }

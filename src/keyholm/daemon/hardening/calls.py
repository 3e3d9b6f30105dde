"""The system calls that the keeper may make once its sandbox is closed: what Python and the C
library need, no program, no process, no socket."""

from typing import Final

from keyholm.sandbox.seccomp import Allowed, Argument, Condition
from keyholm.sandbox.system_calls import EVERYWHERE

CLONE_THREAD: Final = 0x00010000
AF_UNIX: Final = 1
SOCK_STREAM: Final = 1
SOCK_TYPE: Final = 0xF
PR_SET_NAME: Final = 15
PR_SET_VMA: Final = 0x53564D41
# Asking only: dumpable, name, seccomp, no-new-privileges.
PRCTL_ASKS: Final = (3, 16, 21, 39)
FIOCLEX, FIONCLEX, FIONBIO, FIONREAD = 0x5451, 0x5450, 0x5421, 0x541B
TCGETS, TIOCGWINSZ = 0x5401, 0x5413  # is it a terminal, and how wide?


def allowed(pid: int) -> Allowed:
    return Allowed(tuple(EVERYWHERE), _conditions(pid))


def _conditions(pid: int) -> dict[str, tuple[Condition, ...]]:
    return {
        # Threads, never processes.
        "clone": ((Argument(0, CLONE_THREAD, CLONE_THREAD),),),
        # Its flags are behind a pointer. Told that there is no such call, glibc uses clone.
        "clone3": (),
        # Datagrams can be sent to any address; a stream goes to its other end alone.
        "socketpair": ((Argument(0, AF_UNIX), Argument(1, SOCK_STREAM, SOCK_TYPE)),),
        "prctl": tuple((Argument(0, option),) for option in (PR_SET_NAME, PR_SET_VMA, *PRCTL_ASKS)),
        "ioctl": tuple(
            (Argument(1, request),)
            for request in (FIOCLEX, FIONCLEX, FIONBIO, FIONREAD, TCGETS, TIOCGWINSZ)
        ),
        # Of itself: the limits, and no signal to anybody else.
        "prlimit64": ((Argument(0, 0), Argument(2, 0)),),
        "kill": ((Argument(0, pid),),),
    }

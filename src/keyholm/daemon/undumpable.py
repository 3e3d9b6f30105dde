"""The one part of the sandbox that cannot wait until the rest is imported.

Between the start of the daemon and its sandbox lies the time of its imports, and a debugger
that attached then would stay attached. Children inherit it; a program that is executed
begins anew.
"""

import ctypes
from typing import Final

PR_SET_DUMPABLE: Final = 4


def refuse_debuggers() -> bool:
    """No ptrace and no core dump by anybody but root; False where the kernel says no."""
    return bool(ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0)

"""What a process gives up of itself, and that it takes in orphans. Children inherit the former,
but for `refuse_debuggers`: a program that is executed begins anew."""

import ctypes
import resource
from typing import Final

PR_SET_DUMPABLE: Final = 4
PR_CAPBSET_DROP: Final = 24
PR_SET_CHILD_SUBREAPER: Final = 36
PR_SET_NO_NEW_PRIVS: Final = 38
PR_SET_MDWE: Final = 65
MDWE_REFUSE_EXEC_GAIN: Final = 1
LAST_CAPABILITY: Final = 63
CAPABILITY_VERSION_3: Final = 0x20080522
CAP_IPC_LOCK: Final = 14

_libc = ctypes.CDLL(None, use_errno=True)
_libc.prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)


def refuse_debuggers() -> bool:
    """No ptrace and no core dump by anybody but root; False where the kernel says no.

    The daemon does this before its imports: a debugger that attached then would stay attached.
    """
    return control(PR_SET_DUMPABLE, 0)


def refuse_core_files() -> bool:
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (OSError, ValueError):
        return False
    return True


def refuse_new_privileges() -> bool:
    return control(PR_SET_NO_NEW_PRIVS, 1)


def take_in_orphans() -> bool:
    """What its children leave behind comes back to it. Not inherited."""
    return control(PR_SET_CHILD_SUBREAPER, 1)


def refuse_new_code() -> bool:
    """Nothing that was writable ever becomes executable."""
    return control(PR_SET_MDWE, MDWE_REFUSE_EXEC_GAIN)


def give_up_capabilities(keep: tuple[int, ...] = ()) -> bool:
    """All but those of `keep` that it has."""
    for capability in range(LAST_CAPABILITY + 1):
        if capability not in keep:
            control(PR_CAPBSET_DROP, capability)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    # Effective, permitted, inheritable: the low words, then the high ones.
    sets = (ctypes.c_uint32 * 6)()
    _libc.capget(header, sets)
    kept = sets[1] & sum(1 << capability for capability in keep)
    return bool(_libc.capset(header, (ctypes.c_uint32 * 6)(kept, kept, 0, 0, 0, 0)) == 0)


def control(option: int, value: int, more: int = 0) -> bool:
    """prctl(2)"""
    return bool(_libc.prctl(option, value, more, 0, 0) == 0)

"""Closes the keeper's sandbox: what it cannot do any more, whoever runs in it.

Applied once, before the first thread and before any key is loaded, in this order:

    no core dumps, no ptrace      PR_SET_DUMPABLE 0, RLIMIT_CORE 0
    no new privileges             PR_SET_NO_NEW_PRIVS, capabilities given up
    no new code                   PR_SET_MDWE: nothing written becomes executable
    files                         Landlock: its own folders, and what Python itself reads
    system calls                  seccomp: an allow list; no program, no process, no socket

What a kernel does not have is left out and reported; the daemon runs all the same, and
`keyholm status` and `keyholm doctor` say what is missing.
"""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from msgspec import Struct

from keyholm.core import secret
from keyholm.daemon.hardening.calls import allowed
from keyholm.sandbox import landlock, process, seccomp
from keyholm.sandbox.landlock import READ, WRITE, Access, Rule

# What the interpreter and the C library read while they run: the time zone, the linker's
# cache for a module that is loaded late, who a uid is, how many processors there are,
# and which boot this is.
SYSTEM: Final = tuple(
    map(
        Path,
        (
            "/usr",
            "/lib",
            "/lib64",
            "/etc/localtime",
            "/etc/timezone",
            "/etc/ld.so.cache",
            "/etc/ssl",
            "/etc/passwd",
            "/etc/group",
            "/etc/nsswitch.conf",
            "/sys/devices/system/cpu/online",
            "/proc/sys/kernel/random/boot_id",
            "/dev/urandom",
            "/proc/self",
        ),
    )
)


class Hardening(Struct, frozen=True):
    """What could be applied here."""

    undumpable: bool
    no_core: bool
    no_new_privileges: bool
    no_capabilities: bool
    no_new_code: bool
    landlock: int  # the ABI; 0: none
    seccomp: bool

    @property
    def locked_memory(self) -> bool:
        return secret.all_locked()

    def missing(self) -> tuple[str, ...]:
        """What a user should know is not there."""
        return tuple(
            sentence
            for there, sentence in (
                (self.undumpable, "Other programs of this user can read the daemon's memory."),
                (self.no_core, "A crash may write a core file."),
                (self.no_new_privileges, "New privileges could not be ruled out."),
                (self.landlock, "This kernel has no Landlock: files are not fenced off."),
                (self.seccomp, "Seccomp is not available: system calls are not restricted."),
                (self.locked_memory, "Not all secret memory is locked: it may be swapped out."),
            )
            if not there
        )


NOTHING: Final = Hardening(False, False, False, False, False, 0, False)


def apply(*, writes: Iterable[Path], reads: Iterable[Path] = ()) -> Hardening:
    """Close the sandbox. `writes` are the daemon's own folders."""
    undumpable = process.refuse_debuggers()
    no_core = process.refuse_core_files()
    privileges = process.refuse_new_privileges()
    # Users have little memory that they may lock; who has the right keeps it.
    capabilities = process.give_up_capabilities(keep=(process.CAP_IPC_LOCK,))
    code = process.refuse_new_code()
    rules = [Rule(path, READ) for path in (*SYSTEM, *python_places(), *reads)]
    rules.append(Rule(Path(os.devnull), READ | Access.WRITE_FILE))
    version = landlock.apply([*rules, *(Rule(path, WRITE) for path in writes)])
    filtered = seccomp.apply(allowed(os.getpid()))
    return Hardening(undumpable, no_core, privileges, capabilities, code, version, filtered)


def python_places() -> tuple[Path, ...]:
    """Where modules that are imported late come from."""
    paths = {sys.prefix, sys.base_prefix, sys.exec_prefix, *sys.path}
    return tuple(sorted(Path(path) for path in paths if path and os.path.isabs(path)))

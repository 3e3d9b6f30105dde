"""Namespaces: a process that sees no other processes, no network, no files but its own.

    the caller          stays where it is, waits, and ends as the innermost one ends
      └─ first of its PID namespace     builds the view, then waits for the next
           └─ the process that `enter` returns in

Whatever that process leaves behind ends with the first one. All of it is done in a process
that can be thrown away, since half of it cannot be taken back: where the kernel refuses
anything, `enter` returns in the caller itself, which is as it was.
"""

import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, NoReturn

from keyholm.sandbox.process import give_up_capabilities, refuse_debuggers, take_in_orphans

CLONE_NEWNS: Final = 0x00020000
CLONE_NEWUTS: Final = 0x04000000
CLONE_NEWIPC: Final = 0x08000000
CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWPID: Final = 0x20000000
CLONE_NEWNET: Final = 0x40000000
GOOD, BAD = b"g", b"b"
MOST: Final = 4096

_libc = ctypes.CDLL(None, use_errno=True)


def enter(*, network: bool, ipc: bool, build: Callable[[], None], lose: Callable[[], None]) -> str:
    """Empty in a process that is closed in; in the caller itself, why there can be none.

    `network` and `ipc` stay shared; with `ipc` the numbers of processes too, since who shares
    memory is known to the others by its number. `build` makes the view, and may raise `OSError`. `lose` is
    called in those that only wait, for what they must not hold. Call it before the first thread.
    """
    flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWUTS
    flags |= 0 if network else CLONE_NEWNET
    flags |= 0 if ipc else CLONE_NEWIPC | CLONE_NEWPID
    reading, writing = os.pipe()
    take_in_orphans()  # the first one comes back to us
    trying = os.fork()
    if trying == 0:
        os.close(reading)
        _try(flags, build, lose, writing)
        return ""
    os.close(writing)
    word = os.read(reading, 1)
    os.waitpid(trying, 0)
    if word == GOOD:
        lose()
        _end_as_told(reading)
    reason = _rest(reading).decode(errors="replace")
    _reap()
    return reason or "the process that tried ended at once"


def _try(flags: int, build: Callable[[], None], lose: Callable[[], None], writing: int) -> None:
    """Returns in the innermost process, and nowhere else."""
    with _telling(writing):
        _unshare(flags)
        if os.fork():
            os._exit(0)
        build()
        give_up_capabilities()
        refuse_debuggers()
        innermost = os.fork()
    if innermost == 0:
        os.close(writing)
        return
    os.write(writing, GOOD)
    lose()
    while True:
        pid, status = os.wait()  # whatever else there was comes to us as well
        if pid == innermost:
            os.write(writing, str(status).encode())
            os._exit(0)


@contextmanager
def _telling(writing: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
        os.write(writing, BAD + what.encode())
        os._exit(1)


def _unshare(flags: int) -> None:
    """Raises `OSError`.

    Root does without a user namespace where it can: in one it would see the files of others,
    and their groups, as nobody's, and some libraries check whose those are.
    """
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0 and _libc.unshare(flags & ~CLONE_NEWUSER) == 0:
        return
    if _libc.unshare(flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "unshare")
    with suppress(FileNotFoundError):
        _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{uid} {uid} 1")
    _write("/proc/self/gid_map", f"{gid} {gid} 1")


def _write(path: str, text: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(file, text.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
    finally:
        os.close(file)


def _end_as_told(reading: int) -> NoReturn:
    """As the innermost process did: whoever watches this one learns what became of it."""
    told = _rest(reading)
    _reap()  # or the first one would be left to our parent
    status = int(told) if told else signal.SIGKILL  # the first one itself was killed
    if os.WIFEXITED(status):
        os._exit(os.WEXITSTATUS(status))
    number = os.WTERMSIG(status)
    with suppress(OSError, ValueError):  # SIGKILL has no handler
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.kill(os.getpid(), number)
    os._exit(1)


def _reap() -> None:
    with suppress(ChildProcessError):
        while True:
            os.wait()


def _rest(reading: int) -> bytes:
    with open(reading, "rb") as told:
        return told.read(MOST)

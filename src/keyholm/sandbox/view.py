"""A view of the files of the system: what is named is there, and nothing else.

A new root is made in memory, the old one put into a folder of it, from which what is to be
seen is bound to its own place; then the old one is let go. It needs a mount namespace of its
own, and the right to mount in it.
"""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from contextlib import suppress
from enum import IntFlag
from typing import Final

from msgspec import Struct

MS_RDONLY: Final = 1
MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MS_NOEXEC: Final = 8
MS_REMOUNT: Final = 32
MS_BIND: Final = 4096
MS_REC: Final = 16384
MS_PRIVATE: Final = 1 << 18
MNT_DETACH: Final = 2
AT_FDCWD: Final = -100
AT_RECURSIVE: Final = 0x8000
# The same number on every architecture.
MOUNT_SETATTR: Final = 442
PIVOT_ROOT: Final = {"x86_64": 155, "aarch64": 41}
# Where the new root is mounted for a moment; it hides nothing from whoever looks at it later.
BASES: Final = ("/tmp", "/var/tmp", "/mnt", "/usr")  # noqa: S108 - mounted over
OLD: Final = "/.old"
# Links to parts of /usr on most systems, folders on some.
PARTS: Final = ("/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin")
# Names that programs have known for longer than there is /run.
OLD_NAMES: Final = ("/var/run", "/var/lock")
DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
SCRATCH: Final = "/tmp"  # noqa: S108 - of the view, so nobody else's
SHARED_MEMORY: Final = "/dev/shm"  # noqa: S108 - as above
SCRATCH_SIZE: Final = "size=64m,nr_inodes=4096"

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (*[ctypes.c_char_p] * 3, ctypes.c_ulong, ctypes.c_char_p)
_libc.syscall.restype = ctypes.c_long


class May(IntFlag):
    """What may be done with a file, or with all that is in a folder."""

    READ = 0
    WRITE = 1
    USE = 2  # a device


class Shown(Struct, frozen=True):
    path: str  # absolute
    may: May = May.READ


def build(shown: Iterable[Shown], *, shares: bool = False) -> None:
    """Raises `OSError`. Paths that do not exist are left out. `shares`: memory and the numbers
    of processes with the rest of the system, so /dev/shm is the system's, and there is no /proc,
    in which all others would be seen."""
    wanted = [*shown, *(Shown(path, May.USE) for path in DEVICES)]
    if shares:
        wanted.append(Shown(SHARED_MEMORY, May.WRITE))
    real = [(each, os.path.realpath(each.path)) for each in wanted if os.path.isabs(each.path)]
    named = (*PARTS, *OLD_NAMES)
    links = [(path, os.readlink(path)) for path in named if os.path.islink(path)]
    folders = [path for path in PARTS if path not in dict(links) and os.path.isdir(path)]
    _enter()
    for path, target in links:
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        os.symlink(target, path)
    # Before what is shown, some of which may lie in there.
    _scratch(SCRATCH)
    if not shares:
        _scratch(SHARED_MEMORY)
    tree = _Tree()
    for path in folders:
        tree.show(path, path, May.READ)
    # What is above comes before what is below it.
    for each, source in sorted(real, key=lambda pair: pair[1]):
        tree.show(source, source, each.may)
        if os.path.realpath(each.path) != source:
            tree.show(source, os.path.normpath(each.path), each.may)
    if not shares:
        _processes()
    with suppress(OSError):
        os.symlink("/proc/self/fd", "/dev/fd")
    _leave()


class _Tree:
    """What is shown so far."""

    def __init__(self) -> None:
        self._may: dict[str, May] = {}

    def show(self, source: str, target: str, may: May) -> None:
        above = self._above(target)
        if above is not None and self._may[above] == may:
            return  # it is there already
        with suppress(FileNotFoundError):
            _bind(OLD + source, target, may)
            self._may[target] = may

    def _above(self, path: str) -> str | None:
        while path not in self._may and path != "/":
            path = os.path.dirname(path)
        return path if path in self._may else None


def _enter() -> None:
    """From here on / is new and empty, and OLD is what it was."""
    base = next(path for path in BASES if os.path.isdir(path))
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    mount("tmpfs", base, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m,nr_inodes=4096")
    os.mkdir(base + OLD, 0o700)
    number = PIVOT_ROOT.get(os.uname().machine)
    if number is None:
        raise OSError(0, "pivot_root is not known for this architecture")
    _check(_libc.syscall(number, base.encode(), (base + OLD).encode()), "pivot_root")
    os.chdir("/")


def _leave() -> None:
    _check(_libc.umount2(OLD.encode(), MNT_DETACH), OLD)
    os.rmdir(OLD)
    mount(None, "/", None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV)


def _bind(source: str, target: str, may: May) -> None:
    """Raises `FileNotFoundError` where there is no `source`, and other `OSError`."""
    facts = os.stat(source)
    if not os.path.lexists(target):
        _make_place(target, folder=stat.S_ISDIR(facts.st_mode))
    mount(source, target, None, MS_BIND | MS_REC)
    flags = MS_NOSUID
    if not may & May.WRITE:
        flags |= MS_RDONLY
    if not may & May.USE:
        flags |= MS_NODEV
    _set_flags(target, flags)


def _make_place(path: str, *, folder: bool) -> None:
    """Something to mount over."""
    if folder:
        os.makedirs(path, 0o755)
        return
    os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _set_flags(target: str, flags: int) -> None:
    """Of a mount and all below it. Before Linux 5.12 of the mount alone."""
    # struct mount_attr; its flags are those of mount(2) as far as they are used here.
    attributes = struct.pack("=QQQQ", flags, 0, 0, 0)
    done = _libc.syscall(
        ctypes.c_long(MOUNT_SETATTR),
        ctypes.c_long(AT_FDCWD),
        target.encode(),
        ctypes.c_long(AT_RECURSIVE),
        attributes,
        ctypes.c_long(len(attributes)),
    )
    if done != 0:
        # What is set already must stay set, or the kernel refuses it.
        now = os.statvfs(target).f_flag & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)
        mount(None, target, None, MS_REMOUNT | MS_BIND | now | flags)


def _scratch(path: str) -> None:
    os.makedirs(path, 0o755, exist_ok=True)
    mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, f"mode=1777,{SCRATCH_SIZE}")


def _processes() -> None:
    """/proc of the own processes. In a container the kernel may refuse it: then there is none."""
    os.makedirs("/proc", 0o555, exist_ok=True)
    with suppress(OSError):
        mount("proc", "/proc", "proc", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)


def mount(source: str | None, target: str, kind: str | None, flags: int, data: str = "") -> None:
    """mount(2)"""
    done = _libc.mount(
        source.encode() if source else None,
        target.encode(),
        kind.encode() if kind else None,
        flags,
        data.encode() or None,
    )
    _check(done, target)


def _check(done: int, what: str) -> None:
    if done != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)

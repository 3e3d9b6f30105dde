"""The folder of one trail: its files by name, reached through one descriptor.

    00000000000000000000.segment   records, from the one with that number on
    checkpoint                     the newest, replaced whole
    checkpoints                    all of them, one after the other
    key, vkey                      the trail's Ed25519 key and its public text
    state                          where the last checkpoint ended, so that opening is quick
    reserve                        room that was allocated for a full disk
    torn-...                       bytes that were no record, moved aside at a start
    lock                           held by the process that writes

The descriptor is opened before the sandbox closes, and paths are never resolved again:
whoever swaps a folder above cannot send the records elsewhere.
"""

import errno
import fcntl
import os
from pathlib import Path
from typing import Final

SEGMENT: Final = ".segment"
CHECKPOINT: Final = "checkpoint"
CHECKPOINTS: Final = "checkpoints"
KEY: Final = "key"
VKEY: Final = "vkey"
STATE: Final = "state"
RESERVE: Final = "reserve"
LOCK: Final = "lock"
TORN: Final = "torn-"
PENDING: Final = ".pending"

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the system says when there is no room; everything else is a fault."""
BUSY: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""What it says when a file cannot be opened now; nothing was done, and it may be a moment later."""


def segment_name(first: int) -> str:
    return f"{first:020d}{SEGMENT}"


class Folder:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        self._lock: int | None = None
        self.is_closed = False

    def take_lock(self) -> bool:
        """Become the one process that writes here; False if another one is."""
        lock = self.open(LOCK, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        self._lock = lock
        return True

    def is_being_written(self) -> bool:
        """Whether a process holds the lock. Taking it to find out would be in its way."""
        try:
            inode = os.stat(LOCK, dir_fd=self.fd).st_ino
            held = Path("/proc/locks").read_text()
        except OSError:
            return True  # it cannot be known
        return f":{inode} " in held

    @property
    def name(self) -> str:
        return self.path.name

    def open(self, name: str, flags: int) -> int:
        return os.open(name, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600, dir_fd=self.fd)

    def names(self) -> list[str]:
        return sorted(os.listdir(self.fd))

    def segments(self) -> list[int]:
        """The number of the first record of each segment, ascending and without a gap.

        A listing may miss a file that is made meanwhile and have one that is made after it. What
        was there before the second listing is in it; so is all that is older than that.
        """
        newest = max(self._firsts(), default=-1)
        return [first for first in self._firsts() if first <= newest]

    def _firsts(self) -> list[int]:
        stems = (name.removesuffix(SEGMENT) for name in self.names() if name.endswith(SEGMENT))
        return [int(stem) for stem in stems if len(stem) == 20 and stem.isdecimal()]

    def size(self, name: str) -> int:
        return os.stat(name, dir_fd=self.fd, follow_symlinks=False).st_size

    def read(self, name: str, start: int = 0) -> bytes | None:
        """All of the file from `start` on; None if there is no such file."""
        try:
            fd = self.open(name, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            parts = []
            while part := os.pread(fd, 1 << 20, start):
                parts.append(part)
                start += len(part)
            return b"".join(parts)
        except OSError as error:
            error.filename = name  # the system only knows the descriptor
            raise
        finally:
            os.close(fd)

    def write_new(self, name: str, data: bytes) -> None:
        """A file that is whole on the disk before this returns; it must not exist."""
        fd = self.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            write_all(fd, data)
            os.fsync(fd)
        except OSError:
            os.unlink(name, dir_fd=self.fd)
            raise
        finally:
            os.close(fd)

    def replace(self, name: str, data: bytes) -> None:
        """The file is either as it was or has the new content, whatever happens."""
        new = name + ".new"
        self.remove(new)
        self.write_new(new, data)
        self.rename(new, name)

    def rename(self, old: str, new: str) -> None:
        os.rename(old, new, src_dir_fd=self.fd, dst_dir_fd=self.fd)

    def remove(self, name: str) -> None:
        try:
            os.unlink(name, dir_fd=self.fd)
        except FileNotFoundError:
            return

    def sync(self) -> None:
        """Names that were made, changed or removed are on the disk."""
        os.fsync(self.fd)

    def close(self) -> None:
        """The lock is given back with it."""
        if not self.is_closed:
            self.is_closed = True
            os.close(self.fd)
            if self._lock is not None:
                os.close(self._lock)


def write_all(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]

"""The files that records are written to: room ahead of the end, one after the other.

Room is allocated in steps before it is written to, which costs nothing measurable (1.0 µs
a write either way) and makes a full disk show between records and not inside one. One
more file, the reserve, is allocated whole while there is room: when the disk is full, it
becomes the next segment and takes what must be recorded even then.
"""

import errno
import os
from typing import Final

from msgspec import Struct

from keyholm.core.audit.folder import RESERVE, Folder, segment_name

MIB: Final = 1024 * 1024


class Sizes(Struct, frozen=True):
    segment: int = 16 * MIB
    reserve: int = 16 * MIB
    step: int = 256 * 1024


class Segments:
    """The segment that is written to; those before it are only kept open until synced."""

    def __init__(self, folder: Folder, sizes: Sizes) -> None:
        self._folder, self._sizes = folder, sizes
        self._fd = -1
        self._limit = 0  # no frame begins at or after this; then comes the next file
        self._finished: list[int] = []
        self._names_changed = False
        self._has_reserve = False
        self.first = 0
        self.offset = 0
        self.room = 0  # the segment is allocated up to here

    # --- writing -----------------------------------------------------------------------

    def write(self, frame: bytes) -> None:
        written = os.pwrite(self._fd, frame, self.offset)
        if written != len(frame):
            # The allocation was not honoured (copy-on-write file systems, quotas).
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.offset += written

    def cut_unfinished(self) -> None:
        """Take back what a failed write may have left behind the last whole frame."""
        os.ftruncate(self._fd, self.offset)
        self.room = self.offset

    @property
    def is_at_its_limit(self) -> bool:
        return self._fd < 0 or self.offset >= self._limit

    def grow(self, needed: int) -> None:
        """Room for `needed` more bytes and some to come."""
        end = max(self.offset + needed, min(self.room + self._sizes.step, self._limit))
        try:
            os.posix_fallocate(self._fd, self.room, end - self.room)
        except OSError:
            # What was allocated before the disk was full is given back.
            os.ftruncate(self._fd, self.room)
            raise
        self.room = end

    # --- one file after the other --------------------------------------------------------

    def resume(self, first: int, offset: int) -> None:
        """Go on in the file that begins with record `first`, after `offset`."""
        self._fd = self._folder.open(segment_name(first), os.O_RDWR)
        size = os.fstat(self._fd).st_size
        self.first, self.offset, self.room = first, offset, max(size, offset)
        self._limit = max(self._sizes.segment, size)
        if not offset:
            self.trim()  # nothing is in it: it begins like a new one

    def start(self, first: int) -> None:
        fd = self._folder.open(segment_name(first), os.O_RDWR | os.O_CREAT | os.O_EXCL)
        self._begin(fd, first, room=0, limit=self._sizes.segment)

    def start_in_reserve(self, first: int) -> None:
        self._folder.rename(RESERVE, segment_name(first))
        self._has_reserve = False
        fd = self._folder.open(segment_name(first), os.O_RDWR)
        size = os.fstat(fd).st_size
        self._begin(fd, first, room=size, limit=size)

    def _begin(self, fd: int, first: int, *, room: int, limit: int) -> None:
        if self._fd >= 0:
            os.ftruncate(self._fd, self.offset)
            self._finished.append(self._fd)
        self._fd, self.first, self.offset = fd, first, 0
        self.room, self._limit = room, limit
        self._names_changed = True

    # --- the reserve -----------------------------------------------------------------------

    @property
    def reserve_left(self) -> int:
        return self._sizes.reserve if self._has_reserve else 0

    def fill_reserve(self) -> None:
        """Allocate the reserve if it is not there; OSError if there is no room for it."""
        if self._has_reserve or not self._sizes.reserve:
            return
        fd = self._folder.open(RESERVE, os.O_RDWR | os.O_CREAT)
        try:
            size = os.fstat(fd).st_size
            if size > self._sizes.reserve:
                os.ftruncate(fd, self._sizes.reserve)
            elif size < self._sizes.reserve:
                os.posix_fallocate(fd, 0, self._sizes.reserve)
        except OSError:
            self._folder.remove(RESERVE)
            raise
        finally:
            os.close(fd)
        self._has_reserve = self._names_changed = True

    # --- to the disk -------------------------------------------------------------------------

    def unsynced(self) -> "Unsynced":
        """What `sync` must bring to the disk so that all written so far is there."""
        finished, self._finished = self._finished, []
        changed, self._names_changed = self._names_changed, False
        return Unsynced(self._fd, tuple(finished), self._folder.fd if changed else None)

    def close(self) -> None:
        for fd in self._finished:
            os.close(fd)
        self._finished = []
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def trim(self) -> None:
        os.ftruncate(self._fd, self.offset)
        self.room = self.offset


class Unsynced(Struct, frozen=True):
    current: int
    finished: tuple[int, ...]
    folder: int | None

    def sync(self) -> None:
        """Called without the trail's lock: records are written meanwhile."""
        try:
            for fd in self.finished:
                os.fsync(fd)
        finally:
            for fd in self.finished:
                os.close(fd)
        os.fdatasync(self.current)
        if self.folder is not None:
            os.fsync(self.folder)

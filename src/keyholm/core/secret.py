"""Secret bytes in memory that is locked, left out of core dumps, and wiped on close.

A `bytes` object cannot be wiped, so a secret is received into a `Secret`, read through
memoryviews of it, and closed. What OpenSSL copies for itself is OpenSSL's to clean.
Pages are mapped one arena at a time and handed out in slots, because mlock counts whole
pages against a user's 8 MiB and every `Secret` would otherwise cost one.
"""

import ctypes
import hmac
import mmap
import os
import threading
from collections import deque
from types import TracebackType
from typing import Final, Self

SLOT: Final = 64
ARENA: Final = 64 * 1024
MADV_DONTDUMP: Final = 16
MADV_WIPEONFORK: Final = 18

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mlock.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_libc.getrandom.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint)
_libc.getrandom.restype = ctypes.c_ssize_t


class _Arena:
    """One locked mapping, cut into slots of `SLOT` bytes."""

    def __init__(self, size: int) -> None:
        # MADV_WIPEONFORK works on private anonymous mappings only.
        self.memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for advice in (MADV_DONTDUMP, MADV_WIPEONFORK):
            self.memory.madvise(advice)
        self.locked = _libc.mlock(_address(self.memory), size) == 0
        self.view = memoryview(self.memory)
        self.slots = size // SLOT
        self.free = [(0, self.slots)]  # (first slot, how many), ascending

    def take(self, slots: int) -> int | None:
        for index, (first, count) in enumerate(self.free):
            if count >= slots:
                if count == slots:
                    del self.free[index]
                else:
                    self.free[index] = (first + slots, count - slots)
                return first
        return None

    def give_back(self, first: int, slots: int) -> None:
        self.free.append((first, slots))
        self.free.sort()
        merged: list[tuple[int, int]] = []
        for start, count in self.free:
            if merged and merged[-1][0] + merged[-1][1] == start:
                merged[-1] = (merged[-1][0], merged[-1][1] + count)
            else:
                merged.append((start, count))
        self.free = merged

    @property
    def is_empty(self) -> bool:
        return self.free == [(0, self.slots)]

    def unmap(self) -> bool:
        """False where somebody still looks at it through a view of their own."""
        try:
            self.view.release()
            self.memory.close()
        except BufferError:
            self.view = memoryview(self.memory)
            return False
        return True


class _Memory:
    """All arenas of this process. A child starts with none: its pages are wiped."""

    def __init__(self) -> None:
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._arenas: list[_Arena] = []
        self._returned: deque[tuple[_Arena, int, int]] = deque()

    def take(self, slots: int) -> tuple[_Arena, int]:
        with self._lock:
            self._sort_in()
            for arena in self._arenas:
                first = arena.take(slots)
                if first is not None:
                    return arena, first
            arena = _Arena(max(ARENA, -(-slots * SLOT // mmap.PAGESIZE) * mmap.PAGESIZE))
            self._arenas.append(arena)
            first = arena.take(slots)
            assert first is not None  # noqa: S101 - a fresh arena is at least that large
            return arena, first

    def give_back(self, arena: _Arena, first: int, slots: int) -> None:
        # The garbage collector may come here from a thread that holds the lock: never wait.
        self._returned.append((arena, first, slots))
        if self._lock.acquire(blocking=False):
            try:
                self._sort_in()
            finally:
                self._lock.release()

    def _sort_in(self) -> None:
        while self._returned:
            arena, first, slots = self._returned.popleft()
            arena.give_back(first, slots)
            # What was mapped for one large secret is not kept from the rest of the system.
            if arena.is_empty and arena.slots * SLOT > ARENA and arena in self._arenas:
                self._arenas.remove(arena)
                if not arena.unmap():
                    self._arenas.append(arena)

    def all_locked(self) -> bool:
        with self._lock:
            return all(arena.locked for arena in self._arenas)


_memory = _Memory()


class Secret:
    """`size` secret bytes. Use `view` and nothing else; close it as soon as you can."""

    __slots__ = ("_arena", "_first", "_slots", "size", "view")

    def __init__(self, size: int) -> None:
        self._slots = 0  # nothing to give back yet
        self.size = size
        slots = max(1, -(-size // SLOT))
        self._arena, self._first = _memory.take(slots)
        self._slots = slots
        start = self._first * SLOT
        self.view = self._arena.view[start : start + size]

    @classmethod
    def of(cls, data: bytes | bytearray | memoryview) -> Self:
        """A copy of `data`; the caller wipes its own, where it can."""
        secret = cls(len(data))
        secret.view[:] = data
        return secret

    @classmethod
    def random(cls, size: int) -> Self:
        secret = cls(size)
        # Not os.urandom, which gives bytes that nobody can wipe.
        done = 0
        while done < size:
            got = _libc.getrandom(_address(secret.view) + done, size - done, 0)
            if got < 0:
                secret.close()
                raise OSError(ctypes.get_errno(), "no random bytes")
            done += got
        return secret

    def close(self) -> None:
        if not self._slots:
            return
        slots, self._slots = self._slots, 0
        self.view.release()
        start = self._first * SLOT
        # The whole slots, so that nothing of a longer predecessor stays.
        self._arena.view[start : start + slots * SLOT] = bytes(slots * SLOT)
        _memory.give_back(self._arena, self._first, slots)

    def __len__(self) -> int:
        return self.size

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self.view, other.view)

    __hash__ = None  # type: ignore[assignment]  # a secret is no dictionary key

    def __repr__(self) -> str:
        return f"<Secret of {self.size} bytes>"

    def __reduce__(self) -> str:
        raise TypeError("a Secret is never serialised")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


def _address(memory: mmap.mmap | memoryview) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def all_locked() -> bool:
    """Whether every secret so far is in memory that cannot be swapped out."""
    return _memory.all_locked()

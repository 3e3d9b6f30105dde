"""Memory that pointers of a call point to. What is not in use is zero: it holds PINs and keys."""

import ctypes
from typing import Any, Final

from keyholm.wire.codec import Bytes

_ALIGNMENT: Final = 16


class Memory:
    """Gives out pieces until `clear`. More is made when there is not enough."""

    __slots__ = ("_at", "_base", "_block", "_more", "_size", "_view")

    def __init__(self, size: int) -> None:
        self._block: Any = (ctypes.c_char * size)()
        self._base = ctypes.addressof(self._block)
        self._view = memoryview(self._block).cast("B")
        self._size = size
        self._at = 0
        self._more: list[Any] = []

    def room(self, size: int) -> int:
        """The address of so many bytes of zeros."""
        at = self._at
        end = at + size
        if end > self._size:
            return self._another(size)
        self._at = (end + _ALIGNMENT - 1) & -_ALIGNMENT
        return self._base + at

    def put(self, data: Bytes) -> int:
        """The address of a copy, which has a 0 behind it."""
        size = len(data)
        at = self._at
        end = at + size
        if end >= self._size:
            address = self._another(size + 1)
            ctypes.memmove(address, bytes(data), size)
            return address
        self._view[at:end] = data
        self._at = (end + _ALIGNMENT) & -_ALIGNMENT
        return self._base + at

    def bytes_at(self, address: int, size: int) -> bytes:
        """A copy of what is in a piece that was given out."""
        at = address - self._base
        if 0 <= at < self._size:
            return self._view[at : at + size].tobytes()
        return read(address, size)

    def clear(self) -> None:
        ctypes.memset(self._base, 0, min(self._at, self._size))
        self._at = 0
        for block in self._more:
            ctypes.memset(block, 0, ctypes.sizeof(block))
        self._more.clear()

    def _another(self, size: int) -> int:
        block = (ctypes.c_char * size)()
        self._more.append(block)
        return ctypes.addressof(block)


def read(address: int, size: int) -> bytes:
    """A copy of what is there: only ever of memory that was given out with at least that size."""
    return ctypes.string_at(address, size)

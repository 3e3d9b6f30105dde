"""Room for the result of a call, used again and again by one channel."""

import ctypes
from typing import Any, Final

from keyholm.stores.modules.binding.memory import read

SIZE: Final = 1 << 16  # more than any signature takes
MOST: Final = 16 << 20  # what an answer can carry


class Output:
    """One buffer; a larger one is made when a result does not fit, and given up afterwards."""

    __slots__ = ("_base", "_block", "_larger", "address", "size")

    def __init__(self) -> None:
        self._block: Any = (ctypes.c_char * SIZE)()
        self._base = ctypes.addressof(self._block)
        self._larger: Any = None
        self.address, self.size = self._base, 0

    def room(self, size: int) -> int:
        """The address of so many bytes; at most MOST."""
        self.size = size
        if size <= SIZE:
            self.address = self._base
        else:
            self._larger = (ctypes.c_char * size)()
            self.address = ctypes.addressof(self._larger)
        return self.address

    def take(self, size: int) -> bytes:
        """The first bytes, which are wiped."""
        data = read(self.address, size)
        ctypes.memset(self.address, 0, size)
        self._larger = None
        return data

    def wipe(self) -> None:
        """After a call that failed: it may have written something all the same."""
        ctypes.memset(self.address, 0, self.size)
        self._larger = None

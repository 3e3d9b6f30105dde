"""Uses of a key whose data comes in parts: whole, hashed, or as it comes."""

from collections.abc import Callable
from typing import Any, Final

from cryptography.hazmat.primitives import hashes

from keyholm.core.errors import DataLengthInvalid

MOST: Final = 64 * 1024 * 1024  # of what must be collected before it can be worked on


class Collected:
    """Data that can only be worked on as a whole.

    What was collected is wiped at the end. Where it grew, the memory that it grew out of is not:
    Python gives no way to."""

    def __init__(self, use: Callable[[bytearray, bytes], bytes], most: int = MOST) -> None:
        self._use, self._most = use, most
        self._data = bytearray()

    def update(self, data: bytes) -> bytes:
        if len(self._data) + len(data) > self._most:
            self._wipe()
            raise DataLengthInvalid(f"This takes at most {self._most} bytes.")
        self._data += data
        return b""

    def finish(self, signature: bytes = b"") -> bytes:
        try:
            return self._use(self._data, signature)
        finally:
            self._wipe()

    def _wipe(self) -> None:
        self._data[:] = bytes(len(self._data))
        self._data = bytearray()


class Hashed:
    """Data of which only a hash is needed; `end` takes it, and the signature to verify."""

    def __init__(
        self, algorithm: hashes.HashAlgorithm, end: Callable[[bytes, bytes], bytes]
    ) -> None:
        self._hash, self._end = hashes.Hash(algorithm), end

    def update(self, data: bytes) -> bytes:
        self._hash.update(data)
        return b""

    def finish(self, signature: bytes = b"") -> bytes:
        return self._end(self._hash.finalize(), signature)


class Through:
    """Data that goes through as it comes: a context of cryptography, and what ends it."""

    def __init__(self, context: Any, end: Callable[[Any], bytes]) -> None:
        self._context, self._end = context, end

    def update(self, data: bytes) -> bytes:
        given: bytes = self._context.update(data)
        return given

    def finish(self, signature: bytes = b"") -> bytes:
        return self._end(self._context)

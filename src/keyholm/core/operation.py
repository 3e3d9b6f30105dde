"""Uses of a key whose data comes in parts.

    begin  →  update ...  →  finish or abort

Three kinds that look alike from outside. A signature that somebody may have bound to what is
signed is collected whole, so that the gate can read it (`Collected`). All else is streamed
through the store (`Streamed`): its record is written before the first byte of a result
leaves, as an intent when more is to come, and as the whole when the end gives all. What uses
only a public half is not recorded at all (`Public`).
"""

import hashlib
from collections.abc import Callable
from typing import Final, Protocol

from keyholm.core.errors import BadRequest, KeyholmError, LimitExceeded
from keyholm.core.store import Running

MAX_MESSAGE: Final = 64 * 1024 * 1024  # of a message that is collected


class Operation(Protocol):
    """After `finish`, `abort` and each error it has ended: all that follows is refused."""

    def update(self, data: bytes) -> bytes:
        """Takes a part; gives what of the result can be told already."""
        ...

    def finish(self, signature: bytes = b"") -> bytes:
        """The rest of the result. To verify, takes the signature; raises `SignatureInvalid`."""
        ...

    def abort(self) -> None: ...


class Account(Protocol):
    """Where a use is written down; see `core.recording`."""

    def intend(self) -> None: ...
    def done(self, digest: bytes, length: int, output: bytes) -> None: ...
    def failed(self, digest: bytes, length: int, error: KeyholmError) -> None: ...


class Collected:
    def __init__(self, use: Callable[[bytes], bytes]) -> None:
        self._use = use
        self._parts: list[bytes] = []
        self._size = 0
        self._ended = False

    def update(self, data: bytes) -> bytes:
        _check(self._ended)
        self._size += len(data)
        if self._size > MAX_MESSAGE:
            self.abort()
            raise LimitExceeded(f"A message of more than {MAX_MESSAGE >> 20} MiB is not signed.")
        self._parts.append(data)
        return b""

    def finish(self, signature: bytes = b"") -> bytes:
        _check(self._ended)
        message = b"".join(self._parts)
        self.abort()
        return self._use(message)

    def abort(self) -> None:
        self._ended = True
        self._parts.clear()


class Streamed:
    def __init__(self, running: Running, account: Account) -> None:
        self._running, self._account = running, account
        self._input, self._output = hashlib.sha256(), hashlib.sha256()
        self._length = 0
        self._told = False  # something of the result has left
        self._ended = False

    def update(self, data: bytes) -> bytes:
        _check(self._ended)
        self._input.update(data)
        self._length += len(data)
        try:
            part = self._running.update(data)
            if part and not self._told:
                self._account.intend()
                self._told = True
        except KeyholmError as error:
            self._fail(error)
            raise
        self._output.update(part)
        return part

    def finish(self, signature: bytes = b"") -> bytes:
        _check(self._ended)
        try:
            rest = self._running.finish(signature)
        except KeyholmError as error:
            self._fail(error)
            raise
        self._ended = True
        self._output.update(rest)
        self._account.done(self._input.digest(), self._length, self._output.digest())
        return rest

    def abort(self) -> None:
        if not self._ended and self._told:
            self._account.done(self._input.digest(), self._length, self._output.digest())
        self._ended = True

    def _fail(self, error: KeyholmError) -> None:
        self._ended = True
        self._account.failed(self._input.digest(), self._length, error)


class Public:
    def __init__(self, running: Running) -> None:
        self._running = running
        self._ended = False

    def update(self, data: bytes) -> bytes:
        _check(self._ended)
        try:
            return self._running.update(data)
        except KeyholmError:
            self._ended = True
            raise

    def finish(self, signature: bytes = b"") -> bytes:
        _check(self._ended)
        self._ended = True
        return self._running.finish(signature)

    def abort(self) -> None:
        self._ended = True


def _check(ended: bool) -> None:
    if ended:
        raise BadRequest("This operation has ended.")

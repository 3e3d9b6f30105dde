"""One TPM: commands go in one at a time, and what it cannot do yet is asked again.

What belongs together (load, sign, flush) holds `lock` all the time, so that never more objects
are loaded than a TPM has room for. A link that broke is of no use, since a late answer would
be taken for the next: it is made anew at the next command.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from keyholm.core.errors import KeyholmError, StoreFailed
from keyholm.stores.tpm import errors, links
from keyholm.stores.tpm.links import Link
from keyholm.wire.codec import Malformed
from keyholm.wire.tpm2 import commands as tpm
from keyholm.wire.tpm2.commands import (
    MOST_FRAME,
    Answer,
    Authorization,
    Command,
    Refused,
    decode,
    encode,
    parameters_of,
    results,
)
from keyholm.wire.tpm2.constants import CAP
from keyholm.wire.tpm2.responses import AGAIN, response

TRIES: Final = 10
FIRST_WAIT: Final = 0.005  # seconds; doubled each time: five in all

Connect = Callable[[str], Link]


class Device:
    def __init__(
        self,
        where: str,
        connect: Connect = links.connect,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Raises `TokenNotPresent`, `StoreFailed`, ..."""
        self.where, self._connect, self._sleep = where, connect, sleep
        self.lock = threading.RLock()
        self.links = 0  # how many there were: what was loaded by another is gone
        self._link: Link | None = None
        self._closed = False
        self._open()
        self._start()

    def _open(self) -> Link:
        self._link = self._connect(self.where)
        self.links += 1
        return self._link

    def _open_again(self) -> Link:
        """In a sandbox that closed meanwhile no device is opened any more."""
        try:
            return self._open()
        except KeyholmError as error:
            raise errors.lost(self.where, "its connection broke") from error

    def _start(self) -> None:
        """A TPM of our own may not have been started; in a machine the firmware did that."""
        if links.is_shared(self.where):
            return
        with contextlib.suppress(Refused):  # INITIALIZE: it was started already
            self.run(tpm.STARTUP, (), tpm.STARTUP_CLEAR)

    # --- commands ----------------------------------------------------------------------

    def run(self, command: Command, handles: tuple[int, ...], *values: Any) -> tuple[Any, ...]:
        """One without a session. What it gives, after the handle where it gives one.

        Raises `Refused`, `StoreFailed`."""
        answer = self.send(command, handles, parameters_of(command, *values))
        given = self.results(command, answer.parameters)
        return given if answer.handle is None else (answer.handle, *given)

    def results(self, command: Command, parameters: bytes) -> tuple[Any, ...]:
        try:
            return results(command, parameters)
        except Malformed as error:
            raise errors.altered(str(error)) from error

    def send(
        self,
        command: Command,
        handles: tuple[int, ...],
        parameters: bytes,
        sessions: tuple[Authorization, ...] = (),
    ) -> Answer:
        """Raises `Refused` with a code after which nothing is to be tried again."""
        frame = encode(command, handles, parameters, sessions)
        if len(frame) > MOST_FRAME:
            raise StoreFailed("A command would be larger than a TPM takes.")
        wait = FIRST_WAIT
        for left in reversed(range(TRIES)):
            try:
                return self._once(command, frame)
            except Refused as refused:
                # Such an answer carries no nonce: the same bytes are right once more.
                if response(refused.number).code not in AGAIN or not left:
                    raise
            self._sleep(wait)
            wait *= 2
        raise AssertionError("the last try returns or raises")

    def _once(self, command: Command, frame: bytes) -> Answer:
        with self.lock:
            if self._closed:
                raise StoreFailed("The TPM store is closed.", remedy="Start keyholm again.")
            link = self._link or self._open_again()
            try:
                return decode(command, link.exchange(frame))
            except (OSError, Malformed) as error:
                self._drop()
                raise errors.lost(self.where, error) from error

    def _drop(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()

    # --- what it says of itself ----------------------------------------------------------

    def properties(self, first: int, count: int) -> Mapping[int, int]:
        _, found = self.run(tpm.GET_CAPABILITY, (), CAP.TPM_PROPERTIES, first, count)
        return {each.number: each.value for each in found.data}

    def flush(self, handle: int) -> None:
        """What is gone already need not go."""
        with contextlib.suppress(Refused, KeyholmError):
            self.run(tpm.FLUSH_CONTEXT, (), handle)

    def close(self) -> None:
        """In order: a TPM that lost its power without this counts a wrong PIN."""
        with self.lock:
            if not self._closed and self._link is not None and not links.is_shared(self.where):
                with contextlib.suppress(Refused, KeyholmError):
                    self.run(tpm.SHUTDOWN, (), tpm.STARTUP_CLEAR)
            self._closed = True
            self._drop()

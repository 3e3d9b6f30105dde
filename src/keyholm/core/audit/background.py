"""What happens behind `append`: syncing, checkpoints, counted refusals.

One thread. It sleeps while nothing is written; the first record after that wakes it, and
from then on it looks every `sync_within` seconds, so that a busy trail never pays for
waking it. A checkpoint covers only what was synced before it.
"""

import threading
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from keyholm.core.audit.chain import Chain
from keyholm.core.audit.checkpoints import Book
from keyholm.core.audit.clock import Clock
from keyholm.core.audit.folder import BUSY, FULL
from keyholm.core.errors import TrailUnavailable

_LEAVES_AT_ONCE: Final = 128  # folded with the lock held: 80 µs
_SECOND: Final = 1_000_000_000


class Timing(Struct, frozen=True):
    sync_within: float = 0.1
    checkpoint_records: int = 256
    checkpoint_within: float = 1.0


class Background:
    def __init__(
        self,
        chain: Chain,
        book: Book,
        timing: Timing,
        clock: Clock,
        signed: int,
        errands: Callable[[], bool],
        give: Callable[[bytes], None],
    ) -> None:
        """`errands` does what else is to be done now and then: True if more will come.

        `give` gets each checkpoint.
        """
        self._chain, self._book, self._timing, self._now = chain, book, timing, clock.boot
        self._errands, self._give = errands, give
        self._work = threading.Condition(chain.lock)
        self._done = threading.Condition(chain.lock)
        self.signing = threading.Lock()  # held by whoever writes checkpoints
        self._syncing = False
        self._stopping = False
        self._seen = chain.size  # at the last look: no more since then means idle
        self._signed_at = self._now()
        self.is_idle = False
        self.synced = chain.size
        self.signed = signed
        self.problem = ""  # why the last checkpoint could not be written
        self._thread = threading.Thread(target=self._run, name="trail", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._chain.lock:
            self._stopping = True
            self._work.notify()
        if self._thread.is_alive():
            self._thread.join()

    def wake(self) -> None:
        """With the lock held: there is something to do."""
        self.is_idle = False
        self._work.notify()

    # --- the thread ------------------------------------------------------------------------

    def _run(self) -> None:
        more = True
        try:
            while self._wait(more=more):
                try:
                    more = self._look()
                except TrailUnavailable:
                    if self._chain.failure is not None:
                        return  # the chain has ended, and says so to whoever appends
                    more = True  # the disk is full: there may be room later
        finally:
            with self._chain.lock:
                if not self._stopping:
                    # Whatever ended this thread: without it nothing reaches the disk in time.
                    self._chain.end("nothing syncs it any more", "Start keyholm again.")

    def _wait(self, *, more: bool) -> bool:
        with self._chain.lock:
            if not more and not self._stopping:
                self.is_idle = True
                # A record that came while we looked has woken nobody.
                while self.is_idle and self._chain.size == self._seen and not self._stopping:
                    self._work.wait()
                self.is_idle = False
            if not self._stopping:
                self._work.wait(self._timing.sync_within)
            return not self._stopping

    def _look(self) -> bool:
        more = self._errands()
        with self._chain.lock:
            size, seen = self._chain.size, self._seen
            self._seen = size
            self.wait_until_synced(size)
        if size > self.signed and self._is_due(size, seen):
            self.checkpoint()
        return more or size > self.signed or self._chain.size > size

    def _is_due(self, size: int, seen: int) -> bool:
        return (
            size == seen
            or size - self.signed >= self._timing.checkpoint_records
            or self._now() - self._signed_at >= self._timing.checkpoint_within * _SECOND
        )

    # --- syncing ---------------------------------------------------------------------------

    def wait_until_synced(self, size: int) -> None:
        """With the lock held: return when the first `size` records are on the disk.

        Whoever comes first syncs for all that have written by then; the others wait.
        """
        while self.synced < size:
            if self._chain.failure is not None:
                raise TrailUnavailable(self._chain.failure.what, remedy=self._chain.failure.remedy)
            if self._syncing:
                self._done.wait()
            else:
                self._sync()

    def _sync(self) -> None:
        self._syncing = True
        size, unsynced = self._chain.size, self._chain.unsynced()
        failed: OSError | None = None
        self._chain.lock.release()
        try:
            unsynced.sync()
        except OSError as error:
            # The kernel may have dropped the pages: a second sync would lie.
            failed = error
        finally:
            self._chain.lock.acquire()
            self._syncing = False
            self._done.notify_all()
        if failed is not None:
            raise self._chain.fail("synced", failed) from failed
        self.synced = size

    # --- checkpoints -------------------------------------------------------------------------

    def checkpoint(self, *, ended: bool = False) -> None:
        """Sign all that is written so far."""
        with self.signing:
            with self._chain.lock:
                while self._chain.fold(_LEAVES_AT_ONCE):
                    # Let those who want to append in between.
                    self._chain.lock.release()
                    self._chain.lock.acquire()
                position = self._chain.position()
                self.wait_until_synced(position.size)
            if position.size == self.signed and not ended:
                return
            self._signed_at = self._now()
            try:
                note = self._book.write(position, ended=ended)
            except OSError as error:
                self._not_signed(error)
            else:
                self.signed, self.problem = position.size, ""
                self._give(note)

    def _not_signed(self, error: OSError) -> None:
        """On a full disk the chain goes on in its reserve; it is signed when there is room, or
        a descriptor."""
        self.problem = f"No checkpoint could be written: {error.strerror}."
        if error.errno not in FULL | BUSY:
            with self._chain.lock:
                raise self._chain.fail("signed", error) from error

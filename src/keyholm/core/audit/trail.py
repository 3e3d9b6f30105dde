"""The trail of one process: append a record, and it is chained and kept.

`append` returns when the kernel has the record, so that killing this process loses
nothing; with `durable` it returns when the disk has it. What cannot be recorded does not
happen: `append` raises TrailUnavailable, and whoever called it gives nothing away.
"""

from collections.abc import Hashable
from types import TracebackType
from typing import Final, Self

import msgspec
from msgspec import Struct, field

from keyholm.core.audit.background import Background, Timing
from keyholm.core.audit.chain import Chain, encode_facts
from keyholm.core.audit.checkpoints import Book
from keyholm.core.audit.clock import SYSTEM_CLOCK, Clock
from keyholm.core.audit.folder import Folder
from keyholm.core.audit.note import NoteSigner, SigningKey
from keyholm.core.audit.pruning import carry_out, plan
from keyholm.core.audit.records import Closed, Record, Witness
from keyholm.core.audit.recovery import End
from keyholm.core.audit.refusals import Refusal, RefusalLimiter
from keyholm.core.audit.segments import Sizes
from keyholm.core.audit.witness import Postman, Tell
from keyholm.core.errors import TrailUnavailable

MOST_OFTEN: Final = 10


class Settings(Struct, frozen=True):
    sizes: Sizes = field(default_factory=Sizes)
    timing: Timing = field(default_factory=Timing)
    refusals_per_second: int = MOST_OFTEN
    keep: int = 0  # bytes of segments; the oldest beyond that are pruned. 0: keep all
    sealers: tuple[NoteSigner, ...] = ()
    witness: Tell | None = None


class Status(Struct, frozen=True):
    """What `keyholm status` and `keyholm doctor` show."""

    origin: str
    records: int
    signed: int
    synced: int
    reserve: int  # bytes
    is_full: bool
    failure: str
    problem: str  # with checkpoints; records are still taken


class Trail:
    """Made by `open_trail`. Safe to use from any thread."""

    def __init__(
        self,
        folder: Folder,
        key: SigningKey,
        end: End,
        boot_id: str,
        settings: Settings | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        settings = settings or Settings()
        self._folder, self._key, self._keep = folder, key, settings.keep
        self._pruned_at = -1  # the segment at whose beginning it was last looked
        self._postman = (
            Postman(settings.witness, self._witness_changed) if settings.witness else None
        )
        self._refusals = RefusalLimiter(clock.boot, settings.refusals_per_second)
        self._chain = Chain(folder, end, settings.sizes, clock)
        self._background = Background(
            self._chain,
            Book(folder, key, boot_id, settings.sealers),
            settings.timing,
            clock,
            end.checkpoint.size if end.checkpoint else 0,
            self._errands,
            self._postman.give if self._postman else _nobody,
        )
        self._background.start()

    @property
    def origin(self) -> str:
        """Which trail: the first line of its checkpoints."""
        return self._key.name

    def append(self, record: Record, *, durable: bool = False, essential: bool = False) -> int:
        """Record an event and return its number. `essential` ones may use the reserve."""
        facts = encode_facts(record)
        chain, background = self._chain, self._background
        with chain.lock:
            number = chain.append(facts, essential=essential)
            if background.is_idle:
                background.wake()
            if durable:
                background.wait_until_synced(number + 1)
        return number

    def refuse(self, refusal: Refusal, caller: Hashable) -> int | None:
        """Record a refusal, unless `caller` had many this second: then it is counted.

        The next record of this caller, or one made when the second is over, has the count.
        """
        counted = self._refusals.admit(caller, refusal)
        if counted is None:
            with self._chain.lock:
                if self._background.is_idle:
                    self._background.wake()
            return None
        if counted:
            refusal = msgspec.structs.replace(refusal, suppressed=counted)
        return self.append(refusal, essential=True)

    def checkpoint(self) -> None:
        """Sync and sign all that is there, now: before a suspend, or when a store locks."""
        self._background.checkpoint()

    def status(self) -> Status:
        chain, background = self._chain, self._background
        with chain.lock:
            return Status(
                origin=self.origin,
                records=chain.size,
                signed=background.signed,
                synced=background.synced,
                reserve=chain.reserve_left,
                is_full=chain.is_full,
                failure=str(chain.failure or ""),
                problem=background.problem,
            )

    def close(self, reason: str = "stopped") -> None:
        """Say so in the trail, sign it, and give it back."""
        self._background.stop()
        with self._chain.lock:
            usable = self._chain.failure is None
        try:
            if usable:
                self._end_well(reason)
        except TrailUnavailable:
            # A full disk or a failed sync: the next start says how this one ended.
            return
        finally:
            if self._postman:
                self._postman.stop()
            self._give_back()

    def _end_well(self, reason: str) -> None:
        for refused in self._refusals.take_counted(everyone=True):
            self.append(refused, essential=True)
        self.append(Closed(reason), essential=True)
        with self._chain.lock:
            self._chain.trim()
        self._background.checkpoint(ended=True)

    def _give_back(self) -> None:
        with self._chain.lock:
            if not self._folder.is_closed:
                self._chain.end("it was closed", "Start keyholm again.")
                self._chain.close()
                self._folder.close()

    # --- from the threads behind it --------------------------------------------------------

    def _errands(self) -> bool:
        if self._refusals.is_counting:
            for refused in self._refusals.take_counted():
                self.append(refused, essential=True)
        if self._keep and self._chain.segment != self._pruned_at:
            self._pruned_at = self._chain.segment
            self._prune()
        # While old segments went, new ones may have come, and perhaps no record after them.
        more = bool(self._keep) and self._chain.segment != self._pruned_at
        return more or self._refusals.is_counting

    def _prune(self) -> None:
        try:
            pruned = plan(self._folder, self._keep)
            if pruned is not None:
                self.append(pruned, essential=True)
                self._background.checkpoint()
                with self._background.signing:
                    carry_out(self._folder, pruned)
        except OSError as error:
            self._background.problem = f"Old segments cannot be deleted: {error.strerror}."

    def _witness_changed(self, why: str) -> None:
        record = Witness(self._background.signed, "failed" if why else "ok", why)
        try:
            self.append(record, essential=True)
        except TrailUnavailable:
            return  # the trail's own failure is told to everybody else

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _nobody(checkpoint: bytes) -> None:
    """No witness is configured."""

"""Reading one trail from its first record to its last, and checking each of them."""

import time
from collections.abc import Callable
from typing import NoReturn, TypeVar

from keyholm.core.audit.claims import Claim
from keyholm.core.audit.decoding import decode, head_of
from keyholm.core.audit.folder import Folder, segment_name
from keyholm.core.audit.frame import HEADER, LOOKS, PAUSE, is_zero, next_sound, records
from keyholm.core.audit.note import VerifyingKey
from keyholm.core.audit.records import (
    FORMAT,
    Head,
    Opened,
    Pruned,
    Record,
    Recovered,
    Segment,
    Session,
    Sibling,
)
from keyholm.core.audit.recovery import NO_LEAF
from keyholm.core.audit.report import TrailReport
from keyholm.core.audit.state import State
from keyholm.core.audit.tree import Tree, leaf_hash

R = TypeVar("R", bound=Record)


class Stop(Exception):
    """The first damage: nothing behind it can be checked."""


class Overtaken(Exception):
    """A file was removed while we read: the writer has pruned it, or somebody else did."""

    def __init__(self, file: str) -> None:
        super().__init__(file)
        self.file = file


class Walk:
    """Fills `report`; what records say about other files and trails is kept for the caller."""

    def __init__(
        self,
        folder: Folder,
        vkey: VerifyingKey,
        claims: list[Claim],
        state: State | None,
        report: TrailReport,
    ) -> None:
        self.roots: dict[int, bytes] = {}  # at each size that was signed
        self.siblings: list[tuple[Head, Sibling]] = []
        self.recovered: dict[str, Recovered] = {}
        self.callers: set[int] = set()
        self._folder, self._vkey, self._report, self._state = folder, vkey, report, state
        self._claims: dict[int, list[Claim]] = {}
        for claim in claims:
            self._claims.setdefault(claim.size, []).append(claim)
        self._tree, self._last = Tree(), NO_LEAF
        self._base: tuple[str, ...] = ()
        self._pruned: list[Pruned] = []
        self._file, self._at = "", 0
        self._looked_at: dict[str, Callable[[bytes, Head], None]] = {
            "opened": self._opened,
            "segment": self._segment_begins,
            "session": self._session,
            "pruned": self._prunes,
            "recovered": self._recovers,
        }

    def run(self) -> None:
        """Raises `Overtaken`: the reader has to begin anew."""
        firsts = self._folder.segments()
        try:
            if firsts:
                self._begin(firsts[0])
            for first in firsts:
                self._file, self._at = segment_name(first), 0
                if first != self._tree.size:
                    self._damaged(f"it should begin with record {self._tree.size}")
                self._segment(is_last=first == firsts[-1])
            self._end()
        except Stop:
            pass

    def _begin(self, first: int) -> None:
        """Where the beginning was pruned, the first record has the tree of what is gone."""
        if not first:
            return
        self._report.first, self._file = first, segment_name(first)
        found = next(records(self._read()), None)
        if found is None:
            self._damaged("this is no record")
        try:
            self._base = self._facts(found[1], Segment).peaks
            self._tree = Tree(first, map(bytes.fromhex, self._base))
            self._last = bytes.fromhex(head_of(found[1]).prev)
        except ValueError as error:
            self._damaged(str(error))

    def _segment(self, *, is_last: bool) -> None:
        looks = LOOKS if is_last else 1
        while True:
            data = self._read()
            for at, record in records(data, self._at):
                self._at = at
                self._record(record)
                self._at = at + HEADER.size + len(record)
                self._compare_state()
            if is_zero(data, self._at):
                return
            looks -= 1
            if not looks or not self._folder.is_being_written():
                break
            time.sleep(PAUSE)
        if not is_last or next_sound(data, self._at) is not None:
            self._damaged("this is no record")
        self._damaged("an interrupted write, or a damaged last record; a start moves it aside")

    def _read(self) -> bytes:
        data = self._folder.read(self._file)
        if data is None:
            raise Overtaken(self._file)
        return data

    def _record(self, record: bytes) -> None:
        try:
            head = head_of(record)
        except ValueError as error:
            self._damaged(f"it cannot be read: {error}")
        number = self._tree.size
        if head.v != FORMAT:
            self._damaged(f"its format is {head.v}; this keyholm knows {FORMAT}")
        if head.seq != number:
            self._damaged(f"its number is {head.seq}")
        if head.prev != self._last.hex():
            self._damaged(f"it does not follow record {number - 1} as that one stands")
        if self._at == 0 and head.event != "segment":
            self._damaged("the file does not begin with the tree of what was before")
        look = self._looked_at.get(head.event)
        if look is not None:
            look(record, head)
        self._last = leaf_hash(record)
        self._tree.add(self._last)
        self._report.records = self._tree.size
        if self._tree.size in self._claims:
            self._check_claims()

    def _check_claims(self) -> None:
        size, root = self._tree.size, self._tree.root()
        self.roots[size] = root
        for claim in self._claims.pop(size):
            if claim.root != root:
                where = claim.file if claim.offset is None else f"{claim.file}, byte {claim.offset}"
                self._damaged(
                    f"records up to here are not those that a checkpoint signs ({where})",
                    record=size - 1,
                )
            if claim.by_witness:
                self._report.witnessed = max(self._report.witnessed, size)

    def _compare_state(self) -> None:
        state = self._state
        if state is None or state.size != self._tree.size:
            return
        peaks = tuple(peak.hex() for peak in self._tree.peaks)
        here = (self._file, self._at, self._last.hex(), peaks)
        if (segment_name(state.segment), state.offset, state.last, state.peaks) != here:
            self._report.found("state", "it does not fit the records", record=state.size)
        self._state = None

    def _end(self) -> None:
        size = self._tree.size
        beyond = [claim for at in sorted(self._claims) for claim in self._claims[at] if at > size]
        if beyond:
            what = f"{beyond[-1].size} records were signed ({beyond[-1].file}), the trail ends here"
            self._file = self._file or "segments"
            self._damaged(what)
        if self._state is not None and self._state.size > size:
            self._report.found("state", "it is of records that are not there")
        first = self._report.first
        if first and not any(self._is_pruned_to(first, pruned) for pruned in self._pruned):
            what = f"records before {first} are gone, and no record says that they were pruned"
            self._report.found(segment_name(first), what)

    def _is_pruned_to(self, first: int, pruned: Pruned) -> bool:
        # A crash between two deletions leaves some of what was to go.
        wanted = (pruned.first, pruned.peaks) == (first, self._base)
        return wanted or segment_name(first) in pruned.segments

    def _damaged(self, what: str, *, record: int | None = None) -> NoReturn:
        number = self._tree.size if record is None else record
        self._report.found(self._file, what, offset=self._at, record=number)
        raise Stop

    # --- records that tell about the trail itself ----------------------------------------------

    def _opened(self, record: bytes, head: Head) -> None:
        opened = self._facts(record, Opened)
        if (opened.vkey, opened.origin) != (str(self._vkey), self._vkey.name):
            self._damaged(f"it was written with another key, {opened.vkey}")
        self.siblings += [(head, sibling) for sibling in opened.siblings]

    def _segment_begins(self, record: bytes, head: Head) -> None:
        if self._facts(record, Segment).peaks != tuple(peak.hex() for peak in self._tree.peaks):
            self._damaged("the tree it begins with is not that of the records before")

    def _session(self, record: bytes, head: Head) -> None:
        self.callers.add(self._facts(record, Session).uid)

    def _prunes(self, record: bytes, head: Head) -> None:
        self._pruned.append(self._facts(record, Pruned))

    def _recovers(self, record: bytes, head: Head) -> None:
        recovered = self._facts(record, Recovered)
        self.recovered[recovered.file] = recovered

    def _facts(self, record: bytes, kind: type[R]) -> R:
        try:
            return decode(record, kind)
        except ValueError as error:
            self._damaged(f"it cannot be read: {error}")

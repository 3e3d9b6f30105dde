"""The chain of one trail: each record names the hash of the one before, on disk at once.

Everything here is called with `lock` held. A write that fails closes the chain for good;
only a full disk is survived: what is `essential` goes to the reserve until there is room.
"""

import struct
import threading
from hashlib import sha256
from typing import Final
from zlib import crc32

import msgspec
from msgspec import Struct

from keyholm.core.audit.clock import Clock
from keyholm.core.audit.folder import BUSY, FULL, Folder
from keyholm.core.audit.frame import MAX_RECORD
from keyholm.core.audit.records import Record, Segment
from keyholm.core.audit.recovery import End
from keyholm.core.audit.segments import Segments, Sizes, Unsynced
from keyholm.core.errors import TrailUnavailable

_HEAD: Final = b'{"v":1,"seq":%d,"prev":"%b","t_wall":%d,"t_boot":%d,%b'
_BEFORE_FACTS: Final = 256  # more than the frame's header and all before the facts
_frame_header: Final = struct.Struct(">II").pack
_encode: Final = msgspec.json.Encoder().encode
MAX_FACTS: Final = MAX_RECORD - _BEFORE_FACTS
RETRY: Final = 1_000_000_000  # nanoseconds between two looks for room on a full disk


def encode_facts(record: Record) -> bytes:
    """The record's own fields, without the opening brace: the head is written before them."""
    try:
        facts = _encode(record)[1:]
    except UnicodeEncodeError:
        # A path is any bytes to Linux; what is no UTF-8 must not keep a record away.
        facts = _encode(msgspec.structs.replace(record, **_printable(record)))[1:]
    if len(facts) > MAX_FACTS:
        raise TrailUnavailable(
            f"The record of this request would be {len(facts)} bytes long; "
            f"the trail takes {MAX_FACTS}.",
            remedy="Ask for it with shorter names.",
        )
    return facts


def _printable(record: Record) -> dict[str, object]:
    return {name: _escaped(getattr(record, name)) for name in record.__struct_fields__}


def _escaped(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, tuple):
        return tuple(map(_escaped, value))
    if isinstance(value, dict):
        return {_escaped(key): _escaped(item) for key, item in value.items()}
    if isinstance(value, msgspec.Struct):
        fields = {name: _escaped(getattr(value, name)) for name in value.__struct_fields__}
        return msgspec.structs.replace(value, **fields)
    return value


class Position(Struct, frozen=True):
    """The chain at one moment, with every record in the tree."""

    size: int
    root: bytes
    peaks: tuple[bytes, ...]
    last: str
    segment: int
    offset: int


class Chain:
    def __init__(self, folder: Folder, end: End, sizes: Sizes, clock: Clock) -> None:
        self.lock = threading.Lock()
        self.size = end.tree.size
        self.failure: TrailUnavailable | None = None
        self.is_full = False
        self._folder, self._sizes = folder, sizes
        self._wall, self._boot = clock.wall, clock.boot
        self._tree = end.tree
        self._last = end.last.hex().encode()
        self._leaves: list[bytes] = []  # not in the tree yet
        self._blocked = False  # failed or full: look closer
        self._looked_for_room = 0
        self._files = Segments(folder, sizes)
        if end.segment is not None:
            self._files.resume(end.segment, end.offset)
        self._look_for_room()

    def append(self, facts: bytes, *, essential: bool) -> int:
        if self._blocked:
            self._raise_if_blocked(essential=essential)
        files = self._files
        needed = len(facts) + _BEFORE_FACTS
        if files.offset + needed > files.room:
            self._make_room(needed, essential=essential)
        number = self.size
        wall, boot = self._wall() // 1000, self._boot() // 1000
        record = _HEAD % (number, self._last, wall, boot, facts)
        try:
            files.write(_frame_header(len(record), crc32(record)) + record)
        except OSError as error:
            raise self._write_failed(error) from error
        self.size = number + 1
        leaf = sha256(b"\0" + record)
        self._last = leaf.hexdigest().encode()
        self._leaves.append(leaf.digest())
        return number

    # --- for the thread behind the trail -----------------------------------------------------

    def fold(self, most: int) -> bool:
        """Put up to `most` new leaves into the tree; whether there are more."""
        add = self._tree.add
        for leaf in self._leaves[:most]:
            add(leaf)
        del self._leaves[:most]
        return bool(self._leaves)

    def position(self) -> Position:
        self.fold(len(self._leaves))
        tree, files = self._tree, self._files
        return Position(
            tree.size, tree.root(), tree.peaks, self._last.decode(), files.first, files.offset
        )

    def unsynced(self) -> Unsynced:
        return self._files.unsynced()

    # --- room --------------------------------------------------------------------------------

    @property
    def segment(self) -> int:
        """The first record of the file that is written to."""
        return self._files.first

    @property
    def reserve_left(self) -> int:
        return self._files.reserve_left

    def _make_room(self, needed: int, *, essential: bool) -> None:
        files = self._files
        try:
            if files.is_at_its_limit:
                files.start(self.size)
            if files.offset == 0:
                self._begin_segment(essential=essential)
            if files.offset + needed > files.room:
                files.grow(needed)
        except OSError as error:
            if error.errno in BUSY:
                raise self._cannot_begin(error) from error
            if error.errno not in FULL:
                raise self.fail("written", error) from error
            self._go_to_reserve(error, essential=essential)

    def _begin_segment(self, *, essential: bool) -> None:
        """Each file begins with the tree of all that was before it, and so stands alone."""
        peaks = tuple(peak.hex() for peak in self.position().peaks)
        facts = encode_facts(Segment(peaks))
        if self._files.room < len(facts) + _BEFORE_FACTS:
            self._files.grow(len(facts) + _BEFORE_FACTS)
        self.append(facts, essential=essential)

    def _go_to_reserve(self, error: OSError, *, essential: bool) -> None:
        self._disk_is_full()
        if not essential or not self._files.reserve_left:
            raise self._no_room() from error
        try:
            self._files.start_in_reserve(self.size)
        except OSError as failed:
            raise self.fail("written", failed) from failed
        self._begin_segment(essential=essential)

    def _disk_is_full(self) -> None:
        self.is_full = self._blocked = True
        self._looked_for_room = self._boot()

    def _look_for_room(self) -> None:
        """Without its whole reserve the trail takes only what is essential."""
        try:
            self._files.fill_reserve()
        except OSError as error:
            if error.errno not in FULL:
                raise self.fail("written", error) from error
            self._disk_is_full()
        else:
            self.is_full = self._blocked = False

    # --- when the disk is full or broken -------------------------------------------------------

    def _raise_if_blocked(self, *, essential: bool) -> None:
        if self.failure is not None:
            raise TrailUnavailable(self.failure.what, remedy=self.failure.remedy)
        if essential:
            return
        if self._boot() - self._looked_for_room >= RETRY:
            self._look_for_room()
        if self.is_full:
            raise self._no_room()

    def _write_failed(self, error: OSError) -> TrailUnavailable:
        """A copy-on-write file system may be full in spite of what it promised."""
        if error.errno not in FULL:
            return self.fail("written", error)
        try:
            self._files.cut_unfinished()
        except OSError as failed:
            return self.fail("written", failed)
        self._disk_is_full()
        return self._no_room()

    def _cannot_begin(self, error: OSError) -> TrailUnavailable:
        return TrailUnavailable(
            f"The trail {self._folder.path} cannot begin its next file: {error.strerror}.",
            remedy="Close some of the programs that are connected, or raise the daemon's limit "
            "of open files (LimitNOFILE=).",
        )

    def _no_room(self) -> TrailUnavailable:
        left, whole = self._files.reserve_left, self._sizes.reserve
        return TrailUnavailable(
            f"The trail is full: no space left on {self._folder.path}, "
            f"{left >> 10} of {whole >> 10} KiB of its reserve are left.",
            remedy="Make room on that file system; keys can be used again a second later.",
        )

    def fail(self, verb: str, error: OSError) -> TrailUnavailable:
        return self.end(
            f"it cannot be {verb} ({error.strerror})",
            "Look at the file system and the kernel's log, then start keyholm again.",
        )

    def end(self, why: str, remedy: str) -> TrailUnavailable:
        """Nothing is written after this. The first failure is the one that is told."""
        if self.failure is None:
            self.failure = TrailUnavailable(
                f"The trail {self._folder.path} takes no more records: {why}.", remedy=remedy
            )
            self._blocked = True
        return self.failure

    def trim(self) -> None:
        """Give back the room that was allocated ahead."""
        self._files.trim()

    def close(self) -> None:
        self._files.close()

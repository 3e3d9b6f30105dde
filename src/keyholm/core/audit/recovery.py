"""Opening a trail: find its end, and never cut anything silently.

A write that was interrupted leaves bytes that are no frame at the very end. Such bytes are
moved to a file of their own and a record says so, but only if no sound frame comes after
them and no checkpoint says that there were records: then it was no interrupted write, and
whoever damages a trail must not be helped to tidy it up. In that case nothing is changed
and the trail refuses to open, with the place.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256

import msgspec
from msgspec import Struct

from keyholm.core.audit.decoding import decode
from keyholm.core.audit.folder import CHECKPOINT, CHECKPOINTS, STATE, Folder, segment_name
from keyholm.core.audit.frame import HEADER, is_zero, next_sound, records
from keyholm.core.audit.note import BadNote, Checkpoint, VerifyingKey, open_note
from keyholm.core.audit.state import State, read_state
from keyholm.core.audit.tree import Tree, leaf_hash
from keyholm.core.errors import TrailDamaged

NO_LEAF = bytes(32)


class Torn(Struct, frozen=True):
    """Bytes at the end of a file that are no record."""

    file: str
    offset: int
    data: bytes

    @property
    def sha256(self) -> str:
        return sha256(self.data).hexdigest()


@dataclass(slots=True)
class End:
    """Where a trail goes on."""

    tree: Tree = field(default_factory=Tree)
    last: bytes = NO_LEAF  # leaf hash of the last record
    segment: int | None = None  # None: no file yet
    offset: int = 0
    boot_id: str = ""  # of the process that wrote last
    ended: bool = False  # it wrote `closed`
    checkpoint: Checkpoint | None = None
    torn: list[Torn] = field(default_factory=list)
    unlisted: bytes | None = None  # the newest checkpoint, if it is not in the list of all


class _Facts(msgspec.Struct, gc=False):
    """What opening wants to know of a record."""

    seq: int
    prev: str
    event: str
    boot_id: str = ""
    peaks: tuple[str, ...] = ()


def damaged(folder: Folder, place: str, why: str) -> TrailDamaged:
    return TrailDamaged(
        f"The trail {folder.path} is damaged: {place}: {why}.",
        remedy="`keyholm log verify` says more. To go on with a new trail, move that folder "
        "elsewhere and keep it.",
    )


def find_end(folder: Folder, vkey: VerifyingKey) -> End:
    """Read what came after the last state; raises TrailDamaged and changes nothing."""
    checkpoint = _newest_checkpoint(folder, vkey)
    firsts = folder.segments()
    if not firsts and checkpoint:
        raise damaged(folder, "segments", f"{checkpoint.size} records were signed, none is there")
    end = _start(folder, vkey, firsts)
    end.checkpoint = checkpoint
    for first in (first for first in firsts if end.segment is None or first >= end.segment):
        _read_segment(folder, end, first, is_last=first == firsts[-1])
    if checkpoint and checkpoint.size > end.tree.size:
        place = segment_name(end.segment or 0)
        raise damaged(
            folder,
            f"{place}, byte {end.offset}",
            f"{checkpoint.size} records were signed, the trail ends after {end.tree.size}",
        )
    _look_at_list(folder, end)
    return end


def _newest_checkpoint(folder: Folder, vkey: VerifyingKey) -> Checkpoint | None:
    note = folder.read(CHECKPOINT)
    if note is None:
        if folder.read(CHECKPOINTS):
            raise damaged(folder, CHECKPOINT, "it is missing")
        return None
    try:
        checkpoint = Checkpoint.parse(open_note(note, vkey).text)
    except BadNote as error:
        raise damaged(folder, CHECKPOINT, str(error)) from error
    if checkpoint.origin != vkey.name:
        raise damaged(folder, CHECKPOINT, f"it is of {checkpoint.origin}")
    return checkpoint


def _start(folder: Folder, vkey: VerifyingKey, firsts: list[int]) -> End:
    """From the state, or else from the newest segment that begins with a sound record."""
    state, torn = _state(folder, vkey)
    if state is not None and state.segment in firsts:
        last = bytes.fromhex(state.last)
        return End(state.tree(), last, state.segment, state.offset, state.boot_id, state.ended)
    for first in reversed(firsts):
        data = folder.read(segment_name(first)) or b""
        head = next(records(data), None)
        if head is not None:
            facts = _facts_of(folder, first, 0, head[1])
            try:
                tree = Tree(first, map(bytes.fromhex, facts.peaks))
                return End(tree, bytes.fromhex(facts.prev), first, 0, torn=torn)
            except ValueError as error:
                raise damaged(folder, f"{segment_name(first)}, byte 0", str(error)) from error
    return End(torn=torn)


def _state(folder: Folder, vkey: VerifyingKey) -> tuple[State | None, list[Torn]]:
    """It can be made again from the segments, so a bad one is only moved aside."""
    note = folder.read(STATE)
    if note is None:
        return None, []
    try:
        return read_state(note, vkey), []
    except BadNote:
        return None, [Torn(STATE, 0, note)]


def _read_segment(folder: Folder, end: End, first: int, *, is_last: bool) -> None:
    """Follow the chain through one file, from `end.offset` if it begins there."""
    name = segment_name(first)
    start = end.offset if end.segment == first else 0
    if end.segment != first and first != end.tree.size:
        raise damaged(folder, name, f"it should begin with record {end.tree.size}")
    data = folder.read(name) or b""
    if len(data) < start:
        raise damaged(folder, f"{name}, byte {len(data)}", f"it ends before byte {start}")
    end.segment, end.offset = first, start
    for at, record in records(data, start):
        _follow(folder, end, at, record)
        end.offset = at + HEADER.size + len(record)
    if is_zero(data, end.offset):
        return
    if not is_last:
        raise damaged(folder, f"{name}, byte {end.offset}", "this is no record")
    following = next_sound(data, end.offset)
    if following is not None:
        raise damaged(
            folder,
            f"{name}, byte {end.offset}",
            f"this is no record, but a sound one follows at byte {following}",
        )
    end.torn.append(Torn(name, end.offset, data[end.offset :].rstrip(b"\0")))


def _follow(folder: Folder, end: End, at: int, record: bytes) -> None:
    facts = _facts_of(folder, end.segment or 0, at, record)
    if facts.seq != end.tree.size or facts.prev != end.last.hex():
        place = f"{segment_name(end.segment or 0)}, byte {at}"
        raise damaged(folder, place, f"record {facts.seq} does not follow the one before")
    end.last = leaf_hash(record)
    end.tree.add(end.last)
    end.ended = facts.event == "closed"
    if facts.event == "opened":
        end.boot_id = facts.boot_id
    signed = end.checkpoint
    if signed and signed.size == end.tree.size and signed.root != end.tree.root():
        place = f"{segment_name(end.segment or 0)}, record {facts.seq}"
        raise damaged(folder, place, f"the checkpoint of {signed.size} records signs others")


def _facts_of(folder: Folder, first: int, at: int, record: bytes) -> _Facts:
    try:
        return decode(record, _Facts)
    except ValueError as error:
        raise damaged(folder, f"{segment_name(first)}, byte {at}", str(error)) from error


def _look_at_list(folder: Folder, end: End) -> None:
    """The newest checkpoint is written before it is added to the list of all."""
    newest = folder.read(CHECKPOINT)
    if newest is None:
        return
    if _ends_with(folder, newest + b"\n"):
        return
    data = folder.read(CHECKPOINTS) or b""
    whole = end_of_whole_notes(data)
    if whole < len(data):
        end.torn.append(Torn(CHECKPOINTS, whole, data[whole:]))
    if newest not in data[:whole]:
        end.unlisted = newest


def _ends_with(folder: Folder, note: bytes) -> bool:
    """The list may be long; mostly its end is all that must be read."""
    try:
        start = folder.size(CHECKPOINTS) - len(note)
    except FileNotFoundError:
        return False
    return start >= 0 and folder.read(CHECKPOINTS, start) == note


def end_of_whole_notes(data: bytes) -> int:
    return sum(map(len, notes(data)))


def notes(data: bytes) -> Iterator[bytes]:
    """Notes stand one after the other: text, an empty line, signatures, an empty line."""
    start = 0
    while (text := data.find(b"\n\n", start)) >= 0:
        end = data.find(b"\n\n", text + 2)
        if end < 0:
            return
        yield data[start : end + 2]
        start = end + 2

"""Keeping a trail under its size: whole segments go, the oldest first, and a record stays.

The record is signed before anything is deleted. It has the tree of what is gone, so that
the rest verifies, and proofs about it can be made, as before.
"""

from keyholm.core.audit.decoding import decode
from keyholm.core.audit.folder import CHECKPOINTS, Folder, segment_name
from keyholm.core.audit.frame import records
from keyholm.core.audit.records import Pruned, Segment
from keyholm.core.audit.recovery import notes


def plan(folder: Folder, keep: int) -> Pruned | None:
    """What has to go so that segments take no more than `keep` bytes; never the newest."""
    firsts = folder.segments()
    sizes = [folder.size(segment_name(first)) for first in firsts]
    gone = 0
    while gone < len(firsts) - 1 and sum(sizes[gone:]) > keep:
        gone += 1
    peaks = _peaks(folder, firsts[gone]) if gone else None
    if peaks is None:
        return None  # there is nothing to do, or damage that must not be made greater
    return Pruned(
        first=firsts[gone],
        segments=tuple(map(segment_name, firsts[:gone])),
        bytes=sum(sizes[:gone]),
        peaks=peaks,
    )


def _peaks(folder: Folder, first: int) -> tuple[str, ...] | None:
    """The tree that the segment begins with, if it begins as a segment should."""
    try:
        _, record = next(records(folder.read(segment_name(first)) or b""))
        return decode(record, Segment).peaks
    except (StopIteration, ValueError):
        return None


def carry_out(folder: Folder, pruned: Pruned) -> None:
    # In this order a crash leaves no hole: what is still there begins later, that is all.
    for name in sorted(pruned.segments):
        folder.remove(name)
    kept = [
        note
        for note in notes(folder.read(CHECKPOINTS) or b"")
        if int(note.split(b"\n", 2)[1]) > pruned.first
    ]
    folder.replace(CHECKPOINTS, b"".join(kept))
    folder.sync()

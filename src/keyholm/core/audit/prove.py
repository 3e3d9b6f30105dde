"""Proofs about one record, for somebody who has not got the trail (C2SP tlog-proof).

A proof holds the record (as `extra`), its number, the way from its hash to the root, and
the checkpoint that signs that root. Whoever knows the trail's `vkey` can check it.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from keyholm.core.audit.decoding import decode
from keyholm.core.audit.folder import CHECKPOINT, VKEY, Folder, segment_name
from keyholm.core.audit.frame import records
from keyholm.core.audit.note import (
    BadNote,
    Checkpoint,
    VerifyingKey,
    base64_of,
    from_base64,
    open_note,
)
from keyholm.core.audit.records import Segment
from keyholm.core.audit.recovery import damaged
from keyholm.core.audit.tree import Leaves, Tree, leaf_hash, root_from_inclusion
from keyholm.core.errors import BadRequest, TrailUnavailable

MAGIC: Final = "c2sp.org/tlog-proof@v1"
_HEAD: Final = re.compile(
    rf"{re.escape(MAGIC)}\nextra (?P<record>[A-Za-z0-9+/=]+)\nindex (?P<index>0|[1-9][0-9]{{0,18}})"
)


def prove(path: Path, number: int) -> str:
    """The proof for the record of that number in the trail at `path`."""
    folder = Folder(path)
    try:
        vkey = VerifyingKey.parse((folder.read(VKEY) or b"").decode("ascii").rstrip("\n"))
        note = folder.read(CHECKPOINT) or b""
        size = Checkpoint.parse(open_note(note, vkey).text).size
        before, stored = _stored(folder)
        if not before.size <= number < min(size, before.size + len(stored)):
            raise BadRequest(
                f"Of the trail {path.name}, records {before.size} to {size - 1} can be proven.",
                remedy="A record is signed about a second after it was written.",
            )
        leaves = Leaves([leaf_hash(record) for record in stored], before)
        hashes = leaves.inclusion(number, size)
    except ValueError as error:
        raise damaged(folder, "its proof", str(error)) from error
    except OSError as error:
        raise TrailUnavailable(
            f"{path / str(error.filename)} cannot be read: {error.strerror}.",
            remedy="Read it as the user whose trail it is.",
        ) from error
    finally:
        folder.close()
    record = base64_of(stored[number - before.size])
    path_lines = (base64_of(each) for each in hashes)
    lines = [MAGIC, f"extra {record}", f"index {number}", *path_lines]
    return "\n".join(lines) + "\n\n" + note.decode()


def _stored(folder: Folder) -> tuple[Tree, list[bytes]]:
    """All records that are there, and the tree of those that were pruned."""
    found = [record for first in folder.segments() for record in _records_of(folder, first)]
    if not found:
        return Tree(), []
    segment = decode(found[0], Segment)
    return Tree(folder.segments()[0], map(bytes.fromhex, segment.peaks)), found


def _records_of(folder: Folder, first: int) -> Iterator[bytes]:
    return (record for _, record in records(folder.read(segment_name(first)) or b""))


def proven(proof: str, *vkeys: VerifyingKey) -> bytes:
    """The record that `proof` shows to be in the trail of one of `vkeys`; else BadNote."""
    head, _, note = proof.partition("\n\n")
    lines = head.split("\n")
    found = _HEAD.fullmatch("\n".join(lines[:3]))
    origin = note.partition("\n")[0]
    vkey = next((each for each in vkeys if each.name == origin), None)
    if found is None:
        raise BadNote("this is no tlog-proof of a keyholm record")
    if vkey is None:
        raise BadNote(f"the key of {origin} is not known")
    checkpoint = Checkpoint.parse(open_note(note.encode(), vkey).text)
    try:
        record = from_base64(found["record"])
        path = [from_base64(each) for each in lines[3:]]
        root = root_from_inclusion(leaf_hash(record), int(found["index"]), checkpoint.size, path)
    except ValueError as error:
        raise BadNote(str(error)) from error
    if root != checkpoint.root:
        raise BadNote("the record is not in the tree that was signed")
    return record

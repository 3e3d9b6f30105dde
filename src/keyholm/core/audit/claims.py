"""What was signed or said about a trail: at this size it had this root."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from keyholm.core.audit.folder import CHECKPOINT, CHECKPOINTS, STATE, Folder
from keyholm.core.audit.note import (
    BadNote,
    Checkpoint,
    NoteVerifier,
    VerifyingKey,
    open_note,
)
from keyholm.core.audit.report import TrailReport
from keyholm.core.audit.state import State, read_state

_NOTE: Final = re.compile(
    rb"(?P<origin>[^\s+]+)\n[0-9]+\n[A-Za-z0-9+/=]+\n\n(?:\xe2\x80\x94 [^\s]+ [A-Za-z0-9+/=]+\n)+"
)


@dataclass(frozen=True, slots=True)
class Claim:
    size: int
    root: bytes
    file: str  # where it stands
    offset: int | None = None
    by_witness: bool = False


@dataclass(frozen=True, slots=True)
class Copy:
    """Text with checkpoints that a witness kept, and where it comes from."""

    source: str
    text: bytes

    def notes(self) -> Iterator[tuple[str, int, bytes]]:
        """Origin, offset and note: whatever stands between them is the witness's own."""
        for found in _NOTE.finditer(self.text):
            yield found["origin"].decode(errors="replace"), found.start(), found[0]


class Signed:
    """The checkpoints and the state of one trail; what is wrong with them is reported."""

    def __init__(
        self,
        folder: Folder,
        vkey: VerifyingKey,
        report: TrailReport,
        seals: Sequence[NoteVerifier] = (),
    ) -> None:
        self._folder, self._vkey, self._report, self._seals = folder, vkey, report, seals

    def claims(self) -> list[Claim]:
        newest = self._newest()
        listed = self._listed(newest)
        self._compare_with_list(newest, listed)
        latest = self._claim(newest, CHECKPOINT, None) if newest is not None else None
        return [*listed, latest] if latest else listed

    def state(self) -> State | None:
        note = self._folder.read(STATE)
        if note is None:
            return None
        try:
            return read_state(note, self._vkey)
        except BadNote as error:
            self._report.found(STATE, str(error))
            return None

    def copies(self, copies: Sequence[Copy]) -> list[Claim]:
        """What the witnesses have of this trail."""
        claims = []
        for copy in copies:
            for origin, offset, note in copy.notes():
                if origin == self._vkey.name:
                    claim = self._claim(note, copy.source, offset, by_witness=True)
                    claims += [claim] if claim else []
        return claims

    def _newest(self) -> bytes | None:
        note = self._folder.read(CHECKPOINT)
        if note is None and self._folder.read(CHECKPOINTS):
            self._report.found(CHECKPOINT, "it is missing")
        return note

    def _listed(self, newest: bytes | None) -> list[Claim]:
        data = self._folder.read(CHECKPOINTS) or b""
        claims: list[Claim] = []
        at = 0
        while at < len(data):
            end = _end_of_note(data, at)
            if end is None:
                self._unfinished(data, at, newest)
                break
            claim = self._claim(data[at : end - 1], CHECKPOINTS, at)
            if claim is None:
                break  # what comes after may have moved
            if claims and claim.size < claims[-1].size:
                self._report.found(CHECKPOINTS, "it is older than the one before it", offset=at)
                break
            claims.append(claim)
            at = end
        return claims

    def _unfinished(self, data: bytes, at: int, newest: bytes | None) -> None:
        if newest and (newest + b"\n").startswith(data[at:]):
            self._report.remarks.append("the newest checkpoint is not whole in the list yet")
        else:
            self._report.found(CHECKPOINTS, "this is no whole checkpoint", offset=at)

    def _compare_with_list(self, newest: bytes | None, listed: list[Claim]) -> None:
        if newest is None:
            return
        try:
            size = Checkpoint.parse(open_note(newest, self._vkey).text).size
        except BadNote:
            return  # reported where the claim is made
        if listed and size < listed[-1].size:
            self._report.found(CHECKPOINT, f"{CHECKPOINTS} has a newer one")

    def _claim(
        self, note: bytes, file: str, offset: int | None, *, by_witness: bool = False
    ) -> Claim | None:
        try:
            opened = open_note(note, self._vkey, *self._seals)
            checkpoint = Checkpoint.parse(opened.text)
            if checkpoint.origin != self._vkey.name:
                raise BadNote(f"it is of {checkpoint.origin}")
        except BadNote as error:
            self._report.found(file, f"this checkpoint is not genuine: {error}", offset=offset)
            return None
        if {seal.name for seal in self._seals} & set(opened.signed_by):
            self._report.sealed = max(self._report.sealed, checkpoint.size)
        return Claim(checkpoint.size, checkpoint.root, file, offset, by_witness)


def _end_of_note(data: bytes, at: int) -> int | None:
    """Text, an empty line, signatures, an empty line."""
    text = data.find(b"\n\n", at)
    end = data.find(b"\n\n", text + 2) if text >= 0 else -1
    return end + 2 if end >= 0 else None

"""Writing checkpoints: what the trail's key has signed, the newest and all of them."""

import os
from typing import Final

from keyholm.core.audit.chain import Position
from keyholm.core.audit.folder import CHECKPOINT, CHECKPOINTS, STATE, Folder, write_all
from keyholm.core.audit.note import Checkpoint, NoteSigner, SigningKey, sign_note
from keyholm.core.audit.state import State

STATE_EVERY: Final = 2048
"""Records between two states: what opening has to read after a crash, about 10 ms."""


class Book:
    """`sealers` sign beside the trail's key: a TPM or a card makes the trail `sealed`."""

    def __init__(
        self, folder: Folder, key: SigningKey, boot_id: str, sealers: tuple[NoteSigner, ...] = ()
    ) -> None:
        self._folder, self._key, self._boot_id, self._sealers = folder, key, boot_id, sealers
        self._state_size = 0

    def write(self, position: Position, *, ended: bool) -> bytes:
        """Sign `position`, whose records are on the disk. Gives the note."""
        checkpoint = Checkpoint(self._key.name, position.size, position.root)
        note = sign_note(checkpoint.text(), self._key, *self._sealers)
        # In this order: the newest is what opening trusts, the list can be completed from it.
        self._folder.replace(CHECKPOINT, note)
        append_note(self._folder, note)
        if ended or position.size - self._state_size >= STATE_EVERY:
            self._folder.replace(STATE, self._state(position, ended=ended).note(self._key))
            self._state_size = position.size
        return note

    def _state(self, position: Position, *, ended: bool) -> State:
        return State(
            size=position.size,
            segment=position.segment,
            offset=position.offset,
            last=position.last,
            peaks=tuple(peak.hex() for peak in position.peaks),
            boot_id=self._boot_id,
            ended=ended,
        )


def append_note(folder: Folder, note: bytes) -> None:
    fd = folder.open(CHECKPOINTS, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        before = os.fstat(fd).st_size
        try:
            write_all(fd, note + b"\n")
            os.fdatasync(fd)
        except OSError:
            os.ftruncate(fd, before)
            raise
    finally:
        os.close(fd)

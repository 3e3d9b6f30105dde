"""A new token's folder, written beside the others until it is whole."""

import re
import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from keyholm.core.secret import Secret
from keyholm.core.session import Role
from keyholm.core.store import NewPins
from keyholm.stores.disk import files, folder, header, tries
from keyholm.stores.disk.backup import Saved
from keyholm.stores.disk.cost import Cost
from keyholm.stores.disk.crypto import Subkeys
from keyholm.stores.disk.entries import Entries
from keyholm.stores.disk.header import Header
from keyholm.stores.disk.journal import Hold
from keyholm.stores.disk.slots import KeySlot, Slots

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_NO_NAME: Final = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class New:
    """A token that is to be made."""

    store: str  # uuid
    name: str
    owner: int
    wall: float
    cost: Cost
    floor: Cost

    def with_passphrase(
        self,
        place: Path,
        kek: Secret,
        passphrase: Secret | None,
        saved: Iterable[Saved],
        objects: Iterable[Hold],
    ) -> None:
        token = str(uuid.uuid4())
        made = Slots(self.store, token, cost=self.cost, floor=self.floor)
        if passphrase is None:
            slot = made.in_the_clear(kek)
        else:
            slot = made.for_passphrase(passphrase, kek)
        self._write(place, self._header(token, (slot,)), kek, saved, objects)

    def with_pins(self, place: Path, kek: Secret, label: str, pins: NewPins) -> None:
        token = str(uuid.uuid4())
        made = Slots(self.store, token, cost=self.cost, floor=self.floor)
        slots = [made.for_pin(Role.OFFICER, pins.officer, kek)]
        if pins.user is not None:
            slots.append(made.for_pin(Role.USER, pins.user, kek))
        login = header.APPLICATION if pins.application_login else header.DAEMON
        head = self._header(token, slots, label=label, login=login, legacy=pins.legacy)
        self._write(place, head, kek)
        tries.create(place)

    def _header(self, token: str, slots: Sequence[KeySlot], **facts: Any) -> Header:
        return Header(
            self.store,
            token,
            self.name,
            1,
            self.owner,
            self.wall,
            tuple(slots),
            header.FORMAT,
            **facts,
        )

    def _write(
        self,
        place: Path,
        head: Header,
        kek: Secret,
        saved: Iterable[Saved] = (),
        objects: Iterable[Hold] = (),
    ) -> None:
        files.make_folder(place)
        files.make_folder(place / folder.NAME)
        with Subkeys(kek, head.token.encode()) as keys:
            header.write(place, header.sealed(head, keys.header))
            entries = Entries(place, head.store, head.token)
            entries.fill(head.generation, keys, saved, objects)


def name_of(label: str, taken: Collection[str]) -> str:
    """What the folder of a token with this label is called."""
    plain = _NO_NAME.sub("-", label).strip("-._")[:56] or "token"
    if plain not in taken:
        return plain
    return next(name for n in range(2, 10_000) if (name := f"{plain}-{n}") not in taken)

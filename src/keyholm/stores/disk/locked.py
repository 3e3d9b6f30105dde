"""The lock of a token: its header with the unlock slots, and its KEK while it is open."""

import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from keyholm.core.errors import (
    BadRequest,
    KeyholmError,
    StoreDamaged,
    StoreFailed,
    TokenLocked,
)
from keyholm.core.model import Key, Object
from keyholm.core.secret import Secret
from keyholm.core.store import Change, Event, HasSlots, Slot
from keyholm.core.verifier import Verifier
from keyholm.stores.disk import files, header, journal, recovery, slots
from keyholm.stores.disk.cost import Cost
from keyholm.stores.disk.crypto import Subkeys
from keyholm.stores.disk.entry import STORE
from keyholm.stores.disk.header import Header, Written
from keyholm.stores.disk.slots import KeySlot, Slots
from keyholm.stores.disk.telling import Telling
from keyholm.stores.software.security_keys import SkSign
from keyholm.stores.software.shield import Shield

What = Key | Object | None
_NEEDED: Final = (slots.PASSPHRASE, slots.PIN)


@dataclass(frozen=True, slots=True)
class Settings:
    """What every token of a store shares."""

    shield: Shield
    cost: Cost  # of the slots that are made
    floor: Cost  # of those that are believed
    sk_sign: SkSign
    wall: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic
    damage: tuple[str, ...] = ()  # of the store itself


@dataclass(frozen=True, slots=True)
class _Open:
    """What there is while the token is unlocked."""

    kek: Secret
    keys: Subkeys
    written: Written

    def close(self) -> None:
        self.keys.close()
        self.kek.close()


class LockedToken(HasSlots):
    store: Final = STORE

    def __init__(
        self, place: Path, found: header.Found, settings: Settings, tell: Callable[[Event], None]
    ) -> None:
        self.place, self.settings, self._telling = place, settings, Telling(tell)
        self.name = place.name
        self.accepted_uids: frozenset[int] = frozenset()  # the configuration says who
        self.lock_ = threading.RLock()
        self.closed = False
        self._open: _Open | None = None
        self._verifier: Verifier | None = None
        self._copies = found
        self.header_damage = list(found.damage)
        self._header = found.newest.header if found.newest else _unreadable(place)
        if self._header.name not in ("", self.name):
            self.header_damage.append(
                f"{place} holds the token {self._header.name!r}, which was moved here."
            )

    # --- what it is --------------------------------------------------------------------

    @property
    def owner(self) -> int:
        return self._header.owner

    @property
    def label(self) -> str:
        return self._header.label or self.name

    @property
    def legacy(self) -> bool:
        """Whether it takes what only old programs want: triple DES and raw RSA."""
        return self._header.legacy

    @property
    def uuid(self) -> str:
        return self._header.token

    @property
    def guarded(self) -> bool:
        return self._header.guarded

    @property
    def locked(self) -> bool:
        return self._open is None

    def slots(self) -> Sequence[Slot]:
        return [slot.described() for slot in self._header.slots]

    def _slots(self) -> Slots:
        head = self._header
        return Slots(head.store, head.token, cost=self.settings.cost, floor=self.settings.floor)

    def opened(self) -> _Open:
        """Raises `TokenLocked`."""
        if self._open is None:
            raise TokenLocked(
                f"The token {self.name!r} is locked.", remedy=f"`keyholm unlock {self.name}`"
            )
        return self._open

    # --- unlocking ---------------------------------------------------------------------

    @abstractmethod
    def _unlocked(self, keys: Subkeys) -> None:
        """Verify what was shown while it was locked."""

    @abstractmethod
    def _locked(self) -> None:
        """Forget every private half."""

    def unlock(self, passphrase: Secret) -> None:
        if self._open is not None:
            self.verify(passphrase)
            return
        # Before the lock is taken: nobody who lists or signs waits for argon2id, and those
        # who do are counted where it runs.
        tried = self._header.slots
        kek = self._kek_of(passphrase)
        with self.lock_:
            if not self.locked:
                kek.close()
                return
            self._unlock_with(kek)
            if self._header.slots == tried:  # else it may open nothing any more
                self._remember(passphrase)
        self._changed(Change.UNLOCKED)

    def unlock_by(self, kek: Secret, passphrase: Secret) -> None:
        """A token that was made just now, with this passphrase around this KEK."""
        with self.lock_:
            self._unlock_with(Secret.of(kek.view))
            self._remember(passphrase)

    def unlock_unguarded(self) -> None:
        """A throw-away token is open from the start."""
        kek = slots.clear_kek(self._header.slots)
        if kek is not None:
            self._unlock_with(kek)

    def _kek_of(self, passphrase: Secret) -> Secret:
        if not self._copies.copies:
            raise StoreDamaged(
                " ".join(self.header_damage), remedy="Restore the token from a backup."
            )
        if not self.guarded:
            kek = slots.clear_kek(self._header.slots)
            assert kek is not None  # noqa: S101 - that is what unguarded means
            return kek
        return self._slots().open(self._header.slots, passphrase)

    def _unlock_with(self, kek: Secret) -> None:
        keys = Subkeys(kek, self.uuid.encode())
        try:
            # Another token may have its name by now, and its place.
            if self.closed:
                raise StoreFailed(f"The token {self.name!r} was closed.")
            written = self._authentic(keys)
            self._header = written.header
            self._open = _Open(kek, keys, written)
            self._unlocked(keys)
            self._heal(written)
        except BaseException:
            self._open = None
            keys.close()
            kek.close()
            raise

    def _authentic(self, keys: Subkeys) -> Written:
        """The newest copy of the header that this token's key has sealed."""
        for copy in self._copies.copies:
            if copy.is_authentic(keys.header):
                return copy
            told = f"{self.place / header.NAME} was altered by somebody who has not its key."
            if told not in self.header_damage:
                self.header_damage.append(told)
        raise StoreDamaged(self.header_damage[-1], remedy="Restore the token from a backup.")

    def _heal(self, written: Written) -> None:
        """Two good copies again; what was wrong is told until the daemon ends."""
        for name in (header.NAME, header.COPY, journal.NAME):
            files.wipe(self.place / (name + files.NEW))  # what a crash left
        if not self._copies.want_healing:
            return
        try:
            header.write(self.place, written)
        except KeyholmError:
            return  # a disk that only reads
        self._copies = header.Found((written, written), ())

    def lock(self) -> None:
        with self.lock_:
            self._forget()
        self._changed(Change.LOCKED)

    def _forget(self) -> None:
        self._locked()
        self._forget_passphrase()
        was, self._open = self._open, None
        if was is not None:
            was.close()

    def verify(self, passphrase: Secret) -> None:
        """Against what was typed at unlock, under a key that is in memory only: argon2id is
        for what could be copied. What is not that is tried at the slots, which takes time."""
        if self.guarded and not self._is_remembered(passphrase):
            self._kek_of(passphrase).close()

    def _is_remembered(self, passphrase: Secret) -> bool:
        with self.lock_:
            return self._verifier is not None and self._verifier.fits(passphrase)

    def _remember(self, passphrase: Secret) -> None:
        self._forget_passphrase()
        self._verifier = Verifier(passphrase)

    def _forget_passphrase(self) -> None:
        was, self._verifier = self._verifier, None
        if was is not None:
            was.close()

    # --- slots -------------------------------------------------------------------------

    def change_passphrase(self, old: Secret, new: Secret) -> None:
        slots.check_passphrase(new)
        with self._proven(old) as kek:
            slot = self._slots().for_passphrase(new, kek)
        with self.lock_:
            others = [each for each in self._header.slots if each.kind != slots.PASSPHRASE]
            self._write_slots((slot, *others))
            self._remember(new)

    def add_recovery_code(self, passphrase: Secret) -> Secret:
        """In the place of a former one. Gives it as it is to be printed."""
        with self._proven(passphrase) as kek, recovery.new() as code, self.lock_:
            slot = self._slots().for_code(code, kek)
            others = [each for each in self._header.slots if each.kind != slots.RECOVERY]
            self._write_slots((*others, slot))
            return recovery.shown(code)

    def remove_slot(self, passphrase: Secret, slot: str) -> None:
        with self._proven(passphrase), self.lock_:
            kept = tuple(each for each in self._header.slots if each.name != slot)
            if len(kept) == len(self._header.slots):
                raise BadRequest(f"The token {self.name!r} has no slot {slot!r}.")
            if any(each.kind in _NEEDED for each in self._header.slots if each.name == slot):
                raise BadRequest(
                    "The last passphrase of a token is changed, not removed; its PINs as well."
                )
            self._write_slots(kept)

    def _proven(self, passphrase: Secret) -> Secret:
        """A copy of the KEK, once somebody has shown that the token is theirs."""
        if not self.guarded:
            raise BadRequest(
                f"The token {self.name!r} was made without a passphrase, and its key lies open.",
                remedy="Make a new token by `keyholm token new`, and new keys in it.",
            )
        self.unlock(passphrase)
        with self.lock_:
            return Secret.of(self.opened().kek.view)

    def _write_slots(self, slots: tuple[KeySlot, ...]) -> None:
        self._write_header(slots=slots)
        self._forget_passphrase()  # it may open nothing any more

    def use_newest_format(self) -> None:
        """Before something is written that an older keyholm could not read: it shall say so."""
        if self._header.format < header.FORMAT:
            self._write_header(format=header.FORMAT)

    def _write_header(self, **changes: object) -> None:
        self._write_header_by(self.opened().keys, **changes)

    def _write_header_by(self, keys: Subkeys, **changes: object) -> None:
        generation = self._header.generation + 1
        changed = msgspec.structs.replace(self._header, generation=generation, **changes)
        written = header.sealed(changed, keys.header)
        header.write(self.place, written)
        self._header = changed
        self._copies = header.Found((written, written), ())
        if self._open is not None:
            self._open = _Open(self._open.kek, self._open.keys, written)
        self._header_written(generation)

    @abstractmethod
    def _header_written(self, generation: int) -> None: ...

    def _note(self, change: Change, *, before: What = None, after: What = None) -> None:
        """Under the token's lock; `_telling.tell()` follows when that is released."""
        self._telling.note(Event(self.store, self.name, change, before, after))

    def _changed(self, *changes: Change) -> None:
        for change in changes:
            self._note(change)
        self._telling.tell()


def _unreadable(place: Path) -> Header:
    """What is known of a token whose header cannot be read: that it is there."""
    return Header("", "", "", 0, place.stat().st_uid, 0.0, (), header.FORMAT)

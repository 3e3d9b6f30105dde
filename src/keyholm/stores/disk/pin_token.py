"""A token with PINs, as PKCS#11 has them: the user's opens it, the officer's gives the user one.

A PIN is no passphrase. It is short, and what keeps a program from trying all of them is that
this process counts; whoever copies the folder can try elsewhere. Each try is written down
before anything is compared, in the order of the checks below, one at a time.
"""

import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from keyholm.core.errors import (
    BadRequest,
    KeyholmError,
    LoginNeeded,
    PinIncorrect,
    PinLocked,
    PinNotSet,
    PinUnsuitable,
)
from keyholm.core.secret import Secret
from keyholm.core.session import LONGEST_PIN, SHORTEST_PIN, Role
from keyholm.core.store import Change, Event, HasPins, PinState
from keyholm.core.verifier import Verifier
from keyholm.stores.disk import crypto, header, tries
from keyholm.stores.disk.crypto import Subkeys
from keyholm.stores.disk.locked import Settings
from keyholm.stores.disk.slots import KeySlot, Slots
from keyholm.stores.disk.token import DiskToken
from keyholm.stores.disk.tries import Tries

MAX_LABEL: Final = 32  # bytes, as PKCS#11 has room for


class PinToken(DiskToken, HasPins):
    def __init__(
        self, place: Path, found: header.Found, settings: Settings, tell: Callable[[Event], None]
    ) -> None:
        self._trying = threading.Lock()  # taken before the token's lock, never after
        self._tries = Tries(place)
        self._known: dict[Role, Verifier] = {}
        # What the officer's PIN opened: a new PIN for the user needs it, and nothing else has
        # it, since the officer may not use the user's keys.
        self._officers: Secret | None = None
        super().__init__(place, found, settings, tell)
        self.header_damage += self._tries.damage

    # --- what it is --------------------------------------------------------------------

    @property
    def application_login(self) -> bool:
        return self._header.login == header.APPLICATION

    def pin_state(self, role: Role) -> PinState:
        is_set = any(slot.name == role for slot in self._header.slots)
        return PinState(is_set, self._tries.left(role), tries.MOST)

    def _slot(self, role: Role) -> KeySlot:
        for slot in self._header.slots:
            if slot.name == role:
                return slot
        raise PinNotSet(
            f"{self.label} has no PIN of that kind yet.",
            remedy="The security officer gives the user one.",
        )

    # --- a PIN is tried ----------------------------------------------------------------

    def _kek_by_pin(self, role: Role, pin: Secret) -> Secret:
        """Whoever calls holds `_trying`. Raises `PinNotSet`, `PinLocked`, `PinIncorrect`."""
        slot = self._slot(role)
        if not self._tries.left(role):
            raise PinLocked(f"The PIN of {self.label} was wrong too often.", remedy=_WAY_OUT[role])
        self._tries.count(role)
        try:
            kek = self._compared(role, slot, pin)
        except KeyholmError:
            self._tries.take_back(role)  # it was not compared
            raise
        if kek is None:
            raise PinIncorrect(self.label, self._tries.left(role))
        with suppress(KeyholmError):
            self._tries.forget(role)
        return kek

    def _compared(self, role: Role, slot: KeySlot, pin: Secret) -> Secret | None:
        if not _is_possible(pin):
            return None
        with self.lock_:
            known, kek = self._known.get(role), self._kek_at_hand(role)
            if known is not None and kek is not None:
                return Secret.of(kek.view) if known.fits(pin) else None
        return self._slots().open_by_pin(slot, pin)

    def _kek_at_hand(self, role: Role) -> Secret | None:
        if role is Role.OFFICER:
            return self._officers
        return None if self._open is None else self._open.kek

    def _kek_by_code(self, typed: Secret) -> Secret | None:
        return self._slots().open_by_code(self._header.slots, typed)

    def _remember_pin(self, role: Role, pin: Secret) -> None:
        was = self._known.get(role)
        self._known[role] = Verifier(pin)
        if was is not None:
            was.close()

    def _forget_passphrase(self) -> None:
        super()._forget_passphrase()
        for known in self._known.values():
            known.close()
        self._known.clear()
        was, self._officers = self._officers, None
        if was is not None:
            was.close()

    # --- logins ------------------------------------------------------------------------

    def check_pin(self, role: Role, pin: Secret) -> None:
        with self._trying:
            kek = self._kek_by_pin(role, pin)
            if role is Role.OFFICER:
                self._officer_is_here(kek, pin)
                return
            was_opened = self._opened_by(kek)
            with self.lock_:
                if self._open is not None:
                    self._remember_pin(role, pin)
        if was_opened:
            self._changed(Change.UNLOCKED)

    def _officer_is_here(self, kek: Secret, pin: Secret) -> None:
        with self.lock_:
            was, self._officers = self._officers, kek
            if was is not None:
                was.close()
            self._remember_pin(Role.OFFICER, pin)

    def _opened_by(self, kek: Secret) -> bool:
        """Whether it was locked. Takes over `kek`."""
        with self.lock_:
            if self._open is not None:
                kek.close()
                return False
            self._unlock_with(kek)
            return True

    def unlock(self, passphrase: Secret) -> None:
        """By the user's PIN, or by a recovery code, which needs no counting."""
        with self._trying:
            kek = self._kek_by_code(passphrase)
            was_opened = kek is not None and self._opened_by(kek)
        if kek is None:
            self.check_pin(Role.USER, passphrase)
        elif was_opened:
            self._changed(Change.UNLOCKED)

    def verify(self, passphrase: Secret) -> None:
        """Where the user has no PIN yet, the officer is the owner."""
        with self._trying:
            role = Role.USER if self.pin_state(Role.USER).is_set else Role.OFFICER
            (self._kek_by_code(passphrase) or self._kek_by_pin(role, passphrase)).close()

    # --- new PINs ----------------------------------------------------------------------

    def set_pin(self, role: Role, old: Secret, new: Secret) -> None:
        check_new(new)
        with self._trying, self._kek_by_pin(role, old) as kek:
            self._give(role, new, kek)

    def change_passphrase(self, old: Secret, new: Secret) -> None:
        """The user's PIN; also by a recovery code, when it is locked or forgotten."""
        check_new(new)
        with self._trying, self._kek_by_code(old) or self._kek_by_pin(Role.USER, old) as kek:
            self._give(Role.USER, new, kek)

    def init_pin(self, new: Secret) -> None:
        check_new(new)
        with self._trying:
            with self.lock_:
                if self._officers is None:
                    raise LoginNeeded(
                        f"Only the security officer of {self.label} gives the user a PIN.",
                        remedy="Log in as the security officer again.",
                    )
                kek = Secret.of(self._officers.view)
            with kek:
                self._give(Role.USER, new, kek)

    def _give(self, role: Role, pin: Secret, kek: Secret) -> None:
        slot = self._slots().for_pin(role, pin, kek)
        with self.lock_, Subkeys(kek, self.uuid.encode()) as keys:
            self._header = self._authentic(keys).header
            others = [each for each in self._header.slots if each.name != role]
            self._write_header_by(keys, slots=(*others, slot))
            if self._kek_at_hand(role) is not None:
                self._remember_pin(role, pin)
        self._tries.forget(role)

    # --- an empty token ----------------------------------------------------------------

    def init_token(self, officer_pin: Secret, label: str) -> None:
        """It becomes another one, with a new KEK: nothing that opened it before opens what is
        put in it from now on."""
        check_label(label)
        with self._trying:
            former = self._kek_by_pin(Role.OFFICER, officer_pin)
            with former, Secret.random(crypto.KEY) as kek:
                self._begin_anew(former, kek, officer_pin, label)
            self._tries.forget(Role.USER)
        self._changed(Change.LOCKED, Change.KEYS_CHANGED, Change.OBJECTS_CHANGED)

    def _begin_anew(self, former: Secret, kek: Secret, pin: Secret, label: str) -> None:
        cost, floor = self.settings.cost, self.settings.floor
        with self.lock_, Subkeys(former, self.uuid.encode()) as keys:
            before = self._authentic(keys).header
        token = str(uuid.uuid4())
        slot = Slots(before.store, token, cost=cost, floor=floor).for_pin(Role.OFFICER, pin, kek)
        changed = msgspec.structs.replace(
            before,
            token=token,
            former=before.token,
            generation=before.generation + 1,
            format=header.FORMAT,
            slots=(slot,),
            label=label,
        )
        with self.lock_, Subkeys(kek, token.encode()) as keys:
            written = header.sealed(changed, keys.header)
            header.write(self.place, written)
            # It counts from here on: what fails now is finished at the next unlock.
            self._forget()
            self._header, self._copies = changed, header.Found((written, written), ())
            self._begin_entries()
            with suppress(KeyholmError):
                self._entries.unlock(keys)
                self._write_header_by(keys, former="")
            self._entries.lock()
            self._list(verified=True)


_WAY_OUT: Final = {
    Role.USER: "The security officer can give the user a new one, with a program such as "
    "`pkcs11-tool --login --login-type so --init-pin`.",
    Role.OFFICER: "The user's PIN still opens the token. Its keys go to another one by "
    "`keyholm backup` and `keyholm restore`; then `keyholm token rm` removes it.",
}


def _is_possible(pin: Secret) -> bool:
    return SHORTEST_PIN <= len(pin) <= LONGEST_PIN


def check_new(pin: Secret) -> None:
    """Raises `PinUnsuitable`."""
    if not _is_possible(pin):
        raise PinUnsuitable(
            f"A PIN has {SHORTEST_PIN} to {LONGEST_PIN} bytes.", remedy="Choose another one."
        )


def check_label(label: str) -> None:
    if len(label.encode()) > MAX_LABEL or not label.isprintable():
        raise BadRequest(
            f"The label of a token is printable and has at most {MAX_LABEL} bytes.",
            remedy="Choose another label.",
        )

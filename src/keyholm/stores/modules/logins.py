"""Logins to a vendor's token.

The module knows one login a token; programs have one each (CVE-2023-40660 was a token that was
open to all since one had logged in). So a PIN reaches the token once: while it is logged in, the
PIN of another program is compared with a verifier in locked memory, and a wrong one costs the
token no try. Before a PIN is sent the token's flags are read: a locked PIN is not sent, and one
that is the last try only after a human was told so.

Where keyholm logs in (`login = "daemon"`), the PIN is kept for the case that the worker is
replaced. It is sent again only if no try was lost, once, and forgotten when it was wrong.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from keyholm.core.errors import (
    KeyholmError,
    LoginNeeded,
    PinIncorrect,
    PinLocked,
    PinNotSet,
    PinUnsuitable,
    TokenBusy,
    TokenLocked,
)
from keyholm.core.model import Key
from keyholm.core.secret import Secret
from keyholm.core.session import Role
from keyholm.core.store import Change, HasPins, PinState, Unlocks
from keyholm.core.verifier import Verifier
from keyholm.stores.modules.contents import Entry
from keyholm.stores.modules.errors import Answered
from keyholm.stores.modules.line import Line
from keyholm.stores.modules.token import Made, ModuleToken
from keyholm.wire.pkcs11.constants import CKR, CKU

MOST_WRONG: Final = 5  # PINs that are compared in vain within
WINDOW: Final = 60.0  # seconds
ONCE: Final = 10.0  # seconds for which a PIN for one use waits for that use
_USERS: Final = {Role.USER: CKU.USER, Role.OFFICER: CKU.SO}


class Offered(threading.local):
    """A PIN that a program gave for the next use of a key, by the thread that serves it."""

    pin: Secret | None = None
    until: float = 0.0


class WithPin(ModuleToken, HasPins, Unlocks):
    """A token that wants a PIN, and gets it from a program or from keyholm."""

    _known: Verifier | None = None
    _kept: Secret | None = None
    clock: Callable[[], float] = staticmethod(time.monotonic)

    def _prepare(self) -> None:
        super()._prepare()
        self._wrong: deque[float] = deque(maxlen=MOST_WRONG)
        self._offered = Offered()

    # --- state -------------------------------------------------------------------------

    @property
    def application_login(self) -> bool:
        return self.around.setup.application_login

    @property
    def locked(self) -> bool:
        return self.access.role is not Role.USER and self._kept is None

    @property
    def guarded(self) -> bool:
        return True

    def pin_state(self, role: Role) -> PinState:
        return self.facts.pin(role)

    def check_open(self, entry: Entry | None = None) -> None:
        if self.locked and (entry is None or not entry.handle):
            raise self.locked_error()

    # --- logging in --------------------------------------------------------------------

    def unlock(self, passphrase: Secret) -> None:
        self.check_pin(Role.USER, passphrase)

    def verify(self, passphrase: Secret) -> None:
        """Where nobody is logged in, the token itself is asked."""
        self.check_pin(Role.USER, passphrase)

    def check_pin(self, role: Role, pin: Secret) -> None:
        self._check_possible(pin)
        if role is Role.USER and self._compared(pin):
            self._offer(pin)
            return
        self._be_told_of_last_try(role)
        with self.access.lock:
            if role is Role.USER and self._compared(pin):
                return  # somebody else was faster
            self._send(role, pin)
            if role is Role.USER:
                self._logged_in(pin)
            else:
                self._forget_pin()
        self._see_what_shows(role)

    def _check_possible(self, pin: Secret) -> None:
        if not self.facts.may_be(len(pin)):
            raise PinIncorrect(self.label)  # and no try is lost

    def _compared(self, pin: Secret) -> bool:
        """True: it is the one by which the token is open. False: nobody is logged in."""
        with self.access.lock:
            known = self._known
            if known is None or self.locked:
                return False
            self._check_pace()
            if known.fits(pin):
                self._wrong.clear()
                return True
            self._wrong.append(self.clock())
        raise PinIncorrect(self.label)

    def _check_pace(self) -> None:
        if len(self._wrong) == MOST_WRONG:
            wait = WINDOW - (self.clock() - self._wrong[0])
            if wait > 0:
                raise TokenBusy(
                    f"The PIN of {self.label} was wrong {MOST_WRONG} times.",
                    remedy=f"Wait {wait:.0f} s, then try again.",
                )

    def _be_told_of_last_try(self, role: Role) -> None:
        """No lock is held while a human reads."""
        with self.access.lock:
            state = self.access.look().pin(role)
        if not state.is_set:
            raise PinNotSet(
                f"{self.label} has no PIN for its user yet.",
                remedy="The security officer gives the user one, with the tool that came with it.",
            )
        if not state.tries_left:
            raise PinLocked(
                f"{self.label} has locked its PIN, which was wrong too often.",
                remedy="The security officer (PUK) can give the user a new one.",
            )
        if state.tries_left == 1:
            self.around.human.confirm(
                f"The PIN of {self.label} was wrong before: one try is left, and a wrong PIN "
                "locks it. Send the PIN that was given now?"
            )

    def _send(self, role: Role, pin: Secret) -> None:
        line, session = self.access.open()
        try:
            self._log_in(line, session, role, pin)
        except Answered as answered:
            raise self._refused(answered, role) from answered
        self.access.role = role

    def _log_in(self, line: Line, session: int, role: Role, pin: Secret) -> None:
        for is_last in (False, True):
            try:
                line.call_secretly("Login", session, _USERS[role], pin)
            except Answered as answered:
                # By somebody whose PIN nobody knows: it is no proof that this one is right.
                if answered.status not in _SOMEBODY or is_last:
                    raise
                line.call("Logout", session)
                self.access.role = None
            else:
                return

    def _refused(self, answered: Answered, role: Role) -> KeyholmError:
        if answered.status != CKR.PIN_INCORRECT:
            return self.access.error(answered)
        with suppress(KeyholmError):
            state = self.access.look().pin(role)
            if not state.tries_left:
                return PinLocked(
                    f"The PIN for {self.label} is wrong, and it is locked now.",
                    remedy="The security officer (PUK) can give the user a new one.",
                )
            if state.tries_left == 1:
                return PinIncorrect(self.label, 1)
        return PinIncorrect(self.label)

    def _logged_in(self, pin: Secret) -> None:
        self._forget_pin()
        self._known = Verifier(pin)
        self._wrong.clear()
        if not self.application_login:
            self._kept = Secret.of(pin.view)

    def _forget_pin(self) -> None:
        for held in (self._known, self._kept):
            if held is not None:
                held.close()
        self._known = self._kept = None

    def _see_what_shows(self, role: Role) -> None:
        if role is Role.USER:
            with self.access.lock:
                self.access.do(self._list)
        self.tell_what_changed(Change.UNLOCKED if role is Role.USER else Change.LOCKED)

    # --- logging in again --------------------------------------------------------------

    def use(self, act: Callable[[Line, int], Made]) -> Made:
        was_locked = self.locked
        try:
            return self._use(act)
        finally:
            changes = (Change.LOCKED,) if self.locked and not was_locked else ()
            if changes or self._untold:
                self.tell_what_changed(*changes)

    def _use(self, act: Callable[[Line, int], Made]) -> Made:
        with self.access.lock:
            try:
                return self.access.do(act)
            except TokenLocked:
                if not self._logged_in_again():
                    raise
            return self.access.do(act)

    def _logged_in_again(self) -> bool:
        """By the PIN that was kept, if no try was lost; whatever becomes of it, it is sent once."""
        kept, self._kept = self._kept, None
        if kept is None:
            self._forget_pin()
            return False
        with kept:
            try:
                state = self.access.look().pin(Role.USER)
                if state.tries_left < state.tries:
                    raise self.locked_error()
                self._send(Role.USER, kept)
            except KeyholmError:
                self._forget_pin()
                return False
            self._kept = Secret.of(kept.view)
        self._handles_hold = False
        return True

    # --- a PIN for each use ------------------------------------------------------------

    def _offer(self, pin: Secret) -> None:
        """A program that is asked for it between C_SignInit and C_Sign says it to us, and nobody
        asks again. Only the thread that serves this program finds it."""
        if any(entry.always_authenticate for entry in self._entries.values()):
            self._take_offered()
            self._offered.pin = Secret.of(pin.view)
            self._offered.until = self.clock() + ONCE

    def _take_offered(self) -> Secret | None:
        offered, self._offered.pin = self._offered.pin, None
        if offered is not None and self.clock() > self._offered.until:
            offered.close()
            return None
        return offered

    def use_with_pin(self, key: Key, act: Callable[[Line, int], Made]) -> Made:
        self.check_open()
        pin = self._take_offered()
        if pin is None:
            pin = self.around.human.pin(f"{self.label} wants its PIN to use {key.label!r}.")
        with pin:
            self._check_possible(pin)
            self._be_told_of_last_try(Role.USER)
            return self.use(lambda line, session: self._with_pin(pin, act, line, session))

    def _with_pin(
        self, pin: Secret, act: Callable[[Line, int], Made], line: Line, session: int
    ) -> Made:
        self._for_one_use = pin
        try:
            return act(line, session)
        finally:
            self._for_one_use = None

    _for_one_use: Secret | None = None

    def log_in_for_one_use(self, line: Line, session: int) -> None:
        """Always to the token: it alone knows whether this use may be."""
        pin = self._for_one_use
        if pin is None:
            raise self.locked_error()
        try:
            line.call_secretly("Login", session, CKU.CONTEXT_SPECIFIC, pin)
        except Answered as answered:
            self.access.renew(line)  # what was begun ends with its session
            raise self._refused(answered, Role.USER) from answered

    # --- logging out -------------------------------------------------------------------

    def lock(self) -> None:
        with self.access.lock:
            self._forget_pin()
            line = self.access.line
            if line is None or not line.alive:  # what was logged in is gone with its worker
                self.access.role = None
            elif self.access.role is not None:
                self.access.do(self._log_out)
        self.tell_what_changed(Change.LOCKED)

    def _log_out(self, line: Line, session: int) -> None:
        with suppress(Answered):
            line.call("Logout", session)
        self.access.role = None
        self._session.clear()
        self._list(line, session)

    def close(self) -> None:
        with self.access.lock:
            self._forget_pin()
            super().close()

    # --- new PINs ----------------------------------------------------------------------

    def set_pin(self, role: Role, old: Secret, new: Secret) -> None:
        self._check_new(new)
        self._check_possible(old)
        self._be_told_of_last_try(role)
        with self.access.lock:
            if role is Role.OFFICER:
                self._send(role, old)
            elif self.access.role is Role.OFFICER:
                self.access.do(self._log_out)
            line, session = self.access.open()
            try:
                line.call_secretly("SetPIN", session, old, new)
            except Answered as answered:
                raise self._refused(answered, role) from answered
            if role is Role.USER and self._known is not None:
                self._logged_in(new)
        if role is Role.OFFICER:
            self.tell_what_changed(Change.LOCKED)

    def init_pin(self, new: Secret) -> None:
        self._check_new(new)
        with self.access.lock:
            if self.access.role is not Role.OFFICER:
                raise LoginNeeded(
                    f"Only the security officer of {self.label} gives the user a PIN.",
                    remedy="Log in as the security officer again.",
                )
            line, session = self.access.open()
            try:
                line.call_secretly("InitPIN", session, new)
            except Answered as answered:
                raise self.access.error(answered) from answered
            self._forget_pin()
            self.access.look()

    def init_token(self, officer_pin: Secret, label: str) -> None:
        with self.access.lock:
            line, _ = self.access.open()
            self._be_told_of_last_try(Role.OFFICER)
            self._forget_pin()
            try:
                line.call("CloseAllSessions", self.access.slot)
                line.call_secretly("InitToken2", self.access.slot, officer_pin, label)
            except Answered as answered:
                raise self._refused(answered, Role.OFFICER) from answered
            finally:
                self.access.forget()
        # It has another label, so it is another token now.
        self.around.look()

    def _check_new(self, pin: Secret) -> None:
        if not self.facts.may_be(len(pin)):
            longest, shortest = self.facts.info.pin_lengths
            raise PinUnsuitable(
                f"A PIN of {self.label} has {shortest} to {longest} bytes.",
                remedy="Choose another one.",
            )


_SOMEBODY: Final = frozenset({CKR.USER_ALREADY_LOGGED_IN, CKR.USER_ANOTHER_ALREADY_LOGGED_IN})


class WithPad(ModuleToken):
    """A token that asks for its PIN itself, at the reader or on its own keys."""

    def use(self, act: Callable[[Line, int], Made]) -> Made:
        try:
            return super().use(act)
        except TokenLocked:
            pass
        with self.around.human.notice(f"Enter the PIN of {self.label} at its reader."):
            self.access.do(self._log_in)
        return super().use(act)

    def _log_in(self, line: Line, session: int) -> None:
        try:
            line.call("Login", session, CKU.USER, None)
        except Answered as answered:
            if answered.status != CKR.USER_ALREADY_LOGGED_IN:
                raise
        self.access.role = Role.USER
        self._list(line, session)

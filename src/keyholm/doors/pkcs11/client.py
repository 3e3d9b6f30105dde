"""One connection of a program, as the handlers see it."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from keyholm.core import actions
from keyholm.core.caller import Caller
from keyholm.core.errors import KeyholmError
from keyholm.core.gate import Gate
from keyholm.core.model import Key
from keyholm.core.session import Role
from keyholm.core.store import HasPins, PassesThrough, Token
from keyholm.core.visibility import Visibility
from keyholm.cryptoki import mechanisms
from keyholm.cryptoki.mechanisms import Chosen
from keyholm.cryptoki.wrong import Wrong
from keyholm.doors.pkcs11.application import Application, Session
from keyholm.doors.pkcs11.objects import Shown
from keyholm.doors.pkcs11.slots import Slots
from keyholm.wire.pkcs11.constants import CKA, CKO, CKR
from keyholm.wire.pkcs11.dialect import Dialect
from keyholm.wire.pkcs11.mechanisms import Mechanism
from keyholm.wire.pkcs11.messages import Protocol

if TYPE_CHECKING:
    from keyholm.doors.pkcs11.view import Views


MOST_CHECKED: Final = 64  # kinds of use that are remembered of one connection


class Checked(NamedTuple):
    """That a key may be used in one way, as its attributes and the mechanism say."""

    changes: int  # it holds until something changes
    mechanism: Mechanism  # held, so that its id() stays its own
    shown: Shown
    chosen: Chosen
    wants_pin: bool
    length: int | None  # of a signature, where it is known before


@dataclass(eq=False, slots=True)
class Client:
    gate: Gate
    slots: Slots
    views: "Views"
    caller: Caller
    application: Application
    protocol: Protocol
    visibility: Visibility
    is_gone: Callable[[], bool]
    checked: dict[tuple[str, int, int], Checked] = field(default_factory=dict)

    @property
    def dialect(self) -> Dialect:
        return self.protocol.dialect

    def role(self, token: Token) -> Role | None:
        return self.application.logins.roles.get((token.store, token.name))

    def sees_private(self, token: Token) -> bool:
        """Where programs ask for the PIN, what is private is there after a login."""
        if isinstance(token, HasPins) and token.application_login:
            return self.role(token) is Role.USER
        return True

    def object(self, handle: int, invalid: int = CKR.OBJECT_HANDLE_INVALID) -> Shown:
        shown = self.application.object(handle, invalid)
        if not shown.is_session:
            # As it is now: it may have been changed, or be gone.
            now = self.views.of(shown.token).get(shown.name)
            if now is None:
                self.application.forget(handle)
                raise Wrong(invalid)
            shown = now
        if shown.is_private and not self.sees_private(shown.token):
            raise Wrong(invalid)
        return shown

    def remembered(self, use: tuple[str, int, int], handle: int) -> Checked | None:
        """What was found out about that use of an object, if it still holds."""
        known = self.checked.get(use)
        if known is None or known.changes != self.views.changes:
            return None
        self.application.object(handle, CKR.KEY_HANDLE_INVALID)  # a logout takes handles away
        shown = known.shown
        return known if not shown.is_private or self.sees_private(shown.token) else None

    def remember(self, use: tuple[str, int, int], checked: Checked) -> None:
        if checked.shown.is_session:  # nobody is told when it changes
            return
        if len(self.checked) >= MOST_CHECKED:
            self.checked.clear()
        self.checked[use] = checked

    def seen(self, token: Token, found: Iterable[Shown]) -> list[Shown]:
        """Those of `found` that the program may know of, as logins and `visible` rules say."""
        sight = self.visibility.of(self.caller)
        if sight is not None:
            found = (
                shown for shown in found if isinstance(shown.held, int) or sight.shows(shown.held)
            )
        if self.sees_private(token):
            return list(found)
        return [shown for shown in found if not shown.is_private]

    def session(self, handle: int) -> Session:
        return self.application.session(handle)

    def log_out(self, token: Token) -> None:
        """Nothing private of the token is known to the application any more."""
        if self.application.logins.roles.pop((token.store, token.name), None) is None:
            return
        self.caller.memory.clear()
        for session in self.application.sessions_of(token):
            with session.lock:
                session.end_all()
        self.application.forget_private(token)

    def give_up(self, handle: int) -> None:
        """An object, and all that the application knows of it."""
        shown = self.application.object(handle)
        self.gate.manage(self.caller, _end_of(shown))
        self.application.forget(handle)
        if shown.cko == CKO.PRIVATE_KEY:
            self.application.forget_public_half(shown)

    def end(self) -> None:
        """The application's last connection is gone, and all that it had goes with it."""
        from keyholm.doors.pkcs11.handlers.sessions import close

        for handle in tuple(self.application.sessions):
            with suppress(Wrong, KeyholmError):
                close(self, self.application.close(handle))


def _end_of(shown: Shown) -> actions.Action:
    """A private key is the key itself; of its public half only the showing ends."""
    held = shown.held
    if isinstance(held, int):
        raise Wrong(CKR.ACTION_PROHIBITED, "A profile says what the token is, and stays.")
    if not isinstance(held, Key):
        return actions.Remove(held)
    if shown.cko == CKO.PUBLIC_KEY:
        return actions.Change(held, None, public=True)
    return actions.Destroy(held)


def key_of(shown: Shown, invalid: int = CKR.KEY_HANDLE_INVALID) -> Key:
    """The key that an object is, or is a half of."""
    if not isinstance(shown.held, Key):
        raise Wrong(invalid)
    return shown.held


def mechanism_for(shown: Shown, mechanism: Mechanism, function: int) -> Chosen:
    """What `mechanism` is with this key, for the function that a CKF flag names."""
    key_type, token = shown.value(CKA.KEY_TYPE), shown.token
    if not isinstance(key_type, int):
        raise Wrong(CKR.KEY_TYPE_INCONSISTENT, "This is no key.")
    if isinstance(token, PassesThrough):
        chosen = mechanisms.passed(mechanism, function, token.mechanisms, key_type)
    else:
        chosen = mechanisms.chosen(mechanism, function, legacy=is_legacy(token))
        if not chosen.takes(key_type):
            raise Wrong(CKR.KEY_TYPE_INCONSISTENT, "The key is of another kind.")
    allowed = shown.value(CKA.ALLOWED_MECHANISMS)
    if allowed and isinstance(allowed, tuple) and mechanism.type not in allowed:
        raise Wrong(CKR.MECHANISM_INVALID, "The key was made for other mechanisms only.")
    return chosen


def is_legacy(token: Token) -> bool:
    """Whether the token was made for old programs."""
    return bool(getattr(token, "legacy", False))

"""Slots: each token of every store is in one, and keeps its number while the daemon runs.

One slot more stands for a token that is not there yet: C_InitToken makes it. No token is in
that slot, so programs that look for tokens do not see it; NSS's modutil, which asks every slot
for its token and gives up at the first without one, hears of a token that is not initialised.
"""

import threading
from collections import deque
from typing import Final

from keyholm.core.caller import Caller
from keyholm.core.gate import Gate
from keyholm.core.naming import LIBRARY_VERSION, MANUFACTURER, serial
from keyholm.core.session import Role
from keyholm.core.store import (
    Change,
    Event,
    HasPins,
    PassesThrough,
    PinState,
    Token,
    TokenInfo,
    Unlocks,
)
from keyholm.cryptoki.wrong import Wrong
from keyholm.wire.pkcs11.constants import CK, CKF, CKR

FREE: Final = 0xFFFF  # the slot for a new token
MEMORY: Final = "memory"
MAX_EVENTS: Final = 256  # that somebody may still want to hear of
PIN_LENGTHS: Final = (255, 4)  # longest, shortest
NO_VERSION: Final = (0, 0)


class Slots:
    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._numbers: dict[tuple[str, str], int] = {}
        self._events: deque[int] = deque(maxlen=MAX_EVENTS)  # slots where a token came or went
        self._count = 0  # of all events, also those that are forgotten
        gate.inventory.listen(self._heard)

    # --- numbers -----------------------------------------------------------------------

    def number(self, token: Token) -> int:
        return self._number((token.store, token.name))

    def _number(self, place: tuple[str, str]) -> int:
        with self._lock:
            return self._numbers.setdefault(place, len(self._numbers))

    def listed(self, caller: Caller, *, present: bool) -> tuple[int, ...]:
        found = [self.number(token) for token in self.tokens(caller)]
        return tuple(found) if present else (*found, FREE)

    def tokens(self, caller: Caller) -> list[Token]:
        """Those that have something to show: what ssh-add handed over is there while it is."""
        return [
            token for token in self._gate.tokens(caller) if token.store != MEMORY or token.keys()
        ]

    def token(self, caller: Caller, slot: int) -> Token:
        for token in self._gate.tokens(caller):
            if self.number(token) == slot:
                return token
        if slot == FREE or slot in self._numbers.values():
            raise Wrong(CKR.TOKEN_NOT_PRESENT, "There is no token in this slot.")
        raise Wrong(CKR.SLOT_ID_INVALID, f"There is no slot {slot}.")

    # --- events ------------------------------------------------------------------------

    def _heard(self, event: Event) -> None:
        if event.change in (Change.TOKEN_CAME, Change.TOKEN_WENT):
            number = self._number((event.store, event.token))
            with self._changed:
                self._events.append(number)
                self._count += 1
                self._changed.notify_all()

    @property
    def seen(self) -> int:
        """How many events there were: who asks from here on hears of later ones."""
        return self._count

    def wait(self, seen: int, seconds: float) -> int | None:
        """The slot of the event that follows the first `seen` ones, once there is one."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._count > seen, seconds):
                return None
            return self._events[max(0, len(self._events) - (self._count - seen))]


# --- what slots and tokens say of themselves -------------------------------------------


def slot_info(token: Token | None) -> tuple[str, str, int, tuple[int, int], tuple[int, int]]:
    if token is None:
        return "a token that C_InitToken makes", MANUFACTURER, 0, NO_VERSION, NO_VERSION
    return (
        f"{token.store}/{token.name}",
        MANUFACTURER,
        CKF.TOKEN_PRESENT,
        NO_VERSION,
        LIBRARY_VERSION,
    )


def token_flags(token: Token) -> int:
    flags = CKF.RNG | CKF.TOKEN_INITIALIZED
    if not isinstance(token, HasPins):
        flags |= CKF.USER_PIN_INITIALIZED
        if isinstance(token, Unlocks) and token.guarded:
            flags |= CKF.PROTECTED_AUTHENTICATION_PATH
        return flags
    user, officer = token.pin_state(Role.USER), token.pin_state(Role.OFFICER)
    if user.is_set:
        flags |= CKF.USER_PIN_INITIALIZED
    flags |= CKF.LOGIN_REQUIRED if token.application_login else CKF.PROTECTED_AUTHENTICATION_PATH
    flags |= _tries(user, CKF.USER_PIN_COUNT_LOW, CKF.USER_PIN_FINAL_TRY, CKF.USER_PIN_LOCKED)
    return flags | _tries(officer, CKF.SO_PIN_COUNT_LOW, CKF.SO_PIN_FINAL_TRY, CKF.SO_PIN_LOCKED)


# Who logs in, and how, is ours to say; the rest is the token's.
_OF_LOGINS: Final = CKF.LOGIN_REQUIRED | CKF.PROTECTED_AUTHENTICATION_PATH


def _own_info(token: Token, info: TokenInfo, sessions: int, writable: int) -> tuple[object, ...]:
    flags = info.flags & ~_OF_LOGINS | token_flags(token) & _OF_LOGINS
    counts = (CK.EFFECTIVELY_INFINITE, sessions, CK.EFFECTIVELY_INFINITE, writable)
    versions = (info.hardware, info.firmware, info.time)
    named = (token.label, info.manufacturer, info.model, info.serial)
    return *named, flags, *counts, *info.pin_lengths, *info.memory, *versions


def _tries(state: PinState, low: int, final: int, locked: int) -> int:
    if not state.is_set or state.tries_left == state.tries:
        return 0
    if state.tries_left == 0:
        return locked
    return low | final if state.tries_left == 1 else low


def free_token_info() -> tuple[object, ...]:
    nothing = CK.UNAVAILABLE_INFORMATION
    sessions = (CK.EFFECTIVELY_INFINITE, 0, CK.EFFECTIVELY_INFINITE, 0)
    unknown = (nothing, nothing, nothing, nothing)
    versions = (NO_VERSION, NO_VERSION, "")
    return "", MANUFACTURER, "", "", CKF.RNG, *sessions, *PIN_LENGTHS, *unknown, *versions


def token_info(token: Token, sessions: int, writable: int) -> tuple[object, ...]:
    if isinstance(token, PassesThrough):
        return _own_info(token, token.info, sessions, writable)
    unknown = CK.UNAVAILABLE_INFORMATION
    return (
        token.label,
        MANUFACTURER,
        token.store,
        serial(token),
        token_flags(token),
        CK.EFFECTIVELY_INFINITE,
        sessions,
        CK.EFFECTIVELY_INFINITE,
        writable,
        *PIN_LENGTHS,
        unknown,
        unknown,
        unknown,
        unknown,
        NO_VERSION,
        LIBRARY_VERSION,
        "",
    )

"""Which token it is: by its serial number and label, never by the slot that it is in.

Slot ids change with every reader that is plugged in, and SoftHSM2 makes random ones.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, NamedTuple

from keyholm.core.session import Role
from keyholm.core.store import PinState, TokenInfo
from keyholm.stores.modules.line import COUNT, Line
from keyholm.wire.pkcs11.constants import CKF

LONGEST_NAME: Final = 64
# PKCS#11 has flags instead of a count: "it was wrong before" and "one try is left".
TRIES: Final = 3
_NO_NAME: Final = re.compile(r"[^A-Za-z0-9_.-]+")
_FLAGS: Final = {
    Role.USER: (CKF.USER_PIN_LOCKED, CKF.USER_PIN_FINAL_TRY, CKF.USER_PIN_COUNT_LOW),
    Role.OFFICER: (CKF.SO_PIN_LOCKED, CKF.SO_PIN_FINAL_TRY, CKF.SO_PIN_COUNT_LOW),
}


class Identity(NamedTuple):
    serial: str
    label: str
    model: str
    manufacturer: str

    def name(self, module: str, taken: Collection[str]) -> str:
        """Of the token, in files and on command lines."""
        parts = (module, self.label, self.serial)
        plain = "-".join(_NO_NAME.sub("-", part).strip("-._") for part in parts if part)
        plain = plain[:LONGEST_NAME].rstrip("-._")
        if plain not in taken:
            return plain
        return next(name for n in range(2, 10_000) if (name := f"{plain[:56]}-{n}") not in taken)


@dataclass(frozen=True, slots=True)
class Facts:
    """What C_GetTokenInfo says that can change."""

    info: TokenInfo

    def has(self, flag: int) -> bool:
        return bool(self.info.flags & flag)

    @property
    def wants_login(self) -> bool:
        return self.has(CKF.LOGIN_REQUIRED)

    @property
    def has_pad(self) -> bool:
        return self.has(CKF.PROTECTED_AUTHENTICATION_PATH)

    def pin(self, role: Role) -> PinState:
        locked, final, low = _FLAGS[role]
        is_set = role is Role.OFFICER or self.has(CKF.USER_PIN_INITIALIZED)
        if self.has(locked):
            return PinState(is_set, 0, TRIES)
        if self.has(final):
            return PinState(is_set, 1, TRIES)
        return PinState(is_set, TRIES - 1 if self.has(low) else TRIES, TRIES)

    def may_be(self, pin: int) -> bool:
        """Whether a PIN has so many bytes: one that it cannot be would cost a try."""
        longest, shortest = self.info.pin_lengths
        return pin > 0 and shortest <= pin and not 0 < longest < pin


def read(line: Line, slot: int) -> tuple[Identity, Facts]:
    """Raises `Answered`."""
    told = line.call("GetTokenInfo", slot)
    label, manufacturer, model, serial = map(_text, told[:4])
    flags, longest, shortest = told[4], told[9], told[10]
    hardware, firmware, time = told[15:18]
    lengths, memory = (longest, shortest), tuple(told[11:15])
    info = TokenInfo(
        manufacturer, model, serial, flags, lengths, memory, hardware, firmware, _text(time)
    )
    return Identity(serial, label, model, manufacturer), Facts(info)


def _text(value: object) -> str:
    """Without what acts on a screen; old modules fill up with NULs."""
    if not isinstance(value, str):
        return ""
    return "".join(c for c in value.rstrip(" \0") if c.isprintable())


def slots(line: Line) -> tuple[int, ...]:
    """Those with a token in them. Raises `Answered`."""
    (found,) = line.call("GetSlotList", 1, COUNT)
    return found if isinstance(found, tuple) else ()

"""PINs of keys in a TPM, and what it says of wrong ones: it counts them for all keys together."""

from typing import Final

from keyholm.core.errors import (
    KeyholmError,
    LoginNeeded,
    PinIncorrect,
    PinLocked,
    PinUnsuitable,
)
from keyholm.core.secret import Secret
from keyholm.stores.tpm.device import Device
from keyholm.wire.tpm2.constants import PT
from keyholm.wire.tpm2.responses import RC, response

LONGEST: Final = 32  # bytes: the digest by which ours are named (Part 1, 19.6.5)


def check_new(pin: Secret) -> None:
    """Raises `PinUnsuitable`."""
    if not 0 < len(pin) <= LONGEST:
        raise PinUnsuitable(f"A PIN of a TPM's key has 1 to {LONGEST} bytes.")
    if pin.view[-1] == 0:
        raise PinUnsuitable("A PIN of a TPM's key does not end with a zero, which would not count.")


def needed(label: str) -> KeyholmError:
    return LoginNeeded(f"{label} has a PIN, and nobody gave it.", remedy="Give the key's PIN.")


def refusal(number: int, label: str, device: Device) -> KeyholmError | None:
    """None: it is not about a PIN. `device` is asked how many tries are left."""
    code = response(number).code
    if code is RC.BAD_AUTH:
        return PinIncorrect(label)
    if code is RC.AUTH_FAIL:
        return PinIncorrect(label, _tries_left(device))
    return locked(device) if code is RC.LOCKOUT else None


def _tries_left(device: Device) -> int:
    told = device.properties(PT.LOCKOUT_COUNTER, 4)
    return max(0, told[PT.MAX_AUTH_FAIL] - told[PT.LOCKOUT_COUNTER])


def locked(device: Device) -> KeyholmError:
    """The TPM forgets one wrong PIN each interval, while it is switched on."""
    told = device.properties(PT.LOCKOUT_COUNTER, 4)
    seconds = told[PT.LOCKOUT_INTERVAL]
    over = max(0, told[PT.LOCKOUT_COUNTER] - told[PT.MAX_AUTH_FAIL]) + 1
    return PinLocked(
        "The TPM is locked after too many wrong PINs, and no key in it that has a PIN works,"
        " whoever's it is.",
        remedy=f"It takes a PIN again in at most {_time(over * seconds)} (while it is on);"
        " its owner opens it at once: tpm2_dictionarylockout --clear-lockout",
    )


def _time(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} seconds"
    minutes = -(-seconds // 60)
    return f"{minutes} minutes" if minutes < 120 else f"{-(-minutes // 60)} hours"

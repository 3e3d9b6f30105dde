"""What a TPM's refusals are called here, and the way out of each."""

from typing import Final

from keyholm.core.errors import (
    AlgorithmUnsupported,
    KeyholmError,
    MechanismUnsupported,
    StoreDamaged,
    StoreFailed,
    TokenBusy,
    TokenNotPresent,
)
from keyholm.wire.tpm2.responses import AGAIN, RC, response

_RESTART: Final = "Switch the machine off and on again; if it stays, its maker's firmware update."
_OTHERS: Final = "Close other programs that use the TPM, or use /dev/tpmrm0, which shares it."
_MEMORY: Final = frozenset(
    {
        *(RC.OBJECT_MEMORY, RC.SESSION_MEMORY, RC.MEMORY, RC.SESSION_HANDLES, RC.OBJECT_HANDLES),
        *(RC.CONTEXT_GAP, RC.TOO_MANY_CONTEXTS),
    }
)
_NEVER: Final = frozenset({RC.CURVE, RC.KEY_SIZE, RC.ASYMMETRIC})
_HOW: Final = frozenset({RC.SCHEME, RC.HASH})


def refusal(number: int, doing: str) -> KeyholmError:
    """`doing` is what it was asked: "sign", "make a key"."""
    told = response(number)
    code = told.code
    if code is RC.FAILURE:
        return StoreFailed(
            "The TPM is in failure mode: it refuses every command until it is started anew"
            f" ({told}).",
            remedy=_RESTART,
        )
    if code in _MEMORY:
        return TokenBusy(f"The TPM has no room left to {doing} ({told}).", remedy=_OTHERS)
    if code in AGAIN:
        return TokenBusy(f"The TPM stayed busy and did not {doing} ({told}).", remedy="Try again.")
    if code in _NEVER:
        return AlgorithmUnsupported(f"This TPM has no such keys ({told}).")
    if code in _HOW:
        return MechanismUnsupported(f"This TPM cannot {doing} in that way ({told}).")
    if code is RC.INTEGRITY:
        return StoreDamaged(
            f"The TPM did not make this key file, or the file was altered ({told}).",
            remedy="A key works in the TPM that made it only, and not after that was cleared.",
        )
    return StoreFailed(f"The TPM did not {doing}: {told}.")


def not_there(path: str) -> KeyholmError:
    return TokenNotPresent(
        f"There is no TPM at {path}.",
        remedy="Switch it on in the firmware's set-up (TPM 2.0, fTPM, PTT).",
    )


def not_permitted(path: str) -> KeyholmError:
    return TokenNotPresent(
        f"You may not use the TPM at {path}.",
        remedy="Join the group tss, then log in again: sudo usermod -aG tss $USER",
    )


def lost(path: str, why: object) -> KeyholmError:
    return StoreFailed(f"The TPM at {path} does not answer: {why}.", remedy="Start keyholm again.")


def altered(what: str) -> KeyholmError:
    return StoreFailed(
        f"What the TPM answered was altered on its way, or is not of this TPM: {what}.",
        remedy="Nothing of it was used. Something may sit between the processor and the TPM.",
    )

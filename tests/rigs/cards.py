"""Modules for cards, each with a pcscd and a card of its own: OpenSC, and Yubico's YKCS11."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.rigs.pcsc import Pcscd
from tests.rigs.rig import EC, RSA, Rig, library
from tools.system_packages import LIBRARIES, YKCS11

from keyholm.testing.piv.card import Card
from keyholm.testing.piv.names import Algorithm, Slot
from keyholm.testing.piv.persona import personalised

OPENSC = f"{LIBRARIES}/opensc-pkcs11.so"
PIN = "123456"
# With the PIN once, with it before each signature, and without.
KEYS = {
    Slot.AUTHENTICATION: Algorithm.P256,
    Slot.SIGNATURE: Algorithm.P384,
    Slot.CARD_AUTHENTICATION: Algorithm.RSA_2048,
}


@dataclass(frozen=True, slots=True)
class Inserted:
    rig: Rig
    card: Card
    pcscd: Pcscd


@contextlib.contextmanager
def opensc(folder: Path, serial: int = 11111111) -> Iterator[Inserted]:
    with _inserted(folder, "opensc", OPENSC, {EC: "01", RSA: "04"}, serial) as inserted:
        yield inserted


@contextlib.contextmanager
def ykcs11(folder: Path, serial: int = 22222222) -> Iterator[Inserted]:
    with _inserted(folder, "ykcs11", YKCS11, {EC: "01", RSA: "04"}, serial) as inserted:
        yield inserted


@contextlib.contextmanager
def _inserted(
    folder: Path, name: str, module: str, keys: dict[str, str], serial: int
) -> Iterator[Inserted]:
    path = library(module)
    folder.mkdir(parents=True)
    with Pcscd(folder).running() as pcscd:
        card = personalised(serial, KEYS)
        pcscd.insert(card)
        yield Inserted(Rig(name, path, PIN, keys, pcscd.environment), card, pcscd)

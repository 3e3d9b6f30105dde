"""The doctor before a reader and a card: OpenSC in a worker, a real pcscd, and our PIV card."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.interop.conftest import Home
from tests.rigs import pcsc
from tests.rigs.opencryptoki import opencryptoki
from tests.rigs.pcsc import Pcscd
from tests.rigs.rig import run
from tools.system_packages import LIBRARIES

from keyholm.testing.piv.card import Card
from keyholm.testing.piv.names import Algorithm, Slot
from keyholm.testing.piv.persona import personalised

pytestmark = pytest.mark.interop
OPENSC = f"{LIBRARIES}/opensc-pkcs11.so"
SERIAL = 11111111


@pytest.fixture
def pcscd(home: Home) -> Iterator[Pcscd]:
    if not Path(OPENSC).exists():
        pytest.skip("opensc-pkcs11.so is not installed")
    with Pcscd(home.folder).running() as running:
        yield running


@pytest.fixture
def doctor(home: Home, pcscd: Pcscd) -> Callable[[], str]:
    home.keyholm("init", "--no-passphrase")
    socket = pcscd.environment["PCSCLITE_CSOCK_NAME"]
    home.keyholm("module", "add", OPENSC, "--env", f"PCSCLITE_CSOCK_NAME={socket}")

    def examine() -> str:
        # Without a daemon that is bad in itself.
        return home.keyholm("doctor", "--no-prompt", fails=True)

    return examine


def told(doctor: Callable[[], str], sentence: str) -> str:
    """pcscd looks every 0.4 s whether a card came or went."""
    end = time.monotonic() + pcsc.SECONDS
    while sentence not in (said := doctor()):
        assert time.monotonic() < end, said
        time.sleep(0.2)
    return said


def a_card() -> Card:
    return personalised(SERIAL, {Slot.AUTHENTICATION: Algorithm.P256})


def test_a_reader_without_a_card_and_one_with_it(pcscd: Pcscd, doctor: Callable[[], str]) -> None:
    said = told(doctor, "There is no card in ")
    assert "       do: Insert it.\n" in said
    pcscd.insert(a_card())
    said = told(doctor, "opensc works: 1 token (")
    assert "PIN" not in said


def test_a_pin_with_one_try_left_and_one_that_is_locked(
    pcscd: Pcscd, doctor: Callable[[], str]
) -> None:
    card = a_card()
    inserted = pcscd.insert(card)
    told(doctor, "opensc works")
    wrong = ["pkcs11-tool", "--module", OPENSC, "--login", "--pin", "999999", "-O"]
    for _ in range(2):
        with pytest.raises(AssertionError, match="CKR_PIN_INCORRECT"):
            run(*wrong, environment=pcscd.environment)
    assert inserted.powered.is_set()
    said = told(doctor, "has one try left.")
    assert "keyholm sends none without telling you so." in said
    with pytest.raises(AssertionError, match="CKR_PIN"):
        run(*wrong, environment=pcscd.environment)
    said = told(doctor, "is locked.")
    assert "ykman piv access unblock-pin" in said


def test_a_module_without_p256_is_told(home: Home, tmp_path: Path) -> None:
    """openCryptoki's token in software does no elliptic curves."""
    with opencryptoki(tmp_path / "ock") as room:
        command = [*room.words, "keyholm", "module", "test", room.rig.path]
        said = home.run(*command)
    assert "opencryptoki cannot use P-256 keys with ock." in said
    assert "keyholm new NAME --type ecdsa-p256" in said

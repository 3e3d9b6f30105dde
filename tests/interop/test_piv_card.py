"""Our PIV card, judged by programs that know cards: OpenSC's, Yubico's, and a real pcscd between."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from tests.interop.conftest import Home
from tests.programs import program
from tests.rigs import pcsc
from tests.rigs.pcsc import Pcscd
from tools.system_packages import LIBRARIES, YKCS11

from keyholm.testing.piv.card import Card
from keyholm.testing.piv.names import INS, Algorithm, Slot
from keyholm.testing.piv.persona import personalised
from keyholm.wire.apdu import Command

pytestmark = pytest.mark.interop

SERIAL = 11111111
KEYS = {
    Slot.AUTHENTICATION: Algorithm.P256,
    Slot.SIGNATURE: Algorithm.RSA_2048,
    Slot.KEY_MANAGEMENT: Algorithm.P384,
}
OPENSC = f"{LIBRARIES}/opensc-pkcs11.so"
MODULES = {"opensc": OPENSC, "ykcs11": YKCS11}
DEFAULT_MANAGEMENT_KEY = "010203040506070801020304050607080102030405060708"
PIN = "123456"


@pytest.fixture
def pcscd(home: Home) -> Iterator[Pcscd]:
    with Pcscd(home.folder).running() as running:
        home.environment |= running.environment
        yield running


@pytest.fixture
def card(pcscd: Pcscd) -> Card:
    card = personalised(SERIAL, KEYS)
    pcscd.insert(card)
    return card


@pytest.fixture(params=MODULES)
def module(request: pytest.FixtureRequest) -> str:
    path = MODULES[request.param]
    if not Path(path).exists():
        pytest.skip(f"{request.param} is not installed")
    return path


def until(condition: Callable[[], bool]) -> None:
    """pcscd looks every 0.4 s whether a card came or went."""
    end = time.monotonic() + pcsc.SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def public_key(card: Card, slot: Slot, path: Path) -> str:
    path.write_bytes(
        card.piv.keys[slot]
        .private.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return str(path)


def test_opensc_knows_it_as_a_piv_card(home: Home, card: Card) -> None:
    assert "Personal Identity Verification Card" in home.run("opensc-tool", "-n")
    listed = home.run("pkcs15-tool", "-D")
    assert f"PKCS#15 Card [card {SERIAL} slot 9a]" in listed
    for slot in KEYS:
        assert f"(0x{slot:X})" in listed


@pytest.mark.parametrize("slot", [Slot.AUTHENTICATION, Slot.SIGNATURE])
def test_a_signature_through_a_module_verifies(
    home: Home, card: Card, module: str, slot: Slot
) -> None:
    (home.folder / "data").write_bytes(b"what is signed")
    rsa = slot == Slot.SIGNATURE
    where = ["--id", "02" if rsa else "01", "-i", "data", "-o", "signature"]
    how = ["-m", "SHA256-RSA-PKCS"] if rsa else ["-m", "ECDSA-SHA256"]
    # OpenSC leaves hashing for ECDSA to whoever calls it.
    if not rsa and module == OPENSC:
        how = ["-m", "ECDSA-SHA1"]
    login = ["--module", module, "--login", "--pin", PIN]
    signing = [*login, "--sign", "--signature-format", "openssl", *how, *where]
    home.run("pkcs11-tool", *signing)
    key = public_key(card, slot, home.folder / "public.pem")
    digest = "-sha1" if "ECDSA-SHA1" in how else "-sha256"
    verify = ["-verify", key, "-signature", "signature", "data"]
    assert "Verified OK" in home.run("openssl", "dgst", digest, *verify)


def test_each_module_tells_a_wrong_pin(home: Home, card: Card, module: str) -> None:
    wrong = ["--module", module, "--login", "--pin", "000000", "-O"]
    assert "CKR_PIN_INCORRECT" in home.run("pkcs11-tool", *wrong, fails=True)
    assert card.piv.pin.left == 2


def test_each_module_tells_a_locked_pin(home: Home, card: Card, module: str) -> None:
    card.piv.pin.left = 0
    right = ["--module", module, "--login", "--pin", PIN, "-O"]
    assert "CKR_PIN_LOCKED" in home.run("pkcs11-tool", *right, fails=True)


def test_yubico_s_tool_makes_a_key_and_imports_one(home: Home, card: Card) -> None:
    assert f"Serial Number:\t{SERIAL}" in home.run("yubico-piv-tool", "-a", "status")
    made = home.run("yubico-piv-tool", "-a", "generate", "-s", "9e", "-A", "ECCP256")
    assert "Successfully generated" in made
    home.run("openssl", "genrsa", "-out", "rsa.pem", "2048")
    home.run("yubico-piv-tool", "-a", "import-key", "-s", "82", "-A", "RSA2048", "-i", "rsa.pem")
    assert set(card.piv.keys) == {*KEYS, Slot.CARD_AUTHENTICATION, Slot.RETIRED_1}


def test_yubico_s_tool_resets_it_after_both_are_locked(home: Home, card: Card) -> None:
    refused = home.run("yubico-piv-tool", "-a", "reset", fails=True)
    assert "Reset failed" in refused
    card.piv.pin.left = card.piv.puk.left = 0
    assert "Successfully reset" in home.run("yubico-piv-tool", "-a", "reset")
    assert not card.piv.keys


def test_ykman_takes_it_for_a_yubikey(home: Home, card: Card) -> None:
    assert f"(5.4.3) [OTP+FIDO+CCID] Serial: {SERIAL}" in home.run("ykman", "list")
    # The driver has two slots of one name, which ykman counts as two keys.
    ykman = ["ykman", "--device", str(SERIAL), "piv"]
    assert "PIN tries remaining: 3/3" in home.run(*ykman, "info")
    administrator = ["-m", DEFAULT_MANAGEMENT_KEY, "-P", PIN]
    home.run(*ykman, "keys", "generate", *administrator, "-a", "ECCP384", "95", "public.pem")
    home.run(*ykman, "certificates", "generate", *administrator, "-s", "x", "95", "public.pem")
    assert "CN=x" in home.run(*ykman, "info")


def test_ykman_changes_pin_and_management_key(home: Home, card: Card) -> None:
    ykman = ["ykman", "--device", str(SERIAL), "piv", "access"]
    home.run(*ykman, "change-pin", "-P", PIN, "-n", "654321")
    new = "00" * 32
    home.run(
        *(*ykman, "change-management-key", "-a", "AES256"),
        *("-m", DEFAULT_MANAGEMENT_KEY, "-n", new),
    )
    assert card.piv.pin.value.startswith(b"654321")
    assert card.piv.management.algorithm == Algorithm.AES_256


def test_a_pulled_card_is_gone_and_another_can_come(home: Home, pcscd: Pcscd) -> None:
    def present() -> bool:
        return "0    Yes" in home.run("opensc-tool", "-l")

    inserted = pcscd.insert(personalised(1, KEYS))
    assert present()
    inserted.pull()
    until(lambda: not present())
    pcscd.insert(personalised(2, KEYS))
    assert present()
    assert "card 2 slot 9a" in home.run("pkcs15-tool", "-D")


def test_a_card_that_is_pulled_while_it_signs_fails_the_program(home: Home, pcscd: Pcscd) -> None:
    card = personalised(SERIAL, KEYS)
    inserted = pcscd.insert(card)

    def pull(command: Command) -> None:
        if command.ins == INS.GENERAL_AUTHENTICATE:
            inserted.pull()

    card.before = pull
    words = ["--module", OPENSC, "--login", "--pin", PIN, "--sign", "--id", "01", "-m", "ECDSA"]
    said = home.run("pkcs11-tool", *words, "-i", "/etc/hostname", fails=True)
    assert "C_Sign" in said


def test_both_slots_take_a_card(home: Home, card: Card, pcscd: Pcscd) -> None:
    pcscd.insert(personalised(22222222, KEYS), slot=1)
    assert "1    Yes" in home.run("opensc-tool", "-l")
    listed = home.run("ykman", "list")
    assert f"Serial: {SERIAL}" in listed
    assert "Serial: 22222222" in listed


def test_nothing_listens_outside_of_its_own_namespace(home: Home, card: Card) -> None:
    """The driver listens on every address, of a network that has loopback alone."""
    ours = subprocess.run([program("ss"), "-ltn"], capture_output=True, text=True, check=True)
    assert str(pcsc.PORT) not in ours.stdout

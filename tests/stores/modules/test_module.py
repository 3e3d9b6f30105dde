"""A module's tokens come and go, and what its start means when it fails."""

import threading
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tests.stores.modules.card import Card
from tests.stores.modules.softhsm import FakeHuman

from keyholm.core.errors import KeyholmError, StoreFailed
from keyholm.core.policies import Policies
from keyholm.core.store import Change
from keyholm.stores.modules import quirks
from keyholm.stores.modules.line import Line
from keyholm.stores.modules.module import LISTEN, House, Module
from keyholm.stores.modules.quirks import QUIRKS
from keyholm.stores.modules.setup import Setup
from keyholm.testing.fakes import Clock
from keyholm.wire.pkcs11.constants import CKR
from keyholm.worker.proxy import NotLoaded, Worker
from keyholm.worker.spec import Loaded


class Reader(Module):
    """A contract fake: a module with one slot, for a card."""

    def __init__(self, card: Card, folder: Path, library: str = "") -> None:
        self.card, self.clock = card, Clock()
        self.told: list[tuple[str, Change]] = []
        house = House(
            1000,
            FakeHuman(),
            Policies(folder),
            lambda event: self.told.append((event.token, event.change)),
            self.clock,
        )
        super().__init__(Setup("reader", library), cast(Worker, None), house)

    def line(self, *, background: bool = False) -> Line:
        return self.card.lines()


def test_a_card_comes_goes_and_is_the_same_when_it_comes_again(tmp_path: Path) -> None:
    card = Card()
    reader = Reader(card, tmp_path)
    reader.refresh()
    [token] = reader.tokens
    assert (token.name, token.label, token.owner) == ("reader-card-0001", "card", 1000)
    (key,) = tuple(token.keys())
    assert key.label == "key"
    card.present = False
    reader.refresh()
    assert not reader.tokens
    card.present = True
    reader.refresh()
    assert [each.name for each in reader.tokens] == ["reader-card-0001"]
    name = "reader-card-0001"
    assert reader.told == [
        (name, Change.TOKEN_CAME),
        (name, Change.TOKEN_WENT),
        (name, Change.TOKEN_CAME),
    ]


def test_a_token_that_stays_is_not_made_anew_and_its_flags_are_kept_up(tmp_path: Path) -> None:
    card = Card()
    reader = Reader(card, tmp_path)
    reader.refresh()
    [token] = reader.tokens
    card.tries = 1
    reader.refresh()
    assert reader.tokens == (token,)
    assert token.info.flags == card.flags()


def test_a_reader_that_gets_a_pad_has_another_token(tmp_path: Path) -> None:
    card = Card()
    reader = Reader(card, tmp_path)
    reader.refresh()
    [before] = reader.tokens
    card.pad = True
    reader.refresh()
    [after] = reader.tokens
    assert after is not before
    assert [change for _, change in reader.told[1:]] == [Change.TOKEN_WENT, Change.TOKEN_CAME]


def test_what_is_wrong_is_told_until_it_is_right_again(tmp_path: Path) -> None:
    card = Card()
    reader = Reader(card, tmp_path)
    card.dies = True
    reader.refresh()
    problem: KeyholmError | None = reader.problem
    assert isinstance(problem, StoreFailed)
    assert not reader.tokens
    reader.refresh()
    assert reader.problem is None
    assert len(reader.tokens) == 1


def test_who_looks_does_not_wait_for_a_token_that_is_busy(tmp_path: Path) -> None:
    card = Card()
    reader = Reader(card, tmp_path)
    reader.refresh()
    [token] = reader.tokens
    begun, ended = threading.Event(), threading.Event()

    def touch() -> None:
        with token.access.lock:
            begun.set()
            ended.wait(30)

    thread = threading.Thread(target=touch)
    thread.start()
    begun.wait(30)
    reader.clock.now += LISTEN + 1
    card.tries = 1
    looking = threading.Thread(target=reader.refresh)
    looking.start()
    looking.join(20)
    seen, waits = token.info.flags, looking.is_alive()
    ended.set()
    thread.join(30)
    looking.join(30)
    assert not waits
    assert seen == card.flags()


def test_what_another_program_made_is_found(tmp_path: Path) -> None:
    card = Card()
    reader = Reader(card, tmp_path)
    reader.refresh()
    [token] = reader.tokens
    card.key = ec.generate_private_key(ec.SECP256R1())
    card.logged_in = True  # so that one object more shows
    reader.clock.now += LISTEN + 1
    reader.refresh()
    assert reader.told[-1] == (token.name, Change.KEYS_CHANGED)


# --- what C_Initialize means ---------------------------------------------------------


def not_loaded(library: str, step: str, code: int, text: str = "") -> StoreFailed:
    class Failing:
        info = b""

        def channel(self, **_: Any) -> None:
            raise NotLoaded("mine", Loaded(step=step, code=code, text=text), ())

    house = House(0, FakeHuman(), Policies(None), lambda event: None)
    module = Module(Setup("mine", library), cast(Worker, Failing()), house)
    with pytest.raises(StoreFailed) as caught:
        module.line()
    return caught.value


@pytest.mark.parametrize(
    ("library", "code", "names"),
    [
        ("/usr/lib/softhsm/libsofthsm2.so", CKR.GENERAL_ERROR, ("SOFTHSM2_CONF", "tokendir")),
        ("/usr/lib/x86_64-linux-gnu/nss/libsoftokn3.so", CKR.ARGUMENTS_BAD, ("init_args",)),
        ("/usr/lib/opencryptoki/libopencryptoki.so.0", CKR.FUNCTION_FAILED, ("pkcsslotd", "ipc")),
        ("/usr/lib/x86_64-linux-gnu/pkcs11/libtpm2_pkcs11.so", CKR.GENERAL_ERROR, ("/dev/tpmrm0",)),
        ("/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so", CKR.DEVICE_ERROR, ("pcscd", "sockets")),
        ("/usr/lib/x86_64-linux-gnu/libykcs11.so.2", CKR.FUNCTION_FAILED, ("pcscd",)),
        ("/opt/hsm/lib.so", CKR.GENERAL_ERROR, ("configuration", "reads")),
        ("/opt/hsm/lib.so", CKR.FUNCTION_FAILED, ("daemon", "sockets")),
        ("/opt/hsm/lib.so", CKR.ARGUMENTS_BAD, ("init_args",)),
        ("/opt/hsm/lib.so", 0x8000_0001, ("does not say why",)),
    ],
)
def test_a_code_of_the_start_names_its_cause(
    library: str, code: int, names: tuple[str, ...]
) -> None:
    error = not_loaded(library, "initialize", code)
    assert CKR.name(code) in error.what
    assert "C_Initialize" in error.what
    for name in names:
        assert name in str(error)


def test_a_library_that_does_not_load_says_why() -> None:
    error = not_loaded("/opt/hsm/lib.so", "load", 0, "libfoo.so.1: cannot open shared object file")
    assert "libfoo.so.1" in error.what


def test_every_quirk_is_found_by_a_file_of_its_own() -> None:
    files = [
        *("libsofthsm2.so", "libsoftokn3.so", "libopencryptoki.so"),
        *("libtpm2_pkcs11.so.1", "opensc-pkcs11.so", "libykcs11.so.2"),
    ]
    assert {quirks.of(f"/x/{file}").name for file in files} == {quirk.name for quirk in QUIRKS}

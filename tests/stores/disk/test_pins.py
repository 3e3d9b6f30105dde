"""PINs on disk: counted before they are compared, across restarts and damage."""

import hashlib
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.stores.cheap import disk_store
from tests.stores.disk.house import flipped, size

from keyholm.core.errors import (
    AlreadyExists,
    BadRequest,
    PinIncorrect,
    PinLocked,
    PinUnsuitable,
    StoreDamaged,
    StoreFailed,
)
from keyholm.core.model import Algorithm, NewKey
from keyholm.core.policy import OPEN
from keyholm.core.secret import Secret
from keyholm.core.session import Role
from keyholm.core.store import NewPins
from keyholm.stores.disk import crypto, files, header, journal, tries
from keyholm.stores.disk.pin_token import PinToken
from keyholm.stores.disk.store import DiskStore

OFFICER, USER = b"so: 87654321", b"1234"
LABEL = "Ein Token"


class Desk:
    """A store with one token that has PINs, which can be closed and opened again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store: DiskStore = disk_store(folder)
        self.make(LABEL)

    def make(self, label: str, user: bytes | None = USER, officer: bytes = OFFICER) -> None:
        with Secret.of(officer) as so, Secret.of(user or b"") as pin:
            self.store.make_pin_token(label, 1000, NewPins(so, pin if user else None, False))

    @property
    def token(self) -> PinToken:
        token = self.store.tokens()[0]
        assert isinstance(token, PinToken)
        return token

    @property
    def place(self) -> Path:
        return self.token.place

    def reopen(self) -> None:
        self.store.close()
        self.store = disk_store(self.folder)

    def check(self, pin: bytes, role: Role = Role.USER) -> None:
        with Secret.of(pin) as typed:
            self.token.check_pin(role, typed)

    def wrong(self, times: int, role: Role = Role.USER) -> None:
        for _ in range(times):
            with pytest.raises(PinIncorrect):
                self.check(b"wrong", role)

    def left(self, role: Role = Role.USER) -> int:
        return self.token.pin_state(role).tries_left


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "store")
    yield desk
    desk.store.close()


def test_tries_are_counted_across_restarts(desk: Desk) -> None:
    desk.wrong(3)
    desk.wrong(2, Role.OFFICER)
    desk.reopen()
    assert (desk.left(), desk.left(Role.OFFICER)) == (tries.MOST - 3, tries.MOST - 2)
    desk.wrong(tries.MOST - 3)
    desk.reopen()
    with pytest.raises(PinLocked):
        desk.check(USER)
    desk.check(OFFICER, Role.OFFICER)
    desk.reopen()
    assert (desk.left(), desk.left(Role.OFFICER)) == (0, tries.MOST)


def test_a_try_is_on_the_disk_before_it_is_compared(desk: Desk) -> None:
    path = desk.place / tries.NAME
    with crypto._running:  # argon2id waits for it
        trying = threading.Thread(target=desk.check, args=(USER,))
        trying.start()
        for _ in range(500):
            if tries.parse(path.read_bytes(), path).user == 1:
                break
            trying.join(0.01)
        kept = path.read_bytes()
    trying.join()
    assert tries.parse(kept, path).user == 1
    assert tries.parse(path.read_bytes(), path).user == 0


def test_what_cannot_be_counted_is_not_compared(desk: Desk) -> None:
    (desk.place / (tries.NAME + files.NEW)).mkdir()  # in the way of the counter
    for pin in (USER, b"wrong"):
        with pytest.raises(StoreFailed):
            desk.check(pin)
    assert desk.token.locked
    assert desk.left() == tries.MOST


def test_once_it_is_open_a_pin_is_compared_without_argon2id(desk: Desk) -> None:
    desk.check(USER)
    desk.check(OFFICER, Role.OFFICER)
    with crypto._running:  # it would wait for ever
        desk.check(USER)
        desk.check(OFFICER, Role.OFFICER)
        desk.wrong(1)
    assert desk.left() == tries.MOST - 1


def test_a_recovery_code_opens_and_gives_a_new_pin(desk: Desk) -> None:
    with Secret.of(USER) as pin, desk.token.add_recovery_code(pin) as code:
        desk.token.lock()
        desk.wrong(tries.MOST)
        with pytest.raises(PinLocked):
            desk.check(USER)
        desk.token.unlock(code)
        assert not desk.token.locked
        with Secret.of(b"5678") as new:
            desk.token.change_passphrase(code, new)
    desk.reopen()
    desk.check(b"5678")


def test_pins_are_no_slots_to_be_removed(desk: Desk) -> None:
    with Secret.of(USER) as pin:
        for slot in ("user", "so"):
            with pytest.raises(BadRequest, match="changed, not removed"):
                desk.token.remove_slot(pin, slot)
        desk.token.add_recovery_code(pin).close()
        desk.token.remove_slot(pin, "recovery")
    assert [slot.name for slot in desk.token.slots()] == ["so", "user"]


def test_without_a_user_the_officer_is_who_can_prove(desk: Desk) -> None:
    desk.make("without", user=None)
    token = desk.store.tokens()[1]
    assert isinstance(token, PinToken)
    with Secret.of(OFFICER) as pin:
        token.verify(pin)
    with Secret.of(b"wrong") as pin, pytest.raises(PinIncorrect):
        token.verify(pin)
    assert token.locked


@pytest.mark.parametrize("label", ["", "x" * 33, "\u00fc" * 17, "two\nlines", "\x1b[31m"])
def test_labels_that_no_token_can_have_are_refused(desk: Desk, label: str) -> None:
    with pytest.raises(BadRequest):
        desk.make(label)
    assert len(desk.store.tokens()) == 1


@pytest.mark.parametrize("pin", [b"", b"123", b"x" * 256])
def test_a_token_with_an_unsuitable_pin_is_not_made(desk: Desk, pin: bytes) -> None:
    with pytest.raises(PinUnsuitable):
        desk.make("other", officer=pin)
    assert len(list((desk.folder / "tokens").iterdir())) == 1


def test_the_name_of_the_folder_is_made_of_the_label(desk: Desk) -> None:
    labels = ["../../etc", "...", "Übung", "Ein/Token", "a" * 32]
    for label in labels:
        desk.make(label)
    with pytest.raises(AlreadyExists):
        desk.make("a" * 32)
    desk.reopen()
    names = {token.label: token.name for token in desk.store.tokens()}
    assert names == {
        LABEL: "Ein-Token",
        "../../etc": "etc",
        "...": "token",
        "Übung": "bung",
        "Ein/Token": "Ein-Token-2",
        "a" * 32: "a" * 32,
    }


# --- damage --------------------------------------------------------------------------


def test_every_bit_of_the_header_of_a_token_with_pins_is_found(desk: Desk) -> None:
    path = desk.place / header.NAME
    good = path.read_bytes()
    assert b'"login":"daemon"' in good
    for at in range(len(good)):
        for bit in range(8):
            damaged = bytearray(good)
            damaged[at] ^= 1 << bit
            with pytest.raises(StoreDamaged, match=f"{header.NAME} is damaged"):
                header.parse(bytes(damaged), path)


def test_every_bit_of_the_counters_is_found(desk: Desk) -> None:
    path = desk.place / tries.NAME
    good = path.read_bytes()
    for at in range(len(good)):
        for bit in range(8):
            damaged = bytearray(good)
            damaged[at] ^= 1 << bit
            with pytest.raises(StoreDamaged, match=f"{tries.NAME} is damaged"):
                tries.parse(bytes(damaged), path)


def test_one_damaged_counter_is_named_and_the_other_counts(desk: Desk) -> None:
    desk.wrong(3)
    for name in (tries.NAME, tries.COPY):
        path = desk.place / name
        with flipped(path, size(path) - 3, 0):
            desk.reopen()
            assert any(str(path) in each for each in desk.token.damage())
            assert desk.left() == tries.MOST - 3


def test_without_counters_one_try_is_left(desk: Desk) -> None:
    for name in (tries.NAME, tries.COPY):
        (desk.place / name).unlink()
    desk.reopen()
    assert desk.left() == 1
    desk.check(USER)
    assert desk.left() == tries.MOST
    desk.reopen()
    assert desk.token.damage() == []


def test_a_changed_fact_of_the_header_is_found_before_the_pin_opens_anything(desk: Desk) -> None:
    for name in (header.NAME, header.COPY):
        path = desk.place / name
        line, mac, _ = path.read_bytes().split(b"\n", 2)
        lines = line.replace(b"daemon", b"application") + b"\n" + mac + b"\n"
        path.write_bytes(lines + hashlib.sha256(lines).hexdigest().encode() + b"\n")
    desk.reopen()
    with pytest.raises(StoreDamaged, match="altered by somebody"):
        desk.check(USER)
    assert desk.token.locked


# --- an emptied token ----------------------------------------------------------------


def copied(desk: Desk, name: str) -> Path:
    kept = desk.folder.parent / name
    shutil.copytree(desk.place, kept)
    return kept


def test_what_a_crash_left_of_an_emptied_token_is_removed(desk: Desk) -> None:
    """After the new header, with the journal and the files of what was there before."""
    desk.check(USER)
    desk.token.generate(NewKey("gone", Algorithm.ED25519), OPEN)
    left = desk.place / (journal.NAME + files.NEW)
    left.mkdir()  # in the way of the new journal
    with Secret.of(OFFICER) as pin:
        desk.token.init_token(pin, "anew")
    left.rmdir()
    assert b"former" in (desk.place / header.NAME).read_bytes()
    assert (desk.place / journal.NAME).read_bytes().count(b'"put"') == 1

    desk.reopen()
    assert len(desk.token.keys()) == 0
    assert desk.token.label == "anew"
    desk.check(OFFICER, Role.OFFICER)
    with Secret.of(USER) as new:
        desk.token.init_pin(new)
    desk.check(USER)
    assert desk.token.damage() == []
    assert list((desk.place / "keys").iterdir()) == []
    assert b"former" not in (desk.place / header.NAME).read_bytes()
    made = desk.token.generate(NewKey("new", Algorithm.ED25519), OPEN)
    desk.reopen()
    desk.check(USER)
    assert list(desk.token.keys()) == [made]
    assert desk.token.damage() == []


def test_what_opened_it_before_opens_nothing_of_what_came_afterwards(desk: Desk) -> None:
    kept = desk.folder.parent / "kept"
    shutil.copytree(desk.place, kept)
    with Secret.of(OFFICER) as pin, Secret.of(b"5678") as new:
        desk.token.init_token(pin, "")
        assert desk.token.label == "Ein-Token"
        desk.check(OFFICER, Role.OFFICER)
        desk.token.init_pin(new)
    desk.check(b"5678")
    desk.token.generate(NewKey("new", Algorithm.ED25519), OPEN)
    for name in (header.NAME, header.COPY):
        shutil.copy(kept / name, desk.place / name)
    desk.reopen()
    desk.check(USER)
    assert len(desk.token.keys()) == 0
    assert any("was altered" in each for each in desk.token.damage())

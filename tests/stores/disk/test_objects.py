"""Certificates, data and public keys on a token, and the attributes of keys."""

import json
import shutil
from itertools import repeat
from pathlib import Path

import pytest
from tests.stores.cheap import COST, disk_store
from tests.stores.disk.house import PASSPHRASE, House, flipped

from keyholm.core.errors import AlreadyExists, LimitExceeded, StoreDamaged, TokenLocked
from keyholm.core.model import Algorithm, Kind, NewKey, NewObject, Object
from keyholm.core.policy import OPEN
from keyholm.core.secret import Secret
from keyholm.stores.disk import backup, header, journal
from keyholm.stores.disk.journal import Hold
from keyholm.stores.disk.objects import MOST_OF_SESSIONS
from keyholm.testing.store_contract import new_objects
from keyholm.wire.pkcs11.constants import CKA

HIDDEN = NewObject(
    Kind.DATA, {CKA.LABEL: b"where it is", CKA.VALUE: b"in the garden"}, private=True
)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "store", keys=1)


@pytest.fixture(autouse=True)
def closed(house: House) -> object:
    yield
    house.store.close()


def filled(house: House) -> list[Object]:
    return [made(house, new) for new in new_objects()]


def made(house: House, new: NewObject) -> Object:
    found = house.token.create_object(new, OPEN)
    assert isinstance(found, Object)
    return found


def format_of(house: House) -> int:
    line, _, _ = (house.place / header.NAME).read_bytes().partition(b"\n")
    found: int = json.loads(line)["format"]
    return found


def test_objects_and_attributes_are_there_after_a_restart(house: House) -> None:
    new = NewKey(
        "a", Algorithm.ED25519, attributes={CKA.ID: b"1"}, public_attributes={CKA.LABEL: b"b"}
    )
    key, objects = house.token.generate(new, OPEN), filled(house)
    house.reopen()

    assert list(house.token.objects()) == objects
    assert house.token.keys()[-1] == key
    assert house.token.damage() == []
    again = house.token.create_object(new_objects()[0], OPEN)
    assert again.order > key.order + len(objects)


def test_before_unlock_public_objects_are_shown_unverified(house: House) -> None:
    objects = filled(house)
    house.reopen(unlock=False)

    shown = house.token.objects()
    assert [each.place for each in shown] == [m.place for m in objects if not m.private]
    assert not any(each.verified for each in shown)


def test_of_a_private_object_only_that_it_is_there_can_be_read(house: House) -> None:
    hidden = made(house, HIDDEN)
    house.store.close()

    everything = b"".join(path.read_bytes() for path in house.everything())
    for secret in (b"where it is", b"garden", b"d2hlcmUgaXQgaXM", b"data"):
        assert secret not in everything
    assert hidden.place.object.encode() in everything


def test_what_a_session_made_is_on_no_disk_and_gone_with_the_lock(house: House) -> None:
    before = {path: path.read_bytes() for path in house.everything()}
    session = NewObject(Kind.DATA, {CKA.VALUE: b"v"}, session=True)
    session_object = made(house, session)
    assert {path: path.read_bytes() for path in house.everything()} == before
    house.token.lock()
    with pytest.raises(Exception, match="not in the store"):
        house.token.remove_object(session_object)


def test_sessions_cannot_fill_the_daemon(house: House) -> None:
    new = NewObject(Kind.DATA, {CKA.VALUE: b"v"}, session=True)
    some = [made(house, new) for _ in range(MOST_OF_SESSIONS)]
    with pytest.raises(LimitExceeded):
        house.token.create_object(new, OPEN)
    house.token.remove_object(some[0])
    house.token.create_object(new, OPEN)
    key = house.token.generate(NewKey("k", Algorithm.ED25519, session=True), OPEN)
    assert key.place.is_session


def test_a_name_that_would_spoil_a_listing_is_shown_without_what_spoils_it(house: House) -> None:
    label = b"\x1b[31mred\n" + b"\xff"
    new = NewKey("?", Algorithm.ED25519, attributes={CKA.LABEL: label})
    key = house.token.change_object(house.token.generate(new, OPEN), {CKA.LABEL: label})

    assert key.attributes == {CKA.LABEL: label}
    assert key.label == "\ufffd[31mred\ufffd\ufffd"  # type: ignore[union-attr]


def test_a_new_name_is_a_new_label(house: House) -> None:
    new = NewKey("old", Algorithm.ED25519, attributes={CKA.LABEL: b"old", CKA.ID: b"1"})
    key = house.token.rename(house.token.generate(new, OPEN), "new")

    assert key.attributes == {CKA.LABEL: b"new", CKA.ID: b"1"}
    with pytest.raises(AlreadyExists):
        house.add("new")


def test_names_are_free_again_when_the_last_that_had_them_is_gone(house: House) -> None:
    new = NewKey("twin", Algorithm.ED25519, attributes={CKA.LABEL: b"twin"})
    one, other = house.token.generate(new, OPEN), house.token.generate(new, OPEN)
    house.token.destroy(one)
    with pytest.raises(AlreadyExists):
        house.add("twin")
    house.token.destroy(other)
    house.add("twin")


def test_a_damaged_private_object_is_named_and_the_others_are_there(house: House) -> None:
    hidden = made(house, HIDDEN)
    other = house.token.create_object(HIDDEN, OPEN)
    (path,) = (house.place / "keys").glob(f"{hidden.place.object}.*")
    with flipped(path, 400, 0):
        house.reopen()
        assert list(house.token.objects()) == [other]
        assert any(path.name in each for each in house.token.damage())
        with pytest.raises(StoreDamaged), Secret.of(b"of the backup") as passphrase:
            house.token.backup(passphrase)


def test_a_damaged_line_of_an_object_is_named_and_the_others_are_there(house: House) -> None:
    objects = filled(house)
    path = house.place / journal.NAME
    lines = path.read_bytes().splitlines(keepends=True)
    number = next(at for at, line in enumerate(lines) if b'"op":"object"' in line)
    at = sum(map(len, lines[:number])) + lines[number].index(b"attributes") + 20
    with flipped(path, at, 0):
        house.reopen()
        assert f"Line {number + 1} of {path} was altered." in house.token.damage()
        assert list(house.token.objects()) == objects[1:]


def test_without_its_journal_private_objects_speak_for_themselves(house: House) -> None:
    objects = filled(house)
    (house.place / journal.NAME).unlink()
    house.reopen()

    assert sorted(map(str, (each.place for each in house.token.objects()))) == sorted(
        str(each.place) for each in objects if each.private
    )


def test_a_journal_that_is_written_anew_says_the_same_of_objects(house: House) -> None:
    objects = filled(house)
    public = made(house, new_objects()[0])
    for turn in range(150):
        changed = house.token.change_object(public, {CKA.ID: bytes((turn,))})
        assert isinstance(changed, Object)
        public = changed
    house.token.remove_object(public)
    assert len((house.place / journal.NAME).read_bytes().splitlines()) < 120
    house.reopen()

    assert list(house.token.objects()) == objects
    assert house.token.damage() == []


def test_a_backup_brings_objects_and_attributes_back(house: House) -> None:
    new = NewKey("a", Algorithm.ED25519, attributes={CKA.ID: b"1"}, public_attributes=None)
    house.token.generate(new, OPEN)
    objects = filled(house)
    with Secret.of(PASSPHRASE) as passphrase:
        backup = house.token.backup(passphrase)
        house.store.restore(backup, passphrase, "restored", 1000)
    restored = house.store.tokens()[1]

    keys = restored.keys()
    assert [key.attributes for key in keys] == [{}, {CKA.ID: b"1"}]
    assert keys[1].public_attributes is None
    assert [(each.kind, each.attributes, each.private) for each in restored.objects()] == [
        (each.kind, each.attributes, each.private) for each in objects
    ]


def test_a_backup_that_nobody_could_restore_is_not_made() -> None:
    held = Hold("0123456789abcdef", Kind.DATA, 1, {CKA.VALUE: bytes(45_000)})
    count = backup.MAX_FILE // 60_000 + 20
    about = backup.About("uuid", "main", 0, 1.0, count)
    with Secret.of(PASSPHRASE) as passphrase, pytest.raises(LimitExceeded, match="at most 64 MiB"):
        backup.make(about, (), passphrase, COST, repeat(held, count))


def test_an_older_keyholm_is_told_by_the_format_and_only_when_it_must_be(
    house: House, tmp_path: Path
) -> None:
    assert format_of(house) == header.FORMAT
    house.store.close()
    frozen = Path(__file__).parents[2] / "vectors" / "disk-store-v1" / "store"
    shutil.copytree(frozen, tmp_path / "old")
    for path in (tmp_path / "old", *(tmp_path / "old").rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    old = disk_store(tmp_path / "old")
    token = next(token for token in old.tokens() if token.name == "throw-away")
    place = token.place / header.NAME
    try:
        token.generate(NewKey("plain", Algorithm.ED25519), OPEN)
        assert b'"format":1' in place.read_bytes()
        token.create_object(new_objects()[0], OPEN)
        assert b'"format":2' in place.read_bytes()
        assert token.damage() == []
    finally:
        old.close()


def test_nothing_is_written_while_the_token_is_locked(house: House) -> None:
    house.token.lock()
    before = {path: path.read_bytes() for path in house.everything()}
    for new in new_objects():
        with pytest.raises(TokenLocked):
            house.token.create_object(new, OPEN)
    assert {path: path.read_bytes() for path in house.everything()} == before

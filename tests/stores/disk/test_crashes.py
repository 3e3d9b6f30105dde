"""What a crash leaves, step by step, and what the next unlock makes of it.

A write is: `.new` file, journal line, renaming, wiping of the version before the former.
Each state in between is made by hand here; tests/faults kills real writers.
"""

import shutil
from pathlib import Path

import pytest
from tests.stores.disk.house import PASSPHRASE, House, generation

from keyholm.core.errors import KeyholmError
from keyholm.core.secret import Secret
from keyholm.stores.disk import files, header, journal

LABELS = ["key 0", "key 1", "key 2"]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "store", keys=3)


@pytest.fixture(autouse=True)
def closed(house: House) -> object:
    yield
    house.store.close()


def copied(house: House, name: str) -> Path:
    """The token's folder as it is now, beside the store."""
    kept = house.folder.parent / name
    shutil.copytree(house.place, kept)
    return kept


def restored(house: House, kept: Path) -> None:
    house.store.close()
    shutil.rmtree(house.place)
    shutil.copytree(kept, house.place)


def new_of(house: House, label: str) -> Path:
    path = house.file(label)
    return path.with_name(path.name + files.NEW)


def sound(house: House, *labels: str) -> None:
    house.reopen()
    assert house.token.damage() == []
    assert house.usable() == list(labels)
    left = [path.name for path in (house.place / "keys").iterdir()]
    assert not [name for name in left if name.endswith(files.NEW)]


def test_a_new_key_that_is_not_in_the_journal_never_was(house: House) -> None:
    before = (house.place / journal.NAME).read_bytes()
    house.add("key 3")
    house.file("key 3").rename(new_of(house, "key 3"))
    (house.place / journal.NAME).write_bytes(before)

    sound(house, *LABELS)


@pytest.mark.parametrize("size", [0, 1, 300])
def test_half_a_new_file_never_was(house: House, size: int) -> None:
    path = house.place / "keys" / f"0123456789abcdef.1.key{files.NEW}"
    path.write_bytes(house.file("key 0").read_bytes()[:size])
    path.chmod(0o600)

    sound(house, *LABELS)


def test_a_new_key_that_is_in_the_journal_is_there(house: House) -> None:
    house.add("key 3")
    house.file("key 3").rename(new_of(house, "key 3"))

    sound(house, *LABELS, "key 3")


def test_a_change_that_is_not_in_the_journal_never_was(house: House) -> None:
    before = (house.place / journal.NAME).read_bytes()
    house.token.rename(house.key("key 1"), "renamed")
    house.file("renamed").rename(new_of(house, "renamed"))
    (house.place / journal.NAME).write_bytes(before)

    sound(house, *LABELS)


def test_a_change_that_is_in_the_journal_holds(house: House) -> None:
    house.token.rename(house.key("key 1"), "renamed")
    house.file("renamed").rename(new_of(house, "renamed"))

    sound(house, "key 0", "renamed", "key 2")


def test_a_version_that_was_not_wiped_yet_is_wiped(house: House) -> None:
    first = house.file("key 1").read_bytes()
    house.token.rename(house.key("key 1"), "second")
    house.token.rename(house.key("second"), "third")
    old = house.file("third").with_name(f"{house.key('third').place.object}.1.key")
    assert not old.exists()
    old.write_bytes(first)
    old.chmod(0o600)

    sound(house, "key 0", "third", "key 2")
    assert [generation(path) for path in house.files("third")] == [2, 3]


def test_a_removal_that_is_in_the_journal_holds(house: House) -> None:
    kept = copied(house, "kept")
    name = house.key("key 1").place.object
    house.token.destroy(house.key("key 1"))
    for path in (kept / "keys").glob(f"{name}.*"):
        shutil.copy(path, house.place / "keys")

    sound(house, "key 0", "key 2")
    assert not list((house.place / "keys").glob(f"{name}.*"))


def test_the_last_line_may_be_cut_anywhere(house: House) -> None:
    """Power loss: the line was not acknowledged, so it holds in whole or not at all."""
    path = house.place / journal.NAME
    before = len(path.read_bytes())
    house.token.rename(house.key("key 1"), "renamed")
    house.file("renamed").rename(new_of(house, "renamed"))
    kept, after = copied(house, "kept"), path.read_bytes()
    for size in (*range(before, len(after), 13), len(after) - 2, len(after) - 1):
        restored(house, kept)
        path.write_bytes(after[:size])
        held = "renamed" if size == len(after) - 1 else "key 1"
        house.reopen()
        assert house.token.damage() == [], size
        assert house.usable() == ["key 0", held, "key 2"], size
        if size % 5 == 0:  # and what is written next is where it should be
            house.add("after")
            sound(house, "key 0", held, "key 2", "after")


def test_both_headers_need_not_be_of_one_age(house: House) -> None:
    kept = (house.place / header.COPY).read_bytes()
    with Secret.of(PASSPHRASE) as old, Secret.of(b"battery staple") as new:
        house.token.change_passphrase(old, new)
        (house.place / header.COPY).write_bytes(kept)
        house.reopen(unlock=False)
        with pytest.raises(KeyholmError):
            house.token.unlock(old)
        house.token.unlock(new)
    assert house.token.damage() == []
    # The copy would open with the former passphrase.
    assert (house.place / header.COPY).read_bytes() != kept


def test_a_header_that_the_journal_does_not_know_yet_is_taken(house: House) -> None:
    before = (house.place / journal.NAME).read_bytes()
    with Secret.of(PASSPHRASE) as passphrase:
        house.token.change_passphrase(passphrase, passphrase)
    (house.place / journal.NAME).write_bytes(before)
    sound(house, *LABELS)
    after = (house.place / journal.NAME).read_bytes()
    assert after.startswith(before)
    assert b'"header":2' in after[len(before) :]


@pytest.mark.parametrize("name", [header.NAME, header.COPY, journal.NAME])
def test_what_was_written_beside_is_removed(house: House, name: str) -> None:
    left = house.place / (name + files.NEW)
    left.write_bytes(b"half of something")

    sound(house, *LABELS)
    assert not left.exists()


def test_a_token_that_was_never_finished_is_removed(house: House) -> None:
    copied_to = house.place.with_name(".other.new")
    shutil.copytree(house.place, copied_to)
    (copied_to / header.NAME).unlink()

    sound(house, *LABELS)
    assert not copied_to.exists()
    assert [token.name for token in house.store.tokens()] == ["main"]


def test_a_token_whose_removal_was_not_finished_is_removed(house: House) -> None:
    with Secret.of(PASSPHRASE) as passphrase:
        house.store.make_token("other", 1000, passphrase)
    house.place.with_name("other").rename(house.place.with_name(".other.gone"))
    house.reopen()

    assert not house.place.with_name(".other.gone").exists()
    assert [token.name for token in house.store.tokens()] == ["main"]


def test_a_journal_that_grew_long_says_the_same_in_fewer_lines(house: House) -> None:
    sizes = []
    for turn in range(100):
        house.token.rename(house.key(["key 1", "other"][turn % 2]), ["other", "key 1"][turn % 2])
        sizes.append(len((house.place / journal.NAME).read_bytes().splitlines()))

    assert max(sizes) <= journal.COMPACT_FACTOR * 3 + journal.COMPACT_SLACK + 1
    assert min(sizes[60:]) < 10
    sound(house, *LABELS)


def test_after_a_compaction_what_was_destroyed_stays_so(house: House) -> None:
    kept = copied(house, "kept")
    gone = house.key("key 1").place.object
    house.token.destroy(house.key("key 1"))
    for turn in range(100):
        house.token.rename(house.key(["key 0", "other"][turn % 2]), ["other", "key 0"][turn % 2])
    for path in (kept / "keys").glob(f"{gone}.*"):
        shutil.copy(path, house.place / "keys")
    house.reopen()

    assert house.usable() == ["key 0", "key 2"]
    assert any("is not in the journal" in each for each in house.token.damage())

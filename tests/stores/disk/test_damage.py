"""Damaged stores: what is wrong is named, and every other key goes on."""

import os
import random
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from tests.stores.disk.house import House, flipped, generation, size

from keyholm.core.errors import KeyholmError, StoreDamaged
from keyholm.core.mechanisms import EdDsa, Message
from keyholm.core.secret import Secret
from keyholm.stores.disk import header, journal, mending

LABELS = [f"key {number}" for number in range(10)]


@pytest.fixture(scope="module")
def ten(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with ten keys, of which some were changed and one was destroyed."""
    folder = tmp_path_factory.mktemp("ten") / "store"
    with House(folder, keys=10) as house:
        for label in ("key 3", "key 7", "key 7"):
            house.token.rename(house.key(label), "between")
            house.token.rename(house.key("between"), label)
        house.token.destroy(house.add("gone"))
        with Secret.of(b"correct horse") as passphrase:
            house.token.add_recovery_code(passphrase).close()
    return folder


@pytest.fixture
def house(ten: Path, tmp_path: Path) -> House:
    shutil.copytree(ten, tmp_path / "store")
    return House(tmp_path / "store")


@pytest.fixture(autouse=True)
def closed(house: House) -> object:
    yield
    house.store.close()


def bits(path: Path) -> list[tuple[int, int]]:
    return [(at, bit) for at in range(size(path)) for bit in range(8)]


def test_an_undamaged_store_says_so(house: House) -> None:
    assert house.token.damage() == []
    assert house.usable() == LABELS


# --- a bit at a time -----------------------------------------------------------------


def test_every_bit_of_every_key_file_is_found(house: House) -> None:
    entries = house.token._entries
    for name, listed in entries.listed.items():
        for version in filter(None, (listed.file, listed.previous)):
            path = entries.folder.key(name, version.generation)
            good = path.read_bytes()
            with path.open("r+b", buffering=0) as file:
                for at, bit in bits(path):
                    os.pwrite(file.fileno(), bytes((good[at] ^ 1 << bit,)), at)
                    with pytest.raises(StoreDamaged, match=path.name):
                        entries.verified(path, name, version)
                    os.pwrite(file.fileno(), good[at : at + 1], at)


def journal_flips(house: House, bits_of: Callable[[int], Iterable[int]]) -> None:
    key = house.token.opened().keys.journal
    good = (house.place / journal.NAME).read_bytes()
    contents = journal.parse(good)
    assert not journal.altered(contents.lines, key)
    ends = [at for at, byte in enumerate(good) if byte == 10]
    for at in range(len(good)):
        number = 1 + sum(end < at for end in ends)
        for bit in bits_of(at):
            damaged = bytearray(good)
            damaged[at] ^= 1 << bit
            contents = journal.parse(bytes(damaged))
            wrong = journal.altered(contents.lines, key)
            if contents.ending is journal.Ending.ALTERED:
                wrong.append(len(contents.lines))
            # It is named, with its other half if it was cut in two, and with nothing else.
            halves = [number, number + 1] if damaged[at] == 10 else [number]
            assert wrong == halves, (at, bit)


def test_a_bit_of_every_byte_of_the_journal_is_found(house: House) -> None:
    journal_flips(house, lambda at: (at % 8,))


@pytest.mark.soak
def test_every_bit_of_the_journal_is_found(house: House) -> None:
    journal_flips(house, lambda at: range(8))


def test_every_bit_of_the_headers_is_found(house: House) -> None:
    for name in (header.NAME, header.COPY):
        path = house.place / name
        good = path.read_bytes()
        for at, bit in bits(path):
            damaged = bytearray(good)
            damaged[at] ^= 1 << bit
            with pytest.raises(StoreDamaged, match=f"{name} is damaged"):
                header.parse(bytes(damaged), path)


def test_a_flipped_bit_anywhere_is_named_and_the_other_keys_work(house: House) -> None:
    """A hundred of them, with the store closed, opened and unlocked in between."""
    chosen = random.Random(1)
    for path in house.everything():
        in_use = {house.file(label): label for label in LABELS}
        for at in chosen.sample(range(size(path)), 4):
            bit = chosen.randrange(8)
            with flipped(path, at, bit):
                house.reopen()
                told = house.token.damage()
                assert any(path.name.removesuffix(".copy") in each for each in told), (path, at)
                expected = [label for label in LABELS if label != in_use.get(path)]
                assert house.usable() == expected, (path, at, bit, told)
            if path.name.startswith("token.json"):
                house.reopen()  # the other copy has mended it
                assert house.token.damage() == []


@pytest.mark.soak
@pytest.mark.parametrize("bit", range(8))
def test_this_bit_of_every_byte_is_named_by_a_store_that_is_opened_anew(
    house: House, bit: int
) -> None:
    for path in house.everything():
        in_use = {house.file(label): label for label in LABELS}
        expected = [label for label in LABELS if label != in_use.get(path)]
        for at in range(size(path)):
            with flipped(path, at, bit):
                house.reopen()
                told = house.token.damage()
                assert any(path.name.removesuffix(".copy") in each for each in told), (path, at)
                assert house.usable() == expected, (path, at, bit, told)


def test_damage_is_seen_while_the_token_is_open(house: House) -> None:
    key, path = house.key("key 4"), house.file("key 4")
    house.token.sign(key, EdDsa(), Message(b""))
    with flipped(path, 100, 0):
        house.token._checked = None  # a minute later
        (told,) = house.token.damage()
        assert path.name in told
        assert "key 4" in told
        # What is in memory is still good, until the token is locked.
        house.token.sign(key, EdDsa(), Message(b""))
    house.token._checked = None
    assert house.token.damage() == []


# --- files that are not what they should be ------------------------------------------


def broken(house: House, label: str, *words: str) -> None:
    """The key `label` alone is refused, and each of `words` is said about it."""
    house.reopen()
    told = " ".join(house.token.damage())
    for word in words:
        assert word in told, told
    assert house.labels() == LABELS  # never "there is no such key"
    assert house.usable() == [each for each in LABELS if each != label]
    with pytest.raises(StoreDamaged) as caught:
        house.token.sign(house.key(label), EdDsa(), Message(b""))
    assert caught.value.remedy


def test_a_missing_file_is_named(house: House) -> None:
    path = house.file("key 5")
    path.unlink()

    broken(house, "key 5", path.name, "key 5", "missing")


def test_a_missing_file_is_named_before_unlock(house: House) -> None:
    path = house.file("key 5")
    path.unlink()
    house.reopen(unlock=False)

    assert any(path.name in each and "missing" in each for each in house.token.damage())


def test_an_older_file_in_the_place_of_a_newer_one_is_named(house: House) -> None:
    older, newer = sorted(house.files("key 7"), key=generation)
    shutil.copy(older, newer)

    broken(house, "key 7", newer.name, f"is version {generation(older)}")


def test_swapped_files_are_named(house: House) -> None:
    one, other = house.file("key 1"), house.file("key 2")
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    house.reopen()
    told = " ".join(house.token.damage())

    assert f"{one.name} is the file of another key (key 2)" in told
    assert f"{other.name} is the file of another key (key 1)" in told
    assert house.usable() == [each for each in LABELS if each not in ("key 1", "key 2")]


@pytest.mark.parametrize("size_", [0, 1, 100, 10_000_000])
def test_a_file_of_another_size_is_named(house: House, size_: int) -> None:
    path = house.file("key 5")
    path.write_bytes((path.read_bytes() * 20_000)[:size_])

    broken(house, "key 5", path.name)


def test_a_file_that_is_no_file_is_named(house: House) -> None:
    path = house.file("key 5")
    path.unlink()
    path.mkdir(mode=0o700)
    broken_names = " ".join(reopened_damage(house))

    assert path.name in broken_names
    assert house.usable() == [each for each in LABELS if each != "key 5"]


def test_a_link_to_another_file_is_not_followed(house: House) -> None:
    path = house.file("key 5")
    elsewhere = house.folder.parent / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)

    assert any(path.name in each for each in reopened_damage(house))
    assert house.usable() == [each for each in LABELS if each != "key 5"]


def test_a_file_that_others_can_read_is_refused(house: House) -> None:
    path = house.file("key 5")
    path.chmod(0o640)

    assert any(f"{path} is open to others (mode 0640)" in each for each in reopened_damage(house))
    with pytest.raises(KeyholmError) as caught:
        house.token.sign(house.key("key 5"), EdDsa(), Message(b""))
    assert f"chmod go-rwx {path}" in caught.value.remedy


def test_files_that_nobody_knows_are_named_and_left_alone(house: House) -> None:
    strange = house.place / "keys" / "notes.txt"
    strange.write_text("mine")
    copied = house.place / "keys" / "0123456789abcdef.1.key"
    shutil.copy(house.file("key 5"), copied)

    told = " ".join(reopened_damage(house))
    assert f"{strange} does not belong here" in told
    assert f"{copied} is not in the journal" in told
    assert house.usable() == LABELS
    assert strange.exists()
    assert copied.exists()


def test_a_destroyed_key_does_not_come_back_with_its_file(house: House) -> None:
    kept = house.folder.parent / "kept"
    shutil.copy(house.file("key 5"), kept)
    path, key = house.file("key 5"), house.key("key 5")
    house.token.destroy(key)
    assert not path.exists()
    shutil.copy(kept, path)
    house.reopen()

    assert "key 5" not in house.labels()
    assert not path.exists()  # its removal is in the journal, so it is removed again


def reopened_damage(house: House) -> list[str]:
    house.reopen()
    return list(house.token.damage())


# --- the journal and the headers -----------------------------------------------------


def test_without_its_journal_the_sealed_files_speak_for_themselves(house: House) -> None:
    (house.place / journal.NAME).unlink()

    assert any("journal is missing" in each for each in reopened_damage(house))
    assert sorted(house.usable()) == LABELS
    house.add("a new one")  # and writes the journal anew
    house.reopen()
    assert house.token.damage() == []
    assert sorted(house.usable()) == sorted([*LABELS, "a new one"])


def test_an_empty_journal_is_named(house: House) -> None:
    (house.place / journal.NAME).write_bytes(b"")

    assert any("journal is empty" in each for each in reopened_damage(house))
    assert sorted(house.usable()) == LABELS


def test_a_journal_that_was_cut_is_named(house: House) -> None:
    """By somebody who knows where lines end: the files are newer than what it says then."""
    path = house.place / journal.NAME
    house.token.rename(house.key("key 5"), "renamed")
    newer = house.file("renamed")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))

    assert any(f"{newer} is newer" in each for each in reopened_damage(house))
    assert house.usable() == LABELS


def test_a_line_of_another_journal_is_named(house: House) -> None:
    path = house.place / journal.NAME
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2], lines[3] = lines[3], lines[2]
    path.write_bytes(b"".join(lines))

    told = " ".join(reopened_damage(house))
    assert "Line 3" in told
    assert sorted(house.usable()) == LABELS


def test_both_headers_damaged_leaves_the_token_named_and_shut(house: House) -> None:
    for name in (header.NAME, header.COPY):
        path = house.place / name
        path.write_bytes(path.read_bytes()[:-2])
    house.reopen(unlock=False)

    told = " ".join(house.token.damage())
    assert header.COPY in told
    assert house.labels() == LABELS
    with Secret.of(b"correct horse") as passphrase, pytest.raises(StoreDamaged, match=header.NAME):
        house.token.unlock(passphrase)


def test_an_older_header_is_named(house: House) -> None:
    """It opens with the passphrase that it had: whoever has both can read the disk anyway."""
    kept = [(house.place / name).read_bytes() for name in (header.NAME, header.COPY)]
    with Secret.of(b"correct horse") as old, Secret.of(b"battery staple") as new:
        house.token.change_passphrase(old, new)
    for name, content in zip((header.NAME, header.COPY), kept, strict=True):
        (house.place / name).write_bytes(content)

    assert any("older than what the journal says" in each for each in reopened_damage(house))


def test_one_older_header_is_not_used(house: House) -> None:
    kept = (house.place / header.NAME).read_bytes()
    with Secret.of(b"correct horse") as old, Secret.of(b"battery staple") as new:
        house.token.change_passphrase(old, new)
        (house.place / header.NAME).write_bytes(kept)
        house.reopen(unlock=False)
        with pytest.raises(KeyholmError, match="passphrase is wrong"):
            house.token.unlock(old)
        house.token.unlock(new)
    assert (house.place / header.NAME).read_bytes() == (house.place / header.COPY).read_bytes()


def test_a_damaged_store_json_is_named_by_every_token_and_they_work(house: House) -> None:
    path = house.folder / "store.json"
    path.write_bytes(path.read_bytes().replace(b'"uuid"', b'"Uuid"'))

    assert any(str(path) in each for each in reopened_damage(house))
    assert house.usable() == LABELS
    with pytest.raises(StoreDamaged, match=r"store\.json"):
        house.store.make_token("another", 1000, None)


def test_a_moved_token_is_named(house: House) -> None:
    house.store.close()
    house.place.rename(house.place.with_name("other"))
    house.reopen()

    assert any("which was moved here" in each for each in house.token.damage())
    assert house.usable() == LABELS


def test_looking_at_everything_finds_what_using_it_would(house: House) -> None:
    entries = house.token._entries
    path = house.file("key 2")
    with flipped(path, 0, 0):
        mending.check(entries)
        assert list(entries.bad) == [house.key("key 2").place.object]
    mending.check(entries)
    assert entries.bad == {}

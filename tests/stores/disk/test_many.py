"""A token with a thousand keys: listing asks no file, opening reads one, and all are checked."""

import time
from pathlib import Path

import pytest
from tests.stores.cheap import COST
from tests.stores.disk.house import PASSPHRASE, House

from keyholm.core.mechanisms import EdDsa, Message
from keyholm.core.model import Algorithm, Origin
from keyholm.core.policy import OPEN
from keyholm.core.secret import Secret
from keyholm.stores.disk.backup import About, Saved, make
from keyholm.stores.disk.entry import Facts
from keyholm.stores.software import keys as software
from keyholm.wire.ssh import keys
from keyholm.wire.ssh.private_keys import PRIVATE

COUNT = 1000


@pytest.fixture(scope="module")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many") / "store"
    saved = []
    for number in range(COUNT):
        private = software.generate(Algorithm.ED25519)
        public = private.public
        facts = Facts(
            keys.key_id(public),
            keys.type_name(public),
            keys.encode(public),
            f"key {number}",
            Origin.GENERATED,
            False,
            float(number),
            number,
            "",
        )
        saved.append(Saved(f"{number:016x}", facts, memoryview(PRIVATE.write(private))))
    with House(folder) as house, Secret.of(PASSPHRASE) as passphrase:
        backup = make(About("uuid", "main", COUNT, 1.0), saved, passphrase, COST)
        house.store.remove_token(house.token)
        house.store.restore(backup, passphrase, "main", 1000)
    return folder


def test_a_thousand_keys_are_listed_without_a_file(thousand: Path) -> None:
    with House(thousand) as house:
        begun = time.perf_counter()
        listed = house.token.keys()
        assert time.perf_counter() - begun < 2e-3
        assert [key.label for key in listed] == [f"key {number}" for number in range(COUNT)]


def test_opening_reads_no_key_and_a_use_reads_one(thousand: Path) -> None:
    with House(thousand) as house:
        for path in (house.place / "keys").iterdir():
            if not path.name.startswith("00000000000001f4"):  # the key 500
                path.chmod(0o644)  # which would be refused
        try:
            house.token.sign(house.key("key 500"), EdDsa(), Message(b""))
        finally:
            for path in (house.place / "keys").iterdir():
                path.chmod(0o600)


def test_opening_and_looking_at_everything_are_quick(thousand: Path) -> None:
    begun = time.perf_counter()
    with House(thousand) as house:
        opened = time.perf_counter()
        assert house.token.damage() == []
        looked = time.perf_counter()
    # 40 ms each on a quiet machine.
    assert opened - begun < 2
    assert looked - opened < 2


def test_only_what_is_used_is_in_memory(thousand: Path) -> None:
    with House(thousand) as house:
        house.token.sign(house.key("key 7"), EdDsa(), Message(b""))
        held = [each for each in house.token._held.values() if each.private is not None]
        assert [each.key.label for each in held] == ["key 7"]
        assert house.token.policy_of(house.key("key 8")) == OPEN

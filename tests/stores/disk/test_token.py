"""What a token on disk takes and what it refuses."""

from pathlib import Path

import pytest
from tests.stores.disk.house import House
from tests.wire.ssh import samples

from keyholm.core.errors import (
    AlgorithmUnsupported,
    AlreadyExists,
    BadPolicy,
    BadRequest,
    KeyNotFound,
)
from keyholm.core.model import Algorithm, NewKey, Origin
from keyholm.core.policy import OPEN, CallerRule, Policy, policy_hash
from keyholm.core.store import Handover
from keyholm.stores.disk import files
from keyholm.wire.ssh import keys
from keyholm.wire.ssh.private_keys import PrivateRsa


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "store", keys=1)


@pytest.fixture(autouse=True)
def closed(house: House) -> object:
    yield
    house.store.close()


def test_what_is_known_of_a_key_is_there_after_a_restart(house: House) -> None:
    policy = Policy(deny=(CallerRule(executable="/usr/bin/true"),), max_uses=3)
    made = house.token.generate(NewKey("made", Algorithm.ECDSA_P256, exportable=True), policy)
    brought = house.token.import_key(samples.private("rsa"), Handover("brought"), OPEN)
    house.reopen()

    assert house.key("made") == made
    assert house.key("brought") == brought
    assert (made.origin, brought.origin) == (Origin.GENERATED, Origin.IMPORTED)
    assert made.policy_hash == policy_hash(policy)
    assert house.token.policy_of(made) == policy
    listed = house.token.keys()
    assert [key.order for key in listed] == [1, 2, 3]


def test_names_and_keys_are_there_once(house: House) -> None:
    house.token.import_key(samples.private("ed25519"), Handover("mine"), OPEN)
    with pytest.raises(AlreadyExists, match="'mine'"):
        house.token.import_key(samples.private("ed25519"), Handover("again"), OPEN)
    with pytest.raises(AlreadyExists, match="This key is in main already"):
        house.token.import_key(samples.private("ed25519"), Handover("mine"), OPEN)
    with pytest.raises(AlreadyExists, match="'mine'"):
        house.add("mine")
    with pytest.raises(AlreadyExists):
        house.token.rename(house.key("mine"), "key 0")
    assert house.token.rename(house.key("mine"), "mine") == house.key("mine")
    assert house.labels() == ["key 0", "mine"]


@pytest.mark.parametrize("label", ["", "x" * 1025, "two\nlines", "null\0", "\x1b[31mred"])
def test_names_that_would_spoil_a_listing_are_refused(house: House, label: str) -> None:
    with pytest.raises(BadRequest):
        house.add(label)
    with pytest.raises(BadRequest):
        house.token.rename(house.key("key 0"), label)
    house.reopen()
    assert house.labels() == ["key 0"]


def test_what_an_agent_may_hold_for_an_hour_is_not_kept(house: House) -> None:
    short = PrivateRsa(keys.Rsa(65537, (1 << 1023) + 1), *[memoryview(b"\1")] * 4)
    for private in (samples.private("dsa"), short):
        with pytest.raises(AlgorithmUnsupported, match="is not kept") as caught:
            house.token.import_key(private, Handover("old"), OPEN)
        assert "ed25519" in caught.value.remedy
    assert house.labels() == ["key 0"]


def test_a_policy_that_could_not_be_read_again_is_refused(house: House) -> None:
    long = Policy(deny=tuple(CallerRule(uid=number) for number in range(20_000)))
    with pytest.raises(BadPolicy, match="cannot be kept"):
        house.token.set_policy(house.key("key 0"), long)
    with pytest.raises(BadPolicy):
        house.token.generate(NewKey("new", Algorithm.ED25519), long)
    house.reopen()
    assert house.token.damage() == []
    assert house.labels() == ["key 0"]
    assert house.token.policy_of(house.key("key 0")) == OPEN


def test_a_key_of_another_token_is_not_found(house: House) -> None:
    key = house.key("key 0")
    house.token.destroy(key)
    for use in (house.token.export, house.token.policy_of, house.token.destroy):
        with pytest.raises(KeyNotFound):
            use(key)


def test_what_a_failed_write_left_is_in_nobodys_way(house: House) -> None:
    path = house.file("key 0")
    left = path.with_name(path.name.replace(".1.key", f".2.key{files.NEW}"))
    left.write_bytes(b"half")
    house.token.rename(house.key("key 0"), "renamed")

    house.reopen()
    assert house.usable() == ["renamed"]
    assert not left.exists()

"""A token with a thousand keys: listing asks no file, opening reads one, a change touches one."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.stores.cheap import COST
from tests.stores.disk.house import PASSPHRASE, House

from keyholm.core.inventory import Inventory
from keyholm.core.mechanisms import EdDsa, Message
from keyholm.core.model import Algorithm, Kind, NewKey, NewObject, Origin
from keyholm.core.policy import OPEN, Confirm, Policy
from keyholm.core.secret import Secret
from keyholm.stores.disk.backup import About, Saved, make
from keyholm.stores.disk.entry import Facts
from keyholm.stores.software import keys as software
from keyholm.wire.pkcs11.constants import CKA
from keyholm.wire.ssh import keys
from keyholm.wire.ssh.private_keys import PRIVATE

COUNT = 1000
OTHER = Policy(confirm=Confirm(asked=True))


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
        away = house.place / "away"
        (house.place / "keys").rename(away)
        try:
            assert house.labels() == [f"key {number}" for number in range(COUNT)]
        finally:
            away.rename(house.place / "keys")


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


def test_nothing_is_wrong_with_any_of_them(thousand: Path) -> None:
    with House(thousand) as house:
        assert house.token.damage() == []


def calls_of(act: Callable[[], object]) -> int:
    """How much work it is: functions called in this thread, which no other load changes."""
    count = 0

    def called(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(called)
    try:
        act()
    finally:
        sys.setprofile(None)
    return count


def changes(house: House, inventory: Inventory) -> dict[str, int]:
    """What each change costs, with what follows for who lists the keys."""
    token = house.token
    new = NewKey("one more", Algorithm.ED25519, attributes={CKA.ID: b"1"})
    certificate = NewObject(Kind.CERTIFICATE, {CKA.LABEL: b"a certificate"})
    made: list[Any] = []

    def then(act: Callable[[], object]) -> Callable[[], object]:
        def both() -> None:
            made.append(act())
            inventory.snapshot(token)

        inventory.snapshot(token)
        return both

    return {
        "a key": calls_of(then(lambda: token.generate(new, OPEN))),
        "an object": calls_of(then(lambda: token.create_object(certificate, OPEN))),
        "another policy": calls_of(then(lambda: token.set_policy(made[0], OTHER))),
        "another label": calls_of(then(lambda: token.change_object(made[1], {CKA.LABEL: b"x"}))),
        "no key": calls_of(then(lambda: token.destroy(token.keys()[-1]))),
        "no object": calls_of(then(lambda: token.remove_object(token.objects()[-1]))),
    }


def test_a_change_costs_the_same_among_many(thousand: Path, tmp_path: Path) -> None:
    with House(tmp_path / "few", keys=3) as few, House(thousand) as many:
        objects = [NewObject(Kind.DATA, {CKA.LABEL: b"%d" % n}) for n in range(500)]
        for new in objects:
            many.token.create_object(new, OPEN)
        among_few = changes(few, Inventory([few.store]))
        among_many = changes(many, Inventory([many.store]))
        for name, cost in among_few.items():
            assert among_many[name] < 1.3 * cost + 50, (name, cost, among_many[name])


def test_only_what_is_used_is_in_memory(thousand: Path) -> None:
    with House(thousand) as house:
        house.token.sign(house.key("key 7"), EdDsa(), Message(b""))
        held = [each for each in house.token._held.values() if each.private is not None]
        assert [each.key.label for each in held] == ["key 7"]
        assert house.token.policy_of(house.key("key 8")) == OPEN

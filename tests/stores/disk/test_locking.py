"""The lock of a token while many want it, and after its slots changed."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.stores.cheap import COST, disk_store

from keyholm.core.errors import (
    KeyholmError,
    PassphraseIncorrect,
    PolicyForbids,
    StoreFailed,
    TokenBusy,
    TokenLocked,
    TokenNotFound,
)
from keyholm.core.mechanisms import EdDsa, Message
from keyholm.core.model import Algorithm, NewKey
from keyholm.core.policy import OPEN, Policy
from keyholm.core.secret import Secret
from keyholm.core.store import Change, Event
from keyholm.stores.disk.cost import Cost
from keyholm.stores.disk.crypto import WAITING
from keyholm.stores.disk.store import DiskStore
from keyholm.stores.disk.token import DiskToken

# Slow enough that all of a crowd come while the first of them is tried.
SLOW = Cost(3, 32 * 1024, 1)
MESSAGE = Message(b"message")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DiskStore]:
    made = disk_store(tmp_path / "store")
    with Secret.of(b"right") as right:
        made.make_token("main", 1000, right)
    yield made
    made.close()


@pytest.fixture
def token(store: DiskStore) -> DiskToken:
    return store.tokens()[0]


def test_a_crowd_with_passphrases_is_turned_away_and_listing_does_not_wait(tmp_path: Path) -> None:
    store = DiskStore(tmp_path / "store", cost=SLOW, floor=COST)
    with Secret.of(b"right") as right:
        store.make_token("main", 1000, right)
    token = store.tokens()[0]
    token.generate(NewKey("a key", Algorithm.ED25519), OPEN)
    token.lock()
    answers: list[type[KeyholmError]] = []

    def guess() -> None:
        with Secret.of(b"wrong") as wrong:
            try:
                token.unlock(wrong)
            except KeyholmError as error:
                answers.append(type(error))

    crowd = [threading.Thread(target=guess) for _ in range(3 * WAITING)]
    for each in crowd:
        each.start()
    begun = time.monotonic()
    assert len(token.keys()) == 1
    listed = time.monotonic() - begun
    for each in crowd:
        each.join()
    tried = time.monotonic() - begun
    store.close()

    found = Counter(answers)
    assert set(found) == {PassphraseIncorrect, TokenBusy}
    assert found.total() == len(crowd)
    assert found[PassphraseIncorrect] >= 1 + WAITING
    assert listed < tried / 3


def test_a_wrong_passphrase_is_wrong_while_the_token_is_open(token: DiskToken) -> None:
    with Secret.of(b"wrong") as wrong, pytest.raises(PassphraseIncorrect):
        token.unlock(wrong)
    assert not token.locked
    with Secret.of(b"right") as right:
        token.unlock(right)


def test_what_a_removed_slot_took_is_no_proof_any_more(token: DiskToken) -> None:
    with Secret.of(b"right") as right, token.add_recovery_code(right) as code:
        token.lock()
        token.unlock(code)
        token.verify(code)
        token.remove_slot(right, "recovery")
        with pytest.raises(PassphraseIncorrect):
            token.verify(code)
        token.verify(right)


def test_what_a_changed_slot_took_is_no_proof_any_more(token: DiskToken) -> None:
    with Secret.of(b"right") as right, Secret.of(b"other") as other:
        token.verify(right)
        token.change_passphrase(right, other)
        with pytest.raises(PassphraseIncorrect):
            token.verify(right)
        token.verify(other)


def test_who_is_told_of_an_unlock_may_use_the_token(store: DiskStore, token: DiskToken) -> None:
    """Also where the unlock is part of something else."""
    token.lock()
    told: list[Event] = []

    def listen(event: Event) -> None:
        # From another thread: it would hang if the token held its lock.
        listing = threading.Thread(target=token.keys)
        listing.start()
        listing.join(timeout=10)
        assert not listing.is_alive()
        told.append(event)

    store.listen(listen)
    with Secret.of(b"right") as right, Secret.of(b"other") as other:
        token.change_passphrase(right, other)
    assert [event.change for event in told] == [Change.UNLOCKED]


def test_a_policy_that_was_loosened_while_locked_decides_nothing(tmp_path: Path) -> None:
    """The gate decides by the policy that is shown, asks for the passphrase, and signs."""
    folder = tmp_path / "store"
    store = disk_store(folder)
    with Secret.of(b"right") as right:
        store.make_token("main", 1000, right)
        store.tokens()[0].generate(NewKey("a key", Algorithm.ED25519), Policy(max_uses=3))
        store.close()

        journal = folder / "tokens" / "main" / "journal"
        journal.write_bytes(journal.read_bytes().replace(b"max_uses = 3", b"max_uses = 9"))
        store = disk_store(folder)
        token = store.tokens()[0]
        (shown,) = token.keys()
        assert (token.policy_of(shown), shown.verified) == (Policy(max_uses=9), False)
        with pytest.raises(TokenLocked):
            token.sign(shown, EdDsa(), MESSAGE)
        token.unlock(right)
        with pytest.raises(PolicyForbids):
            token.sign(shown, EdDsa(), MESSAGE)

        (key,) = token.keys()
        assert (token.policy_of(key), key.verified) == (Policy(max_uses=3), True)
        token.sign(key, EdDsa(), MESSAGE)
        assert any("journal" in damage for damage in token.damage())
    store.close()


def test_a_locked_token_is_not_damaged(token: DiskToken) -> None:
    token.generate(NewKey("a key", Algorithm.ED25519), OPEN)
    token.lock()
    assert token.damage() == []


@pytest.mark.parametrize("label", ["", "two\nlines", "\x1b[31mred", "x" * 1025, "null\0"])
def test_a_name_that_a_terminal_would_obey_is_refused(token: DiskToken, label: str) -> None:
    with pytest.raises(KeyholmError, match="printable"):
        token.generate(NewKey(label, Algorithm.ED25519), OPEN)
    assert token.keys() == []


def test_a_token_that_cannot_be_opened_is_named_and_the_others_are_there(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    store = disk_store(folder)
    for name in ("loose", "sound"):
        store.make_token(name, 1000, None)
    store.close()
    (folder / "tokens" / "loose").chmod(0o755)
    (folder / "tokens" / "stray").write_text("no token")

    store = disk_store(folder)
    try:
        assert [token.name for token in store.tokens()] == ["sound"]
        damage = store.damage()
        assert set(damage) == {"loose", "stray"}
        assert "chmod go-rwx" in damage["loose"]
    finally:
        store.close()


def test_a_key_that_counted_is_not_lost_with_its_line(tmp_path: Path) -> None:
    """A crash between a line of the journal and the renaming, and then a bad disk."""
    folder = tmp_path / "store"
    store = disk_store(folder)
    with Secret.of(b"right") as right:
        store.make_token("main", 1000, right)
        token = store.tokens()[0]
        made = [token.generate(NewKey(f"key {n}", Algorithm.ED25519), OPEN) for n in range(3)]
        store.close()
        place = folder / "tokens" / "main"
        file = place / "keys" / f"{made[2].place.object}.1.key"
        file.rename(file.with_name(f"{file.name}.new"))
        journal = place / "journal"
        journal.write_bytes(journal.read_bytes().replace(b'"label":"key 2"', b'"label":"key 9"'))

        store = disk_store(folder)
        token = store.tokens()[0]
        token.unlock(right)
        keys = token.keys()
        assert sorted(key.label for key in keys) == ["key 0", "key 1", "key 2"]
        for key in keys:
            token.sign(key, EdDsa(), MESSAGE)
    store.close()


def test_a_token_that_was_removed_does_nothing_to_its_successor(
    store: DiskStore, token: DiskToken
) -> None:
    store.remove_token(token)
    with Secret.of(b"other") as other:
        successor = store.make_token("main", 1000, other)
    assert isinstance(successor, DiskToken)
    key = successor.generate(NewKey("a key", Algorithm.ED25519), OPEN)

    with Secret.of(b"right") as right, pytest.raises(StoreFailed):
        token.unlock(right)
    with pytest.raises(TokenLocked):
        token.generate(NewKey("another", Algorithm.ED25519), OPEN)
    with pytest.raises(TokenNotFound):
        store.remove_token(token)
    with Secret.of(b"other") as other:
        successor.lock()
        successor.unlock(other)
    assert (successor.keys(), successor.damage()) == ([key], [])


def test_one_of_many_who_make_the_same_token_makes_it(store: DiskStore) -> None:
    outcomes: list[str] = []

    def make() -> None:
        try:
            store.make_token("wanted", 1000, None)
            outcomes.append("made")
        except KeyholmError as error:
            outcomes.append(type(error).__name__)

    crowd = [threading.Thread(target=make) for _ in range(8)]
    for each in crowd:
        each.start()
    for each in crowd:
        each.join()
    assert sorted(outcomes) == ["AlreadyExists"] * 7 + ["made"]
    token = store.tokens()[1]
    assert (token.locked, token.damage()) == (False, [])

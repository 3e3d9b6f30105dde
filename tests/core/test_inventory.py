"""Snapshots of what tokens hold: kept through changes, and the same as if taken anew."""

import random
from collections.abc import Callable, Sequence

import pytest
from msgspec.structs import replace

from keyholm.core.inventory import Inventory, Snapshot
from keyholm.core.model import Key, KeyId, Kind, Object, Origin, Place
from keyholm.core.store import Change, Event, Listener

LABELS = ("a", "b", "c")


class Holder:
    """A token that counts how often it was listed, and the store that it is in."""

    store = name = label = "fake"
    owner = 1000
    accepted_uids: frozenset[int] = frozenset()

    def __init__(self) -> None:
        self.held: dict[str, Key] = {}
        self.listings = 0
        self.tell: Listener = lambda event: None

    def keys(self) -> Sequence[Key]:
        self.listings += 1
        return list(self.held.values())

    def tokens(self) -> Sequence["Holder"]:
        return (self,)

    def listen(self, listener: Listener) -> None:
        self.tell = listener

    def close(self) -> None: ...

    def change(self, before: Key | None, after: Key | None) -> None:
        if before is not None and after is None:
            del self.held[before.place.object]
        if after is not None:
            self.held[after.place.object] = after
        self.tell(Event("fake", "fake", Change.KEYS_CHANGED, before, after))


def key(number: int, twin: int | None = None) -> Key:
    """`twin`: the number of the key that it is the same as."""
    which = number if twin is None else twin
    key_id = KeyId(f"{which:064x}")
    blob = b"" if which % 3 == 0 else b"blob %d" % which
    return Key(key_id, Place("fake", "fake", str(number)), None, blob, "a", Origin.GENERATED)


def contents(snapshot: Snapshot) -> tuple[object, ...]:
    return snapshot.keys, snapshot.by_identity, snapshot.by_id


@pytest.mark.parametrize("seed", range(20))
def test_after_any_changes_a_snapshot_is_as_if_taken_anew(seed: int) -> None:
    chance, holder = random.Random(seed), Holder()
    inventory = Inventory([holder])
    inventory.snapshot(holder)
    for number in range(200):
        known = list(holder.held.values())
        one = chance.choice(known) if known else None
        if one is None or chance.random() < 0.4:
            twin = int(one.id, 16) if one is not None and chance.random() < 0.5 else None
            holder.change(None, key(number, twin))
        elif chance.random() < 0.5:
            holder.change(one, replace(one, label=chance.choice(LABELS)))
        else:
            holder.change(one, None)
        taken = inventory.snapshot(holder)
        assert contents(taken) == contents(Snapshot(holder, list(holder.held.values())))
    assert holder.listings == 1


def test_the_keys_are_the_same_tuple_until_something_changes() -> None:
    holder = Holder()
    inventory = Inventory([holder])
    holder.change(None, key(1))
    before = inventory.snapshot(holder).keys
    assert inventory.snapshot(holder).keys is before
    holder.change(None, key(2))
    assert inventory.snapshot(holder).keys == (*before, key(2))


NEWS: dict[str, Callable[[Key], Event]] = {
    "a change of who knows what": lambda one: Event("fake", "fake", Change.KEYS_CHANGED),
    "a lock": lambda one: Event("fake", "fake", Change.LOCKED),
    "another key than the one that is here": lambda one: Event(
        "fake", "fake", Change.KEYS_CHANGED, replace(one), replace(one)
    ),
    "a key that is here already": lambda one: Event("fake", "fake", Change.KEYS_CHANGED, None, one),
}


@pytest.mark.parametrize("news", NEWS)
def test_whatever_does_not_fit_has_it_taken_anew(news: str) -> None:
    holder = Holder()
    inventory = Inventory([holder])
    holder.change(None, key(1))
    inventory.snapshot(holder)
    inventory.changed(NEWS[news](holder.held["1"]))
    assert inventory.snapshot(holder).keys == (holder.held["1"],)
    assert holder.listings == 2


def test_objects_change_nothing_of_keys_and_everybody_hears_of_them() -> None:
    holder = Holder()
    heard: list[Event] = []
    inventory = Inventory([holder])
    inventory.listen(heard.append)
    before, epoch = inventory.snapshot(holder), inventory.epoch
    data = Object(Place("fake", "fake", "data"), Kind.DATA, {})
    event = Event("fake", "fake", Change.OBJECTS_CHANGED, None, data)
    inventory.changed(event)
    assert heard == [event]
    assert inventory.snapshot(holder) is before
    assert inventory.epoch == epoch

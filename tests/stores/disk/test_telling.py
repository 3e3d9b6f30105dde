"""What a token tells of its changes: each one, in order, to a listener that keeps an index."""

import random
import time
from pathlib import Path

from tests.stores.disk.house import House

from keyholm.core.model import Algorithm, Key, NewKey, Object
from keyholm.core.policy import OPEN
from keyholm.core.store import Change, Event
from keyholm.testing.store_contract import in_threads, new_objects
from keyholm.wire.pkcs11.constants import CKA


def test_changes_of_many_threads_are_told_in_their_order(tmp_path: Path) -> None:
    shown: dict[str, Key | Object] = {}
    wrong: list[Event] = []
    chance = random.Random(1)

    def take(event: Event) -> None:
        one = event.before or event.after
        assert one is not None
        time.sleep(chance.uniform(0, 0.003))  # time enough for another one to overtake it
        if shown.get(one.place.object) is not event.before:
            wrong.append(event)
        if event.after is None:
            shown.pop(one.place.object, None)
        else:
            shown[one.place.object] = event.after

    with House(tmp_path / "store") as house:
        token = house.token
        house.store.listen(take)
        shared = house.add("shared")

        def work(number: int) -> None:
            for turn in range(8):
                new = NewKey("k", Algorithm.ED25519, attributes={CKA.ID: bytes((number, turn))})
                key = token.generate(new, OPEN)
                made = token.create_object(new_objects()[turn % 6], OPEN)
                token.change_object(made, {CKA.LABEL: b"changed"})
                token.change_object(shared, {CKA.LABEL: bytes((number, turn))})
                if turn % 2:
                    token.destroy(key)

        in_threads(work, 4)
        assert wrong == []
        assert [each for each in shown.values() if isinstance(each, Key)] == list(token.keys())
        assert [each for each in shown.values() if isinstance(each, Object)] == list(
            token.objects()
        )


def test_a_listener_may_change_something_itself(tmp_path: Path) -> None:
    told: list[Change] = []
    with House(tmp_path / "store") as house:

        def listen(event: Event) -> None:
            told.append(event.change)
            if len(told) == 1:
                house.add("by the listener")

        house.store.listen(listen)
        house.add("first")
        assert told == [Change.KEYS_CHANGED] * 2
        assert house.labels() == ["first", "by the listener"]

"""All tokens of all stores, as they come and go, with their keys indexed.

A snapshot of a token's keys is taken when somebody first asks after a change, so that
10,000 keys cost their listing once and not at every request.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from keyholm.core.errors import StoreFailed, TokenNotFound
from keyholm.core.model import Key, KeyId, Object
from keyholm.core.store import Event, Store, Token


@dataclass(slots=True)
class Snapshot:
    """The keys of one token at one time."""

    token: Token
    keys: tuple[Key, ...]
    by_identity: dict[bytes, Key] = field(default_factory=dict)
    by_id: dict[KeyId, list[Key]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key in self.keys:
            if key.identity:  # SSH has words for it
                self.by_identity.setdefault(key.identity, key)
            self.by_id.setdefault(key.id, []).append(key)


class Inventory:
    """`epoch` grows with every change, so that what was derived can be kept until then."""

    def __init__(self, stores: Sequence[Store]) -> None:
        self.stores = tuple(stores)
        self.epoch = 0
        self._lock = threading.Lock()
        self._snapshots: dict[tuple[str, str], Snapshot] = {}
        self._listeners: list[Callable[[Event], None]] = []
        for store in self.stores:
            store.listen(self.changed)

    def listen(self, listener: Callable[[Event], None]) -> None:
        self._listeners.append(listener)

    def changed(self, event: Event) -> None:
        """What was derived from a token, such as who may see its keys, holds no longer."""
        with self._lock:
            self.epoch += 1
            self._snapshots.pop((event.store, event.token), None)
        for listener in self._listeners:
            listener(event)

    def tokens(self) -> Iterator[Token]:
        for store in self.stores:
            yield from store.tokens()

    def snapshot(self, token: Token) -> Snapshot:
        place = (token.store, token.name)
        known = self._snapshots.get(place)
        if known is not None and known.token is token:
            return known
        with self._lock:
            epoch = self.epoch
        taken = Snapshot(token, tuple(token.keys()))
        with self._lock:
            if self.epoch == epoch:  # else a change came in between: keep nothing
                self._snapshots[place] = taken
        return taken

    def with_id(self, key_id: KeyId) -> list[Key]:
        """The same key in every place where it is."""
        return [
            key for token in self.tokens() for key in self.snapshot(token).by_id.get(key_id, ())
        ]

    def token(self, store: str, name: str) -> Token:
        for candidate in self.tokens():
            if candidate.store == store and candidate.name == name:
                return candidate
        raise TokenNotFound(f"There is no token {store}/{name}.", remedy="See `keyholm status`.")

    def token_of(self, key: Key | Object) -> Token:
        return self.token(key.place.store, key.place.token)

    def store(self, name: str) -> Store:
        for store in self.stores:
            if store.name == name:
                return store
        raise StoreFailed(f"The {name} store is not running.", remedy="See `keyholm status`.")

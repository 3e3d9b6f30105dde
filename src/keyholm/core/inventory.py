"""All tokens of all stores, as they come and go, with their keys indexed.

A snapshot of a token's keys is taken when somebody first asks, and kept: a change of one key
changes its entries, and any other change has it taken anew. So 10,000 keys cost their listing
once, and neither at every request nor at every new key.
"""

import threading
from collections.abc import Callable, Iterator, Sequence

from keyholm.core.errors import StoreFailed, TokenNotFound
from keyholm.core.model import Key, KeyId, Object
from keyholm.core.store import Change, Event, Store, Token


class Snapshot:
    """The keys of one token as they are now."""

    __slots__ = ("_by_object", "_keys", "by_id", "by_identity", "token")

    def __init__(self, token: Token, keys: Sequence[Key]) -> None:
        self.token = token
        self._by_object = {key.place.object: key for key in keys}
        self._keys: tuple[Key, ...] | None = tuple(keys)
        self.by_identity: dict[bytes, Key] = {}  # the oldest that has it
        self.by_id: dict[KeyId, list[Key]] = {}
        for key in keys:
            if key.identity:  # SSH has words for it
                self.by_identity.setdefault(key.identity, key)
            self.by_id.setdefault(key.id, []).append(key)

    @property
    def keys(self) -> tuple[Key, ...]:
        """Oldest first; the same tuple until something changes."""
        keys = self._keys
        if keys is None:
            keys = self._keys = tuple(self._by_object.values())
        return keys

    def change(self, before: Key | None, after: Key | None) -> bool:
        """Have `after` instead of `before`; False where it is not `before` that was here."""
        one = before or after
        if one is None or self._by_object.get(one.place.object) is not before:
            return False
        if before is not None and after is not None and _same(before, after):
            self._replace(before, after)
        else:
            if before is not None:
                self._drop(before)
            if after is not None:
                self._add(after)
        self._keys = None
        return True

    def _replace(self, before: Key, after: Key) -> None:
        self._by_object[after.place.object] = after
        twins = self.by_id[before.id]
        self.by_id[before.id] = [after if key is before else key for key in twins]
        if self.by_identity.get(before.identity) is before:
            self.by_identity[before.identity] = after

    def _drop(self, key: Key) -> None:
        del self._by_object[key.place.object]
        left = [each for each in self.by_id[key.id] if each is not key]
        if left:
            self.by_id[key.id] = left
        else:
            del self.by_id[key.id]
        if self.by_identity.get(key.identity) is key:
            twin = next((each for each in left if each.identity == key.identity), None)
            if twin is None:
                del self.by_identity[key.identity]
            else:
                self.by_identity[key.identity] = twin

    def _add(self, key: Key) -> None:
        self._by_object[key.place.object] = key
        if key.identity:
            self.by_identity.setdefault(key.identity, key)
        self.by_id[key.id] = [*self.by_id.get(key.id, ()), key]


def _same(one: Key, other: Key) -> bool:
    return (one.place, one.id, one.identity) == (other.place, other.id, other.identity)


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
        if event.change is not Change.OBJECTS_CHANGED:  # of which nothing here is made
            with self._lock:
                self.epoch += 1
                self._take(event)
        for listener in self._listeners:
            listener(event)

    def _take(self, event: Event) -> None:
        place = (event.store, event.token)
        snapshot = self._snapshots.get(place)
        if snapshot is None:
            return
        before, after = event.before, event.after
        if isinstance(before, Object) or isinstance(after, Object):
            return
        if event.change is not Change.KEYS_CHANGED or not snapshot.change(before, after):
            del self._snapshots[place]

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
        taken = Snapshot(token, token.keys())
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

"""The memory store: keys that `ssh-add` hands over, until the daemon ends.

Adding a key again replaces it, its comment and its constraints, and keeps its place in
the list, as OpenSSH's agent does. Lifetimes run on a clock that goes on while the machine
sleeps; what has expired is dropped before each listing and use, without a look at others.
"""

import heapq
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Final

from keyholm.core.errors import KeyNotFound, StoreFailed
from keyholm.core.model import Input, Key, KeyId, Mechanism, Origin, Place
from keyholm.core.policy import Policy
from keyholm.core.store import (
    Change,
    Describes,
    Destroys,
    Event,
    Handover,
    Imports,
    Listener,
    Signs,
)
from keyholm.stores.software import keys as software
from keyholm.stores.software.shield import Shield, Shielded
from keyholm.wire.ssh import keys
from keyholm.wire.ssh.private_keys import (
    Private,
    PrivateSkEcdsa,
    PrivateSkEd25519,
    PrivateWithCertificate,
)

NAME: Final = "memory"
SkSign = Callable[[PrivateSkEd25519 | PrivateSkEcdsa, str, bytes], bytes]


def _no_sk(private: PrivateSkEd25519 | PrivateSkEcdsa, provider: str, data: bytes) -> bytes:
    raise StoreFailed(
        "FIDO keys cannot be used: there is no ssh-sk-helper.",
        remedy="Install OpenSSH's client package.",
    )


def boot_seconds() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(slots=True)
class _Held:
    key: Key
    private: Shielded
    policy: Policy
    provider: str
    expires: float | None


class MemoryToken(Signs, Imports, Destroys, Describes):
    """The one token of the store."""

    store = NAME
    label = "handed over by ssh-add"

    def __init__(
        self,
        name: str,
        owner: int,
        shield: Shield,
        tell: Callable[[Event], None],
        sk_sign: SkSign,
        clock: Callable[[], float],
    ) -> None:
        self.name, self.owner = name, owner
        self.accepted_uids: frozenset[int] = frozenset()
        self._shield, self._tell, self._sk_sign, self._clock = shield, tell, sk_sign, clock
        self._lock = threading.Lock()
        self._held: dict[str, _Held] = {}  # by the fingerprint of the identity, in order
        self._expiries: list[tuple[float, int, str]] = []
        self._order = count()

    def keys(self) -> Sequence[Key]:
        with self._lock:
            return [held.key for held in self._held.values()]

    # --- use ---------------------------------------------------------------------------

    def sign(self, key: Key, mechanism: Mechanism, data: Input) -> bytes:
        held = self._held.get(key.place.object)
        if held is None or (held.expires is not None and held.expires <= self._clock()):
            self.expire()
            raise _gone(key)
        if key.application:
            return self._sign_by_device(held, data.data)
        return held.private.signer(key.public, mechanism)(held.private.loaded(), data)

    def _sign_by_device(self, held: _Held, data: bytes) -> bytes:
        def ask(private: Private) -> bytes:
            if not isinstance(private, PrivateSkEd25519 | PrivateSkEcdsa):
                raise StoreFailed("This key is not a FIDO key.")
            return self._sk_sign(private, held.provider, data)

        signature: bytes = held.private.with_private(ask)
        return signature

    # --- management --------------------------------------------------------------------

    def import_key(self, private: Private, new: Handover, policy: Policy) -> Key:
        if isinstance(private, PrivateWithCertificate):
            private = private.private
        software.check(private)
        public = private.public
        blob = keys.encode(public)
        identity = new.certificate or blob
        place = Place(NAME, self.name, keys.fingerprint(identity))
        application = getattr(public, "application", b"")
        key = Key(
            KeyId(keys.key_id(public)),
            place,
            public,
            blob,
            new.label,
            Origin.HANDED_OVER,
            certificate=new.certificate,
            application=application.decode("utf-8", "replace"),
        )
        expires = None if new.lifetime is None else self._clock() + new.lifetime
        held = _Held(key, self._shield.seal(private), policy, new.provider, expires)
        with self._lock:
            before = self._held.get(place.object)
            self._held[place.object] = held  # an old entry keeps its place
            if expires is not None:
                heapq.heappush(self._expiries, (expires, next(self._order), place.object))
        if before is not None:
            before.private.close()
        self._changed()
        return key

    def destroy(self, key: Key) -> None:
        with self._lock:
            held = self._held.pop(key.place.object, None)
        if held is None:
            raise _gone(key)
        held.private.close()
        self._changed()

    def rename(self, key: Key, label: str) -> Key:
        return self._change(key, lambda held: replace(held, key=replace(held.key, label=label)))

    def policy_of(self, key: Key) -> Policy:
        held = self._held.get(key.place.object)
        if held is None:
            raise _gone(key)
        return held.policy

    def set_policy(self, key: Key, policy: Policy) -> Key:
        return self._change(key, lambda held: replace(held, policy=policy, key=replace(held.key)))

    def _change(self, key: Key, change: Callable[[_Held], _Held]) -> Key:
        with self._lock:
            held = self._held.get(key.place.object)
            if held is None:
                raise _gone(key)
            changed = self._held[key.place.object] = change(held)
        self._changed()
        return changed.key

    # --- time and end ------------------------------------------------------------------

    def expire(self) -> None:
        """Drop what has had its time."""
        if not self._expiries or self._expiries[0][0] > self._clock():
            return
        dropped = []
        with self._lock:
            now = self._clock()
            while self._expiries and self._expiries[0][0] <= now:
                expires, _, name = heapq.heappop(self._expiries)
                held = self._held.get(name)
                # A key that was added again has another time, or none.
                if held is not None and held.expires == expires:
                    dropped.append(self._held.pop(name))
        for held in dropped:
            held.private.close()
        if dropped:
            self._changed()

    def clear(self) -> int:
        with self._lock:
            dropped, self._held = list(self._held.values()), {}
            self._expiries.clear()
        for held in dropped:
            held.private.close()
        if dropped:
            self._changed()
        return len(dropped)

    def _changed(self) -> None:
        self._tell(Event(NAME, self.name, Change.KEYS_CHANGED))


class MemoryStore:
    name = NAME

    def __init__(
        self,
        *,
        owner: int | None = None,
        shield: Shield | None = None,
        sk_sign: SkSign = _no_sk,
        clock: Callable[[], float] = boot_seconds,
    ) -> None:
        self._shield = shield or Shield()
        self._listeners: list[Listener] = []
        owner = os.getuid() if owner is None else owner
        self.token = MemoryToken("session", owner, self._shield, self._tell, sk_sign, clock)

    def tokens(self) -> Sequence[MemoryToken]:
        self.token.expire()
        return (self.token,)

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def close(self) -> None:
        self.token.clear()
        self._shield.close()

    def _tell(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)


def _gone(key: Key) -> KeyNotFound:
    return KeyNotFound(
        f"The agent does not have {key.label!r} any more.", remedy="Add it again by `ssh-add`."
    )

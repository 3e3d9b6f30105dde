"""The memory store: keys that `ssh-add` hands over, until the daemon ends.

Adding a key again replaces it, its comment and its constraints, and keeps its place in
the list, as OpenSSH's agent does; but a key of a PKCS#11 module (`ssh-add -s`) that is there
already stays as it is. Lifetimes run on a clock that goes on while the machine
sleeps; what has expired is dropped before each listing and use, without a look at others.
"""

import heapq
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import count
from types import MappingProxyType
from typing import Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

from keyholm.core.errors import BadCertificate, KeyNotFound
from keyholm.core.mechanisms import Input, Mechanism
from keyholm.core.model import Key, KeyId, Origin, Place
from keyholm.core.policy import Policy
from keyholm.core.store import (
    Change,
    Describes,
    Destroys,
    Event,
    Handover,
    Imports,
    Listener,
    Offers,
    Provided,
    Signs,
    Terms,
)
from keyholm.stores.software import keys as software
from keyholm.stores.software import security_keys
from keyholm.stores.software.security_keys import SkSign
from keyholm.stores.software.shield import Shield
from keyholm.wire.codec import Malformed
from keyholm.wire.ssh import certificates, keys
from keyholm.wire.ssh.keys import PublicKey, SkEcdsa, SkEd25519
from keyholm.wire.ssh.private_keys import Private, PrivateWithCertificate

NAME: Final = "memory"
_NO_FACTS: Final[Mapping[str, str]] = MappingProxyType({})  # one for all: 10,000 keys are many


def boot_seconds() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class _Source(Protocol):
    """What signs with a key: a sealed private half, a FIDO device, a module."""

    def sign(self, mechanism: Mechanism, data: Input) -> bytes: ...
    def close(self) -> None: ...


class _OfModule:
    """A key of a module, which may be offered plain and with certificates."""

    def __init__(self, provided: Provided) -> None:
        self._provided = provided
        self._lock = threading.Lock()
        self._identities = 0

    def offered(self) -> "_OfModule":
        self._identities += 1
        return self

    def sign(self, mechanism: Mechanism, data: Input) -> bytes:
        return self._provided.sign(mechanism, data)

    def close(self) -> None:
        """One of its identities is not offered any more."""
        with self._lock:
            self._identities -= 1
            is_last = not self._identities
        if is_last:
            self._provided.release()


class _Held(Struct):
    key: Key
    source: _Source
    policy: Policy
    expires: float | None
    module: str = ""  # the path of the PKCS#11 module that it is in


class MemoryToken(Signs, Imports, Destroys, Describes, Offers):
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
        return held.source.sign(mechanism, data)

    # --- management --------------------------------------------------------------------

    def import_key(self, private: Private, new: Handover, policy: Policy) -> Key:
        if isinstance(private, PrivateWithCertificate):
            private = private.private
        software.check(private)
        key = self._described(private.public, new.label, new.certificate)
        sealed = self._shield.seal(private)
        source: _Source = sealed
        if isinstance(private.public, SkEd25519 | SkEcdsa):
            source = security_keys.ByDevice(sealed, new.provider, self._sk_sign)
        with self._lock:
            before = self._held.get(key.place.object)
            self._hold(_Held(key, source, policy, self._end(new.lifetime)))
        if before is not None:
            before.source.close()
        self._changed()
        return key

    def _end(self, lifetime: float | None) -> float | None:
        return None if lifetime is None else self._clock() + lifetime

    def _hold(self, held: _Held) -> None:
        """With the lock. What was there before keeps its place in the list."""
        name = held.key.place.object
        self._held[name] = held
        if held.expires is not None:
            heapq.heappush(self._expiries, (held.expires, next(self._order), name))

    def _described(self, public: PublicKey, label: str, certificate: bytes = b"") -> Key:
        blob = keys.encode(public)
        if certificate:
            _check_certificate(certificate, blob)
        application = getattr(public, "application", b"")
        return Key(
            KeyId(keys.key_id(public)),
            Place(NAME, self.name, keys.fingerprint(certificate or blob)),
            public,
            blob,
            label,
            Origin.HANDED_OVER,
            certificate=certificate,
            application=application.decode("utf-8", "replace"),
            facts=_NO_FACTS,
        )

    def offer(self, module: str, provided: Sequence[Provided], terms: Terms, policy: Policy) -> int:
        expires, added = self._end(terms.lifetime), 0
        for each in provided:
            source = _OfModule(each)
            with self._lock:
                new = [
                    key
                    for key in self._identities(each, terms)
                    if key.place.object not in self._held
                ]
                for key in new:
                    self._hold(_Held(key, source.offered(), policy, expires, module))
            added += len(new)
            if not new:
                each.release()
        if added:
            self._changed()
        return added

    def _identities(self, provided: Provided, terms: Terms) -> Iterator[Key]:
        if not terms.certificates_only:
            yield self._described(provided.public, provided.label)
        for certificate in terms.certificates:
            # As OpenSSH: what was made for another key, or is no certificate, goes with none.
            with suppress(BadCertificate):
                yield self._described(provided.public, provided.label, certificate)

    def stop_offering(self, module: str) -> int:
        with self._lock:
            names = [name for name, held in self._held.items() if held.module == module]
            dropped = [self._held.pop(name) for name in names]
        return self._dropped(dropped)

    def _dropped(self, dropped: Sequence[_Held]) -> int:
        for held in dropped:
            held.source.close()
        if dropped:
            self._changed()
        return len(dropped)

    def destroy(self, key: Key) -> None:
        with self._lock:
            held = self._held.pop(key.place.object, None)
        if held is None:
            raise _gone(key)
        self._dropped([held])

    def rename(self, key: Key, label: str) -> Key:
        return self._change(key, lambda held: replace(held, key=replace(held.key, label=label)))

    def policy_of(self, key: Key) -> Policy:
        held = self._held.get(key.place.object)
        if held is None:
            raise _gone(key)
        return held.policy

    def set_policy(self, key: Key, policy: Policy) -> Key:
        # A new `Key`, since what was decided about the old one must not be looked up again.
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
        self._dropped(dropped)

    def clear(self) -> int:
        with self._lock:
            dropped, self._held = list(self._held.values()), {}
            self._expiries.clear()
        return self._dropped(dropped)

    def _changed(self) -> None:
        self._tell(Event(NAME, self.name, Change.KEYS_CHANGED))


class MemoryStore:
    name = NAME

    def __init__(
        self,
        *,
        owner: int | None = None,
        shield: Shield | None = None,
        sk_sign: SkSign = security_keys.no_helper,
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


def _check_certificate(certificate: bytes, blob: bytes) -> None:
    try:
        plain = certificates.plain_blob(certificate)
    except Malformed as error:
        raise BadCertificate(f"This is not an SSH certificate: {error}.") from error
    if plain != blob:
        raise BadCertificate("This certificate was made for another key.")


def _gone(key: Key) -> KeyNotFound:
    return KeyNotFound(
        f"The agent does not have {key.label!r} any more.", remedy="Add it again by `ssh-add`."
    )

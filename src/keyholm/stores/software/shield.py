"""Keys at rest in memory: sealed when idle, loaded while they are in use.

The usable key object is dropped after it was not used for a while; what remains is the
private half encrypted under a key that lies in locked, undumpable memory. This defends
cold keys against partial disclosure of memory and against swap, not against code that
runs in this process (SECURITY.md). A hot key costs one timestamp per use.
"""

import os
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keyholm.core.errors import StoreFailed
from keyholm.core.model import Mechanism
from keyholm.core.secret import Secret
from keyholm.stores.software import keys
from keyholm.wire.codec import Reader
from keyholm.wire.ssh.keys import PublicKey
from keyholm.wire.ssh.private_keys import PRIVATE, Private, write_into

IDLE_SECONDS: Final = 60.0
NONCE: Final = 12
TAG: Final = 16
KEY: Final = 32


class Shield:
    """Seals every key of a process. One thread drops what is idle; it runs while keys are hot."""

    def __init__(
        self, *, idle: float = IDLE_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.clock = clock
        self._idle = idle
        self._key = Secret.random(KEY)
        self._lock = threading.Lock()
        self._hot: set[Shielded] = set()
        self._reaper: threading.Thread | None = None
        self._wake = threading.Event()
        self._closed = False

    def seal(self, private: Private) -> "Shielded":
        """The views of `private` are the caller's to wipe."""
        with written(private) as plain:
            return Shielded(self, self.encrypt(plain.view))

    def encrypt(self, plain: bytearray | memoryview) -> bytes:
        nonce = os.urandom(NONCE)
        return nonce + AESGCM(self._key.view).encrypt(nonce, plain, None)

    def decrypt(self, sealed: bytes) -> Secret:
        if self._closed:
            raise StoreFailed("The keys in memory were forgotten.")
        plain = Secret(len(sealed) - NONCE - TAG)
        AESGCM(self._key.view).decrypt_into(sealed[:NONCE], sealed[NONCE:], None, plain.view)
        return plain

    def warm(self, shielded: "Shielded") -> None:
        with self._lock:
            self._hot.add(shielded)
            if self._reaper is None and not self._closed:
                self._reaper = threading.Thread(target=self._reap, name="shield", daemon=True)
                self._reaper.start()

    def cool(self, shielded: "Shielded") -> None:
        with self._lock:
            self._hot.discard(shielded)

    def drop_idle(self) -> int:
        """Forget the loaded form of every idle key; how many are still hot."""
        limit = self.clock() - self._idle
        with self._lock:
            idle = [shielded for shielded in self._hot if shielded.used <= limit]
            self._hot.difference_update(idle)
            left = len(self._hot)
        for shielded in idle:
            shielded.drop()
        return left

    def _reap(self) -> None:
        while not self._wake.wait(max(0.05, self._idle / 4)):
            self.drop_idle()
            with self._lock:
                if not self._hot:
                    self._reaper = None
                    return

    def close(self) -> None:
        with self._lock:
            self._closed = True
            hot, self._hot = self._hot, set()
            reaper, self._reaper = self._reaper, None
        for shielded in hot:
            shielded.drop()
        self._wake.set()
        if reaper is not None:
            reaper.join()
        self._key.close()


class Shielded:
    """One private key: always its sealed form, while it is hot the loaded one as well."""

    __slots__ = ("_loaded", "_sealed", "_shield", "_signers", "used")

    def __init__(self, shield: Shield, sealed: bytes) -> None:
        self._shield, self._sealed = shield, sealed
        self._loaded: Any = None
        self._signers: dict[int, tuple[Mechanism, keys.Signer]] = {}
        self.used = 0.0

    def signer(self, public: PublicKey, mechanism: Mechanism) -> keys.Signer:
        """How it signs by `mechanism`. Raises `MechanismUnsupported`."""
        known = self._signers.get(id(mechanism))
        if known is None:
            known = self._signers[id(mechanism)] = (mechanism, keys.signer(public, mechanism))
        return known[1]

    def loaded(self) -> Any:
        """What signs. Unsealed and loaded if it was idle."""
        self.used = self._shield.clock()
        loaded = self._loaded
        if loaded is None:
            loaded = self._loaded = self.with_private(keys.load)
            self._shield.warm(self)
        return loaded

    def with_private(self, use: Callable[[Private], Any]) -> Any:
        """What `use` makes of the private half, whose views end with the call."""
        with self._shield.decrypt(self._sealed) as plain:
            private = PRIVATE.read(Reader(plain.view))
            try:
                return use(private)
            finally:
                _release(private)

    def drop(self) -> None:
        self._loaded = None

    def close(self) -> None:
        self._loaded, self._sealed = None, b""
        self._shield.cool(self)


def written(private: Private) -> Secret:
    """`private` as `PRIVATE` writes it, in locked memory and nowhere else."""
    made: list[Secret] = []

    def allocate(size: int) -> memoryview:
        made.append(Secret(size))
        return made[0].view

    write_into(private, allocate)
    return made[0]


def _release(private: Private) -> None:
    """Let go of the views, so that the memory below them can be given back."""
    for name in private.__slots__:
        value = getattr(private, name)
        if isinstance(value, memoryview):
            value.release()


def wipe(private: Private) -> None:
    """Overwrite the secret parts of a key that nobody needs any more, where they can be."""
    for name in private.__slots__:
        value = getattr(private, name)
        if isinstance(value, memoryview) and not value.readonly:
            value[:] = bytes(len(value))

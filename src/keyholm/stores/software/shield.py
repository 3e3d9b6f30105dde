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
from typing import Any, Final, TypeVar

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keyholm.core.errors import KeyNotFound, StoreFailed
from keyholm.core.mechanisms import Input, Mechanism, Verb
from keyholm.core.secret import Secret
from keyholm.core.store import Running
from keyholm.stores.software import deriving, material, signing, using
from keyholm.stores.software.material import Form, Material, Shape
from keyholm.stores.software.plain import plain_form, released
from keyholm.wire.codec import Reader
from keyholm.wire.ssh.private_keys import PRIVATE, Private

IDLE_SECONDS: Final = 60.0
NONCE: Final = 12
TAG: Final = 16
KEY: Final = 32
# A door keeps its few mechanisms; one that makes a new one for each request must not fill us.
MOST_SIGNERS: Final = 16

Made = TypeVar("Made")


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
        with plain_form(private) as plain:
            return Shielded(self, self.encrypt(plain.view))

    def seal_material(self, kept: Material) -> "Shielded":
        """`kept` is the caller's to close."""
        return Shielded(self, self.encrypt(kept.secret.view), kept.shape)

    def encrypt(self, plain: memoryview) -> bytes:
        self._check_open()
        nonce = os.urandom(NONCE)
        return nonce + AESGCM(self._key.view).encrypt(nonce, plain, None)

    def decrypt(self, sealed: bytes) -> Secret:
        self._check_open()
        plain = Secret(len(sealed) - NONCE - TAG)
        AESGCM(self._key.view).decrypt_into(sealed[:NONCE], sealed[NONCE:], None, plain.view)
        return plain

    def _check_open(self) -> None:
        if self._closed:
            raise StoreFailed("The keys in memory were forgotten.", remedy="Start the daemon.")

    def warm(self, shielded: "Shielded") -> None:
        with self._lock:
            if self._closed:
                shielded.drop()
                return
            self._hot.add(shielded)
            if self._reaper is None:
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
    """One private or secret key: always its sealed form, while it is hot the loaded one as well."""

    __slots__ = ("_loaded", "_sealed", "_shape", "_shield", "_signers", "used")

    def __init__(self, shield: Shield, sealed: bytes, shape: Shape = Form.SSH) -> None:
        """`sealed` is what `shield.encrypt` made of material of this shape."""
        self._shield, self._sealed, self._shape = shield, sealed, shape
        self._loaded: Any = None
        self._signers: dict[int, tuple[Mechanism, signing.Signer]] | None = None
        self.used = 0.0

    def sign(self, mechanism: Mechanism, data: Input) -> bytes:
        """Raises `MechanismUnsupported`."""
        # By identity, which is ten times faster than hashing a mechanism; the mechanism is
        # kept with its signer, so that its id stays its own.
        signers = self._signers
        known = signers.get(id(mechanism)) if signers else None
        self.used = self._shield.clock()
        loaded = self._loaded
        if loaded is None:
            loaded = self._load()
        if known is None:
            known = self._learn(loaded, mechanism)
        return known[1](loaded, data)

    def begin(self, verb: Verb, mechanism: Mechanism) -> Running:
        """A use whose data comes in parts; see `using.begin`. It goes on if the key is sealed,
        or removed, meanwhile."""
        return using.begin(self.in_use(), verb, mechanism)

    def in_use(self) -> Any:
        """The key as `deriving` and `wrapping` want it, which keeps it hot."""
        self.used = self._shield.clock()
        loaded = self._loaded
        return self._load() if loaded is None else loaded

    def derive(self, mechanism: Mechanism, size: int) -> Secret:
        return deriving.derive(self.in_use(), mechanism, size)

    def _learn(self, loaded: Any, mechanism: Mechanism) -> tuple[Mechanism, signing.Signer]:
        known = (mechanism, signing.signer(loaded, mechanism))
        signers = self._signers
        if signers is None or len(signers) >= MOST_SIGNERS:
            signers = self._signers = {}
        signers[id(mechanism)] = known
        return known

    def _load(self) -> Any:
        loaded = self._loaded = self.with_material(material.loaded)
        self._shield.warm(self)
        return loaded

    @property
    def is_hot(self) -> bool:
        return self._loaded is not None

    def with_material(self, use: Callable[[Material], Made]) -> Made:
        """What `use` makes of the key as it is kept, which ends with the call."""
        sealed = self._sealed
        if not sealed:
            raise KeyNotFound("This key was removed a moment ago.")
        with self._shield.decrypt(sealed) as plain:
            return use(Material(self._shape, plain))

    def with_private(self, use: Callable[[Private], Made]) -> Made:
        """What `use` makes of a private half in SSH's form, whose views end with the call."""

        def read(kept: Material) -> Made:
            if kept.shape is not Form.SSH:
                raise StoreFailed("SSH has no words for this key.")
            with released(PRIVATE.read(Reader(kept.secret.view))) as private:
                return use(private)

        return self.with_material(read)

    def drop(self) -> None:
        self._loaded = None

    def close(self) -> None:
        self._loaded, self._sealed = None, b""
        self._shield.cool(self)

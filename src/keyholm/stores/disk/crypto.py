"""How a token's keys are wrapped: passphrase → slot key → KEK → one data key a file.

    slot key                argon2id of a passphrase, HKDF of a recovery code
    KEK                     32 random bytes, wrapped by each slot (AES-256-GCM-SIV)
    wrap, journal, header   HKDF-SHA-256 of the KEK
    data key                fresh at each write, wrapped under `wrap` (AES-256-GCM-SIV)
    body                    AES-256-GCM under the data key

Every wrapping names what it belongs to, so that no piece can stand in for another. Keys and
plain text are in `Secret`s and nowhere else.
"""

import hmac
import os
import threading
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESGCMSIV
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keyholm.core.errors import TokenBusy
from keyholm.core.secret import Secret
from keyholm.stores.disk.cost import Cost

KEY: Final = 32
NONCE: Final = 12
TAG: Final = 16
SALT: Final = 16
WRAPPED: Final = NONCE + KEY + TAG
WAITING: Final = 8

_running = threading.Lock()
_admitted = threading.BoundedSemaphore(1 + WAITING)


def stretch(passphrase: Secret, salt: bytes, cost: Cost) -> Secret:
    """One argon2id at a time in this process, and not many waiting: each takes 256 MiB.

    Raises `TokenBusy`.
    """
    if not _admitted.acquire(blocking=False):
        raise TokenBusy(
            "Too many passphrases are being tried at once.", remedy="Try again in a moment."
        )
    try:
        with _running:
            return _argon2id(passphrase, salt, cost)
    finally:
        _admitted.release()


def _argon2id(passphrase: Secret, salt: bytes, cost: Cost) -> Secret:
    kdf = Argon2id(
        salt=salt, length=KEY, iterations=cost.passes, lanes=cost.lanes, memory_cost=cost.memory
    )
    derived = Secret(KEY)
    # The stub says bytes; it takes any buffer, and bytes could not be wiped.
    kdf.derive_into(passphrase.view, derived.view)  # type: ignore[arg-type]
    return derived


def subkey(key: Secret, salt: bytes, purpose: str) -> Secret:
    derived = Secret(KEY)
    kdf = HKDF(hashes.SHA256(), KEY, salt, f"keyholm-disk-1 {purpose}".encode())
    kdf.derive_into(key.view, derived.view)
    return derived


class Subkeys:
    """What the KEK of an unlocked token gives."""

    def __init__(self, kek: Secret, token: bytes) -> None:
        self.wrap = subkey(kek, token, "wrap")
        self.journal = subkey(kek, token, "journal")
        self.header = subkey(kek, token, "header")

    def close(self) -> None:
        for key in (self.wrap, self.journal, self.header):
            key.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


def mac(key: Secret, *parts: bytes) -> bytes:
    return hmac.digest(key.view, b"".join(parts), "sha256")


def wrap(key: Secret, secret: Secret, bound: bytes) -> bytes:
    nonce = os.urandom(NONCE)
    return nonce + AESGCMSIV(key.view).encrypt(nonce, secret.view, bound)


def unwrap(key: Secret, wrapped: bytes, bound: bytes) -> Secret:
    """Raises `InvalidTag`: the key is another one, or something was changed."""
    if len(wrapped) != WRAPPED:
        raise InvalidTag
    secret = Secret(KEY)
    try:
        AESGCMSIV(key.view).decrypt_into(wrapped[:NONCE], wrapped[NONCE:], bound, secret.view)
    except InvalidTag:
        secret.close()
        raise
    return secret


def seal(wrapping: Secret, plain: memoryview, bound: bytes) -> bytes:
    """Wrapped data key, nonce, ciphertext with its tag."""
    with Secret.random(KEY) as data_key:
        nonce = os.urandom(NONCE)
        body = AESGCM(data_key.view).encrypt(nonce, plain, bound)
        return wrap(wrapping, data_key, bound) + nonce + body


def unseal(wrapping: Secret, sealed: bytes, bound: bytes) -> Secret:
    """Raises `InvalidTag` where anything of it was changed."""
    if len(sealed) < WRAPPED + NONCE + TAG:
        raise InvalidTag
    nonce, body = sealed[WRAPPED : WRAPPED + NONCE], sealed[WRAPPED + NONCE :]
    with unwrap(wrapping, sealed[:WRAPPED], bound) as data_key:
        plain = Secret(len(body) - TAG)
        try:
            AESGCM(data_key.view).decrypt_into(nonce, body, bound, plain.view)
        except InvalidTag:
            plain.close()
            raise
        return plain

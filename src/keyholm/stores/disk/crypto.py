"""How a token's keys are wrapped: passphrase → slot → KEK → one data key a file.

    slot key   argon2id of a passphrase or recovery code
    KEK        32 random bytes, wrapped by each slot (AES-256-GCM-SIV)
    wrap, mac  HKDF-SHA-256 of the KEK
    data key   fresh at each write, wrapped under `wrap` (AES-256-GCM-SIV)
    body       AES-256-GCM under the data key

Every wrapping names what it belongs to, so that no piece can stand in for another.
"""

import base64
import binascii
import hashlib
import os
import threading
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESGCMSIV
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keyholm.core.errors import PassphraseIncorrect, StoreDamaged, TokenBusy
from keyholm.core.secret import Secret

KEY: Final = 32
NONCE: Final = 12
TAG: Final = 16
SALT: Final = 16
WRAPPED: Final = NONCE + KEY + TAG
QUEUE: Final = 8  # how many may wait for argon2id; each holds its memory while it runs
RECOVERY_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Cost:
    """Of argon2id: passes, KiB of memory, lanes."""

    passes: int = 3
    memory: int = 256 * 1024
    lanes: int = 4

    def __str__(self) -> str:
        return f"argon2id t={self.passes} m={self.memory // 1024} MiB p={self.lanes}"


DEFAULT: Final = Cost()
# RFC 9106, section 4, second recommended option: less is refused when it is read.
FLOOR: Final = Cost(3, 64 * 1024, 4)
# More would be a way to take the daemon's memory by a file.
CEILING: Final = Cost(16, 4 * 1024 * 1024, 16)


def check_cost(cost: Cost, floor: Cost, where: str) -> None:
    """Raises `StoreDamaged`: such a file was not written by us."""
    low = cost.passes < floor.passes or cost.memory < floor.memory or cost.lanes < floor.lanes
    high = (
        cost.passes > CEILING.passes or cost.memory > CEILING.memory or cost.lanes > CEILING.lanes
    )
    if low or high:
        raise StoreDamaged(
            f"{where} wants {cost}, which is {'too little' if low else 'too much'}.",
            remedy="Restore it from a backup.",
        )


class _Queue:
    """One argon2id at a time, and not many waiting: each takes hundreds of MiB."""

    def __init__(self) -> None:
        self._running = threading.Lock()
        self._waiting = threading.BoundedSemaphore(QUEUE)

    def derive(self, passphrase: Secret, salt: bytes, cost: Cost) -> Secret:
        if not self._waiting.acquire(blocking=False):
            raise TokenBusy("Too many passphrases are being tried.", remedy="Try again later.")
        try:
            with self._running:
                kdf = Argon2id(
                    salt=salt,
                    length=KEY,
                    iterations=cost.passes,
                    lanes=cost.lanes,
                    memory_cost=cost.memory,
                )
                return Secret.of(kdf.derive(bytes(passphrase.view)))
        finally:
            self._waiting.release()


_queue = _Queue()


def derive(passphrase: Secret, salt: bytes, cost: Cost) -> Secret:
    return _queue.derive(passphrase, salt, cost)


def subkey(kek: Secret, purpose: str) -> Secret:
    kdf = HKDF(hashes.SHA256(), KEY, salt=None, info=f"keyholm disk v1 {purpose}".encode())
    return Secret.of(kdf.derive(bytes(kek.view)))


def wrap(key: Secret, secret: Secret, bound: bytes) -> bytes:
    nonce = os.urandom(NONCE)
    return nonce + AESGCMSIV(key.view).encrypt(nonce, secret.view, bound)


def unwrap(key: Secret, wrapped: bytes, bound: bytes) -> Secret:
    """Raises `PassphraseIncorrect`: the key is another one, or the wrapping was changed."""
    try:
        plain = AESGCMSIV(key.view).decrypt(wrapped[:NONCE], wrapped[NONCE:], bound)
    except (InvalidTag, ValueError) as error:
        raise PassphraseIncorrect("The passphrase is wrong.") from error
    return Secret.of(plain)


def seal(wrapping: Secret, plain: bytearray | memoryview, bound: bytes) -> bytes:
    """Wrapped data key, nonce and ciphertext."""
    with Secret.random(KEY) as data_key:
        nonce = os.urandom(NONCE)
        body = AESGCM(data_key.view).encrypt(nonce, plain, bound)
        return wrap(wrapping, data_key, bound) + nonce + body


def unseal(wrapping: Secret, sealed: bytes, bound: bytes) -> Secret:
    """Raises `InvalidTag` where anything of it was changed."""
    if len(sealed) < WRAPPED + NONCE + TAG:
        raise InvalidTag
    try:
        data_key = unwrap(wrapping, sealed[:WRAPPED], bound)
    except PassphraseIncorrect:
        raise InvalidTag from None
    nonce, body = sealed[WRAPPED : WRAPPED + NONCE], sealed[WRAPPED + NONCE :]
    with data_key:
        plain = Secret(len(body) - TAG)
        try:
            AESGCM(data_key.view).decrypt_into(nonce, body, bound, plain.view)
        except InvalidTag:
            plain.close()
            raise
        return plain


# --- recovery codes ------------------------------------------------------------------


def new_recovery_code() -> Secret:
    """128 bits and a checksum, in groups that can be read aloud."""
    code = os.urandom(RECOVERY_BYTES)
    text = base64.b32encode(code + _checksum(code)).decode().rstrip("=")
    return Secret.of("-".join(text[at : at + 5] for at in range(0, len(text), 5)).encode())


def recovery_secret(typed: Secret) -> Secret | None:
    """The code in what somebody typed; None where it is none, or one letter is wrong."""
    letters = bytes(typed.view).upper().translate(None, b" -\t")
    letters = letters.replace(b"0", b"O").replace(b"1", b"I").replace(b"8", b"B")
    try:
        raw = base64.b32decode(letters + b"=" * (-len(letters) % 8))
    except binascii.Error:
        return None
    code, checksum = raw[:RECOVERY_BYTES], raw[RECOVERY_BYTES:]
    return (
        Secret.of(code) if len(raw) == RECOVERY_BYTES + 2 and _checksum(code) == checksum else None
    )


def _checksum(code: bytes) -> bytes:
    return hashlib.sha256(b"keyholm recovery" + code).digest()[:2]

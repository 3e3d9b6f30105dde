"""HMAC sessions as arithmetic (Part 1, 17 and 19): what is proven, and by which key.

    state = begun(ALG.SHA256, salt, nonce_caller, nonce_tpm)
    mac = command_mac(state, auth, cp_hash(...), bits)

A session that is salted and not bound: its key follows from the salt, and the value that
authorizes an object (its PIN) is appended to it. Encryption itself (AES-128-CFB) is not here:
`cipher_key` says with which key and IV.
"""

import hmac
from typing import Final, NamedTuple

from keyholm.wire.codec import Bytes
from keyholm.wire.tpm2.constants import ALG, CC, HASHES, SESSION
from keyholm.wire.tpm2.kdf import kdfa
from keyholm.wire.tpm2.names import digest, size_of
from keyholm.wire.tpm2.types import UINT32

CIPHER_KEY: Final = 16
CIPHER_IV: Final = 16


class State(NamedTuple):
    """`key` is secret: whoever keeps one wipes it."""

    algorithm: ALG
    key: Bytes
    nonce_caller: bytes
    nonce_tpm: bytes

    def __repr__(self) -> str:
        return f"State({self.algorithm.name}, ...)"


def session_key(algorithm: ALG, salt: Bytes, nonce_tpm: bytes, nonce_caller: bytes) -> bytes:
    """Of an unbound session (19.6.8)."""
    return kdfa(algorithm, salt, b"ATH", nonce_tpm, nonce_caller, 8 * size_of(algorithm))


def without_zeros(auth: Bytes) -> bytes:
    """As a TPM keeps an authorization value: without the zeros at its end (19.6.5)."""
    return bytes(auth).rstrip(b"\0")


def cp_hash(algorithm: ALG, code: CC, names: tuple[bytes, ...], parameters: Bytes) -> bytes:
    """Of a command, its first parameter encrypted already (16.7)."""
    return digest(algorithm, UINT32.write(code), *names, bytes(parameters))


def rp_hash(algorithm: ALG, code: CC, parameters: Bytes) -> bytes:
    """Of an answer that succeeded, its first parameter still encrypted (16.8)."""
    return digest(algorithm, bytes(4), UINT32.write(code), bytes(parameters))


def command_mac(state: State, auth: Bytes, hashed: bytes, bits: SESSION) -> bytes:
    """Nonces: the newer is ours (19.6.5)."""
    return _mac(state, auth, hashed + state.nonce_caller + state.nonce_tpm, bits)


def response_mac(state: State, auth: Bytes, hashed: bytes, bits: SESSION) -> bytes:
    """`state` with the nonce of the answer, which is the newer."""
    return _mac(state, auth, hashed + state.nonce_tpm + state.nonce_caller, bits)


def _mac(state: State, auth: Bytes, said: bytes, bits: SESSION) -> bytes:
    key = bytes(state.key) + without_zeros(auth)
    return hmac.digest(key, said + bytes((int(bits),)), HASHES[state.algorithm])


def command_cipher_key(state: State, auth: Bytes) -> tuple[bytes, bytes]:
    """Key and IV for the first parameter of a command (21.3)."""
    return _cipher_key(state, auth, state.nonce_caller, state.nonce_tpm)


def response_cipher_key(state: State, auth: Bytes) -> tuple[bytes, bytes]:
    return _cipher_key(state, auth, state.nonce_tpm, state.nonce_caller)


def _cipher_key(state: State, auth: Bytes, newer: bytes, older: bytes) -> tuple[bytes, bytes]:
    secret = bytes(state.key) + without_zeros(auth)
    both = kdfa(state.algorithm, secret, b"CFB", newer, older, 8 * (CIPHER_KEY + CIPHER_IV))
    return both[:CIPHER_KEY], both[CIPHER_KEY:]

"""bcrypt_pbkdf: how OpenSSH makes a key of a passphrase (OpenBSD's bcrypt_pbkdf(3)).

Neither the standard library nor cryptography has it, and its Blowfish is not the usual one: key
and salt are mixed into its tables over and over. Here it is in plain Python, at about a third of
a second a round for every 32 bytes of key; the `bcrypt` package takes milliseconds (`fastest`).
"""

import hashlib
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from importlib import import_module
from typing import Any

from keyholm.wire.codec import Bytes

# passphrase, salt, bytes of key wanted, rounds
Kdf = Callable[[Bytes, bytes, int, int], bytes]

_MASK = 0xFFFFFFFF
_MAGIC = b"OxychromaticBlowfishSwatDynamite"
_BLOCK = 32


class _Blowfish:
    """Blowfish's tables, into which keys and salts are mixed."""

    __slots__ = ("boxes", "subkeys")

    def __init__(self) -> None:
        words = _pi_words()
        self.subkeys = list(words[:18])
        self.boxes = [list(words[18 + 256 * n : 274 + 256 * n]) for n in range(4)]

    def mix(self, key: tuple[int, ...], salt: tuple[int, ...] | None = None) -> None:
        """Blowfish's key schedule, with `salt` running through what is encrypted."""
        size = len(key)
        self.subkeys = [subkey ^ key[n % size] for n, subkey in enumerate(self.subkeys)]
        stream = _endless(salt) if salt else None
        left = right = 0
        for table in (self.subkeys, *self.boxes):
            for n in range(0, len(table), 2):
                if stream:
                    left ^= next(stream)
                    right ^= next(stream)
                left, right = self.encrypt(left, right)
                table[n], table[n + 1] = left, right

    def encrypt(self, left: int, right: int) -> tuple[int, int]:
        subkeys = self.subkeys
        first, second, third, fourth = self.boxes
        left ^= subkeys[0]
        for n in range(1, 17, 2):
            right ^= subkeys[n] ^ (
                ((first[left >> 24] + second[left >> 16 & 255]) ^ third[left >> 8 & 255])
                + fourth[left & 255]
                & _MASK
            )
            left ^= subkeys[n + 1] ^ (
                ((first[right >> 24] + second[right >> 16 & 255]) ^ third[right >> 8 & 255])
                + fourth[right & 255]
                & _MASK
            )
        return right ^ subkeys[17], left


def _endless(words: tuple[int, ...]) -> Iterator[int]:
    while True:
        yield from words


@lru_cache(maxsize=1)
def _pi_words() -> tuple[int, ...]:
    """Blowfish starts from the fraction of pi, 32 bits at a time (by Machin's formula)."""
    bits, guard = 32 * (18 + 4 * 256), 64
    one = 1 << (bits + guard)
    pi = 4 * (4 * _arctan_of_inverse(5, one) - _arctan_of_inverse(239, one))
    fraction = (pi - 3 * one >> guard).to_bytes(bits // 8)
    return _words(fraction)


def _arctan_of_inverse(number: int, one: int) -> int:
    power = total = one // number
    square, divisor, sign = number * number, 1, 1
    while power := power // square:
        divisor, sign = divisor + 2, -sign
        total += sign * (power // divisor)
    return total


def _words(data: bytes) -> tuple[int, ...]:
    return tuple(int.from_bytes(data[n : n + 4]) for n in range(0, len(data), 4))


def _bcrypt_hash(passphrase: bytes, salt: bytes) -> bytes:
    key, salt_words = _words(passphrase), _words(salt)
    state = _Blowfish()
    state.mix(key, salt_words)
    for _ in range(64):
        state.mix(salt_words)
        state.mix(key)
    text = list(_words(_MAGIC))
    for n in range(0, len(text), 2):
        left, right = text[n], text[n + 1]
        for _ in range(64):
            left, right = state.encrypt(left, right)
        text[n], text[n + 1] = left, right
    return b"".join(word.to_bytes(4, "little") for word in text)


def _block(passphrase: bytes, salt: bytes, rounds: int) -> bytes:
    result = last = _bcrypt_hash(passphrase, hashlib.sha512(salt).digest())
    for _ in range(rounds - 1):
        last = _bcrypt_hash(passphrase, hashlib.sha512(last).digest())
        result = bytes(a ^ b for a, b in zip(result, last, strict=True))
    return result


def derive(passphrase: Bytes, salt: bytes, size: int, rounds: int) -> bytes:
    """`size` bytes of key. They are taken from the blocks in turn, a byte from each."""
    if not passphrase or not salt or size < 1 or rounds < 1:
        raise ValueError("bcrypt_pbkdf needs a passphrase, a salt, a size and a round")
    hashed = hashlib.sha512(passphrase).digest()
    stride = -(-size // _BLOCK)
    blocks = [_block(hashed, salt + number.to_bytes(4), rounds) for number in range(1, stride + 1)]
    return bytes(blocks[n % stride][n // stride] for n in range(size))


def fastest() -> Kdf:
    """The `bcrypt` package's if it is there. It is foreign code: not for a process with keys."""
    try:
        bcrypt: Any = import_module("bcrypt")
    except ImportError:
        return derive
    return partial(_by_package, bcrypt)


def _by_package(bcrypt: Any, passphrase: Bytes, salt: bytes, size: int, rounds: int) -> bytes:
    key: bytes = bcrypt.kdf(bytes(passphrase), salt, size, rounds, ignore_few_rounds=True)
    return key

"""HMAC and CMAC: made, and compared in a time that does not depend on where they differ."""

import hmac as comparing
from typing import Any, Final

from cryptography.hazmat.primitives import cmac, hmac
from cryptography.hazmat.primitives.ciphers import algorithms

from keyholm.core.errors import MechanismUnsupported, SignatureInvalid
from keyholm.core.mechanisms import AesCmac, Hmac, Input, Message, spelling
from keyholm.stores.software.hashing import HASHES
from keyholm.stores.software.secret_keys import SecretValue

Mac = Hmac | AesCmac
# SP 800-107, 5.3.3 and SP 800-38B, A.2: whoever may guess often enough finds a shorter one.
SHORTEST: Final = 4
CMAC: Final = 16
LONGEST_AES: Final = 32  # 64 bytes are two keys, for XTS


def _check(key: SecretValue, mechanism: Mac) -> None:
    longest = HASHES[mechanism.hash].digest_size if isinstance(mechanism, Hmac) else CMAC
    if not SHORTEST <= mechanism.size <= longest:
        raise MechanismUnsupported(
            f"{spelling(mechanism)} gives {SHORTEST} to {longest} bytes, not {mechanism.size}."
        )
    if isinstance(mechanism, AesCmac) and len(key.view) > LONGEST_AES:
        raise MechanismUnsupported("An AES key of 64 bytes is for XTS only.")


def _context(key: SecretValue, mechanism: Mac) -> Any:
    if isinstance(mechanism, Hmac):
        return hmac.HMAC(key.view, HASHES[mechanism.hash])
    return cmac.CMAC(algorithms.AES(key.view))


def signer(key: SecretValue, mechanism: Mac) -> Any:
    """See `signing.signer`."""
    _check(key, mechanism)

    def sign(key: SecretValue, data: Input) -> bytes:
        if not isinstance(data, Message):
            raise MechanismUnsupported(f"{spelling(mechanism)} takes the whole message.")
        context = _context(key, mechanism)
        context.update(data.data)
        return bytes(context.finalize()[: mechanism.size])

    return sign


class _Making:
    def __init__(self, key: SecretValue, mechanism: Mac) -> None:
        _check(key, mechanism)
        self._size, self._mac = mechanism.size, _context(key, mechanism)

    def update(self, data: bytes) -> bytes:
        self._mac.update(data)
        return b""

    def finish(self, signature: bytes = b"") -> bytes:
        return bytes(self._mac.finalize()[: self._size])


class _Comparing(_Making):
    def finish(self, signature: bytes = b"") -> bytes:
        if not comparing.compare_digest(super().finish(), signature):
            raise SignatureInvalid("The code is not of this data by this key.")
        return b""


def making(key: SecretValue, mechanism: Mac) -> _Making:
    return _Making(key, mechanism)


def verifying(key: SecretValue, mechanism: Mac) -> _Making:
    return _Comparing(key, mechanism)

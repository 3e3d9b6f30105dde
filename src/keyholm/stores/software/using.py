"""Every use of a key whose data comes in parts: signing, verifying, encrypting, decrypting.

The making of keys out of keys is in `deriving` and `wrapping`.
"""

from collections.abc import Callable
from typing import Any, Final

from keyholm.core.errors import DataLengthInvalid
from keyholm.core.mechanisms import (
    AesCmac,
    Digest,
    Ecdsa,
    Hash,
    Hmac,
    Input,
    Mechanism,
    Message,
    Opaque,
    RsaPkcs1,
    RsaPss,
    RsaRaw,
    Verb,
)
from keyholm.core.store import Running
from keyholm.stores.software import macs
from keyholm.stores.software.aead import AEADS
from keyholm.stores.software.ciphers import CIPHERS, Ways
from keyholm.stores.software.families import Family, family, is_public, public_half, unsupported
from keyholm.stores.software.hashing import HASHES
from keyholm.stores.software.key_wrap import KEY_WRAPS
from keyholm.stores.software.rsa_ciphers import RSA_CIPHERS
from keyholm.stores.software.running import Collected, Hashed
from keyholm.stores.software.signing import signer
from keyholm.stores.software.verifying import verifier

_WAYS: Final[dict[tuple[Family, type], Ways]] = {**CIPHERS, **AEADS, **KEY_WRAPS, **RSA_CIPHERS}
_MACS: Final = frozenset({(Family.GENERIC, Hmac), (Family.AES, AesCmac)})

Act = Callable[[Input, bytes], bytes]


def begin(key: Any, verb: Verb, mechanism: Mechanism) -> Running:
    """`key` is what `material.loaded` or `material.public_of` gave.

    Raises `MechanismUnsupported`; what it gives raises `DataInvalid`, `DataLengthInvalid` and
    `SignatureInvalid`."""
    start = _STARTS.get(verb)
    if start is None or family(key) is None:
        raise unsupported(key, verb, mechanism)
    return start(key, mechanism)


# --- signatures ----------------------------------------------------------------------


def _sign(key: Any, mechanism: Mechanism) -> Running:
    if (family(key), type(mechanism)) in _MACS:
        return macs.making(key, mechanism)  # type: ignore[arg-type]  # that is what _MACS says

    def act(by: Mechanism) -> Act:
        sign = signer(key, by)
        return lambda data, _: sign(key, data)

    return _over_parts(mechanism, act)


def _verify(key: Any, mechanism: Mechanism) -> Running:
    if (family(key), type(mechanism)) in _MACS:
        return macs.verifying(key, mechanism)  # type: ignore[arg-type]

    def act(by: Mechanism) -> Act:
        check = verifier(public_half(key), by)

        def verify(data: Input, signature: bytes) -> bytes:
            check(data, signature)
            return b""

        return verify

    return _over_parts(mechanism, act)


def _over_parts(mechanism: Mechanism, act: Callable[[Mechanism], Act]) -> Running:
    """Hashed as it comes where there is a hash that we know, else collected."""
    found = _hashed(mechanism)
    if found is not None:
        name, by = found
        of_digest = act(by)
        return Hashed(
            HASHES[name], lambda digest, signature: of_digest(Digest(name, digest), signature)
        )
    of_all = act(mechanism)
    return Collected(lambda data, signature: of_all(_input(mechanism, bytes(data)), signature))


def _hashed(mechanism: Mechanism) -> tuple[Hash, Mechanism] | None:
    """The hash of a mechanism that has one, and the mechanism that takes its digest."""
    match mechanism:
        case RsaPkcs1(Hash() as name):
            return name, RsaPkcs1()
        case Ecdsa(Hash() as name):
            return name, Ecdsa()
        case RsaPss(hash=name, prehashed=False):
            return name, mechanism
        case _:
            return None


def _input(mechanism: Mechanism, data: bytes) -> Input:
    match mechanism:
        case RsaPkcs1() | Ecdsa() | RsaRaw():
            return Opaque(data)
        case RsaPss(hash=name):
            if len(data) != HASHES[name].digest_size:
                raise DataLengthInvalid(f"A {name} digest has {HASHES[name].digest_size} bytes.")
            return Digest(name, data)
        case _:
            return Message(data)


# --- encryption ----------------------------------------------------------------------


def _ways(key: Any, verb: Verb, mechanism: Mechanism) -> Ways:
    kind = family(key)
    ways = None if kind is None else _WAYS.get((kind, type(mechanism)))
    if ways is None or (verb is Verb.DECRYPT and is_public(key)):
        raise unsupported(key, verb, mechanism)
    return ways


def _encrypt(key: Any, mechanism: Mechanism) -> Running:
    return _ways(key, Verb.ENCRYPT, mechanism)[0](public_half(key), mechanism)


def _decrypt(key: Any, mechanism: Mechanism) -> Running:
    return _ways(key, Verb.DECRYPT, mechanism)[1](key, mechanism)


_STARTS: Final[dict[Verb, Callable[[Any, Mechanism], Running]]] = {
    Verb.SIGN: _sign,
    Verb.VERIFY: _verify,
    Verb.ENCRYPT: _encrypt,
    Verb.DECRYPT: _decrypt,
}

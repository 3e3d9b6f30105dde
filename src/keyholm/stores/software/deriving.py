"""Keys out of keys: agreement (SP 800-56A), and derivation from a secret."""

from collections.abc import Callable
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, x448, x25519
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
from cryptography.hazmat.primitives.kdf.kbkdf import (
    KBKDFCMAC,
    KBKDFHMAC,
    CounterLocation,
    Mode,
)
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF

from keyholm.core.errors import DataInvalid, DataLengthInvalid, MechanismUnsupported
from keyholm.core.mechanisms import (
    CounterKdf,
    Ecdh,
    Hkdf,
    Kdf,
    Mechanism,
    Pbkdf2,
    Verb,
)
from keyholm.core.secret import Secret
from keyholm.stores.software.ciphers import aes
from keyholm.stores.software.families import Family, family, is_public, unsupported
from keyholm.stores.software.hashing import HASHES
from keyholm.stores.software.secret_keys import LARGEST_GENERIC, SecretValue

MOST_ROUNDS: Final = 10_000_000  # of all blocks together: some seconds
LONGEST_INPUT: Final = 64 * 1024  # of salts, infos and fixed inputs


def derive(key: Any, mechanism: Mechanism, size: int) -> Secret:
    """`size` bytes of a new key; 0: as many as the mechanism has by itself.

    Raises `MechanismUnsupported`, `DataInvalid`, `DataLengthInvalid`."""
    kind = family(key)
    way = None if kind is None or is_public(key) else _WAYS.get((kind, type(mechanism)))
    if way is None:
        raise unsupported(key, Verb.DERIVE, mechanism)
    if not 0 <= size <= LARGEST_GENERIC:
        raise DataLengthInvalid(f"A key of 1 to {LARGEST_GENERIC} bytes is derived, not {size}.")
    return way(key, mechanism, size)


def _wanted(size: int, most: int) -> int:
    if not 0 < size <= most:
        raise DataLengthInvalid(f"1 to {most} bytes are derived in this way, not {size}.")
    return size


def _check_inputs(*inputs: bytes | None) -> None:
    if any(each and len(each) > LONGEST_INPUT for each in inputs):
        raise MechanismUnsupported(f"A parameter has more than {LONGEST_INPUT} bytes.")


def _filled(kdf: Any, secret: memoryview, size: int) -> Secret:
    """What `kdf` makes of `secret`, written where it is kept and nowhere else."""
    made = Secret(size)
    try:
        kdf.derive_into(secret, made.view)
    except BaseException:
        made.close()
        raise
    return made


# --- agreement -----------------------------------------------------------------------


def _ecdh(key: ec.EllipticCurvePrivateKey, mechanism: Ecdh, size: int) -> Secret:
    # The cofactor of all our curves is one, so there is nothing to do about `cofactor`.
    try:
        public = ec.EllipticCurvePublicKey.from_encoded_point(key.curve, mechanism.public)
    except ValueError:
        raise _bad_point() from None
    return _agreed(lambda: key.exchange(ec.ECDH(), public), mechanism, size)


def _montgomery(key: Any, mechanism: Ecdh, size: int) -> Secret:
    kind = (
        x25519.X25519PublicKey if isinstance(key, x25519.X25519PrivateKey) else x448.X448PublicKey
    )
    try:
        public = kind.from_public_bytes(mechanism.public)
    except ValueError:
        raise _bad_point() from None
    return _agreed(lambda: key.exchange(public), mechanism, size)


def _bad_point() -> DataInvalid:
    return DataInvalid("The other side's public key is none of this curve.")


def _agreed(exchange: Callable[[], bytes], mechanism: Ecdh, size: int) -> Secret:
    if mechanism.kdf is not Kdf.NONE and mechanism.hash is None:
        raise MechanismUnsupported("A KDF wants a hash.")
    _check_inputs(mechanism.shared)
    try:
        # cryptography gives the shared secret as bytes, which stay in the heap for a while.
        shared = exchange()
    except ValueError:
        # All zeros (RFC 7748, 6.1): the other side sent a point of small order.
        raise _bad_point() from None
    with Secret.of(shared) as secret:
        return _KDFS[mechanism.kdf](secret.view, mechanism, size)


def _no_kdf(secret: memoryview, mechanism: Ecdh, size: int) -> Secret:
    size = _wanted(size or len(secret), len(secret))
    # PKCS#11, 6.3.17 (ECDH1): what is too much is cut off at the leading end.
    return Secret.of(secret[len(secret) - size :])


def _hash(mechanism: Ecdh) -> Any:
    assert mechanism.hash is not None  # noqa: S101 - `_agreed` has looked
    return HASHES[mechanism.hash]


def _x963(secret: memoryview, mechanism: Ecdh, size: int) -> Secret:
    size = _wanted(size, LARGEST_GENERIC)
    return _filled(X963KDF(_hash(mechanism), size, mechanism.shared or None), secret, size)


def _sp800_56a(secret: memoryview, mechanism: Ecdh, size: int) -> Secret:
    size = _wanted(size, LARGEST_GENERIC)
    return _filled(ConcatKDFHash(_hash(mechanism), size, mechanism.shared or None), secret, size)


_KDFS: Final[dict[Kdf, Callable[[memoryview, Ecdh, int], Secret]]] = {
    Kdf.NONE: _no_kdf,
    Kdf.X963: _x963,
    Kdf.SP800_56A: _sp800_56a,
}


# --- from a secret -------------------------------------------------------------------


def _hkdf(key: SecretValue, mechanism: Hkdf, size: int) -> Secret:
    _check_inputs(mechanism.salt, mechanism.info)
    algorithm = HASHES[mechanism.hash]
    length = algorithm.digest_size
    if mechanism.extract and not mechanism.expand:
        if size not in (0, length):
            raise DataLengthInvalid(f"HKDF extracts {length} bytes with {mechanism.hash}.")
        return Secret.of(HKDF.extract(algorithm, mechanism.salt, key.view))
    if not mechanism.expand:
        raise MechanismUnsupported("HKDF extracts, expands, or does both.")
    size = _wanted(size, 255 * length)
    if mechanism.extract:
        return _filled(HKDF(algorithm, size, mechanism.salt, mechanism.info), key.view, size)
    return _filled(HKDFExpand(algorithm, size, mechanism.info), key.view, size)


def _pbkdf2(key: SecretValue, mechanism: Pbkdf2, size: int) -> Secret:
    _check_inputs(mechanism.salt)
    algorithm = HASHES[mechanism.hash]
    size = _wanted(size, LARGEST_GENERIC)
    blocks = -(-size // algorithm.digest_size)
    if not 1 <= mechanism.rounds <= MOST_ROUNDS // blocks:
        raise MechanismUnsupported(
            f"PBKDF2 runs 1 to {MOST_ROUNDS // blocks} rounds for so long a key."
        )
    return _filled(PBKDF2HMAC(algorithm, size, mechanism.salt, mechanism.rounds), key.view, size)


def _counter(key: SecretValue, mechanism: CounterKdf, size: int) -> Secret:
    _check_inputs(mechanism.before, mechanism.after)
    if not 1 <= mechanism.counter <= 4:
        raise MechanismUnsupported("The counter of this KDF has 1 to 4 bytes.")
    block = HASHES[mechanism.hash].digest_size if mechanism.hash else AES.block_size // 8
    size = _wanted(size, min(LARGEST_GENERIC, block * (256**mechanism.counter - 1)))
    kdf: Any = KBKDFHMAC if mechanism.hash else KBKDFCMAC
    made = kdf(
        HASHES[mechanism.hash] if mechanism.hash else AES,
        Mode.CounterMode,
        size,
        mechanism.counter,
        None,
        CounterLocation.MiddleFixed,
        None,
        None,
        mechanism.before + mechanism.after,
        break_location=len(mechanism.before),
    )
    return _filled(made, key.view, size)


def _counter_hmac(key: SecretValue, mechanism: CounterKdf, size: int) -> Secret:
    if mechanism.hash is None:
        raise MechanismUnsupported("This KDF wants an AES key, or a hash.")
    return _counter(key, mechanism, size)


def _counter_cmac(key: SecretValue, mechanism: CounterKdf, size: int) -> Secret:
    if mechanism.hash is not None:
        raise MechanismUnsupported("With an AES key this KDF takes CMAC and no hash.")
    aes(key)
    return _counter(key, mechanism, size)


_WAYS: Final[dict[tuple[Family, type], Callable[[Any, Any, int], Secret]]] = {
    (Family.EC, Ecdh): _ecdh,
    (Family.MONTGOMERY, Ecdh): _montgomery,
    (Family.GENERIC, Hkdf): _hkdf,
    (Family.GENERIC, Pbkdf2): _pbkdf2,
    (Family.GENERIC, CounterKdf): _counter_hmac,
    (Family.AES, CounterKdf): _counter_cmac,
}

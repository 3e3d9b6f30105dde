"""ML-KEM (FIPS 203): a secret for whoever has the private key, and its way there."""

from typing import Any, Final

from keyholm.core.errors import DataLengthInvalid
from keyholm.core.mechanisms import Mechanism, MlKem, Verb
from keyholm.core.secret import Secret
from keyholm.stores.software.families import Family, family, is_public, public_half, unsupported

SHARED: Final = 32


def _check(key: Any, verb: Verb, mechanism: Mechanism, size: int) -> None:
    wrong_half = verb is Verb.DECAPSULATE and is_public(key)
    if family(key) is not Family.ML_KEM or not isinstance(mechanism, MlKem) or wrong_half:
        raise unsupported(key, verb, mechanism)
    if size not in (0, SHARED):
        raise DataLengthInvalid(f"ML-KEM agrees on {SHARED} bytes, not on {size}.")


def encapsulate(key: Any, mechanism: Mechanism, size: int = 0) -> tuple[bytes, Secret]:
    """The ciphertext, and the secret in it. Raises `MechanismUnsupported`, `DataLengthInvalid`."""
    _check(key, Verb.ENCAPSULATE, mechanism, size)
    shared, ciphertext = public_half(key).encapsulate()
    # cryptography gives the secret as bytes, which stay in the heap for a while.
    return ciphertext, Secret.of(shared)


def decapsulate(key: Any, mechanism: Mechanism, ciphertext: bytes, size: int = 0) -> Secret:
    """A ciphertext that was changed gives another secret, and no error (FIPS 203, 6.3)."""
    _check(key, Verb.DECAPSULATE, mechanism, size)
    try:
        return Secret.of(key.decapsulate(ciphertext))
    except ValueError:
        raise DataLengthInvalid("This is no ciphertext of ML-KEM for this key.") from None

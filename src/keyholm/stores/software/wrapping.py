"""Keys encrypted with keys: by the ciphers that are there, as far as they are meant for it.

What is wrapped is a secret key as it is, or a private one as PKCS#8. A cipher that does not
tell that it was changed (AES-CBC, RSA by PKCS#1 v1.5) gives a key that nobody has instead.
"""

from typing import Any, Final

from keyholm.core.mechanisms import (
    AesCbc,
    AesCcm,
    AesGcm,
    AesKeyWrap,
    ChaCha20Poly1305,
    Mechanism,
    RsaOaep,
    RsaPkcs1Encryption,
    Verb,
)
from keyholm.core.secret import Secret
from keyholm.stores.software import using
from keyholm.stores.software.families import unsupported
from keyholm.stores.software.material import Material, value_of

_WRAPS: Final = (
    AesKeyWrap,
    AesCbc,
    AesGcm,
    AesCcm,
    ChaCha20Poly1305,
    RsaPkcs1Encryption,
    RsaOaep,
)


def _check(key: Any, verb: Verb, mechanism: Mechanism) -> None:
    # Without padding nobody could tell where the key ends.
    bare = isinstance(mechanism, AesCbc) and not mechanism.padded
    if not isinstance(mechanism, _WRAPS) or bare:
        raise unsupported(key, verb, mechanism)


def wrap(wrapping: Any, kept: Material, mechanism: Mechanism) -> bytes:
    """`wrapping` is what `material.loaded` or `material.public_of` gave.

    Raises `MechanismUnsupported`, `AlgorithmUnsupported`, and `DataLengthInvalid` where the
    key does not fit."""
    _check(wrapping, Verb.WRAP, mechanism)
    running = using.begin(wrapping, Verb.ENCRYPT, mechanism)
    with value_of(kept) as plain:
        # A view is as good as bytes to all that is below, and leaves no copy here.
        return running.update(plain.view) + running.finish()  # type: ignore[arg-type]


def unwrap(unwrapping: Any, mechanism: Mechanism, wrapped: bytes) -> Secret:
    """What was wrapped: nobody has looked at it yet (`material.kept`, `material.secret_key`).

    Raises `MechanismUnsupported`, `DataInvalid`, `DataLengthInvalid`."""
    _check(unwrapping, Verb.UNWRAP, mechanism)
    running = using.begin(unwrapping, Verb.DECRYPT, mechanism)
    # These bytes stay in Python's heap until it is used again.
    return Secret.of(running.update(wrapped) + running.finish())

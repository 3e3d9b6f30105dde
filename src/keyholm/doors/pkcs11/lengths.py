"""How long a result is, before the key is used: for programs that ask with no buffer.

Exact for signatures, but by a vendor's mechanism; for the rest never less than it will be.
"""

from collections.abc import Callable
from typing import Any, Final

from keyholm.core import mechanisms as core
from keyholm.core.mechanisms import Mechanism, Verb
from keyholm.cryptoki.forms import Form
from keyholm.doors.pkcs11.objects import Shown
from keyholm.wire.pkcs11.constants import CKA, CKK, CKP

BLOCK: Final = 16
TAG: Final = 16
_EDDSA: Final = {32: 64, 57: 114}  # by the bytes of the public key (RFC 8032)
_ML_DSA: Final = {CKP.ML_DSA_44: 2420, CKP.ML_DSA_65: 3309, CKP.ML_DSA_87: 4627}  # FIPS 204
_ML_KEM: Final = {CKP.ML_KEM_768: 1088, CKP.ML_KEM_1024: 1568}  # FIPS 203
# PKCS#8 and what wrapping adds to it.
WRAPPING: Final = 128


UNKNOWN: Final = 4096
"""For what only a vendor's token knows; a result that is longer waits until there is room."""


def of_signature(shown: Shown, mechanism: Mechanism | None) -> int | None:
    match mechanism:
        case core.Vendor():
            return None
        case core.Hmac(size=size) | core.AesCmac(size=size):
            return size
        case _:
            return _of_key(shown)


def _unknown(shown: Shown, form: Form) -> int:
    return 0


def _of_key(shown: Shown) -> int:
    form = shown.form
    if form is None:
        return 0
    return _OF_KEY.get(form.key_type, _unknown)(shown, form)


def modulus(shown: Shown) -> int:
    number = shown.value(CKA.MODULUS)  # MODULUS_BITS is an attribute of public keys alone
    return len(number.lstrip(b"\0")) if isinstance(number, bytes) else 0


def _parameter_set(shown: Shown) -> int:
    found = shown.value(CKA.PARAMETER_SET)
    return found if isinstance(found, int) else 0


_OF_KEY: Final[dict[int, Callable[[Shown, Form], int]]] = {
    CKK.RSA: lambda shown, form: modulus(shown),
    CKK.EC: lambda shown, form: form.size - 1,  # r and s are as wide as a coordinate
    CKK.EC_EDWARDS: lambda shown, form: _EDDSA[form.size],
    CKK.ML_DSA: lambda shown, form: _ML_DSA[_parameter_set(shown)],
}


def of_ciphertext(shown: Shown) -> int:
    """What ML-KEM encapsulates in."""
    return _ML_KEM.get(_parameter_set(shown), 0)


def most(shown: Shown, mechanism: Mechanism | None, verb: Verb, given: int) -> int:
    """The longest that can come of `given` bytes."""
    if isinstance(mechanism, core.Vendor):
        return given + UNKNOWN
    if verb is Verb.SIGN:
        return of_signature(shown, mechanism) or 0
    if isinstance(mechanism, _OF_RSA):
        return modulus(shown)
    if verb is Verb.DECRYPT:
        return given
    return given + _ADDED.get(type(mechanism), lambda mechanism: 0)(mechanism)


_OF_RSA: Final = (core.RsaPkcs1Encryption, core.RsaOaep, core.RsaRaw)
_ADDED: Final[dict[type, Callable[[Any], int]]] = {
    core.AesCbc: lambda mechanism: BLOCK if mechanism.padded else 0,
    core.Des3Cbc: lambda mechanism: BLOCK if mechanism.padded else 0,
    core.AesGcm: lambda mechanism: mechanism.tag,
    core.AesCcm: lambda mechanism: mechanism.tag,
    core.ChaCha20Poly1305: lambda mechanism: TAG,
    core.AesKeyWrap: lambda mechanism: BLOCK,
}


def of_wrapped(wrapping: Shown, key: Shown, mechanism: Mechanism | None) -> int:
    if isinstance(mechanism, _OF_RSA):
        return modulus(wrapping)
    size = key.value(CKA.VALUE_LEN)
    if not isinstance(size, int):
        # A private key as PKCS#8: its secret, its public half, and what names them.
        size = 5 * modulus(key) if key.form is not None and key.form.key_type == CKK.RSA else 8192
    return size + WRAPPING

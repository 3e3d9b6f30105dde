"""Kinds of key pairs: what PKCS#11 says of each, read off its SubjectPublicKeyInfo.

A `Form` is one line of the AlgorithmIdentifier: it says the CKK, what all keys of the form have
(a curve, a parameter set), what they can do, and how the public bits become attributes. What
has no form here has none in PKCS#11: FIDO keys, the composite of OpenSSH, DSA.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, cast

from keyholm.core.model import Algorithm, Key, KeyType, OtherAlgorithm
from keyholm.wire import der
from keyholm.wire.codec import Malformed
from keyholm.wire.pkcs11.constants import CKA, CKK, CKM, CKP
from keyholm.wire.ssh import keys

Bits = dict[int, int | bytes]


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    algorithm: bytes  # AlgorithmIdentifier (DER)
    key_type: int
    generation: int  # the mechanism that makes such keys
    made: KeyType | None  # what the core calls one; None: it says the size itself (RSA)
    private_uses: frozenset[int]  # what a private half can do: CKA_SIGN and its like
    public_uses: frozenset[int]
    parameters: tuple[tuple[int, int | bytes], ...]  # what all keys of this form have
    bits: Callable[[bytes], Bits]  # attributes of both halves, from the public bits
    public_bits: Callable[[bytes], Bits]  # those of the public half alone
    secret: tuple[int, ...]  # attributes that hold the secret
    size: int = 0  # of the public bits; 0: they tell
    untold: tuple[int, ...] = ()  # that hold it too, in a form that nobody needs


def _nothing(bits: bytes) -> Bits:
    return {}


def number(value: int) -> bytes:
    """A big integer as PKCS#11 has it: without zeros in front."""
    return value.to_bytes((value.bit_length() + 7) // 8)


def _rsa_numbers(bits: bytes) -> Bits:
    numbers = der.read_sequence(bits)
    modulus, exponent = der.read_integer(numbers), der.read_integer(numbers)
    numbers.end()
    return {
        CKA.MODULUS: number(modulus),
        CKA.MODULUS_BITS: modulus.bit_length(),
        CKA.PUBLIC_EXPONENT: number(exponent),
    }


def _point(bits: bytes) -> Bits:
    return {CKA.EC_POINT: der.octet_string(bits)}


def _value(bits: bytes) -> Bits:
    return {CKA.VALUE: bits}


RSA_SECRETS: Final = (
    CKA.PRIVATE_EXPONENT,
    CKA.PRIME_1,
    CKA.PRIME_2,
    CKA.EXPONENT_1,
    CKA.EXPONENT_2,
    CKA.COEFFICIENT,
)
SECRETS: Final = frozenset({*RSA_SECRETS, CKA.VALUE, CKA.SEED})
"""Of private and secret keys: what leaves by way of the gate only."""

_RSA = Form(
    der.sequence(der.oid("1.2.840.113549.1.1.1") + der.NULL),
    CKK.RSA,
    CKM.RSA_PKCS_KEY_PAIR_GEN,
    None,
    frozenset({CKA.SIGN, CKA.SIGN_RECOVER, CKA.DECRYPT, CKA.UNWRAP}),
    frozenset({CKA.VERIFY, CKA.VERIFY_RECOVER, CKA.ENCRYPT, CKA.WRAP}),
    (),
    _rsa_numbers,
    _nothing,
    RSA_SECRETS,
)
_EC_PUBLIC_KEY = der.oid("1.2.840.10045.2.1")


def _ec(curve: str, width: int, made: KeyType) -> Form:
    named = der.oid(curve)
    return Form(
        der.sequence(_EC_PUBLIC_KEY + named),
        CKK.EC,
        CKM.EC_KEY_PAIR_GEN,
        made,
        frozenset({CKA.SIGN, CKA.DERIVE}),
        frozenset({CKA.VERIFY, CKA.DERIVE}),
        ((CKA.EC_PARAMS, named),),
        _point,
        _nothing,
        (CKA.VALUE,),
        1 + 2 * width,
    )


def _modern(
    curve: str, size: int, made: KeyType, key_type: int, generation: int, uses: tuple[int, int]
) -> Form:
    """Ed25519 and its like (RFC 8410)."""
    named = der.oid(curve)
    return Form(
        der.sequence(named),
        key_type,
        generation,
        made,
        frozenset({uses[0]}),
        frozenset({uses[1]}),
        ((CKA.EC_PARAMS, named),),
        _point,
        _nothing,
        (CKA.VALUE,),
        size,
    )


_edwards = partial(
    _modern,
    key_type=CKK.EC_EDWARDS,
    generation=CKM.EC_EDWARDS_KEY_PAIR_GEN,
    uses=(CKA.SIGN, CKA.VERIFY),
)
_montgomery = partial(
    _modern,
    key_type=CKK.EC_MONTGOMERY,
    generation=CKM.EC_MONTGOMERY_KEY_PAIR_GEN,
    uses=(CKA.DERIVE, CKA.DERIVE),
)


def _lattice(
    oid: str, size: int, made: KeyType, key_type: int, generation: int, uses: tuple[int, int]
) -> Callable[[int], Form]:
    def with_set(parameter_set: int) -> Form:
        return Form(
            der.sequence(der.oid(oid)),
            key_type,
            generation,
            made,
            frozenset({uses[0]}),
            frozenset({uses[1]}),
            ((CKA.PARAMETER_SET, parameter_set),),
            _nothing,
            _value,
            (CKA.SEED,),
            size,
            (CKA.VALUE,),  # expanded from the seed
        )

    return with_set


_ml_dsa = partial(
    _lattice,
    key_type=CKK.ML_DSA,
    generation=CKM.ML_DSA_KEY_PAIR_GEN,
    uses=(CKA.SIGN, CKA.VERIFY),
)
_ml_kem = partial(
    _lattice,
    key_type=CKK.ML_KEM,
    generation=CKM.ML_KEM_KEY_PAIR_GEN,
    uses=(CKA.DECAPSULATE, CKA.ENCAPSULATE),
)
ED25519 = _edwards("1.3.101.112", 32, Algorithm.ED25519)
P256 = _ec("1.2.840.10045.3.1.7", 32, Algorithm.ECDSA_P256)
P384 = _ec("1.3.132.0.34", 48, Algorithm.ECDSA_P384)
P521 = _ec("1.3.132.0.35", 66, Algorithm.ECDSA_P521)
RSA: Final = _RSA
FORMS: Final = (
    RSA,
    P256,
    P384,
    P521,
    _ec("1.3.132.0.33", 28, OtherAlgorithm.ECDSA_P224),
    _ec("1.3.132.0.10", 32, OtherAlgorithm.SECP256K1),
    ED25519,
    _edwards("1.3.101.113", 57, OtherAlgorithm.ED448),
    _montgomery("1.3.101.110", 32, OtherAlgorithm.X25519),
    _montgomery("1.3.101.111", 56, OtherAlgorithm.X448),
    _ml_dsa("2.16.840.1.101.3.4.3.17", 1312, OtherAlgorithm.ML_DSA_44)(CKP.ML_DSA_44),
    _ml_dsa("2.16.840.1.101.3.4.3.18", 1952, OtherAlgorithm.ML_DSA_65)(CKP.ML_DSA_65),
    _ml_dsa("2.16.840.1.101.3.4.3.19", 2592, OtherAlgorithm.ML_DSA_87)(CKP.ML_DSA_87),
    _ml_kem("2.16.840.1.101.3.4.4.2", 1184, OtherAlgorithm.ML_KEM_768)(CKP.ML_KEM_768),
    _ml_kem("2.16.840.1.101.3.4.4.3", 1568, OtherAlgorithm.ML_KEM_1024)(CKP.ML_KEM_1024),
)
_BY_ALGORITHM: Final = {form.algorithm: form for form in FORMS}
# By the size of a point: looking an enum up takes longer than all else here.
_BY_POINT: Final = {form.size: form for form in (P256, P384, P521)}


def form_of(key: Key) -> Form | None:
    """The form of a key pair; None where PKCS#11 has no words for it."""
    ssh = key.ssh
    kind = type(ssh)
    if kind is keys.Ecdsa:
        return _BY_POINT[len(cast(keys.Ecdsa, ssh).point)]
    if kind is keys.Ed25519:
        return ED25519
    if kind is keys.Rsa:
        return RSA
    return form_of_spki(key.spki) if ssh is None else None


def spki_of(key: Key) -> bytes:
    return key.spki or (keys.spki(key.ssh) if key.ssh is not None else None) or b""


def form_of_spki(spki: bytes) -> Form | None:
    try:
        algorithm, _ = _halves(spki)
    except Malformed:
        return None
    return _BY_ALGORITHM.get(algorithm)


def form_and_bits(spki: bytes) -> tuple[Form, Bits]:
    """Raises `Malformed` where it is no public key that PKCS#11 has words for."""
    algorithm, public = _halves(spki)
    form = _BY_ALGORITHM.get(algorithm)
    if form is None:
        raise Malformed("a public key of a kind that is not known")
    if form.size and len(public) != form.size:
        raise Malformed("a public key of another size than its kind has")
    return form, {**form.bits(public), **form.public_bits(public)}


def public_bits(spki: bytes) -> bytes:
    return _halves(spki)[1]


def _halves(spki: bytes) -> tuple[bytes, bytes]:
    info = der.read_sequence(spki)
    algorithm = der.read_element(info, der.SEQUENCE)
    bits = der.read_tlv(info, der.BIT_STRING)
    info.end()
    if bits[:1] != b"\0":
        raise Malformed("public bits that are no whole number of bytes")
    return algorithm, bits[1:]


def spki(form: Form, bits: bytes) -> bytes:
    return der.tlv(der.SEQUENCE, form.algorithm + der.bit_string(bits))


def rsa_spki(modulus: int, exponent: int) -> bytes:
    return spki(RSA, der.sequence(der.integer(modulus), der.integer(exponent)))


# Other names of curves that are about: PrintableStrings (PKCS#11 3.1, 6.3.3) and older OIDs.
_PRINTABLE: Final = 0x13
_ALIASES: Final = {
    der.tlv(_PRINTABLE, b"edwards25519"): "1.3.101.112",
    der.tlv(_PRINTABLE, b"edwards448"): "1.3.101.113",
    der.tlv(_PRINTABLE, b"curve25519"): "1.3.101.110",
    der.tlv(_PRINTABLE, b"curve448"): "1.3.101.111",
    der.oid("1.3.6.1.4.1.11591.15.1"): "1.3.101.112",  # GNU
    der.oid("1.3.6.1.4.1.3029.1.5.1"): "1.3.101.110",  # cryptlib
}


def parameters_of(key_type: int, cka: int, value: int | bytes) -> Form | None:
    """The form of a key type with this curve or parameter set, as a template names it."""
    if isinstance(value, bytes) and value in _ALIASES:
        value = der.oid(_ALIASES[value])
    return next(
        (form for form in FORMS if form.key_type == key_type and (cka, value) in form.parameters),
        None,
    )

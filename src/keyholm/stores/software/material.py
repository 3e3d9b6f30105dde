"""What a store keeps of a key, and what becomes of it when it is used.

Private keys that SSH has words for are kept as SSH writes them, all others as PKCS#8, and
secret keys as they are. Whatever comes in is checked once, here, and believed afterwards.
"""

from collections.abc import Callable
from enum import StrEnum, unique
from typing import Any, Final, Self

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import (
    dsa,
    ec,
    ed448,
    ed25519,
    mldsa,
    mlkem,
    rsa,
    x448,
    x25519,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
)
from msgspec import Struct

from keyholm.core.errors import AlgorithmUnsupported, BadKeyFile
from keyholm.core.model import OtherAlgorithm, SecretType
from keyholm.core.secret import Secret
from keyholm.stores.software import keys as software
from keyholm.stores.software.plain import plain_form, released
from keyholm.stores.software.secret_keys import SecretValue, check_size
from keyholm.wire.codec import Malformed, Reader
from keyholm.wire.ssh.pem import private_of
from keyholm.wire.ssh.private_keys import PRIVATE, Private

MAX_KEY: Final = 32 * 1024  # an RSA key of 16384 bits has less than 10 KiB
RSA_SMALLEST: Final = 1024
RSA_LARGEST: Final = 16384


@unique
class Form(StrEnum):
    """How a private key is written."""

    SSH = "ssh"  # as `wire.ssh.private_keys.PRIVATE` has it
    PKCS8 = "pkcs8"  # DER (RFC 5958), not encrypted


Shape = Form | SecretType


class Material(Struct, frozen=True):
    """A key as it is kept. It owns `secret`; whoever made it closes it."""

    shape: Shape
    secret: Secret

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.secret.close()


# --- coming in -----------------------------------------------------------------------


class Described(Struct, frozen=True):
    """What a private key is that comes in as PKCS#8.

    `private` is the key where SSH has words for it. Its views lie in ordinary memory; the
    caller wipes them (`plain.wiped`) once it has them as it keeps them."""

    algorithm: str  # "ed25519", "ecdsa-p256", "rsa-2048", or an `OtherAlgorithm`
    spki: bytes
    private: Private | None


def describe(pkcs8: memoryview) -> Described:
    """The one time that a private key is checked. Raises `BadKeyFile`, `AlgorithmUnsupported`."""
    return _described(_checked(pkcs8))


def kept(pkcs8: memoryview) -> tuple[Material, Described]:
    """The same, and the key as it is kept: in SSH's form where there is one."""
    key = _checked(pkcs8)
    described = _described(key)
    if described.private is not None:
        return Material(Form.SSH, plain_form(described.private)), described
    # Written anew, so that nothing stays in it that nobody looked at, such as attributes.
    return Material(Form.PKCS8, written(key)), described


def _described(key: Any) -> Described:
    return Described(algorithm_of(key), spki_of(key), _ssh_private(key))


def secret_key(type_: SecretType, value: memoryview) -> Material:
    """A secret key that comes in. Raises `AlgorithmUnsupported` for a size that it cannot have."""
    check_size(type_, len(value))
    return Material(type_, Secret.of(value))


def _checked(pkcs8: memoryview) -> Any:
    if len(pkcs8) > MAX_KEY:
        raise BadKeyFile(f"A private key of more than {MAX_KEY} bytes is not taken.")
    key = _read(pkcs8, believed=True)
    # First its size: to check the numbers of a large RSA key takes minutes.
    algorithm_of(key)
    return _read(pkcs8, believed=False)


def _read(pkcs8: memoryview, *, believed: bool) -> Any:
    try:
        return load_der_private_key(pkcs8, None, unsafe_skip_rsa_key_validation=believed)
    except (UnsupportedAlgorithm, InternalError) as error:
        raise AlgorithmUnsupported("A private key of this kind is not taken.") from error
    except TypeError as error:
        raise BadKeyFile(
            "This private key is encrypted.", remedy="Give it as it is inside."
        ) from error
    except ValueError as error:
        raise BadKeyFile(
            "This is no private key, or its numbers do not belong together."
        ) from error


def _ssh_private(key: Any) -> Private | None:
    try:
        return private_of(key, lambda size: memoryview(bytearray(size)))
    except Malformed as error:
        if isinstance(key, dsa.DSAPrivateKey):
            raise AlgorithmUnsupported("DSA keys are taken as SSH has them.") from error
        return None


# --- what it is ----------------------------------------------------------------------

_CURVES: Final[dict[str, str]] = {
    "secp256r1": "ecdsa-p256",
    "secp384r1": "ecdsa-p384",
    "secp521r1": "ecdsa-p521",
    "secp224r1": OtherAlgorithm.ECDSA_P224,
    "secp256k1": OtherAlgorithm.SECP256K1,
}


def _of_rsa(key: rsa.RSAPrivateKey | rsa.RSAPublicKey) -> str:
    if not RSA_SMALLEST <= key.key_size <= RSA_LARGEST:
        raise AlgorithmUnsupported(
            f"An RSA key of {key.key_size} bits is not taken: {RSA_SMALLEST} to {RSA_LARGEST} are."
        )
    return f"rsa-{key.key_size}"


def _of_ec(key: ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey) -> str:
    name = _CURVES.get(key.curve.name)
    if name is None:
        raise AlgorithmUnsupported(f"Keys on the curve {key.curve.name} are not taken.")
    return name


def _of_dsa(key: dsa.DSAPrivateKey | dsa.DSAPublicKey) -> str:
    if key.key_size != software.DSA_BITS:
        raise AlgorithmUnsupported(f"DSA keys have {software.DSA_BITS} bits in SSH.")
    return "dsa"


def _named(name: str) -> Callable[[Any], str]:
    return lambda key: name


_NAMES: Final[tuple[tuple[tuple[type, ...], Callable[[Any], str]], ...]] = (
    ((rsa.RSAPrivateKey, rsa.RSAPublicKey), _of_rsa),
    ((ec.EllipticCurvePrivateKey, ec.EllipticCurvePublicKey), _of_ec),
    ((dsa.DSAPrivateKey, dsa.DSAPublicKey), _of_dsa),
    ((ed25519.Ed25519PrivateKey, ed25519.Ed25519PublicKey), _named("ed25519")),
    ((ed448.Ed448PrivateKey, ed448.Ed448PublicKey), _named(OtherAlgorithm.ED448)),
    ((x25519.X25519PrivateKey, x25519.X25519PublicKey), _named(OtherAlgorithm.X25519)),
    ((x448.X448PrivateKey, x448.X448PublicKey), _named(OtherAlgorithm.X448)),
    ((mldsa.MLDSA44PrivateKey, mldsa.MLDSA44PublicKey), _named(OtherAlgorithm.ML_DSA_44)),
    ((mldsa.MLDSA65PrivateKey, mldsa.MLDSA65PublicKey), _named(OtherAlgorithm.ML_DSA_65)),
    ((mldsa.MLDSA87PrivateKey, mldsa.MLDSA87PublicKey), _named(OtherAlgorithm.ML_DSA_87)),
    ((mlkem.MLKEM768PrivateKey, mlkem.MLKEM768PublicKey), _named(OtherAlgorithm.ML_KEM_768)),
    ((mlkem.MLKEM1024PrivateKey, mlkem.MLKEM1024PublicKey), _named(OtherAlgorithm.ML_KEM_1024)),
)


def algorithm_of(key: object) -> str:
    """The name of a loaded key's algorithm and size. Raises `AlgorithmUnsupported` for those
    that are not taken."""
    for kinds, name in _NAMES:
        if isinstance(key, kinds):
            return name(key)
    raise AlgorithmUnsupported("A key of this kind is not taken.")


# --- use -----------------------------------------------------------------------------


def loaded(material: Material) -> Any:
    """What is used: an object of cryptography, a `CompositeKey`, or a `SecretValue`."""
    view = material.secret.view
    match material.shape:
        case Form.SSH:
            with released(PRIVATE.read(Reader(view))) as private:
                return software.load(private)
        case Form.PKCS8:
            return load_der_private_key(view, None, unsafe_skip_rsa_key_validation=True)
        case type_:
            return SecretValue(type_, Secret.of(view))


def pkcs8_of(material: Material) -> Secret:
    """A private key as it leaves. Raises `AlgorithmUnsupported` where PKCS#8 has no words."""
    if material.shape is Form.PKCS8:
        return Secret.of(material.secret.view)
    key = loaded(material)
    if material.shape is not Form.SSH or isinstance(key, software.CompositeKey):
        raise AlgorithmUnsupported("There is no PKCS#8 form of this key.")
    return written(key)


def value_of(material: Material) -> Secret:
    """The key as it leaves: a secret key as it is, a private key as PKCS#8."""
    if isinstance(material.shape, SecretType):
        return Secret.of(material.secret.view)
    return pkcs8_of(material)


def written(key: Any) -> Secret:
    """A loaded private key as PKCS#8."""
    # These bytes stay in Python's heap until it is used again: cryptography writes nowhere else.
    return Secret.of(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))


def spki_of(key: Any) -> bytes:
    """SubjectPublicKeyInfo (DER) of a loaded private or public key."""
    public = key.public_key() if hasattr(key, "public_key") else key
    written: bytes = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return written


def public_of(spki: bytes) -> Any:
    """What verifies and encrypts. Raises `BadKeyFile`, `AlgorithmUnsupported`."""
    if len(spki) > MAX_KEY:
        raise BadKeyFile(f"A public key of more than {MAX_KEY} bytes is not taken.")
    try:
        key = load_der_public_key(spki)
    except (UnsupportedAlgorithm, InternalError) as error:
        raise AlgorithmUnsupported("A public key of this kind is not taken.") from error
    except ValueError as error:
        raise BadKeyFile("This is no public key.") from error
    algorithm_of(key)
    return key

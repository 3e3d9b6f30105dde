"""What kind of key an object of cryptography is: the tables of this package hang on it."""

from enum import StrEnum, unique
from typing import Any, Final

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

from keyholm.core.errors import MechanismUnsupported
from keyholm.core.mechanisms import Mechanism, Verb, spelling
from keyholm.core.model import SecretType
from keyholm.stores.software.keys import CompositeKey
from keyholm.stores.software.secret_keys import SecretValue


@unique
class Family(StrEnum):
    """Keys that can do the same, as a sentence names them."""

    RSA = "An RSA key"
    EC = "An elliptic-curve key"
    EDWARDS = "An Ed25519 or Ed448 key"
    MONTGOMERY = "An X25519 or X448 key"
    DSA = "A DSA key"
    ML_DSA = "An ML-DSA key"
    ML_KEM = "An ML-KEM key"
    COMPOSITE = "An ML-DSA-44 with Ed25519 key"
    AES = "An AES key"
    CHACHA20 = "A ChaCha20 key"
    DES3 = "A triple DES key"
    GENERIC = "A generic secret key"


_PRIVATE: Final[dict[type, Family]] = {
    rsa.RSAPrivateKey: Family.RSA,
    ec.EllipticCurvePrivateKey: Family.EC,
    ed25519.Ed25519PrivateKey: Family.EDWARDS,
    ed448.Ed448PrivateKey: Family.EDWARDS,
    x25519.X25519PrivateKey: Family.MONTGOMERY,
    x448.X448PrivateKey: Family.MONTGOMERY,
    dsa.DSAPrivateKey: Family.DSA,
    mldsa.MLDSA44PrivateKey: Family.ML_DSA,
    mldsa.MLDSA65PrivateKey: Family.ML_DSA,
    mldsa.MLDSA87PrivateKey: Family.ML_DSA,
    mlkem.MLKEM768PrivateKey: Family.ML_KEM,
    mlkem.MLKEM1024PrivateKey: Family.ML_KEM,
    CompositeKey: Family.COMPOSITE,
}
_PUBLIC: Final[dict[type, Family]] = {
    rsa.RSAPublicKey: Family.RSA,
    ec.EllipticCurvePublicKey: Family.EC,
    ed25519.Ed25519PublicKey: Family.EDWARDS,
    ed448.Ed448PublicKey: Family.EDWARDS,
    x25519.X25519PublicKey: Family.MONTGOMERY,
    x448.X448PublicKey: Family.MONTGOMERY,
    dsa.DSAPublicKey: Family.DSA,
    mldsa.MLDSA44PublicKey: Family.ML_DSA,
    mldsa.MLDSA65PublicKey: Family.ML_DSA,
    mldsa.MLDSA87PublicKey: Family.ML_DSA,
    mlkem.MLKEM768PublicKey: Family.ML_KEM,
    mlkem.MLKEM1024PublicKey: Family.ML_KEM,
}
SECRET: Final[dict[SecretType, Family]] = {
    SecretType.AES: Family.AES,
    SecretType.CHACHA20: Family.CHACHA20,
    SecretType.DES3: Family.DES3,
    SecretType.GENERIC: Family.GENERIC,
}


_KNOWN: Final[dict[type, tuple[Family | None, bool]]] = {}


def _known(kind: type) -> tuple[Family | None, bool]:
    """The family of objects of this class, and whether they are public keys."""
    found = _KNOWN.get(kind)
    if found is None:
        public = _within(kind, _PUBLIC)
        found = _KNOWN[kind] = (public or _within(kind, _PRIVATE), public is not None)
    return found


def _within(kind: type, table: dict[type, Family]) -> Family | None:
    # These classes are abstract; what is loaded is of others, which are registered with them.
    return next((family for each, family in table.items() if issubclass(kind, each)), None)


def family(key: object) -> Family | None:
    """Of a loaded key, secret, private or public; None where nothing here can use it."""
    return SECRET[key.type] if isinstance(key, SecretValue) else _known(type(key))[0]


def is_public(key: object) -> bool:
    return _known(type(key))[1]


def public_half(key: Any) -> Any:
    """What verifies and encrypts: of what has no other half it is the key itself."""
    return key.public_key() if hasattr(key, "public_key") else key


def unsupported(key: Any, verb: Verb, mechanism: Mechanism) -> MechanismUnsupported:
    kind = family(key) or "This key"
    return MechanismUnsupported(f"{kind} does not {verb} by {spelling(mechanism)}.")

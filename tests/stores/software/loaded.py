"""One key of every kind, as it is kept and as it is used; made once a process."""

from functools import cache
from typing import Any

from keyholm.core.model import Algorithm, KeyType, OtherAlgorithm, RsaKey, SecretKey, SecretType
from keyholm.stores.software.generating import generate
from keyholm.stores.software.material import Material, loaded

ALL: tuple[KeyType, ...] = (
    Algorithm.ED25519,
    Algorithm.ECDSA_P256,
    Algorithm.ECDSA_P384,
    Algorithm.ECDSA_P521,
    Algorithm.RSA_2048,
    Algorithm.MLDSA44_ED25519,
    *OtherAlgorithm,
    RsaKey(2056, 3),
    *(SecretKey(SecretType.AES, size) for size in (16, 24, 32, 64)),
    SecretKey(SecretType.CHACHA20, 32),
    SecretKey(SecretType.DES3, 24),
    SecretKey(SecretType.GENERIC, 40),
)


@cache
def material(wanted: KeyType) -> Material:
    return generate(wanted).material


@cache
def key(wanted: KeyType) -> Any:
    return loaded(material(wanted))


def secret_key(type_: SecretType, size: int) -> Any:
    return key(SecretKey(type_, size))

"""New keys of every kind, as they are kept: one table says how each algorithm makes one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed448, mldsa, mlkem, x448, x25519

from keyholm.core.errors import AlgorithmUnsupported
from keyholm.core.model import (
    Algorithm,
    KeyType,
    OtherAlgorithm,
    RsaKey,
    SecretKey,
    SecretType,
    spelled,
)
from keyholm.core.secret import Secret
from keyholm.stores.software import keys as software
from keyholm.stores.software.material import RSA_LARGEST, Form, Material, spki_of, written
from keyholm.stores.software.plain import plain_form, wiped
from keyholm.stores.software.secret_keys import check_size
from keyholm.wire.ssh import keys
from keyholm.wire.ssh.private_keys import Private

RSA_LEAST: Final = 2048
# Those that cryptography makes. Three is for programs that can do no other.
RSA_EXPONENTS: Final = (3, 65537)


@dataclass(frozen=True, slots=True)
class Made:
    """A key that was just made. The caller closes its material."""

    material: Material
    algorithm: str
    spki: bytes = b""  # empty for a secret key, and for the one pair that has none
    public: keys.PublicKey | None = None  # where SSH has words for it


def check(wanted: KeyType) -> None:
    """Whether there can be such a key. Raises `AlgorithmUnsupported`."""
    if isinstance(wanted, SecretKey):
        check_size(wanted.type, wanted.size)
    elif isinstance(wanted, RsaKey):
        _check_rsa(wanted)


def _check_rsa(wanted: RsaKey) -> None:
    if not RSA_LEAST <= wanted.bits <= RSA_LARGEST:
        raise AlgorithmUnsupported(
            f"RSA keys of {RSA_LEAST} to {RSA_LARGEST} bits are made, not of {wanted.bits}."
        )
    if wanted.bits % 2:  # OpenSSL would make one of a bit less, and say nothing
        raise AlgorithmUnsupported("RSA keys are made with an even number of bits.")
    if wanted.exponent not in RSA_EXPONENTS:
        raise AlgorithmUnsupported(
            f"RSA keys are made with the exponent 3 or 65537, not {wanted.exponent}."
        )


def generate(wanted: KeyType) -> Made:
    """Raises `AlgorithmUnsupported`. A large RSA key takes minutes."""
    check(wanted)
    match wanted:
        case Algorithm():
            return _for_ssh(software.generate(wanted), wanted)
        case RsaKey(bits, exponent):
            return _for_ssh(software.generate_rsa(bits, exponent), spelled(wanted))
        case OtherAlgorithm():
            key = _OTHERS[wanted]()
            return Made(Material(Form.PKCS8, written(key)), wanted, spki_of(key))
        case SecretKey(type_, size):
            return Made(Material(type_, _random(type_, size)), spelled(wanted))


def _for_ssh(private: Private, algorithm: str) -> Made:
    with wiped(private):
        material = Material(Form.SSH, plain_form(private))
    return Made(material, algorithm, keys.spki(private.public) or b"", private.public)


def _random(type_: SecretType, size: int) -> Secret:
    secret = Secret.random(size)
    if type_ is SecretType.DES3:
        _set_parity(secret.view)
    return secret


def _set_parity(key: memoryview) -> None:
    """The low bit of each byte of a DES key makes its bits odd in number (FIPS 46-3)."""
    for at, byte in enumerate(key):
        key[at] = byte & 0xFE | (byte >> 1).bit_count() & 1 ^ 1


def _on(curve: ec.EllipticCurve) -> Callable[[], Any]:
    return lambda: ec.generate_private_key(curve)


_OTHERS: Final[dict[OtherAlgorithm, Callable[[], Any]]] = {
    OtherAlgorithm.ED448: ed448.Ed448PrivateKey.generate,
    OtherAlgorithm.X25519: x25519.X25519PrivateKey.generate,
    OtherAlgorithm.X448: x448.X448PrivateKey.generate,
    OtherAlgorithm.ECDSA_P224: _on(ec.SECP224R1()),
    OtherAlgorithm.SECP256K1: _on(ec.SECP256K1()),
    OtherAlgorithm.ML_DSA_44: mldsa.MLDSA44PrivateKey.generate,
    OtherAlgorithm.ML_DSA_65: mldsa.MLDSA65PrivateKey.generate,
    OtherAlgorithm.ML_DSA_87: mldsa.MLDSA87PrivateKey.generate,
    OtherAlgorithm.ML_KEM_768: mlkem.MLKEM768PrivateKey.generate,
    OtherAlgorithm.ML_KEM_1024: mlkem.MLKEM1024PrivateKey.generate,
}

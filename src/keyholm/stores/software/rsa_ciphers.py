"""RSA encryption (RFC 8017, section 7), and the bare operation."""

from typing import Final

from cryptography.hazmat.primitives.asymmetric import padding, rsa

from keyholm.core.errors import DataInvalid, DataLengthInvalid, MechanismUnsupported
from keyholm.core.mechanisms import Hash, RsaOaep, RsaPkcs1Encryption, RsaRaw
from keyholm.core.store import Running
from keyholm.stores.software import rsa_raw
from keyholm.stores.software.ciphers import Ways
from keyholm.stores.software.families import Family
from keyholm.stores.software.hashing import HASHES
from keyholm.stores.software.running import Collected
from keyholm.stores.software.signing import room_of


def _encrypting(key: rsa.RSAPublicKey, how: padding.AsymmetricPadding, room: int) -> Running:
    if room < 0:
        raise MechanismUnsupported("This RSA key is too short for so long a hash.")
    return Collected(lambda data, _: key.encrypt(bytes(data), how), room)


def _decrypting(key: rsa.RSAPrivateKey, how: padding.AsymmetricPadding) -> Running:
    size = rsa_raw.size_of(key)

    def decrypt(data: bytearray, _: bytes) -> bytes:
        if len(data) != size:
            raise DataLengthInvalid(f"What this RSA key decrypts has {size} bytes.")
        try:
            return key.decrypt(bytes(data), how)
        except ValueError:
            # One sentence for all that can be wrong, and no cause, as RFC 8017, 7.1.2 wants it.
            raise DataInvalid("This was not encrypted for this key in this way.") from None

    return Collected(decrypt, size)


# --- PKCS#1 v1.5 ---------------------------------------------------------------------


def _pkcs1_encrypting(key: rsa.RSAPublicKey, mechanism: RsaPkcs1Encryption) -> Running:
    return _encrypting(key, padding.PKCS1v15(), room_of(key))


def _pkcs1_decrypting(key: rsa.RSAPrivateKey, mechanism: RsaPkcs1Encryption) -> Running:
    """A wrong padding gives other bytes and no error: an error would let anybody decrypt who
    may ask a million times (Bleichenbacher)."""
    if not _rejects_implicitly(key):
        raise MechanismUnsupported(
            "RSA decryption by PKCS#1 v1.5 is not safe with this OpenSSL.",
            remedy="It is from version 3.2 on, which the wheels of cryptography bring along.",
        )
    return _decrypting(key, padding.PKCS1v15())


_REJECTING: Final[list[bool]] = []


def _rejects_implicitly(key: rsa.RSAPrivateKey) -> bool:
    """Whether this OpenSSL does so: what is tried is one, which nobody padded."""
    if not _REJECTING:
        try:
            key.decrypt((1).to_bytes(rsa_raw.size_of(key)), padding.PKCS1v15())
        except ValueError:
            _REJECTING.append(False)
        else:
            _REJECTING.append(True)
    return _REJECTING[0]


# --- OAEP ----------------------------------------------------------------------------


# What cryptography has; SHA-3 it has not, and to unpad by ourselves would be an oracle.
_OAEP_HASHES: Final = frozenset({Hash.SHA1, Hash.SHA224, Hash.SHA256, Hash.SHA384, Hash.SHA512})


def _oaep(mechanism: RsaOaep) -> padding.OAEP:
    if not {mechanism.hash, mechanism.mgf} <= _OAEP_HASHES:
        raise MechanismUnsupported(
            f"RSA-OAEP with {mechanism.hash} and MGF1 with {mechanism.mgf} is not offered: "
            "cryptography has it with SHA-1 and SHA-2."
        )
    return padding.OAEP(
        padding.MGF1(HASHES[mechanism.mgf]), HASHES[mechanism.hash], mechanism.label or None
    )


def _oaep_encrypting(key: rsa.RSAPublicKey, mechanism: RsaOaep) -> Running:
    how = _oaep(mechanism)
    # RFC 8017, 7.1.1.
    room = rsa_raw.size_of(key) - 2 * HASHES[mechanism.hash].digest_size - 2
    return _encrypting(key, how, room)


def _oaep_decrypting(key: rsa.RSAPrivateKey, mechanism: RsaOaep) -> Running:
    return _decrypting(key, _oaep(mechanism))


# --- raw -----------------------------------------------------------------------------


def _raw_encrypting(key: rsa.RSAPublicKey, mechanism: RsaRaw) -> Running:
    return Collected(lambda data, _: rsa_raw.public_operation(key, data), rsa_raw.size_of(key))


def _raw_decrypting(key: rsa.RSAPrivateKey, mechanism: RsaRaw) -> Running:
    return Collected(lambda data, _: rsa_raw.private_operation(key, data), rsa_raw.size_of(key))


RSA_CIPHERS: Final[dict[tuple[Family, type], Ways]] = {
    (Family.RSA, RsaPkcs1Encryption): (_pkcs1_encrypting, _pkcs1_decrypting),
    (Family.RSA, RsaOaep): (_oaep_encrypting, _oaep_decrypting),
    (Family.RSA, RsaRaw): (_raw_encrypting, _raw_decrypting),
}

"""How each kind of key signs by each mechanism, in PKCS#11 form.

`signer` prepares paddings and hashes once; what it gives adds a microsecond to the signing
of cryptography itself. A mechanism with a hash takes the whole message, one without takes a
digest or, as PKCS#11 has it, whatever else it is given; RSA-PSS takes the message, or a
digest of its hash.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding, rsa, utils

from keyholm.core.errors import DataLengthInvalid, MechanismUnsupported
from keyholm.core.mechanisms import (
    AesCmac,
    Digest,
    Dsa,
    Ecdsa,
    EdDsa,
    Hash,
    Hmac,
    Input,
    Mechanism,
    Message,
    MlDsa,
    MlDsa44Ed25519,
    Opaque,
    RsaPkcs1,
    RsaPss,
    RsaRaw,
    Verb,
    spelling,
)
from keyholm.stores.software import macs, rsa_raw
from keyholm.stores.software.families import Family, family, is_public, unsupported
from keyholm.stores.software.hashing import HASHES, PREHASHED
from keyholm.stores.software.keys import CompositeKey
from keyholm.wire.ssh import signatures

DSA_WIDTH: Final = 20
LONGEST_DIGEST: Final = 1024
LONGEST_CONTEXT: Final = 255  # FIPS 204, algorithm 2

ECDSA_OF_DIGEST: Final = {name: ec.ECDSA(made) for name, made in PREHASHED.items()}

Signer = Callable[[Any, Input], bytes]


def signer(key: Any, mechanism: Mechanism) -> Signer:
    """How this key, and every other of its size, signs by `mechanism`.

    Raises `MechanismUnsupported`."""
    kind = family(key)
    maker = None if kind is None or is_public(key) else _SIGNERS.get((kind, type(mechanism)))
    if maker is None:
        raise unsupported(key, Verb.SIGN, mechanism)
    return maker(key, mechanism)


def _eddsa(_: Any, mechanism: EdDsa) -> Signer:
    def sign(key: Any, data: Input) -> bytes:
        signature: bytes = key.sign(_message(data, mechanism))
        return signature

    return sign


def width_of(curve: ec.EllipticCurve) -> int:
    """Bytes of r, of s and of the order, which on our curves is as long as a coordinate."""
    return (curve.key_size + 7) // 8


def _ecdsa(example: ec.EllipticCurvePrivateKey, mechanism: Ecdsa) -> Signer:
    width = width_of(example.curve)
    if mechanism.hash is None:
        return _ecdsa_of_digest(width, mechanism)
    how = ec.ECDSA(HASHES[mechanism.hash])

    def sign(key: ec.EllipticCurvePrivateKey, data: Input) -> bytes:
        return _split(key.sign(_message(data, mechanism), how), width)

    return sign


def _ecdsa_of_digest(width: int, mechanism: Ecdsa) -> Signer:
    ways = ECDSA_OF_DIGEST

    def sign(key: ec.EllipticCurvePrivateKey, data: Input) -> bytes:
        if data.__class__ is Opaque:
            return _split(key.sign(data.data, of_length(len(data.data))), width)
        digest = _digest(data, mechanism)
        return _split(key.sign(digest.data, ways[digest.hash]), width)

    return sign


@lru_cache(maxsize=64)
def of_length(size: int) -> ec.ECDSA:
    """ECDSA of a digest of any length.

    cryptography only compares the length with that of the hash that is said to have made the
    digest, and SHAKE has every length; OpenSSL takes the leftmost bits, as many as the order
    has (FIPS 186-5, 6.4.1). An empty digest is refused: whoever knows the public key can forge
    a signature of zero."""
    if not 0 < size <= LONGEST_DIGEST:
        raise DataLengthInvalid(f"ECDSA signs a digest of 1 to {LONGEST_DIGEST} bytes, not {size}.")
    return ec.ECDSA(utils.Prehashed(hashes.SHAKE256(size)))


def _split(signature: bytes, width: int) -> bytes:
    """`r || s` of a DER signature that OpenSSL made here, which needs no checks: they would
    take longer than all else that is added to its signing."""
    at = 4 if signature[1] < 0x80 else 5  # the sequence of a P-521 signature has a long length
    end = at + signature[at - 1]
    r, s = signature[at:end], signature[end + 2 :]
    return r[-width:].rjust(width, b"\0") + s[-width:].rjust(width, b"\0")


def _rsa_pkcs1(example: rsa.RSAPrivateKey, mechanism: RsaPkcs1) -> Signer:
    pad = padding.PKCS1v15()
    if mechanism.hash is None:
        return _rsa_pkcs1_of_digest(room_of(example), mechanism)
    how = HASHES[mechanism.hash]

    def sign(key: rsa.RSAPrivateKey, data: Input) -> bytes:
        return key.sign(_message(data, mechanism), pad, how)

    return sign


def room_of(key: rsa.RSAPrivateKey | rsa.RSAPublicKey) -> int:
    """Bytes that PKCS#1 v1.5 pads at most (RFC 8017, 7.2.1 and 9.2)."""
    return (key.key_size + 7) // 8 - 11


def _rsa_pkcs1_of_digest(room: int, mechanism: RsaPkcs1) -> Signer:
    pad, bare = padding.PKCS1v15(), utils.NoDigestInfo()

    def sign(key: rsa.RSAPrivateKey, data: Input) -> bytes:
        if data.__class__ is not Opaque:
            return _rsa_of_digest(key, _digest(data, mechanism), pad)
        if len(data.data) > room:
            raise DataLengthInvalid(f"This RSA key signs at most {room} bytes that are not hashed.")
        return key.sign(data.data, pad, bare)

    return sign


def pss_padding(key: rsa.RSAPrivateKey | rsa.RSAPublicKey, mechanism: RsaPss) -> padding.PSS:
    # RFC 8017, 9.1.1: the encoded message is one bit shorter than the modulus.
    room = (key.key_size + 6) // 8 - HASHES[mechanism.hash].digest_size - 2
    if not 0 <= mechanism.salt <= room:
        raise MechanismUnsupported(
            f"This RSA key has room for a salt of at most {room} bytes with {mechanism.hash}."
        )
    return padding.PSS(padding.MGF1(HASHES[mechanism.mgf]), mechanism.salt)


def _rsa_pss(example: rsa.RSAPrivateKey, mechanism: RsaPss) -> Signer:
    how, pad = HASHES[mechanism.hash], pss_padding(example, mechanism)

    def sign(key: rsa.RSAPrivateKey, data: Input) -> bytes:
        if isinstance(data, Digest) and data.hash is mechanism.hash:
            return _rsa_of_digest(key, _digest(data, mechanism), pad)
        return key.sign(_message(data, mechanism), pad, how)

    return sign


def _rsa_of_digest(key: rsa.RSAPrivateKey, digest: Digest, pad: padding.AsymmetricPadding) -> bytes:
    return key.sign(digest.data, pad, PREHASHED[digest.hash])


def _dsa(_: Any, mechanism: Dsa) -> Signer:
    def sign(key: dsa.DSAPrivateKey, data: Input) -> bytes:
        return _split(key.sign(_message(data, mechanism), HASHES[Hash.SHA1]), DSA_WIDTH)

    return sign


def _ml_dsa(_: Any, mechanism: MlDsa) -> Signer:
    check_context(mechanism)

    def sign(key: Any, data: Input) -> bytes:
        signature: bytes = key.sign(_message(data, mechanism), mechanism.context)
        return signature

    return sign


def check_context(mechanism: MlDsa) -> None:
    if len(mechanism.context) > LONGEST_CONTEXT:
        raise MechanismUnsupported(f"The context of ML-DSA has at most {LONGEST_CONTEXT} bytes.")


def _both(_: Any, mechanism: MlDsa44Ed25519) -> Signer:
    def sign(key: CompositeKey, data: Input) -> bytes:
        message = signatures.composite_message(_message(data, mechanism))
        first = key.post_quantum.sign(message, signatures.COMPOSITE_LABEL)
        return first + key.classic.sign(message)

    return sign


def _message(data: Input, mechanism: Mechanism) -> bytes:
    if data.__class__ is not Message:
        raise MechanismUnsupported(f"{spelling(mechanism)} takes the whole message.")
    return data.data


def _digest(data: Input, mechanism: Mechanism) -> Digest:
    if not isinstance(data, Digest):
        raise MechanismUnsupported(f"{spelling(mechanism)} takes a digest.")
    size = HASHES[data.hash].digest_size
    if len(data.data) != size:
        raise MechanismUnsupported(f"A {data.hash} digest has {size} bytes.")
    return data


_SIGNERS: Final[dict[tuple[Family, type], Callable[[Any, Any], Signer]]] = {
    (Family.EDWARDS, EdDsa): _eddsa,
    (Family.EC, Ecdsa): _ecdsa,
    (Family.RSA, RsaPkcs1): _rsa_pkcs1,
    (Family.RSA, RsaPss): _rsa_pss,
    (Family.RSA, RsaRaw): rsa_raw.signer,
    (Family.DSA, Dsa): _dsa,
    (Family.ML_DSA, MlDsa): _ml_dsa,
    (Family.COMPOSITE, MlDsa44Ed25519): _both,
    (Family.GENERIC, Hmac): macs.signer,
    (Family.AES, AesCmac): macs.signer,
}

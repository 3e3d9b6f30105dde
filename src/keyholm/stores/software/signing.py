"""How each kind of key signs by each mechanism, in PKCS#11 form.

`signer` prepares paddings and hashes once; what it gives adds a microsecond to the signing
of cryptography itself. A mechanism with a hash takes the whole message, one without takes a
digest; RSA-PSS takes either, if the digest is of its hash.
"""

from collections.abc import Callable
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa, utils

from keyholm.core.errors import MechanismUnsupported
from keyholm.core.mechanisms import (
    Digest,
    Dsa,
    Ecdsa,
    EdDsa,
    Hash,
    Input,
    Mechanism,
    Message,
    MlDsa44Ed25519,
    RsaPkcs1,
    RsaPss,
    spelling,
)
from keyholm.stores.software.keys import CompositeKey
from keyholm.wire.ssh import keys, signatures

HASHES: Final[dict[Hash, hashes.HashAlgorithm]] = {
    Hash.SHA1: hashes.SHA1(),  # noqa: S303 - ssh-rsa and ssh-dss are SHA-1
    Hash.SHA224: hashes.SHA224(),
    Hash.SHA256: hashes.SHA256(),
    Hash.SHA384: hashes.SHA384(),
    Hash.SHA512: hashes.SHA512(),
    Hash.SHA3_224: hashes.SHA3_224(),
    Hash.SHA3_256: hashes.SHA3_256(),
    Hash.SHA3_384: hashes.SHA3_384(),
    Hash.SHA3_512: hashes.SHA3_512(),
}
PREHASHED: Final = {name: utils.Prehashed(algorithm) for name, algorithm in HASHES.items()}
DSA_WIDTH: Final = 20

Signer = Callable[[Any, Input], bytes]


def signer(public: keys.PublicKey, mechanism: Mechanism) -> Signer:
    """How a key of this kind signs by `mechanism`. Raises `MechanismUnsupported`."""
    maker = _SIGNERS.get((type(public), type(mechanism)))
    if maker is None:
        raise MechanismUnsupported(
            f"A key of type {keys.type_name(public)} does not sign by {spelling(mechanism)}."
        )
    return maker(public, mechanism)


def _eddsa(public: keys.Ed25519, mechanism: EdDsa) -> Signer:
    def sign(key: ed25519.Ed25519PrivateKey, data: Input) -> bytes:
        return key.sign(_message(data, mechanism))

    return sign


def _ecdsa(public: keys.Ecdsa, mechanism: Ecdsa) -> Signer:
    width = public.curve.width
    if mechanism.hash is None:
        return _ecdsa_of_digest(width, mechanism)
    how = ec.ECDSA(HASHES[mechanism.hash])

    def sign(key: ec.EllipticCurvePrivateKey, data: Input) -> bytes:
        return _split(key.sign(_message(data, mechanism), how), width)

    return sign


def _ecdsa_of_digest(width: int, mechanism: Ecdsa) -> Signer:
    ways = {name: ec.ECDSA(prehashed) for name, prehashed in PREHASHED.items()}

    def sign(key: ec.EllipticCurvePrivateKey, data: Input) -> bytes:
        digest = _digest(data, mechanism)
        return _split(key.sign(digest.data, ways[digest.hash]), width)

    return sign


def _split(signature: bytes, width: int) -> bytes:
    """`r || s` of a DER signature that OpenSSL made here, which needs no checks: they would
    take longer than all else that is added to its signing."""
    at = 4 if signature[1] < 0x80 else 5  # the sequence of a P-521 signature has a long length
    end = at + signature[at - 1]
    r, s = signature[at:end], signature[end + 2 :]
    return r[-width:].rjust(width, b"\0") + s[-width:].rjust(width, b"\0")


def _rsa_pkcs1(public: keys.Rsa, mechanism: RsaPkcs1) -> Signer:
    pad = padding.PKCS1v15()
    if mechanism.hash is None:
        return lambda key, data: _rsa_of_digest(key, _digest(data, mechanism), pad)
    how = HASHES[mechanism.hash]

    def sign(key: rsa.RSAPrivateKey, data: Input) -> bytes:
        return key.sign(_message(data, mechanism), pad, how)

    return sign


def _rsa_pss(public: keys.Rsa, mechanism: RsaPss) -> Signer:
    how = HASHES[mechanism.hash]
    # RFC 8017, 9.1.1: the encoded message is one bit shorter than the modulus.
    room = (public.modulus.bit_length() + 6) // 8 - how.digest_size - 2
    if not 0 <= mechanism.salt <= room:
        raise MechanismUnsupported(
            f"This RSA key has room for a salt of at most {room} bytes with {mechanism.hash}."
        )
    pad = padding.PSS(padding.MGF1(HASHES[mechanism.mgf]), mechanism.salt)

    def sign(key: rsa.RSAPrivateKey, data: Input) -> bytes:
        if isinstance(data, Digest) and data.hash is mechanism.hash:
            return _rsa_of_digest(key, _digest(data, mechanism), pad)
        return key.sign(_message(data, mechanism), pad, how)

    return sign


def _rsa_of_digest(key: rsa.RSAPrivateKey, digest: Digest, pad: padding.AsymmetricPadding) -> bytes:
    return key.sign(digest.data, pad, PREHASHED[digest.hash])


def _dsa(public: keys.Dsa, mechanism: Dsa) -> Signer:
    def sign(key: dsa.DSAPrivateKey, data: Input) -> bytes:
        return _split(key.sign(_message(data, mechanism), HASHES[Hash.SHA1]), DSA_WIDTH)

    return sign


def _both(public: keys.MlDsa44Ed25519, mechanism: MlDsa44Ed25519) -> Signer:
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


_SIGNERS: Final[dict[tuple[type, type], Callable[[Any, Any], Signer]]] = {
    (keys.Ed25519, EdDsa): _eddsa,
    (keys.Ecdsa, Ecdsa): _ecdsa,
    (keys.Rsa, RsaPkcs1): _rsa_pkcs1,
    (keys.Rsa, RsaPss): _rsa_pss,
    (keys.Dsa, Dsa): _dsa,
    (keys.MlDsa44Ed25519, MlDsa44Ed25519): _both,
}

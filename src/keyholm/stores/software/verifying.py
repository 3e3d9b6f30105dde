"""How each kind of public key verifies by each mechanism: signatures in PKCS#11 form."""

import hmac
from collections.abc import Callable
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding, rsa, utils

from keyholm.core.errors import DataInvalid, DataLengthInvalid, SignatureInvalid
from keyholm.core.mechanisms import (
    Digest,
    Dsa,
    Ecdsa,
    EdDsa,
    Hash,
    Input,
    Mechanism,
    MlDsa,
    RsaPkcs1,
    RsaPss,
    RsaRaw,
    Verb,
)
from keyholm.stores.software import rsa_raw
from keyholm.stores.software.families import Family, family, unsupported
from keyholm.stores.software.hashing import HASHES, PREHASHED
from keyholm.stores.software.signing import (
    DSA_WIDTH,
    ECDSA_OF_DIGEST,
    check_context,
    of_length,
    pss_padding,
    room_of,
    width_of,
)
from keyholm.wire.codec import Malformed
from keyholm.wire.ssh import signatures

Verifier = Callable[[Any, Input, bytes], None]
"""Raises `SignatureInvalid`, `InvalidSignature`, and `Malformed` if it has another length."""


def verifier(key: Any, mechanism: Mechanism) -> Callable[[Input, bytes], None]:
    """How this public key verifies by `mechanism`.

    Raises `MechanismUnsupported`; what it gives raises `SignatureInvalid`."""
    kind = family(key)
    maker = None if kind is None else _VERIFIERS.get((kind, type(mechanism)))
    if maker is None:
        raise unsupported(key, Verb.VERIFY, mechanism)
    verify = maker(key, mechanism)

    def check(data: Input, signature: bytes) -> None:
        try:
            verify(key, data, signature)
        except (InvalidSignature, Malformed):
            raise SignatureInvalid("The signature is not of this data by this key.") from None

    return check


def _eddsa(_: Any, mechanism: EdDsa) -> Verifier:
    return lambda key, data, signature: key.verify(signature, data.data)


def _ecdsa(example: ec.EllipticCurvePublicKey, mechanism: Ecdsa) -> Verifier:
    width = width_of(example.curve)

    def verify(key: ec.EllipticCurvePublicKey, data: Input, signature: bytes) -> None:
        key.verify(_der(signature, width), data.data, _ecdsa_way(mechanism, data))

    return verify


def _ecdsa_way(mechanism: Ecdsa, data: Input) -> ec.ECDSA:
    if isinstance(data, Digest):
        return ECDSA_OF_DIGEST[data.hash]
    if mechanism.hash is None:
        return of_length(len(data.data))
    return ec.ECDSA(HASHES[mechanism.hash])


def _der(signature: bytes, width: int) -> bytes:
    if len(signature) != 2 * width:
        raise Malformed(f"a signature of {len(signature)} bytes, not {2 * width}")
    return signatures.rs_to_der(signature)


def _rsa_pkcs1(example: rsa.RSAPublicKey, mechanism: RsaPkcs1) -> Verifier:
    pad, bare, room = padding.PKCS1v15(), utils.NoDigestInfo(), room_of(example)

    def verify(key: rsa.RSAPublicKey, data: Input, signature: bytes) -> None:
        if mechanism.hash is not None:
            key.verify(signature, data.data, pad, HASHES[mechanism.hash])
        elif isinstance(data, Digest):
            key.verify(signature, data.data, pad, PREHASHED[data.hash])
        elif len(data.data) > room:
            raise DataLengthInvalid(f"This RSA key signs at most {room} bytes.")
        elif not hmac.compare_digest(
            key.recover_data_from_signature(signature, pad, bare), data.data
        ):
            raise InvalidSignature

    return verify


def _rsa_pss(example: rsa.RSAPublicKey, mechanism: RsaPss) -> Verifier:
    pad = pss_padding(example, mechanism)

    def verify(key: rsa.RSAPublicKey, data: Input, signature: bytes) -> None:
        made = PREHASHED if isinstance(data, Digest) else HASHES
        key.verify(signature, data.data, pad, made[mechanism.hash])

    return verify


def _rsa_raw(_: Any, mechanism: RsaRaw) -> Verifier:
    def verify(key: rsa.RSAPublicKey, data: Input, signature: bytes) -> None:
        size = rsa_raw.size_of(key)
        if len(data.data) > size:
            raise DataLengthInvalid(f"Raw RSA takes at most {size} bytes with this key.")
        if len(signature) != size:
            raise InvalidSignature
        try:
            signed = rsa_raw.public_operation(key, signature)
        except DataInvalid:
            raise InvalidSignature from None
        if not hmac.compare_digest(signed, data.data.rjust(size, b"\0")):
            raise InvalidSignature

    return verify


def _dsa(_: Any, mechanism: Dsa) -> Verifier:
    def verify(key: dsa.DSAPublicKey, data: Input, signature: bytes) -> None:
        key.verify(_der(signature, DSA_WIDTH), data.data, HASHES[Hash.SHA1])

    return verify


def _ml_dsa(_: Any, mechanism: MlDsa) -> Verifier:
    check_context(mechanism)
    return lambda key, data, signature: key.verify(signature, data.data, mechanism.context)


_VERIFIERS: Final[dict[tuple[Family, type], Callable[[Any, Any], Verifier]]] = {
    (Family.EDWARDS, EdDsa): _eddsa,
    (Family.EC, Ecdsa): _ecdsa,
    (Family.RSA, RsaPkcs1): _rsa_pkcs1,
    (Family.RSA, RsaPss): _rsa_pss,
    (Family.RSA, RsaRaw): _rsa_raw,
    (Family.DSA, Dsa): _dsa,
    (Family.ML_DSA, MlDsa): _ml_dsa,
}

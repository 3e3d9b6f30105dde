"""Ways in which a token can be had to sign: by the mechanism itself, or by a plainer one.

A token that knows no CKM_ECDSA_SHA256 signs the hash that we make; one that knows no
CKM_SHA256_RSA_PKCS pads the DigestInfo that we write. Which one it is to be is the first that
the token lists and the key allows. What cannot be a use of such a key is refused here, so that
a module is never asked for it.
"""

from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from cryptography.hazmat.primitives import hashes

from keyholm.core import mechanisms as core
from keyholm.core.errors import DataLengthInvalid, MechanismUnsupported
from keyholm.core.mechanisms import (
    Digest,
    Hash,
    Input,
    Mechanism,
    Message,
    Opaque,
    spelling,
)
from keyholm.core.model import Key
from keyholm.cryptoki import forms
from keyholm.cryptoki.outward import digest_info, outward
from keyholm.cryptoki.parameters import HASH_SIZES
from keyholm.stores.modules.line import ROOM
from keyholm.stores.software.hashing import HASHES
from keyholm.wire.pkcs11 import mechanisms as wire
from keyholm.wire.pkcs11.constants import CKA, CKK
from keyholm.wire.ssh import keys

LONGEST_DIGEST: Final = 1024
PADDING: Final = 11  # bytes that PKCS#1 v1.5 needs at least (RFC 8017, 9.2)
_EDWARDS: Final = {32: 64, 57: 114}  # bytes of a point, and of a signature


class Shape(NamedTuple):
    """What a key is, as far as its uses depend on it. 0: not known."""

    key_type: int
    size: int = 0  # bytes of the order of a curve, or of a modulus
    bits: int = 0  # of a modulus
    signature: int = 0  # bytes


class Way(NamedTuple):
    mechanism: wire.Mechanism
    data: bytes
    room: int  # bytes, for the signature: some modules want more than it has


def shape_of(key: Key, key_type: int) -> Shape:
    if isinstance(key.ssh, keys.Rsa):
        bits = key.ssh.modulus.bit_length()
        return Shape(CKK.RSA, (bits + 7) // 8, bits, (bits + 7) // 8)
    form = forms.form_of(key)
    if form is None:
        return Shape(key_type)
    match form.key_type:
        case CKK.EC:
            width = (form.size - 1) // 2
            return Shape(CKK.EC, width, 0, 2 * width)
        case CKK.EC_EDWARDS:
            return Shape(CKK.EC_EDWARDS, signature=_EDWARDS[form.size])
        case CKK.RSA:  # too short for SSH
            told = forms.form_and_bits(key.spki)[1].get(CKA.MODULUS_BITS)
            bits = told if isinstance(told, int) else 0
            return Shape(CKK.RSA, (bits + 7) // 8, bits, (bits + 7) // 8)
        case other:
            return Shape(other)


def way(
    shape: Shape,
    mechanism: Mechanism,
    data: Input,
    listed: Collection[int],
    allowed: Collection[int],
) -> Way:
    """`listed`: what the token signs by; `allowed`: by what the key may; empty: by anything.

    Raises `MechanismUnsupported`, `DataLengthInvalid`."""
    for named, payload in _ways(shape, mechanism, data):
        said = _said(named)
        if (not listed or said.type in listed) and (not allowed or said.type in allowed):
            return Way(said, payload, 2 * shape.signature or ROOM)
    raise MechanismUnsupported(
        f"The key's token does not sign by {spelling(mechanism)}.",
        remedy="Use another mechanism, or another token.",
    )


@lru_cache(maxsize=256)
def _said(mechanism: Mechanism) -> wire.Mechanism:
    return outward(mechanism)


def _ways(shape: Shape, mechanism: Mechanism, data: Input) -> Iterator[tuple[Mechanism, bytes]]:
    kind = shape.key_type
    match mechanism:
        case core.Ecdsa() if kind == CKK.EC:
            return _ecdsa(shape, mechanism, data)
        case core.RsaPkcs1() if kind == CKK.RSA:
            return _pkcs1(shape, mechanism, data)
        case core.RsaPss() if kind == CKK.RSA:
            return _pss(shape, mechanism, data)
        case core.RsaRaw() if kind == CKK.RSA and isinstance(data, Opaque):
            return iter([(mechanism, data.data)])
        case core.EdDsa() if kind == CKK.EC_EDWARDS:
            return _whole(mechanism, data)
        case core.MlDsa() if kind == CKK.ML_DSA:
            return _whole(mechanism, data)
        case core.Vendor():
            return iter([(mechanism, data.data)])
        case _:
            raise MechanismUnsupported(
                f"A key of this kind does not sign by {spelling(mechanism)}."
            )


def _whole(mechanism: Mechanism, data: Input) -> Iterator[tuple[Mechanism, bytes]]:
    yield mechanism, _message(mechanism, data)


def _ecdsa(shape: Shape, mechanism: core.Ecdsa, data: Input) -> Iterator[tuple[Mechanism, bytes]]:
    raw = core.Ecdsa()
    if mechanism.hash is not None:
        message = _message(mechanism, data)
        yield mechanism, message
        yield raw, _leftmost(shape, _hashed(mechanism.hash, message))
        return
    if isinstance(data, Digest):
        yield raw, _leftmost(shape, _digest(data))
        return
    if not isinstance(data, Opaque):
        raise MechanismUnsupported("ECDSA without a hash takes a digest.")
    if not 0 < len(data.data) <= LONGEST_DIGEST:
        raise DataLengthInvalid(
            f"ECDSA signs a digest of 1 to {LONGEST_DIGEST} bytes, not {len(data.data)}."
        )
    yield raw, _leftmost(shape, data.data)


def _leftmost(shape: Shape, digest: bytes) -> bytes:
    """FIPS 186-5, 6.4.1: as many bits as the order has. Some tokens take no more than that."""
    return digest[: shape.size] if shape.size else digest


def _pkcs1(
    shape: Shape, mechanism: core.RsaPkcs1, data: Input
) -> Iterator[tuple[Mechanism, bytes]]:
    raw = core.RsaPkcs1()
    if mechanism.hash is not None:
        message = _message(mechanism, data)
        yield mechanism, message
        yield raw, digest_info(mechanism.hash, _hashed(mechanism.hash, message))
    elif isinstance(data, Digest):
        yield raw, digest_info(data.hash, _digest(data))
    elif isinstance(data, Opaque):
        room = shape.size - PADDING
        if len(data.data) > room:
            raise DataLengthInvalid(f"This RSA key signs at most {room} bytes that are not hashed.")
        yield raw, data.data
    else:
        raise MechanismUnsupported("PKCS#1 without a hash takes a digest.")


def _pss(shape: Shape, mechanism: core.RsaPss, data: Input) -> Iterator[tuple[Mechanism, bytes]]:
    # RFC 8017, 9.1.1: the encoded message is one bit shorter than the modulus.
    room = (shape.bits + 6) // 8 - HASH_SIZES[mechanism.hash] - 2
    if not 0 <= mechanism.salt <= room:
        raise MechanismUnsupported(
            f"This RSA key has room for a salt of at most {room} bytes with {mechanism.hash}."
        )
    hash_, mgf, salt = mechanism.hash, mechanism.mgf, mechanism.salt
    raw = core.RsaPss(hash_, mgf, salt, prehashed=True)
    if isinstance(data, Digest) and data.hash is hash_:
        yield raw, _digest(data)
        return
    message = _message(mechanism, data)
    yield core.RsaPss(hash_, mgf, salt), message
    yield raw, _hashed(hash_, message)


def _message(mechanism: Mechanism, data: Input) -> bytes:
    if not isinstance(data, Message):
        raise MechanismUnsupported(f"{spelling(mechanism)} takes the whole message.")
    return data.data


def _digest(data: Digest) -> bytes:
    if len(data.data) != HASH_SIZES[data.hash]:
        raise MechanismUnsupported(
            f"A {data.hash} digest has {HASH_SIZES[data.hash]} bytes, not {len(data.data)}."
        )
    return data.data


def _hashed(name: Hash, message: bytes) -> bytes:
    digest = hashes.Hash(HASHES[name])
    digest.update(message)
    return digest.finalize()

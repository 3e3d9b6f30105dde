"""Private keys for tests, all their uses and misuses, and a verifier that is not ours.

The keys are made once a process. Signatures are verified by cryptography from the numbers
of the public half, not by what made them.
"""

# ruff: noqa: S101 - an assertion is how a verifier speaks

import base64
from collections.abc import Iterator
from functools import cache
from typing import Any, Final, cast

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import (
    dsa,
    ec,
    ed448,
    ed25519,
    mldsa,
    mlkem,
    padding,
    rsa,
    utils,
    x25519,
)
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from msgspec.structs import replace

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
    Opaque,
    RsaPkcs1,
    RsaPss,
    SecurityKey,
)
from keyholm.core.model import Algorithm, OtherAlgorithm
from keyholm.stores.software import keys as software
from keyholm.wire.ssh import keys, signatures
from keyholm.wire.ssh.private_keys import Private, PrivateDsa

EDDSA: Final = EdDsa()
MECHANISMS: Final[tuple[Mechanism, ...]] = (
    EDDSA,
    Dsa(),
    MlDsa44Ed25519(),
    SecurityKey(),
    Ecdsa(),
    RsaPkcs1(),
    *(Ecdsa(name) for name in Hash),
    *(RsaPkcs1(name) for name in Hash),
    *(RsaPss(name, name, 20) for name in Hash),
    RsaPss(Hash.SHA256, Hash.SHA1, 0),
    RsaPss(Hash.SHA256, Hash.SHA256, 100_000),
    RsaPss(Hash.SHA256, Hash.SHA256, -1),
)
_HASHES: Final[dict[Hash, hashes.HashAlgorithm]] = {
    Hash.SHA1: hashes.SHA1(),  # noqa: S303 - it is what ssh-rsa and ssh-dss have
    Hash.SHA224: hashes.SHA224(),
    Hash.SHA256: hashes.SHA256(),
    Hash.SHA384: hashes.SHA384(),
    Hash.SHA512: hashes.SHA512(),
    Hash.SHA3_224: hashes.SHA3_224(),
    Hash.SHA3_256: hashes.SHA3_256(),
    Hash.SHA3_384: hashes.SHA3_384(),
    Hash.SHA3_512: hashes.SHA3_512(),
}
_CURVES: Final[dict[keys.Curve, ec.EllipticCurve]] = {
    keys.Curve.NISTP256: ec.SECP256R1(),
    keys.Curve.NISTP384: ec.SECP384R1(),
    keys.Curve.NISTP521: ec.SECP521R1(),
}


# --- keys ----------------------------------------------------------------------------


def new(algorithm: Algorithm) -> Private:
    return software.generate(algorithm)


@cache
def privates() -> tuple[Private, ...]:
    """One of every kind of which a private half can be brought in."""
    kinds = (
        Algorithm.ED25519,
        Algorithm.ECDSA_P256,
        Algorithm.ECDSA_P384,
        Algorithm.ECDSA_P521,
        Algorithm.RSA_2048,
        Algorithm.MLDSA44_ED25519,
    )
    return (*map(new, kinds), _dsa())


@cache
def pkcs8() -> tuple[tuple[str, bytes], ...]:
    """Private keys as programs bring them in, by the names of their algorithms."""
    made: dict[str, Any] = {
        Algorithm.ED25519: ed25519.Ed25519PrivateKey.generate(),
        Algorithm.ECDSA_P256: ec.generate_private_key(ec.SECP256R1()),
        Algorithm.RSA_2048: rsa.generate_private_key(65537, 2048),
        OtherAlgorithm.ED448: ed448.Ed448PrivateKey.generate(),
        OtherAlgorithm.X25519: x25519.X25519PrivateKey.generate(),
        OtherAlgorithm.SECP256K1: ec.generate_private_key(ec.SECP256K1()),
        OtherAlgorithm.ML_DSA_44: mldsa.MLDSA44PrivateKey.generate(),
        OtherAlgorithm.ML_KEM_768: mlkem.MLKEM768PrivateKey.generate(),
    }
    form = (Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return tuple((name, key.private_bytes(*form)) for name, key in made.items())


@cache
def short_rsa() -> bytes:
    """What old programs bring in, as PKCS#8."""
    key = rsa.generate_private_key(65537, 1024)  # noqa: S505 - that is what is tried
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def _dsa() -> PrivateDsa:
    numbers = dsa.generate_private_key(1024).private_numbers()  # noqa: S505 - all that SSH has
    public, shared = numbers.public_numbers, numbers.public_numbers.parameter_numbers
    x = numbers.x.to_bytes((numbers.x.bit_length() + 7) // 8)
    return PrivateDsa(keys.Dsa(shared.p, shared.q, shared.g, public.y), memoryview(bytearray(x)))


@cache
def mismatched() -> tuple[Private, ...]:
    """Each kind with the public half of another key."""
    others = [new(algorithm) for algorithm in Algorithm if algorithm is not Algorithm.RSA_4096]
    found = []
    for private in privates():
        for other in others:
            if keys.type_name(other.public) == keys.type_name(private.public):
                found.append(replace(private, public=cast(Any, other.public)))
                break
    return tuple(found)


def spellings_of_secrets() -> frozenset[str]:
    """Each secret part as it might slip into a text."""
    found: set[str] = set()
    for private in (*privates(), *mismatched()):
        for name in private.__struct_fields__:
            part = getattr(private, name)
            if isinstance(part, memoryview):
                secret = bytes(part)
                number = int.from_bytes(secret)
                found |= {secret.hex(), base64.b64encode(secret).decode(), repr(secret)[2:-1]}
                found |= {str(number), f"{number:x}"}
    return frozenset(found)


# --- uses ----------------------------------------------------------------------------


def streamed(public: keys.PublicKey) -> Mechanism:
    """By which a key of this kind signs what comes in parts."""
    match public:
        case keys.Ed25519():
            return EDDSA
        case keys.Ecdsa():
            return Ecdsa(Hash.SHA256)
        case _:
            return RsaPss(Hash.SHA256, Hash.SHA256, 32)


def uses(public: keys.PublicKey, message: bytes) -> Iterator[tuple[Mechanism, Input]]:
    """What a key of this kind must do."""
    match public:
        case keys.Ed25519():
            yield EDDSA, Message(message)
        case keys.MlDsa44Ed25519():
            yield MlDsa44Ed25519(), Message(message)
        case keys.Dsa():
            yield Dsa(), Message(message)
        case keys.Ecdsa():
            for name in Hash:
                yield Ecdsa(name), Message(message)
                yield Ecdsa(), digest(name, message)
        case keys.Rsa():
            for name in Hash:
                yield RsaPkcs1(name), Message(message)
                yield RsaPkcs1(), digest(name, message)
                for salt in (0, 20, _HASHES[name].digest_size):
                    yield RsaPss(name, name, salt), Message(message)
                    yield RsaPss(name, name, salt), digest(name, message)
            yield RsaPss(Hash.SHA256, Hash.SHA1, 32), Message(message)
        case _:  # FIDO keys want an authenticator
            return


def misuses(public: keys.PublicKey, message: bytes) -> Iterator[tuple[Mechanism, Input]]:
    """What a key of this kind must refuse: all that it need not do, and damaged inputs."""
    right = list(uses(public, message))
    inputs: tuple[Input, ...] = (
        Message(message),
        Opaque(message),
        *(digest(name, message) for name in Hash),
    )
    for mechanism in MECHANISMS:
        for data in inputs:
            if (mechanism, data) not in right and not _fits(public, mechanism, data):
                yield mechanism, data
    for mechanism, data in right:
        if isinstance(data, Digest):
            yield mechanism, Digest(data.hash, data.data[:-1])
            yield mechanism, Digest(data.hash, b"")


def _fits(public: keys.PublicKey, mechanism: Mechanism, data: Input) -> bool:
    """There are more good forms than in `uses`: of RSA-PSS, and of what is signed raw."""
    if isinstance(data, Opaque):
        return (type(public), mechanism) in ((keys.Ecdsa, Ecdsa()), (keys.Rsa, RsaPkcs1()))
    if not isinstance(public, keys.Rsa) or not isinstance(mechanism, RsaPss):
        return False
    its_own = isinstance(data, Message) or data.hash is mechanism.hash
    return its_own and 0 <= mechanism.salt <= 64


def digest(name: Hash, message: bytes) -> Digest:
    digester = hashes.Hash(_HASHES[name])
    digester.update(message)
    return Digest(name, digester.finalize())


# --- verifying -----------------------------------------------------------------------


def verify(public: keys.PublicKey, mechanism: Mechanism, data: Input, signature: bytes) -> None:
    """Raises `InvalidSignature` or `AssertionError` unless it is good, in PKCS#11 form."""
    match public:
        case keys.Ed25519(point):
            ed25519.Ed25519PublicKey.from_public_bytes(point).verify(signature, data.data)
        case keys.Ecdsa(curve, point):
            assert len(signature) == 2 * curve.width
            ec_key = ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[curve], point)
            ec_key.verify(_der(signature), data.data, ec.ECDSA(_hash(mechanism, data)))
        case keys.Rsa(exponent, modulus):
            assert len(signature) == (modulus.bit_length() + 7) // 8
            rsa_key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
            rsa_key.verify(signature, data.data, _padding(mechanism), _hash(mechanism, data))
        case keys.Dsa(p, q, g, y):
            assert len(signature) == 40
            numbers = dsa.DSAPublicNumbers(y, dsa.DSAParameterNumbers(p, q, g))
            numbers.public_key().verify(_der(signature), data.data, _HASHES[Hash.SHA1])
        case keys.MlDsa44Ed25519(post_quantum, classic):
            message = signatures.composite_message(data.data)
            mldsa.MLDSA44PublicKey.from_public_bytes(post_quantum).verify(
                signature[:2420], message, signatures.COMPOSITE_LABEL
            )
            ed25519.Ed25519PublicKey.from_public_bytes(classic).verify(signature[2420:], message)
        case keys.SkEd25519() | keys.SkEcdsa() as other:
            raise AssertionError(f"{other} is verified with its flags and counter")


def _hash(mechanism: Mechanism, data: Input) -> hashes.HashAlgorithm | utils.Prehashed:
    if isinstance(data, Digest):
        return utils.Prehashed(_HASHES[data.hash])
    assert isinstance(mechanism, Ecdsa | RsaPkcs1 | RsaPss)
    assert mechanism.hash
    return _HASHES[mechanism.hash]


def _padding(mechanism: Mechanism) -> padding.AsymmetricPadding:
    if isinstance(mechanism, RsaPss):
        return padding.PSS(padding.MGF1(_HASHES[mechanism.mgf]), mechanism.salt)
    return padding.PKCS1v15()


def _der(signature: bytes) -> bytes:
    half = len(signature) // 2
    r, s = (int.from_bytes(part) for part in (signature[:half], signature[half:]))
    return utils.encode_dss_signature(r, s)

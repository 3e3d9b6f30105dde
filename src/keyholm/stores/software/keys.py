"""Keys whose private half is in this process: made, loaded, and signing.

One table says how each kind of private key becomes an object of cryptography, and one
how each mechanism signs with it. Both stores that hold software keys use them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import (
    dsa,
    ec,
    ed25519,
    mldsa,
    padding,
    rsa,
    utils,
)

from keyholm.core.errors import AlgorithmUnsupported, BadKeyFile, MechanismUnsupported
from keyholm.core.model import (
    Algorithm,
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
from keyholm.wire.ssh import keys, signatures
from keyholm.wire.ssh.private_keys import (
    Private,
    PrivateDsa,
    PrivateEcdsa,
    PrivateEd25519,
    PrivateMlDsa44Ed25519,
    PrivateRsa,
)

HASHES: Final[dict[Hash, hashes.HashAlgorithm]] = {
    Hash.SHA1: hashes.SHA1(),  # noqa: S303 - ssh-rsa and ssh-dss are SHA-1
    Hash.SHA256: hashes.SHA256(),
    Hash.SHA384: hashes.SHA384(),
    Hash.SHA512: hashes.SHA512(),
}
CURVES: Final[dict[keys.Curve, ec.EllipticCurve]] = {
    keys.Curve.NISTP256: ec.SECP256R1(),
    keys.Curve.NISTP384: ec.SECP384R1(),
    keys.Curve.NISTP521: ec.SECP521R1(),
}
RSA_EXPONENT: Final = 65537
RSA_SMALLEST: Final = 1024

Signer = Callable[[Any, Input], bytes]


@dataclass(frozen=True, slots=True)
class CompositeKey:
    """Both halves of an ML-DSA-44 and Ed25519 key."""

    post_quantum: mldsa.MLDSA44PrivateKey
    classic: ed25519.Ed25519PrivateKey


# --- loading -------------------------------------------------------------------------


def load(private: Private) -> Any:
    """What signs. The key was checked when it came in, so it is not checked again here:
    that costs 30 to 90 ms for RSA. Raises `AlgorithmUnsupported`."""
    loader = _LOADERS.get(type(private))
    if loader is None:
        raise AlgorithmUnsupported(
            f"A key of type {keys.type_name(private.public)} does not sign in this process."
        )
    return loader(private)


def check(private: Private) -> None:
    """Whether an RSA key is one at all. Raises `BadKeyFile`."""
    if not isinstance(private, PrivateRsa):
        return
    if private.public.modulus.bit_length() < RSA_SMALLEST:
        raise BadKeyFile(f"An RSA key of less than {RSA_SMALLEST} bits is not taken.")
    try:
        _rsa_numbers(private).private_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadKeyFile("The numbers of this RSA key do not belong together.") from error


def _ed25519(private: PrivateEd25519) -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.from_private_bytes(private.seed)


def _ecdsa(private: PrivateEcdsa) -> ec.EllipticCurvePrivateKey:
    curve = CURVES[private.public.curve]
    point = ec.EllipticCurvePublicKey.from_encoded_point(curve, private.public.point)
    return ec.EllipticCurvePrivateNumbers(
        int.from_bytes(private.scalar), point.public_numbers()
    ).private_key()


def _rsa_numbers(private: PrivateRsa) -> rsa.RSAPrivateNumbers:
    d, p, q = (int.from_bytes(part) for part in (private.d, private.p, private.q))
    public = rsa.RSAPublicNumbers(private.public.exponent, private.public.modulus)
    return rsa.RSAPrivateNumbers(
        p,
        q,
        d,
        rsa.rsa_crt_dmp1(d, p),
        rsa.rsa_crt_dmq1(d, q),
        int.from_bytes(private.iqmp),
        public,
    )


def _rsa(private: PrivateRsa) -> rsa.RSAPrivateKey:
    return _rsa_numbers(private).private_key(unsafe_skip_rsa_key_validation=True)


def _dsa(private: PrivateDsa) -> dsa.DSAPrivateKey:
    public = private.public
    numbers = dsa.DSAParameterNumbers(public.p, public.q, public.g)
    return dsa.DSAPrivateNumbers(
        int.from_bytes(private.x), dsa.DSAPublicNumbers(public.y, numbers)
    ).private_key()


def _composite(private: PrivateMlDsa44Ed25519) -> CompositeKey:
    return CompositeKey(
        mldsa.MLDSA44PrivateKey.from_seed_bytes(private.mldsa_seed),
        ed25519.Ed25519PrivateKey.from_private_bytes(private.ed25519_seed),
    )


_LOADERS: Final[dict[type, Callable[[Any], Any]]] = {
    PrivateEd25519: _ed25519,
    PrivateEcdsa: _ecdsa,
    PrivateRsa: _rsa,
    PrivateDsa: _dsa,
    PrivateMlDsa44Ed25519: _composite,
}


# --- signing -------------------------------------------------------------------------


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


def _by_ecdsa(public: keys.Ecdsa, mechanism: Ecdsa) -> Signer:
    width = public.curve.width
    whole = ec.ECDSA(HASHES[mechanism.hash]) if mechanism.hash else None

    def sign(key: ec.EllipticCurvePrivateKey, data: Input) -> bytes:
        if whole is not None:
            return signatures.der_to_rs(key.sign(_message(data, mechanism), whole), width)
        digest, algorithm = _digest(data, mechanism)
        how = ec.ECDSA(utils.Prehashed(algorithm))
        return signatures.der_to_rs(key.sign(digest, how), width)

    return sign


def _by_rsa(public: keys.Rsa, mechanism: RsaPkcs1 | RsaPss) -> Signer:
    if isinstance(mechanism, RsaPss):
        mgf = padding.MGF1(HASHES[mechanism.mgf])
        pad: padding.AsymmetricPadding = padding.PSS(mgf, mechanism.salt)
    else:
        pad = padding.PKCS1v15()
    whole = HASHES[mechanism.hash] if mechanism.hash else None

    def sign(key: rsa.RSAPrivateKey, data: Input) -> bytes:
        if isinstance(data, Digest):
            digest, algorithm = _digest(data, mechanism)
            return key.sign(digest, pad, utils.Prehashed(algorithm))
        if whole is None:
            raise MechanismUnsupported(f"{spelling(mechanism)} takes a digest.")
        return key.sign(_message(data, mechanism), pad, whole)

    return sign


def _by_dsa(public: keys.Dsa, mechanism: Dsa) -> Signer:
    def sign(key: dsa.DSAPrivateKey, data: Input) -> bytes:
        der = key.sign(_message(data, mechanism), HASHES[Hash.SHA1])
        return signatures.der_to_rs(der, 20)

    return sign


def _by_both(public: keys.MlDsa44Ed25519, mechanism: MlDsa44Ed25519) -> Signer:
    def sign(key: CompositeKey, data: Input) -> bytes:
        message = signatures.composite_message(_message(data, mechanism))
        first = key.post_quantum.sign(message, signatures.COMPOSITE_LABEL)
        return first + key.classic.sign(message)

    return sign


def _message(data: Input, mechanism: Mechanism) -> bytes:
    if data.__class__ is not Message:
        raise MechanismUnsupported(f"{spelling(mechanism)} takes the whole message.")
    return data.data


def _digest(data: Input, mechanism: Mechanism) -> tuple[bytes, hashes.HashAlgorithm]:
    if not isinstance(data, Digest):
        raise MechanismUnsupported(f"{spelling(mechanism)} takes a digest.")
    algorithm = HASHES[data.hash]
    if len(data.data) != algorithm.digest_size:
        raise MechanismUnsupported(f"A {data.hash} digest has {algorithm.digest_size} bytes.")
    return data.data, algorithm


_SIGNERS: Final[dict[tuple[type, type], Callable[[Any, Any], Signer]]] = {
    (keys.Ed25519, EdDsa): _eddsa,
    (keys.Ecdsa, Ecdsa): _by_ecdsa,
    (keys.Rsa, RsaPkcs1): _by_rsa,
    (keys.Rsa, RsaPss): _by_rsa,
    (keys.Dsa, Dsa): _by_dsa,
    (keys.MlDsa44Ed25519, MlDsa44Ed25519): _by_both,
}


# --- generating ----------------------------------------------------------------------


def generate(algorithm: Algorithm) -> Private:
    """A new key. Its secret views belong to fresh buffers; wipe them when they are stored."""
    return _GENERATORS[algorithm]()


def _new_ed25519() -> PrivateEd25519:
    key = ed25519.Ed25519PrivateKey.generate()
    return PrivateEd25519(
        keys.Ed25519(key.public_key().public_bytes_raw()), _own(key.private_bytes_raw())
    )


def _new_ecdsa(curve: keys.Curve) -> Callable[[], PrivateEcdsa]:
    def new() -> PrivateEcdsa:
        numbers = ec.generate_private_key(CURVES[curve]).private_numbers()
        x, y = numbers.public_numbers.x, numbers.public_numbers.y
        width = curve.width
        point = b"\x04" + x.to_bytes(width) + y.to_bytes(width)
        return PrivateEcdsa(keys.Ecdsa(curve, point), _number(numbers.private_value))

    return new


def _new_rsa(bits: int) -> Callable[[], PrivateRsa]:
    def new() -> PrivateRsa:
        numbers = rsa.generate_private_key(RSA_EXPONENT, bits).private_numbers()
        public = keys.Rsa(numbers.public_numbers.e, numbers.public_numbers.n)
        return PrivateRsa(
            public,
            _number(numbers.d),
            _number(numbers.iqmp),
            _number(numbers.p),
            _number(numbers.q),
        )

    return new


def _new_composite() -> PrivateMlDsa44Ed25519:
    post_quantum = mldsa.MLDSA44PrivateKey.generate()
    classic = ed25519.Ed25519PrivateKey.generate()
    public = keys.MlDsa44Ed25519(
        post_quantum.public_key().public_bytes_raw(), classic.public_key().public_bytes_raw()
    )
    return PrivateMlDsa44Ed25519(
        public, _own(post_quantum.private_bytes_raw()), _own(classic.private_bytes_raw())
    )


def _number(value: int) -> memoryview:
    return _own(value.to_bytes((value.bit_length() + 7) // 8))


def _own(secret: bytes) -> memoryview:
    return memoryview(bytearray(secret))


_GENERATORS: Final[dict[Algorithm, Callable[[], Private]]] = {
    Algorithm.ED25519: _new_ed25519,
    Algorithm.ECDSA_P256: _new_ecdsa(keys.Curve.NISTP256),
    Algorithm.ECDSA_P384: _new_ecdsa(keys.Curve.NISTP384),
    Algorithm.ECDSA_P521: _new_ecdsa(keys.Curve.NISTP521),
    Algorithm.RSA_2048: _new_rsa(2048),
    Algorithm.RSA_3072: _new_rsa(3072),
    Algorithm.RSA_4096: _new_rsa(4096),
    Algorithm.MLDSA44_ED25519: _new_composite,
}

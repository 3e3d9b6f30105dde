"""Keys whose private half is in this process: made, checked once, and loaded.

One table says how each kind of private key becomes an object of cryptography, one how each
algorithm makes a new one. Both stores that hold software keys use them.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key
from msgspec import Struct

from keyholm.core.errors import AlgorithmUnsupported, BadKeyFile
from keyholm.core.model import Algorithm
from keyholm.core.secret import Secret
from keyholm.wire import der
from keyholm.wire.ssh import keys
from keyholm.wire.ssh.private_keys import (
    Private,
    PrivateDsa,
    PrivateEcdsa,
    PrivateEd25519,
    PrivateMlDsa44Ed25519,
    PrivateRsa,
    halves_match,
)

CURVES: Final[dict[keys.Curve, ec.EllipticCurve]] = {
    keys.Curve.NISTP256: ec.SECP256R1(),
    keys.Curve.NISTP384: ec.SECP384R1(),
    keys.Curve.NISTP521: ec.SECP521R1(),
}
OIDS: Final[dict[keys.Curve, bytes]] = {
    keys.Curve.NISTP256: der.oid("1.2.840.10045.3.1.7"),
    keys.Curve.NISTP384: der.oid("1.3.132.0.34"),
    keys.Curve.NISTP521: der.oid("1.3.132.0.35"),
}
OCTET_STRING: Final = 0x04
RSA_EXPONENT: Final = 65537
RSA_SMALLEST: Final = 1024  # what OpenSSH takes (SSH_RSA_MINIMUM_MODULUS_SIZE)
DSA_BITS: Final = 1024


class CompositeKey(Struct, frozen=True):
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
    """Whether the private half is one at all, and that of its public half. It is said once,
    when the key comes in. Raises `BadKeyFile`, `AlgorithmUnsupported`."""
    if isinstance(private, PrivateRsa):
        _check_rsa(private)
    elif isinstance(private, PrivateDsa) and private.public.p.bit_length() != DSA_BITS:
        raise AlgorithmUnsupported(f"DSA keys have {DSA_BITS} bits in SSH.")
    elif not halves_match(private):
        raise BadKeyFile("The private key does not belong to its public key.")


def _check_rsa(private: PrivateRsa) -> None:
    bits = private.public.modulus.bit_length()
    if bits < RSA_SMALLEST:
        raise AlgorithmUnsupported(
            f"An RSA key of {bits} bits is not taken: {RSA_SMALLEST} is the least.",
            remedy="Make a new key, for instance by `keyholm new NAME --type ed25519`.",
        )
    try:
        _rsa_numbers(private).private_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadKeyFile("The numbers of this RSA key do not belong together.") from error


def _ed25519(private: PrivateEd25519) -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.from_private_bytes(private.seed)


def _ecdsa(private: PrivateEcdsa) -> ec.EllipticCurvePrivateKey:
    """By way of an `ECPrivateKey` (RFC 5915) in locked memory: a number of Python's would stay
    in its heap."""
    curve, scalar = private.public.curve, private.scalar
    behind = der.tlv(0xA0, OIDS[curve]) + der.tlv(0xA1, der.bit_string(private.public.point))
    before = der.integer(1) + der.tlv(OCTET_STRING, bytes(curve.width))[: -curve.width]
    size = len(before) + curve.width + len(behind)
    before = der.tlv(der.SEQUENCE, bytes(size))[:-size] + before
    with Secret.of(before + bytes(curve.width) + behind) as form:
        end = len(before) + curve.width
        form.view[end - len(scalar) : end] = scalar
        loaded = load_der_private_key(form.view, None)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey)  # noqa: S101 - we wrote one
    return loaded


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


def generate_rsa(bits: int, exponent: int = RSA_EXPONENT) -> PrivateRsa:
    numbers = rsa.generate_private_key(exponent, bits).private_numbers()
    public = keys.Rsa(numbers.public_numbers.e, numbers.public_numbers.n)
    return PrivateRsa(
        public, _number(numbers.d), _number(numbers.iqmp), _number(numbers.p), _number(numbers.q)
    )


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
    Algorithm.RSA_2048: partial(generate_rsa, 2048),
    Algorithm.RSA_3072: partial(generate_rsa, 3072),
    Algorithm.RSA_4096: partial(generate_rsa, 4096),
    Algorithm.MLDSA44_ED25519: _new_composite,
}

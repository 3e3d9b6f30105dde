"""Whether a private key is that of its public half.

OpenSSH's agent takes any pair. A key that signs for another than it shows would be listed,
permitted and recorded under the wrong name, so here nobody gets one in.
"""

from typing import assert_never

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keyholm.wire.ssh.keys import Curve
from keyholm.wire.ssh.private_types import (
    Private,
    PrivateDsa,
    PrivateEcdsa,
    PrivateEd25519,
    PrivateMlDsa44Ed25519,
    PrivateRsa,
    PrivateSkEcdsa,
    PrivateSkEd25519,
    PrivateWithCertificate,
)

_CURVES: dict[Curve, ec.EllipticCurve] = {
    Curve.NISTP256: ec.SECP256R1(),
    Curve.NISTP384: ec.SECP384R1(),
    Curve.NISTP521: ec.SECP521R1(),
}


def halves_match(private: Private) -> bool:
    """Of a FIDO key nobody but its authenticator can tell; it is taken at its word."""
    match private:
        case PrivateWithCertificate(_, key):
            return halves_match(key)
        case PrivateEd25519(public, seed):
            return _ed25519_point(seed) == public.point
        case PrivateEcdsa():
            return _ecdsa_matches(private)
        case PrivateRsa():
            return _rsa_matches(private)
        case PrivateDsa(public, x):
            secret = int.from_bytes(x)
            return 0 < secret < public.q and pow(public.g, secret, public.p) == public.y
        case PrivateMlDsa44Ed25519(public, mldsa_seed, ed25519_seed):
            post_quantum = mldsa.MLDSA44PrivateKey.from_seed_bytes(mldsa_seed).public_key()
            return (
                post_quantum.public_bytes_raw() == public.mldsa
                and _ed25519_point(ed25519_seed) == public.ed25519
            )
        case PrivateSkEd25519() | PrivateSkEcdsa():
            return True
        case _:
            assert_never(private)


def _ed25519_point(seed: memoryview) -> bytes:
    return ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def _ecdsa_matches(private: PrivateEcdsa) -> bool:
    try:
        key = ec.derive_private_key(
            int.from_bytes(private.scalar), _CURVES[private.public.curve]
        ).public_key()
    except ValueError:  # zero, or beyond the order of the curve
        return False
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return point == private.public.point


def _rsa_matches(private: PrivateRsa) -> bool:
    d, iqmp, p, q = map(int.from_bytes, (private.d, private.iqmp, private.p, private.q))
    exponent, modulus = private.public.exponent, private.public.modulus
    return (
        p > 1
        and q > 1
        and p * q == modulus
        and d < modulus
        and d * exponent % (p - 1) == 1
        and d * exponent % (q - 1) == 1
        and iqmp < p
        and iqmp * q % p == 1
    )

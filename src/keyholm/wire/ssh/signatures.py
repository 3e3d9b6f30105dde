"""SSH signatures: between their blobs and the plain bytes that stores give, and verifying them.

The plain form is PKCS#11's: `r || s` at fixed width for ECDSA and DSA, 64 bytes for Ed25519,
the big-endian number for RSA, both halves one after the other for the composite. For FIDO keys
it is that of the key inside, then the authenticator's flags (a byte) and counter (four).
"""

import hashlib
from collections.abc import Callable

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
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
from msgspec import Struct

from keyholm.wire import der
from keyholm.wire.codec import (
    BYTE,
    MPINT,
    STRING,
    TEXT,
    UINT32,
    Bytes,
    Malformed,
    Reader,
    write_magnitude,
)
from keyholm.wire.ssh.keys import (
    Curve,
    Dsa,
    Ecdsa,
    Ed25519,
    MlDsa44Ed25519,
    PublicKey,
    Rsa,
    SkEcdsa,
    SkEd25519,
    type_name,
)

MLDSA44_SIGNATURE_SIZE = 2420
SK_TAIL_SIZE = 5
_DSA_WIDTH = 20
# The largest modulus that a public key may have: 16384 bits.
_RSA_MAX_SIZE = 2048

# draft-miller-sshm-mldsa44-ed25519-composite-sigs: both halves sign this, with no context of
# their own in SSH; the label is also the context of the ML-DSA half.
COMPOSITE_LABEL = b"COMPSIG-MLDSA44-Ed25519-SHA512"
_COMPOSITE_PREFIX = b"CompositeAlgorithmSignatures2025" + COMPOSITE_LABEL + b"\0"


class BadSignature(ValueError):
    """The key did not make this signature over these bytes, or may not make one of its kind."""


class Signature(Struct, frozen=True):
    algorithm: str
    raw: bytes


class Verified(Struct, frozen=True):
    """A signature that is good; the authenticator's flags and counter if a FIDO key made it."""

    algorithm: str
    sk_flags: int | None = None
    sk_counter: int | None = None


# The signature algorithms a key of each type may use, the one to prefer first.
ALGORITHMS: dict[str, tuple[str, ...]] = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256",),
    "ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384",),
    "ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521",),
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"),
    "ssh-dss": ("ssh-dss",),
    "sk-ssh-ed25519@openssh.com": ("sk-ssh-ed25519@openssh.com",),
    "sk-ecdsa-sha2-nistp256@openssh.com": ("sk-ecdsa-sha2-nistp256@openssh.com",),
    "ssh-mldsa44-ed25519@openssh.com": ("ssh-mldsa44-ed25519@openssh.com",),
}


class _Form(Struct, frozen=True):
    """Between the plain bytes and what follows the algorithm's name in a blob."""

    wrap: Callable[[bytes], bytes]
    unwrap: Callable[[Reader], bytes]


def _of_size(size: int) -> _Form:
    def wrap(raw: bytes) -> bytes:
        if len(raw) != size:
            raise Malformed(f"a signature of {len(raw)} bytes, not {size}")
        return STRING.write(raw)

    def unwrap(reader: Reader) -> bytes:
        raw = STRING.read(reader)
        if len(raw) != size:
            raise Malformed(f"a signature of {len(raw)} bytes, not {size}")
        return raw

    return _Form(wrap, unwrap)


def _rsa_wrap(raw: bytes) -> bytes:
    if not 0 < len(raw) <= _RSA_MAX_SIZE:
        raise Malformed(f"an RSA signature of {len(raw)} bytes")
    return STRING.write(raw)


def _rsa_unwrap(reader: Reader) -> bytes:
    raw = STRING.read(reader)
    _rsa_wrap(raw)
    return raw


def _ecdsa(curve: Curve) -> _Form:
    width = curve.width

    def wrap(raw: bytes) -> bytes:
        if len(raw) != 2 * width:
            raise Malformed(f"a signature of {len(raw)} bytes, not {2 * width}")
        r, s = raw[:width].lstrip(b"\0"), raw[width:].lstrip(b"\0")
        return STRING.write(write_magnitude(r) + write_magnitude(s))

    def unwrap(reader: Reader) -> bytes:
        numbers = Reader(STRING.read(reader))
        r, s = MPINT.read(numbers), MPINT.read(numbers)
        numbers.end()
        return _joined(r, s, width)

    return _Form(wrap, unwrap)


def _sk(inner: _Form) -> _Form:
    """A FIDO signature: that of the key inside, then the authenticator's flags and counter."""

    def wrap(raw: bytes) -> bytes:
        if len(raw) < SK_TAIL_SIZE:
            raise Malformed("a FIDO signature without flags and counter")
        return inner.wrap(raw[:-SK_TAIL_SIZE]) + raw[-SK_TAIL_SIZE:]

    return _Form(wrap, lambda reader: inner.unwrap(reader) + reader.take(SK_TAIL_SIZE))


_RSA = _Form(_rsa_wrap, _rsa_unwrap)
_FORMS: dict[str, _Form] = {
    "ssh-ed25519": _of_size(64),
    **{f"ecdsa-sha2-{curve}": _ecdsa(curve) for curve in Curve},
    "rsa-sha2-512": _RSA,
    "rsa-sha2-256": _RSA,
    "ssh-rsa": _RSA,
    "ssh-dss": _of_size(2 * _DSA_WIDTH),
    "sk-ssh-ed25519@openssh.com": _sk(_of_size(64)),
    "sk-ecdsa-sha2-nistp256@openssh.com": _sk(_ecdsa(Curve.NISTP256)),
    "ssh-mldsa44-ed25519@openssh.com": _of_size(MLDSA44_SIGNATURE_SIZE + 64),
}
_NAMES = {name: TEXT.write(name) for name in _FORMS}


def encode(algorithm: str, raw: bytes) -> bytes:
    """The blob of the plain signature `raw`."""
    form = _FORMS.get(algorithm)
    if form is None:
        raise Malformed(f"no signature algorithm is called {algorithm[:80]!r}")
    return _NAMES[algorithm] + form.wrap(raw)


def decode(blob: Bytes) -> Signature:
    reader = Reader(blob)
    algorithm = TEXT.read(reader)
    form = _FORMS.get(algorithm)
    if form is None:
        raise Malformed(f"no signature algorithm is called {algorithm[:80]!r}")
    raw = form.unwrap(reader)
    reader.end()
    return Signature(algorithm, raw)


def blob(key: PublicKey, algorithm: str, raw: bytes) -> bytes:
    """The blob of a signature that `key` made by `algorithm`."""
    if algorithm not in ALGORITHMS[type_name(key)]:
        raise Malformed(f"a key of type {type_name(key)} does not sign by {algorithm[:80]!r}")
    return encode(algorithm, raw)


def der_to_rs(signature: Bytes, width: int) -> bytes:
    """`r || s` of a DER signature, each `width` bytes."""
    numbers = der.read_sequence(signature)
    r, s = der.read_integer(numbers), der.read_integer(numbers)
    numbers.end()
    return _joined(r, s, width)


def rs_to_der(signature: Bytes) -> bytes:
    if len(signature) % 2 or not signature:
        raise Malformed("r and s of different widths")
    r, s = _halves(signature, len(signature) // 2)
    return der.sequence(der.integer(r), der.integer(s))


def _halves(signature: Bytes, width: int) -> tuple[int, int]:
    if len(signature) != 2 * width:
        raise Malformed(f"a signature of {len(signature)} bytes, not {2 * width}")
    return int.from_bytes(signature[:width]), int.from_bytes(signature[width:])


def _joined(r: int, s: int, width: int) -> bytes:
    try:
        return r.to_bytes(width) + s.to_bytes(width)
    except OverflowError:
        raise Malformed(f"r or s of more than {width} bytes") from None


def composite_message(message: Bytes) -> bytes:
    """What both halves of the composite key sign in place of `message`."""
    return _COMPOSITE_PREFIX + hashlib.sha512(message).digest()


def verify(
    key: PublicKey, signature_blob: Bytes, data: Bytes, *, allowed: frozenset[str] | None = None
) -> Verified:
    """Say what is known of the signature when it is good, raise `BadSignature` when it is not.

    `allowed` names the algorithms that may have made it. RSA with SHA-1 never may.
    """
    try:
        signature = decode(signature_blob)
    except Malformed as error:
        raise BadSignature(str(error)) from error
    algorithm = signature.algorithm
    if algorithm not in ALGORITHMS[type_name(key)]:
        raise BadSignature(f"a key of type {type_name(key)} does not sign by {algorithm}")
    if algorithm == "ssh-rsa" or (allowed is not None and algorithm not in allowed):
        raise BadSignature(f"signatures by {algorithm} are not accepted")
    try:
        _check(key, signature, bytes(data))
    except (InvalidSignature, UnsupportedAlgorithm, ValueError) as error:
        # A point off its curve or a modulus that is too small is a ValueError.
        raise BadSignature("the key did not make this signature") from error
    if isinstance(key, SkEd25519 | SkEcdsa):
        tail = Reader(signature.raw[-SK_TAIL_SIZE:])
        return Verified(algorithm, BYTE.read(tail), UINT32.read(tail))
    return Verified(algorithm)


_RSA_HASHES: dict[str, hashes.HashAlgorithm] = {
    "rsa-sha2-256": hashes.SHA256(),
    "rsa-sha2-512": hashes.SHA512(),
}
_CURVES: dict[Curve, tuple[ec.EllipticCurve, hashes.HashAlgorithm]] = {
    Curve.NISTP256: (ec.SECP256R1(), hashes.SHA256()),
    Curve.NISTP384: (ec.SECP384R1(), hashes.SHA384()),
    Curve.NISTP521: (ec.SECP521R1(), hashes.SHA512()),
}


def _check(key: PublicKey, signature: Signature, data: bytes) -> None:
    raw = signature.raw
    match key:
        case Ed25519(point):
            _check_ed25519(point, raw, data)
        case Ecdsa(curve, point):
            _check_ecdsa(curve, point, raw, data)
        case Rsa(exponent, modulus):
            _check_rsa(exponent, modulus, signature, data)
        case Dsa(p, q, g, y):
            numbers = dsa.DSAPublicNumbers(y, dsa.DSAParameterNumbers(p, q, g))
            # SHA-1 is what ssh-dss is; callers leave it out of `allowed`.
            numbers.public_key().verify(rs_to_der(raw), data, hashes.SHA1())  # noqa: S303
        case SkEd25519(point, application):
            _check_ed25519(point, raw[:-SK_TAIL_SIZE], _sk_message(application, raw, data))
        case SkEcdsa(point, application):
            message = _sk_message(application, raw, data)
            _check_ecdsa(Curve.NISTP256, point, raw[:-SK_TAIL_SIZE], message)
        case MlDsa44Ed25519(post_quantum, classic):
            message = composite_message(data)
            mldsa.MLDSA44PublicKey.from_public_bytes(post_quantum).verify(
                raw[:MLDSA44_SIGNATURE_SIZE], message, COMPOSITE_LABEL
            )
            _check_ed25519(classic, raw[MLDSA44_SIGNATURE_SIZE:], message)


def _sk_message(application: bytes, raw: bytes, data: bytes) -> bytes:
    """What an authenticator signs (CTAP 2, 6.2; PROTOCOL.u2f)."""
    return (
        hashlib.sha256(application).digest() + raw[-SK_TAIL_SIZE:] + hashlib.sha256(data).digest()
    )


def _check_ed25519(point: bytes, raw: bytes, data: bytes) -> None:
    ed25519.Ed25519PublicKey.from_public_bytes(point).verify(raw, data)


def _check_ecdsa(curve: Curve, point: bytes, raw: bytes, data: bytes) -> None:
    group, digest = _CURVES[curve]
    key = ec.EllipticCurvePublicKey.from_encoded_point(group, point)
    r, s = _halves(raw, curve.width)
    key.verify(utils.encode_dss_signature(r, s), data, ec.ECDSA(digest))


def _check_rsa(exponent: int, modulus: int, signature: Signature, data: bytes) -> None:
    key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
    # Some implementations leave out zeros in front (RFC 8332 forbids it, OpenSSH bears it).
    raw = signature.raw.rjust((modulus.bit_length() + 7) // 8, b"\0")
    key.verify(raw, data, padding.PKCS1v15(), _RSA_HASHES[signature.algorithm])

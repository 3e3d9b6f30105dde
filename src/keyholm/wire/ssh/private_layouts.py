"""How private SSH keys are spelled, in agent messages and in key files alike (RFC 9987,
PROTOCOL.key, PROTOCOL.u2f, PROTOCOL.certkeys).
"""

from collections.abc import Callable
from typing import Any, cast

from msgspec import Struct

from keyholm.wire.codec import (
    BYTE,
    MPINT,
    MPINT_VIEW,
    STRING,
    TEXT,
    UINT32,
    VIEW,
    Bytes,
    Codec,
    Malformed,
    Reader,
    fixed_view,
)
from keyholm.wire.ssh import certificates
from keyholm.wire.ssh.keys import (
    APPLICATION,
    FIELDS,
    Curve,
    Ed25519,
    MlDsa44Ed25519,
    Rsa,
    type_name,
)
from keyholm.wire.ssh.private_types import (
    Private,
    PrivateDsa,
    PrivateEcdsa,
    PrivateEd25519,
    PrivateKey,
    PrivateMlDsa44Ed25519,
    PrivateRsa,
    PrivateSkEcdsa,
    PrivateSkEd25519,
    PrivateWithCertificate,
)

# What is written, piece after piece, so that a secret need not be copied on its way.
Parts = tuple[Bytes, ...]

_SEED = fixed_view(64, "an Ed25519 private key")
_SEEDS = fixed_view(64, "an ML-DSA-44 with Ed25519 private key")


def _number(reader: Reader) -> memoryview:
    number = MPINT_VIEW.read(reader)
    if not number:
        raise Malformed("a private number that is zero")
    return number


def _string(*pieces: Bytes) -> Parts:
    return UINT32.write(sum(map(len, pieces))), *pieces


def _number_string(magnitude: memoryview) -> Parts:
    negative = magnitude and magnitude[0] & 0x80
    return _string(b"\0", magnitude) if negative else _string(magnitude)


def _read_ed25519(reader: Reader, public: Ed25519) -> PrivateEd25519:
    both = _SEED.read(reader)
    if both[32:] != public.point:
        raise Malformed("an Ed25519 key whose two public halves differ")
    return PrivateEd25519(public, both[:32])


def _write_ed25519(key: PrivateEd25519) -> Parts:
    return _string(key.seed, key.public.point)


def _read_rsa(reader: Reader, public: Rsa) -> PrivateRsa:
    d, iqmp, p, q = (_number(reader) for _ in range(4))
    return PrivateRsa(public, d, iqmp, p, q)


def _write_rsa(key: PrivateRsa) -> Parts:
    return (
        *_number_string(key.d),
        *_number_string(key.iqmp),
        *_number_string(key.p),
        *_number_string(key.q),
    )


def _read_rsa_public(reader: Reader) -> Rsa:
    modulus, exponent = STRING.read(reader), STRING.read(reader)
    return cast(Rsa, FIELDS["ssh-rsa"].read(Reader(STRING.write(exponent) + STRING.write(modulus))))


def _write_sk(key: PrivateSkEd25519 | PrivateSkEcdsa) -> Parts:
    return BYTE.write(key.flags), *_string(key.key_handle), STRING.write(key.reserved)


def _read_composite(reader: Reader, public: MlDsa44Ed25519) -> PrivateMlDsa44Ed25519:
    both = _SEEDS.read(reader)
    return PrivateMlDsa44Ed25519(public, both[:32], both[32:])


def _write_composite(key: PrivateMlDsa44Ed25519) -> Parts:
    return _string(key.mldsa_seed, key.ed25519_seed)


class _Layout(Struct, frozen=True):
    """A private key of one type: its public half or a certificate, then the secret half."""

    public: Codec[Any]
    write_secret: Callable[[Any], Parts]
    read_secret: Callable[[Reader, Any], PrivateKey]
    # What comes once more after a certificate, though the certificate has said it.
    repeated: Codec[Any] | None = None
    repeated_part: Callable[[Any], Any] = lambda public: public


def _ecdsa(name: str) -> _Layout:
    return _Layout(
        FIELDS[name],
        lambda key: _number_string(key.scalar),
        lambda reader, public: PrivateEcdsa(public, _number(reader)),
    )


_ED25519, _SK_ED25519 = FIELDS["ssh-ed25519"], FIELDS["sk-ssh-ed25519@openssh.com"]
# RSA numbers come in another order than in a public blob.
_RSA: Codec[Rsa] = Codec(
    write=lambda key: MPINT.write(key.modulus) + MPINT.write(key.exponent),
    read=_read_rsa_public,
)

LAYOUTS: dict[str, _Layout] = {
    "ssh-ed25519": _Layout(_ED25519, _write_ed25519, _read_ed25519, repeated=_ED25519),
    **{f"ecdsa-sha2-{curve}": _ecdsa(f"ecdsa-sha2-{curve}") for curve in Curve},
    "ssh-rsa": _Layout(_RSA, _write_rsa, _read_rsa),
    "ssh-dss": _Layout(
        FIELDS["ssh-dss"],
        lambda key: _number_string(key.x),
        lambda reader, public: PrivateDsa(public, _number(reader)),
    ),
    "sk-ssh-ed25519@openssh.com": _Layout(
        _SK_ED25519,
        _write_sk,
        lambda reader, public: PrivateSkEd25519(
            public, BYTE.read(reader), VIEW.read(reader), STRING.read(reader)
        ),
        repeated=_SK_ED25519,
    ),
    "sk-ecdsa-sha2-nistp256@openssh.com": _Layout(
        FIELDS["sk-ecdsa-sha2-nistp256@openssh.com"],
        _write_sk,
        lambda reader, public: PrivateSkEcdsa(
            public, BYTE.read(reader), VIEW.read(reader), STRING.read(reader)
        ),
        repeated=APPLICATION,
        repeated_part=lambda public: public.application,
    ),
    "ssh-mldsa44-ed25519@openssh.com": _Layout(
        FIELDS["ssh-mldsa44-ed25519@openssh.com"], _write_composite, _read_composite
    ),
}


def _read(reader: Reader) -> Private:
    name = TEXT.read(reader)
    if layout := LAYOUTS.get(name):
        return layout.read_secret(reader, layout.public.read(reader))
    if plain := certificates.PLAIN_TYPES.get(name):
        return _read_certified(reader, name, LAYOUTS[plain])
    raise Malformed(f"no private key has the type {name[:80]!r}")


def _read_certified(reader: Reader, name: str, layout: _Layout) -> PrivateWithCertificate:
    blob = STRING.read(reader)
    certificate = certificates.decode(blob)
    if certificate.type_name != name:
        raise Malformed("a private key whose certificate is of another type")
    public = certificate.public
    if layout.repeated and layout.repeated.read(reader) != layout.repeated_part(public):
        raise Malformed("a private key that is not its certificate's")
    return PrivateWithCertificate(blob, layout.read_secret(reader, public))


def parts(key: Private) -> Parts:
    """The key as it is written, in pieces: secrets are still where they lie."""
    name = type_name(key.public)
    layout = LAYOUTS[name]
    if not isinstance(key, PrivateWithCertificate):
        return TEXT.write(name), layout.public.write(key.public), *layout.write_secret(key)
    head = TEXT.write(certificates.certified(name)) + STRING.write(key.certificate)
    if layout.repeated:
        head += layout.repeated.write(layout.repeated_part(key.public))
    return head, *layout.write_secret(key.private)


PRIVATE: Codec[Private] = Codec(write=lambda key: b"".join(parts(key)), read=_read)

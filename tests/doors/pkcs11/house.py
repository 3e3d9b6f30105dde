"""Keys of every kind as the core holds them, made by cryptography, and a token that lists them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import (
    ec,
    ed448,
    ed25519,
    mldsa,
    mlkem,
    rsa,
    x448,
    x25519,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from keyholm.core.model import (
    Attributes,
    Key,
    KeyId,
    Kind,
    Object,
    Origin,
    Place,
    SecretKey,
    SecretType,
)
from keyholm.cryptoki.forms import FORMS
from keyholm.doors.pkcs11.objects import Shown
from keyholm.doors.pkcs11.showing import shown
from keyholm.wire.pkcs11.constants import CKA, CKK
from keyholm.wire.ssh import keys

STORE: Final = "disk"


@dataclass(eq=False)
class ListToken:
    """A token whose keys and objects are those in two lists."""

    name: str = "main"
    store: str = STORE
    owner: int = 1000
    accepted_uids: frozenset[int] = frozenset()
    listed: list[Key] = field(default_factory=list)
    others: list[Object] = field(default_factory=list)

    @property
    def label(self) -> str:
        return self.name

    def keys(self) -> Sequence[Key]:
        return list(self.listed)

    def objects(self) -> Sequence[Object]:
        return list(self.others)


def spki_of(public: Any) -> bytes:
    written: bytes = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return written


# --- key pairs -----------------------------------------------------------------------


@cache
def privates() -> dict[str, Any]:
    """One private key of every kind that PKCS#11 has words for."""
    return {
        "rsa": rsa.generate_private_key(65537, 2048),
        "p224": ec.generate_private_key(ec.SECP224R1()),
        "p256": ec.generate_private_key(ec.SECP256R1()),
        "p384": ec.generate_private_key(ec.SECP384R1()),
        "p521": ec.generate_private_key(ec.SECP521R1()),
        "secp256k1": ec.generate_private_key(ec.SECP256K1()),
        "ed25519": ed25519.Ed25519PrivateKey.generate(),
        "ed448": ed448.Ed448PrivateKey.generate(),
        "x25519": x25519.X25519PrivateKey.generate(),
        "x448": x448.X448PrivateKey.generate(),
        "ml-dsa-44": mldsa.MLDSA44PrivateKey.generate(),
        "ml-dsa-65": mldsa.MLDSA65PrivateKey.generate(),
        "ml-dsa-87": mldsa.MLDSA87PrivateKey.generate(),
        "ml-kem-768": mlkem.MLKEM768PrivateKey.generate(),
        "ml-kem-1024": mlkem.MLKEM1024PrivateKey.generate(),
    }


def _ssh(private: Any) -> keys.PublicKey | None:
    public = private.public_key()
    match private:
        case rsa.RSAPrivateKey():
            numbers = public.public_numbers()
            return keys.Rsa(numbers.e, numbers.n)
        case ed25519.Ed25519PrivateKey():
            return keys.Ed25519(public.public_bytes_raw())
        case ec.EllipticCurvePrivateKey() if private.curve.name in _CURVES:
            point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
            return keys.Ecdsa(_CURVES[private.curve.name], point)
        case _:
            return None


_CURVES: Final = {
    "secp256r1": keys.Curve.NISTP256,
    "secp384r1": keys.Curve.NISTP384,
    "secp521r1": keys.Curve.NISTP521,
}


def pair(
    name: str,
    attributes: Attributes | None = None,
    public: Attributes | None = {},  # noqa: B006 - never changed
    *,
    origin: Origin = Origin.GENERATED,
    exportable: bool = False,
    place: str | None = None,
    label: str = "",
) -> Key:
    """A key pair of `privates` as the core holds it."""
    private = privates()[name]
    spki = spki_of(private.public_key())
    ssh = _ssh(private)
    return Key(
        KeyId(hashlib.sha256(spki).hexdigest()),
        Place(STORE, "main", place or name),
        ssh,
        keys.encode(ssh) if ssh else b"",
        label or name,
        origin,
        exportable=exportable,
        spki=b"" if ssh else spki,
        attributes=attributes or {},
        public_attributes=public,
    )


def shown_halves(key: Key) -> tuple[Shown, ...]:
    return shown(ListToken(), key)


KEY_TYPES: Final = {form.key_type for form in FORMS} | {CKK.AES, CKK.GENERIC_SECRET}


def secret(
    type_: SecretType,
    size: int,
    attributes: Attributes | None = None,
    *,
    origin: Origin = Origin.GENERATED,
    exportable: bool = False,
) -> Key:
    return Key(
        KeyId(hashlib.sha256(f"{type_} {size}".encode()).hexdigest()),
        Place(STORE, "main", f"{type_}-{size}"),
        None,
        b"",
        "",
        origin,
        exportable=exportable,
        kind=Kind.SECRET,
        attributes=attributes or {},
        secret=SecretKey(type_, size),
    )


# --- certificates --------------------------------------------------------------------


@cache
def certificate(subject: str = "somebody", serial: int = 4711, *, authority: bool = False) -> bytes:
    """A self-signed certificate of the P-256 key (DER)."""
    private = privates()["p256"]
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(serial)
        .not_valid_before(datetime(2026, 3, 1, tzinfo=UTC))
        .not_valid_after(datetime(2056, 12, 31, tzinfo=UTC))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    return made.public_bytes(Encoding.DER)


def held(kind: Kind, attributes: Attributes, place: str = "o1", *, private: bool = False) -> Object:
    return Object(Place(STORE, "main", place), kind, attributes, private=private)


def held_certificate(place: str = "c1", more: Attributes | None = None) -> Object:
    attributes = {CKA.VALUE: certificate(), **(more or {})}
    return held(Kind.CERTIFICATE, attributes, place)

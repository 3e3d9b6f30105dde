"""Certificates for tests."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody")])


def certificate_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    day = datetime(2026, 1, 1, tzinfo=UTC)
    return (
        x509.CertificateBuilder(NAME, NAME, key.public_key(), 1, day, day + timedelta(365))
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )

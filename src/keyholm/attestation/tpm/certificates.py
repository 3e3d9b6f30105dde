"""Certificates of endorsement keys, and the chain from one to an authority that is pinned.

Read by `wire.x509`, byte by byte: the names in some vendors' certificates stand in an order that is
no DER, so that libraries refuse the whole of them. What is checked is RFC 5280, section 6, as far as
such chains have it: names, signatures, times, basic constraints, path lengths, key usage; an
extension that is critical and unknown refuses its certificate.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from keyholm.attestation.tpm.objects import Found
from keyholm.attestation.tpm.pins import BY_KEY
from keyholm.attestation.tpm.refusals import Reason, Refused
from keyholm.wire import der, x509
from keyholm.wire.codec import Bytes, Malformed, Reader
from keyholm.wire.x509 import Certificate

LONGEST_CHAIN: Final = 5
MOST_GIVEN: Final = 8  # certificates that evidence may bring along
LEAST_RSA: Final = 2048

_KEY_USAGE: Final = der.oid("2.5.29.15")
_EXTENDED_KEY_USAGE: Final = der.oid("2.5.29.37")
_ENDORSEMENT_KEY: Final = der.oid("2.23.133.8.1")  # tcg-kp-EKCertificate
_KNOWN: Final = frozenset(
    map(
        der.oid,
        (
            "2.5.29.9",  # subject directory attributes: which TPM specification
            "2.5.29.14",  # subject key identifier
            "2.5.29.15",
            "2.5.29.17",  # subject alternative name: manufacturer, model, version
            "2.5.29.19",
            "2.5.29.31",  # where the list of revoked ones is
            "2.5.29.32",  # policies
            "2.5.29.35",  # authority key identifier
            "2.5.29.37",
            "1.3.6.1.5.5.7.1.1",  # where the issuer's certificate is
        ),
    )
)
_KEY_CERT_SIGN, _KEY_ENCIPHERMENT, _KEY_AGREEMENT = 5, 2, 4  # bits of KeyUsage
_NULL: Final = b"\x05\x00"
_RSA_SIGNATURES: Final[dict[bytes, hashes.HashAlgorithm]] = {
    der.sequence(der.oid(f"1.2.840.113549.1.1.{number}"), _NULL): algorithm
    for number, algorithm in ((11, hashes.SHA256()), (12, hashes.SHA384()), (13, hashes.SHA512()))
}
_EC_SIGNATURES: Final[dict[bytes, hashes.HashAlgorithm]] = {
    der.sequence(der.oid(f"1.2.840.10045.4.3.{number}")): algorithm
    for number, algorithm in ((2, hashes.SHA256()), (3, hashes.SHA384()), (4, hashes.SHA512()))
}


class Anchor(NamedTuple):
    """An authority whose word is taken. `name` is that of its pin, or what it was allowed as."""

    name: str
    certificate: Certificate
    may_be_expired: bool = False


@dataclass(frozen=True, slots=True)
class Trust:
    """What a verifier takes: anchors, and nothing else."""

    anchors: tuple[Anchor, ...]


def anchor(data: Bytes, *, allowed_as: str = "", expired: frozenset[str] = frozenset()) -> Anchor:
    """A certificate (DER) as an anchor: its key must be pinned, or it must be allowed by name.
    `expired` names pins that are taken after their time. Raises `Refused`."""
    certificate = _read(data)
    pin = BY_KEY.get(hashlib.sha256(certificate.spki).digest())
    if pin is None and not allowed_as:
        raise Refused(
            Reason.ISSUER_UNKNOWN, "No pin is known for this authority, and nobody allowed it."
        )
    name = pin.name if pin is not None else allowed_as
    return Anchor(name, certificate, name in expired)


def _read(data: Bytes) -> Certificate:
    try:
        return x509.read(data)
    except Malformed as error:
        raise Refused(
            Reason.CERTIFICATE_MALFORMED, f"A certificate cannot be read: {error}."
        ) from error


def without_padding(data: Bytes) -> bytes:
    """A certificate as it was stored in a TPM, whose room may be larger than it."""
    try:
        return der.read_element(Reader(data), der.SEQUENCE)
    except Malformed:
        return bytes(data)


# --- the endorsement key's own ---------------------------------------------------------


def check_endorsement(
    data: Bytes, endorsement: Found, given: Sequence[Bytes], trust: Trust, now: datetime
) -> Anchor:
    """The anchor that stands behind the certificate of `endorsement`; `given` are certificates
    that may lie between them. Raises `Refused`."""
    certificate = _read(without_padding(data))
    _check_time(
        certificate, now, Reason.CERTIFICATE_NOT_YET_VALID, Reason.CERTIFICATE_EXPIRED, "It"
    )
    _check_critical(certificate)
    if certificate.is_authority:
        raise Refused(Reason.CERTIFICATE_OF_AN_AUTHORITY, "It is the certificate of an authority.")
    usages = _extended_usages(certificate)
    if _ENDORSEMENT_KEY not in usages:
        raise Refused(
            Reason.CERTIFICATE_FOR_ANOTHER_USE, "It is no certificate of an endorsement key."
        )
    is_rsa = isinstance(endorsement.key, rsa.RSAPublicKey)
    if not _may(certificate, _KEY_ENCIPHERMENT if is_rsa else _KEY_AGREEMENT):
        raise Refused(Reason.CERTIFICATE_KEY_USAGE, "Its key is not for receiving secrets.")
    if _public_key(certificate) != endorsement.key:
        raise Refused(
            Reason.ENDORSEMENT_OTHER_KEY, "The certificate is that of another endorsement key."
        )
    if len(given) > MOST_GIVEN:
        raise Refused(Reason.CERTIFICATE_MALFORMED, f"{len(given)} certificates come along.")
    return _path(certificate, [_read(each) for each in given], trust, now)


def _extended_usages(certificate: Certificate) -> frozenset[bytes]:
    found = certificate.extension(_EXTENDED_KEY_USAGE)
    if found is None:
        return frozenset()
    try:
        listed, usages = der.read_sequence(found.value), set()
        while listed.left:
            usages.add(der.read_element(listed, der.OBJECT_IDENTIFIER))
    except Malformed as error:
        raise Refused(Reason.CERTIFICATE_MALFORMED, f"Its uses cannot be read: {error}.") from error
    return frozenset(usages)


def _may(certificate: Certificate, bit: int) -> bool:
    """Whether its key usage has that bit; one without key usage may do anything."""
    found = certificate.extension(_KEY_USAGE)
    if found is None:
        return True
    try:
        reader = Reader(found.value)
        bits = der.read_tlv(reader, der.BIT_STRING)
        reader.end()
    except Malformed as error:
        raise Refused(Reason.CERTIFICATE_MALFORMED, f"Its use cannot be read: {error}.") from error
    at = 1 + bit // 8
    return at < len(bits) and bool(bits[at] >> (7 - bit % 8) & 1)


def _public_key(certificate: Certificate) -> object:
    try:
        return load_der_public_key(certificate.spki)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Refused(
            Reason.CERTIFICATE_MALFORMED, f"Its public key cannot be read: {error}."
        ) from error


# --- the chain -------------------------------------------------------------------------


def _path(leaf: Certificate, given: list[Certificate], trust: Trust, now: datetime) -> Anchor:
    """From each certificate to one that signed it, until an anchor did."""
    current, below = leaf, 0
    left = list(given)
    for _ in range(LONGEST_CHAIN):
        found = _anchor_of(current, trust.anchors)
        if found is not None:
            _check_authority(found.certificate, below, now, may_be_expired=found.may_be_expired)
            return found
        issuer = _issuer_of(current, left)
        _check_authority(issuer, below, now)
        left.remove(issuer)
        current, below = issuer, below + 1
    raise Refused(Reason.PATH_TOO_LONG, f"More than {LONGEST_CHAIN} authorities stand above it.")


def _anchor_of(certificate: Certificate, anchors: Iterable[Anchor]) -> Anchor | None:
    named = [each for each in anchors if each.certificate.subject == certificate.issuer]
    for each in named:
        if _signed(certificate, each.certificate):
            return each
    return None


def _issuer_of(certificate: Certificate, given: list[Certificate]) -> Certificate:
    named = [each for each in given if each.subject == certificate.issuer]
    for each in named:
        if _signed(certificate, each):
            return each
    if named:
        raise Refused(Reason.SIGNATURE_WRONG, "The authority that it names did not sign it.")
    raise Refused(
        Reason.ISSUER_UNKNOWN,
        "No authority that is pinned stands behind it, and no certificate leads to one.",
    )


def _signed(certificate: Certificate, issuer: Certificate) -> bool:
    """Whether `issuer` signed it. Raises `Refused` where the way of signing is not taken."""
    algorithm = certificate.algorithm
    key = _public_key(issuer)
    try:
        match key:
            case rsa.RSAPublicKey() if algorithm in _RSA_SIGNATURES:
                if key.key_size < LEAST_RSA:
                    raise Refused(Reason.ISSUER_KEY_TOO_WEAK, f"Its key has {key.key_size} bits.")
                hashed = _RSA_SIGNATURES[algorithm]
                key.verify(certificate.signature, certificate.signed, padding.PKCS1v15(), hashed)
            case ec.EllipticCurvePublicKey() if algorithm in _EC_SIGNATURES:
                signed = ec.ECDSA(_EC_SIGNATURES[algorithm])
                key.verify(certificate.signature, certificate.signed, signed)
            case _:
                raise Refused(
                    Reason.SIGNATURE_ALGORITHM,
                    "It is signed in a way that is not taken: SHA-256 and better are.",
                )
    except InvalidSignature:
        return False
    return True


def _check_authority(
    certificate: Certificate, below: int, now: datetime, *, may_be_expired: bool = False
) -> None:
    if not certificate.constraints.is_authority:
        raise Refused(Reason.ISSUER_NO_AUTHORITY, "What signed it is no authority.")
    length = certificate.constraints.path_length
    if length is not None and below > length:
        raise Refused(Reason.PATH_TOO_LONG, "More authorities stand below one than it allows.")
    if not _may(certificate, _KEY_CERT_SIGN):
        raise Refused(Reason.ISSUER_MAY_NOT_CERTIFY, "What signed it may not sign certificates.")
    _check_critical(certificate)
    if may_be_expired:
        return
    _check_time(
        certificate, now, Reason.ISSUER_NOT_YET_VALID, Reason.ISSUER_EXPIRED, "An authority"
    )


def _check_critical(certificate: Certificate) -> None:
    for each in certificate.extensions:
        if each.critical and each.id not in _KNOWN:
            raise Refused(
                Reason.CERTIFICATE_UNKNOWN_CRITICAL,
                f"It has a critical extension that is not known here ({each.id.hex()}).",
            )


def _check_time(
    certificate: Certificate, now: datetime, early: Reason, late: Reason, who: str
) -> None:
    moment = now.astimezone(UTC).strftime("%Y%m%d%H%M%S").encode()
    if moment < certificate.begins:
        raise Refused(early, f"{who} is not valid before {certificate.not_before.decode()}.")
    if moment > certificate.ends:
        raise Refused(late, f"{who} is valid no longer than {certificate.not_after.decode()}.")


def spki_of(found: Found) -> bytes:
    """The key of a public area as X.509 writes it."""
    return found.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

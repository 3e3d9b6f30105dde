"""A machine in software: a vendor's authorities, and a TPM whose keys are cryptography's.

It says what a TPM would say, and can be told to say it wrongly: a real one cannot. That our
structures are those of real TPMs is shown in tests/wire/tpm2 and test_activation.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID, ObjectIdentifier
from msgspec.structs import replace

from keyholm.attestation.tpm.certificates import Anchor, Trust, anchor
from keyholm.attestation.tpm.evidence import Evidence, Statement
from keyholm.wire.tpm2.constants import ALG, CURVE, OBJECT
from keyholm.wire.tpm2.names import digest, name_of
from keyholm.wire.tpm2.structures import (
    AES_128_CFB,
    ATTEST,
    PUBLIC,
    SIGNATURE,
    Attest,
    Certified,
    ClockInfo,
    EccParameters,
    EcSignature,
    PcrSelection,
    Point,
    Public,
    Quoted,
    RsaParameters,
    RsaSignature,
    Scheme,
)

NOW = dt.datetime(2026, 11, 25, 12, tzinfo=dt.UTC)
NONCE = b"a nonce of the verifier's, 32 b."
POLICY_A = bytes.fromhex("837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa")
EK_USE = ObjectIdentifier("2.23.133.8.1")
FIXED = OBJECT.FIXEDTPM | OBJECT.FIXEDPARENT | OBJECT.SENSITIVEDATAORIGIN
OF_EK = FIXED | OBJECT.ADMINWITHPOLICY | OBJECT.RESTRICTED | OBJECT.DECRYPT
OF_AK = FIXED | OBJECT.USERWITHAUTH | OBJECT.RESTRICTED | OBJECT.SIGN_ENCRYPT
OF_KEY = FIXED | OBJECT.USERWITHAUTH | OBJECT.SIGN_ENCRYPT | OBJECT.NODA
Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@cache
def rsa_key(number: int, bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


@cache
def ec_key(number: int, curve: type[ec.EllipticCurve] = ec.SECP256R1) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve())


def public_of(private: Private, attributes: OBJECT, **more: Any) -> Public:
    """Its public area; `more` are fields of the parameters, and `policy`."""
    policy = more.pop("policy", b"")
    public = private.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        modulus = public.public_numbers().n.to_bytes(public.key_size // 8)
        parameters = RsaParameters(bits=public.key_size, **more)
        return Public(ALG.SHA256, attributes, policy, parameters, modulus)
    numbers, size = public.public_numbers(), (public.key_size + 7) // 8
    point = Point(numbers.x.to_bytes(size), numbers.y.to_bytes(size))
    curve = {"secp256r1": CURVE.NIST_P256, "secp384r1": CURVE.NIST_P384}[public.curve.name]
    return Public(ALG.SHA256, attributes, policy, EccParameters(curve=curve, **more), point)


# --- certificates ------------------------------------------------------------------------

Given = tuple[x509.ExtensionType, bool]


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def certificate(
    subject: str,
    key: Any,
    issuer: str,
    signer: Private,
    *extensions: Given,
    begins: dt.datetime = dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
    ends: dt.datetime = dt.datetime(2040, 1, 1, tzinfo=dt.UTC),
    hashed: hashes.HashAlgorithm | None = None,
) -> bytes:
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(subject))
        .issuer_name(named(issuer))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(signer, hashed or hashes.SHA256()).public_bytes(Encoding.DER)  # type: ignore[arg-type]


def usage(*bits: str) -> Given:
    names = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
        *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**{name: name in bits for name in names}), True


def authority(length: int | None = None, ca: bool = True) -> Given:
    return x509.BasicConstraints(ca=ca, path_length=length), True


CERTIFIES = usage("key_cert_sign", "crl_sign")
ENCIPHERS = usage("key_encipherment")
USES: Given = (x509.ExtendedKeyUsage([EK_USE]), False)
NOT_AN_AUTHORITY = authority(ca=False)
_MODEL = x509.Name([x509.NameAttribute(ObjectIdentifier("2.23.133.2.1"), "id:keyholm")])
SPECIFIC: Given = (x509.SubjectAlternativeName([x509.DirectoryName(_MODEL)]), True)


def root(**more: Any) -> bytes:
    key = rsa_key(0)
    return certificate("root", key.public_key(), "root", key, authority(), CERTIFIES, **more)


def intermediate(*extensions: Given, **more: Any) -> bytes:
    key, signer = ec_key(1), more.pop("signer", rsa_key(0))
    given = extensions or (authority(0), CERTIFIES)
    return certificate("intermediate", key.public_key(), "root", signer, *given, **more)


def endorsement_certificate(key: Private, *extensions: Given, **more: Any) -> bytes:
    bit = "key_encipherment" if isinstance(key, rsa.RSAPrivateKey) else "key_agreement"
    given = extensions or (NOT_AN_AUTHORITY, USES, SPECIFIC, usage(bit))
    issuer, signer = more.pop("issuer", "intermediate"), more.pop("signer", ec_key(1))
    return certificate("a TPM", key.public_key(), issuer, signer, *given, **more)


def trust(*more: Anchor) -> Trust:
    return Trust((anchor(root(), allowed_as="the test's root"), *more))


# --- the TPM ---------------------------------------------------------------------------


@dataclass
class Machine:
    """Its keys are RSA or on curves; what it says can be changed before it is said."""

    ek: Private = field(default_factory=lambda: rsa_key(1))
    ak: Private = field(default_factory=lambda: ec_key(2))
    key: Private = field(default_factory=lambda: ec_key(3))
    ek_public: Public = field(init=False)
    ak_public: Public = field(init=False)
    key_public: Public = field(init=False)

    def __post_init__(self) -> None:
        self.ek_public = public_of(self.ek, OF_EK, symmetric=AES_128_CFB, policy=POLICY_A)
        way = ALG.ECDSA if isinstance(self.ak, ec.EllipticCurvePrivateKey) else ALG.RSASSA
        self.ak_public = public_of(self.ak, OF_AK, scheme=Scheme(way, ALG.SHA256))
        self.key_public = public_of(self.key, OF_KEY)

    def attest(self, attested: Any = None, nonce: bytes = NONCE) -> Attest:
        certified = Certified(name_of(self.key_public), b"qualified")
        clock = ClockInfo(clock=1, resets=7, restarts=0, safe=True)
        return Attest(b"signer", nonce, clock, 0x1234, attested or certified)

    def say(self, attest: Attest | bytes, *, hashed: ALG = ALG.SHA256) -> Statement:
        statement = attest if isinstance(attest, bytes) else ATTEST.write(attest)
        return Statement(statement, self.sign(statement, hashed=hashed))

    def sign(self, statement: bytes, *, hashed: ALG = ALG.SHA256) -> bytes:
        algorithm = hashes.SHA256() if hashed is ALG.SHA256 else hashes.SHA1()
        if isinstance(self.ak, rsa.RSAPrivateKey):
            value = self.ak.sign(statement, padding.PKCS1v15(), algorithm)
            return SIGNATURE.write(RsaSignature(ALG.RSASSA, hashed, value))
        r, s = decode_dss_signature(self.ak.sign(statement, ec.ECDSA(algorithm)))
        return SIGNATURE.write(EcSignature(ALG.ECDSA, hashed, r.to_bytes(32), s.to_bytes(32)))

    def quote(self, pcrs: dict[int, bytes], nonce: bytes = NONCE) -> Statement:
        selection = (PcrSelection(ALG.SHA256, frozenset(pcrs)),)
        value = digest(ALG.SHA256, *(pcrs[number] for number in sorted(pcrs)))
        return self.say(self.attest(Quoted(selection, value), nonce))

    def evidence(self, **changed: Any) -> Evidence:
        made: dict[str, Any] = {
            "endorsement_certificate": endorsement_certificate(self.ek),
            "endorsement_key": PUBLIC.write(self.ek_public),
            "attestation_key": PUBLIC.write(self.ak_public),
            "key": PUBLIC.write(self.key_public),
            "certified": self.say(self.attest()),
            "nonce": NONCE,
            "certificates": (intermediate(),),
        }
        return Evidence(**{**made, **changed})

    def with_key(self, attributes: OBJECT) -> "Machine":
        self.key_public = replace(self.key_public, attributes=attributes)
        return self

    def with_ak(self, attributes: OBJECT) -> "Machine":
        self.ak_public = replace(self.ak_public, attributes=attributes)
        return self

    def with_ek(self, **changed: Any) -> "Machine":
        self.ek_public = replace(self.ek_public, **changed)
        return self


def machines() -> Sequence[Machine]:
    return Machine(), Machine(ek=ec_key(1, ec.SECP384R1), ak=rsa_key(2), key=rsa_key(3))

"""Credential activation: endorsement and attestation key are in one TPM (Part 1, chapter 24).

    the verifier   challenge(...)  →  a secret, encrypted to the endorsement key and bound to the
                                      name of the attestation key
    the TPM        ActivateCredential gives the secret, and does so for no other key
    the verifier   Expected.check(secret, now)

MakeCredential needs no TPM: it is public-key encryption.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from keyholm.attestation.tpm.objects import Found
from keyholm.attestation.tpm.refusals import Reason, Refused
from keyholm.attestation.tpm.statements import HASHES
from keyholm.wire.tpm2.constants import COORDINATES
from keyholm.wire.tpm2.constants import HASHES as NAMES
from keyholm.wire.tpm2.kdf import kdfa, kdfe
from keyholm.wire.tpm2.names import size_of
from keyholm.wire.tpm2.structures import (
    ID_OBJECT,
    POINT,
    EccParameters,
    IdObject,
    Point,
    RsaParameters,
)
from keyholm.wire.tpm2.types import write_sized

SECRET: Final = 32  # bytes
SECONDS: Final = 60.0  # for an answer
_LABEL: Final = b"IDENTITY"


@dataclass(frozen=True, slots=True)
class Challenge:
    """For ActivateCredential: what TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET hold."""

    credential: bytes
    secret: bytes


@dataclass(frozen=True, slots=True)
class Expected:
    """What the verifier keeps: no secret, and what it was asked about. It is good for one answer:
    whoever keeps it forgets it first, whatever the answer is."""

    digest: bytes
    endorsement: bytes  # names
    attestation: bytes
    until: float

    def check(self, secret: bytes, endorsement: bytes, attestation: bytes, now: float) -> None:
        """Raises `Refused`."""
        if now > self.until:
            raise Refused(Reason.ACTIVATION_LATE, "The answer came too late.")
        right = hmac.compare_digest(hashlib.sha256(secret).digest(), self.digest)
        keys = (self.endorsement, self.attestation) == (endorsement, attestation)
        if not (right and keys):
            raise Refused(
                Reason.ACTIVATION_WRONG,
                "The secret is not the one that only this TPM can know.",
            )


def challenge(
    endorsement: Found, attestation: Found, now: float, seconds: float = SECONDS
) -> tuple[Challenge, Expected]:
    """`now` and the time that the answer may take, in seconds."""
    secret = secrets.token_bytes(SECRET)
    made = make_credential(endorsement, attestation.name, secret)
    digest = hashlib.sha256(secret).digest()
    return made, Expected(digest, endorsement.name, attestation.name, now + seconds)


def make_credential(endorsement: Found, name: bytes, secret: bytes) -> Challenge:
    """TPM2_MakeCredential, in software."""
    public = endorsement.public
    algorithm = public.name_algorithm
    seed, encrypted = _seed(endorsement)
    symmetric = getattr(public.parameters, "symmetric", None)
    bits = symmetric.bits if symmetric is not None else 128
    key = kdfa(algorithm, seed, b"STORAGE", name, b"", bits)
    # The IV is zero, since the key is made anew for each credential (Part 1, 24.4).
    encryptor = Cipher(algorithms.AES(key), CFB(bytes(16))).encryptor()
    identity = encryptor.update(write_sized(secret)) + encryptor.finalize()
    mac_key = kdfa(algorithm, seed, b"INTEGRITY", b"", b"", 8 * size_of(algorithm))
    integrity = hmac.digest(mac_key, identity + name, NAMES[algorithm])
    return Challenge(ID_OBJECT.write(IdObject(integrity, identity)), encrypted)


def _seed(endorsement: Found) -> tuple[bytes, bytes]:
    """A seed, and how it reaches the TPM (Part 1, B.10.4 and C.6.4)."""
    algorithm = endorsement.public.name_algorithm
    match endorsement.key, endorsement.public.parameters:
        case rsa.RSAPublicKey() as key, RsaParameters():
            seed = secrets.token_bytes(size_of(algorithm))
            hashed = HASHES[algorithm]
            oaep = padding.OAEP(padding.MGF1(hashed), hashed, _LABEL + b"\0")
            return seed, key.encrypt(seed, oaep)
        case ec.EllipticCurvePublicKey() as key, EccParameters(curve=curve):
            size = COORDINATES[curve]
            ours = ec.generate_private_key(key.curve)
            mine, theirs = ours.public_key().public_numbers(), key.public_numbers()
            x, y = mine.x.to_bytes(size), mine.y.to_bytes(size)
            shared = ours.exchange(ec.ECDH(), key)
            bits = 8 * size_of(algorithm)
            seed = kdfe(algorithm, shared, _LABEL, x, theirs.x.to_bytes(size), bits)
            return seed, POINT.write(Point(x, y))
        case _:
            raise Refused(Reason.ENDORSEMENT_ALGORITHM, "Nothing can be encrypted to this key.")

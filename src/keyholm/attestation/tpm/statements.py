"""What a TPM says of itself, signed by an attestation key: that a key is in it, what its PCRs are."""

import hmac
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from keyholm.attestation.tpm.objects import STRONG, Found
from keyholm.attestation.tpm.refusals import Reason, Refused
from keyholm.wire.codec import Bytes, Malformed, decode
from keyholm.wire.tpm2.constants import ALG
from keyholm.wire.tpm2.structures import (
    ATTEST,
    NO_SCHEME,
    SIGNATURE,
    Attest,
    Certified,
    EccParameters,
    EcSignature,
    NotGenerated,
    OtherAttestation,
    Quoted,
    RsaParameters,
    RsaSignature,
    Signature,
)

MOST: Final = 4096  # bytes of a statement, or of its signature
HASHES: Final[dict[ALG, hashes.HashAlgorithm]] = {
    ALG.SHA256: hashes.SHA256(),
    ALG.SHA384: hashes.SHA384(),
    ALG.SHA512: hashes.SHA512(),
    ALG.SHA3_256: hashes.SHA3_256(),
    ALG.SHA3_384: hashes.SHA3_384(),
    ALG.SHA3_512: hashes.SHA3_512(),
}


def certified(
    statement: Bytes, signature: Bytes, by: Found, nonce: bytes, subject: Found
) -> Attest:
    """`by` says that `subject` is in its TPM, and says it in answer to `nonce`."""
    attest = _read(statement, Certified)
    if not hmac.compare_digest(attest.extra, nonce):
        raise Refused(Reason.STATEMENT_NONCE, "It answers another question: the nonce differs.")
    attested = attest.attested
    assert isinstance(attested, Certified)  # noqa: S101 - `_read` has seen to it
    if not hmac.compare_digest(attested.name, subject.name):
        raise Refused(Reason.STATEMENT_OTHER_KEY, "It is said of another key.")
    _verify(statement, signature, by)
    return attest


def quoted(statement: Bytes, signature: Bytes, by: Found, nonce: bytes) -> Quoted:
    """What `by` says of the PCRs of its TPM."""
    attest = _read(statement, Quoted)
    if not hmac.compare_digest(attest.extra, nonce):
        raise Refused(Reason.STATEMENT_NONCE, "It answers another question: the nonce differs.")
    _verify(statement, signature, by)
    attested = attest.attested
    assert isinstance(attested, Quoted)  # noqa: S101 - `_read` has seen to it
    return attested


def _read(statement: Bytes, kind: type[Certified] | type[Quoted]) -> Attest:
    if len(statement) > MOST:
        raise Refused(Reason.STATEMENT_MALFORMED, f"It has {len(statement)} bytes.")
    try:
        attest = decode(ATTEST, statement)
    except NotGenerated as error:
        raise Refused(Reason.STATEMENT_NOT_GENERATED, f"No TPM wrote it: {error}.") from error
    except OtherAttestation as error:
        raise Refused(Reason.STATEMENT_OF_ANOTHER_KIND, f"It is {error}.") from error
    except Malformed as error:
        raise Refused(Reason.STATEMENT_MALFORMED, f"It cannot be read: {error}.") from error
    if not isinstance(attest.attested, kind):
        raise Refused(Reason.STATEMENT_OF_ANOTHER_KIND, f"It is a {attest.type.name}.")
    return attest


def _verify(statement: Bytes, signature: Bytes, by: Found) -> None:
    if len(signature) > MOST:
        raise Refused(Reason.STATEMENT_SIGNATURE_MALFORMED, f"It has {len(signature)} bytes.")
    try:
        found: Signature = decode(SIGNATURE, signature)
    except Malformed as error:
        raise Refused(
            Reason.STATEMENT_SIGNATURE_MALFORMED, f"Its signature cannot be read: {error}."
        ) from error
    _check_algorithm(found, by)
    try:
        _check(found, bytes(statement), by)
    except InvalidSignature as error:
        raise Refused(
            Reason.STATEMENT_SIGNATURE_WRONG, "The attestation key did not sign this."
        ) from error


def _check_algorithm(found: Signature, by: Found) -> None:
    if found.hash not in STRONG:
        raise Refused(Reason.STATEMENT_SIGNATURE_ALGORITHM, f"It is signed by {found.hash.name}.")
    parameters = by.public.parameters
    scheme = NO_SCHEME
    if isinstance(parameters, RsaParameters | EccParameters):
        scheme = parameters.scheme
    if scheme != NO_SCHEME and (scheme.algorithm, scheme.hash) != (found.algorithm, found.hash):
        raise Refused(
            Reason.STATEMENT_SIGNATURE_ALGORITHM,
            "It is signed in another way than the attestation key signs.",
        )


def _check(found: Signature, statement: bytes, by: Found) -> None:
    """Raises `InvalidSignature`."""
    algorithm = HASHES[found.hash]
    match found, by.key:
        case EcSignature(), ec.EllipticCurvePublicKey():
            numbers = int.from_bytes(found.r), int.from_bytes(found.s)
            by.key.verify(encode_dss_signature(*numbers), statement, ec.ECDSA(algorithm))
        case RsaSignature(ALG.RSASSA), rsa.RSAPublicKey():
            by.key.verify(found.value, statement, padding.PKCS1v15(), algorithm)
        case RsaSignature(), rsa.RSAPublicKey():
            pss = padding.PSS(padding.MGF1(algorithm), padding.PSS.AUTO)
            by.key.verify(found.value, statement, pss, algorithm)
        case _:
            raise Refused(
                Reason.STATEMENT_SIGNATURE_ALGORITHM, "It is signed by a key of another kind."
            )

"""Is this key in a TPM? Every step in its order; the first that fails refuses by its own name.

A verdict without an activation says that some attestation key vouches for the key, and that some
genuine TPM has this endorsement key; that both are in one TPM only `activation` proves.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from keyholm.attestation.tpm import statements
from keyholm.attestation.tpm.certificates import Trust, check_endorsement
from keyholm.attestation.tpm.certificates import spki_of as _spki_of
from keyholm.attestation.tpm.evidence import Evidence
from keyholm.attestation.tpm.objects import (
    Found,
    check_attestation_key,
    check_key,
)
from keyholm.attestation.tpm.objects import check_endorsement as _check_endorsement
from keyholm.attestation.tpm.refusals import Reason, Refused
from keyholm.wire.tpm2.constants import ALG, OBJECT
from keyholm.wire.tpm2.names import digest
from keyholm.wire.tpm2.structures import PcrSelection


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a verifier asks for beyond the steps that are always taken."""

    nonce: bytes | None = None  # None: any, of evidence that is looked at later
    policies: frozenset[bytes] | None = None
    decrypts: bool = False
    endorsements: frozenset[bytes] | None = None
    """SHA-256 of the endorsement keys (SubjectPublicKeyInfo) of the machines that are meant."""
    quote: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was proven."""

    key: Found
    endorsement: Found
    attestation: Found
    endorsement_hash: bytes  # SHA-256 of its SubjectPublicKeyInfo
    vendor: str  # the anchor behind its certificate
    firmware: int
    resets: int
    guarded: bool  # by a policy, or by the TPM against the guessing of its PIN
    pcrs: dict[int, bytes] | None = None


def verify(
    evidence: Evidence, trust: Trust, now: datetime, wanted: Wanted | None = None
) -> Verdict:
    """Raises `Refused`."""
    wanted = wanted or Wanted()
    endorsement = _check_endorsement(evidence.endorsement_key)
    anchor = check_endorsement(
        evidence.endorsement_certificate, endorsement, evidence.certificates, trust, now
    )
    spki = hashlib.sha256(_spki_of(endorsement)).digest()
    if wanted.endorsements is not None and spki not in wanted.endorsements:
        raise Refused(
            Reason.ENDORSEMENT_OTHER_KEY, "This TPM is in none of the machines that are meant."
        )
    attestation = check_attestation_key(evidence.attestation_key)
    key = check_key(evidence.key, policies=wanted.policies, decrypts=wanted.decrypts)
    nonce = evidence.nonce if wanted.nonce is None else wanted.nonce
    said = evidence.certified
    attest = statements.certified(said.statement, said.signature, attestation, nonce, key)
    attributes = key.public.attributes
    return Verdict(
        key,
        endorsement,
        attestation,
        spki,
        anchor.name,
        attest.firmware,
        attest.clock.resets,
        bool(key.public.policy) or not attributes & OBJECT.NODA,
        _quoted(evidence, attestation, nonce, wanted),
    )


def _quoted(
    evidence: Evidence, attestation: Found, nonce: bytes, wanted: Wanted
) -> dict[int, bytes] | None:
    """The PCRs that the quote vouches for."""
    said = evidence.quote
    if said is None:
        if wanted.quote:
            raise Refused(Reason.QUOTE_DIGEST, "A quote is wanted, and there is none.")
        return None
    quote = statements.quoted(said.statement, said.signature, attestation, nonce)
    values = _values(evidence)
    if quote.pcrs != (PcrSelection(ALG.SHA256, frozenset(values)),):
        raise Refused(Reason.QUOTE_DIGEST, "Other PCRs are quoted than those that are given.")
    expected = digest(ALG.SHA256, *(values[number] for number in sorted(values)))
    if quote.digest != expected:
        raise Refused(Reason.QUOTE_DIGEST, "The quoted PCRs have other values than those given.")
    return values


def _values(evidence: Evidence) -> dict[int, bytes]:
    try:
        values = {int(number): value for number, value in evidence.pcrs.items()}
    except ValueError as error:
        raise Refused(Reason.EVIDENCE_MALFORMED, "A PCR is named by no number.") from error
    if not all(0 <= number < 24 and len(value) == 32 for number, value in values.items()):
        raise Refused(Reason.EVIDENCE_MALFORMED, "What is given of a PCR is none of SHA-256.")
    return values

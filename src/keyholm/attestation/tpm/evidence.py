"""Evidence as a file: JSON, so that people can look at it; what is in it is checked by `verify`.

Byte strings are base64. Public areas are TPMT_PUBLIC, `statement` is TPMS_ATTEST, `signature`
TPMT_SIGNATURE; certificates are DER.
"""

from typing import Final

import msgspec
from msgspec import Struct

from keyholm.attestation.tpm.refusals import Reason, Refused

FORMAT: Final = 1
MOST: Final = 64 * 1024  # bytes


class Statement(Struct, frozen=True, forbid_unknown_fields=True):
    statement: bytes
    signature: bytes


class Evidence(Struct, frozen=True, forbid_unknown_fields=True):
    endorsement_certificate: bytes
    endorsement_key: bytes
    attestation_key: bytes
    key: bytes
    certified: Statement  # of `key`, by the attestation key
    nonce: bytes  # that the statements answer
    format: int = FORMAT
    kind: str = "tpm2"
    certificates: tuple[bytes, ...] = ()  # between the endorsement key's and a pinned one
    quote: Statement | None = None
    pcrs: dict[str, bytes] = {}  # what is quoted, by number: of SHA-256


_decode: Final = msgspec.json.Decoder(Evidence).decode


def read(data: bytes) -> Evidence:
    """Raises `Refused`."""
    if len(data) > MOST:
        raise Refused(
            Reason.EVIDENCE_TOO_LARGE, f"The evidence has {len(data)} bytes; {MOST} are the most."
        )
    try:
        evidence = _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(
            Reason.EVIDENCE_MALFORMED, f"The evidence cannot be read: {error}."
        ) from error
    if (evidence.format, evidence.kind) != (FORMAT, "tpm2"):
        raise Refused(
            Reason.EVIDENCE_MALFORMED,
            f"It is {evidence.kind} in format {evidence.format}; this keyholm reads tpm2 in "
            f"format {FORMAT}.",
        )
    return evidence


def write(evidence: Evidence) -> bytes:
    return msgspec.json.format(msgspec.json.encode(evidence), indent=2) + b"\n"

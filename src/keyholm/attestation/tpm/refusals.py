"""Why evidence is refused: one name for each step that can fail."""

from enum import StrEnum, unique


@unique
class Reason(StrEnum):
    # the file
    EVIDENCE_TOO_LARGE = "evidence-too-large"
    EVIDENCE_MALFORMED = "evidence-malformed"
    # the endorsement key's certificate
    CERTIFICATE_MALFORMED = "certificate-malformed"
    CERTIFICATE_NOT_YET_VALID = "certificate-not-yet-valid"
    CERTIFICATE_EXPIRED = "certificate-expired"
    CERTIFICATE_OF_AN_AUTHORITY = "certificate-of-an-authority"
    CERTIFICATE_FOR_ANOTHER_USE = "certificate-for-another-use"
    CERTIFICATE_KEY_USAGE = "certificate-key-usage"
    CERTIFICATE_UNKNOWN_CRITICAL = "certificate-unknown-critical-extension"
    # those above it
    SIGNATURE_ALGORITHM = "signature-algorithm-too-weak"
    SIGNATURE_WRONG = "certificate-signature-wrong"
    ISSUER_UNKNOWN = "issuer-unknown"
    ISSUER_NO_AUTHORITY = "issuer-no-authority"
    ISSUER_MAY_NOT_CERTIFY = "issuer-may-not-certify"
    ISSUER_EXPIRED = "issuer-expired"
    ISSUER_NOT_YET_VALID = "issuer-not-yet-valid"
    PATH_TOO_LONG = "path-too-long"
    ISSUER_KEY_TOO_WEAK = "issuer-key-too-weak"
    # the endorsement key
    ENDORSEMENT_MALFORMED = "endorsement-key-malformed"
    ENDORSEMENT_OTHER_KEY = "endorsement-key-is-not-that-of-its-certificate"
    ENDORSEMENT_TEMPLATE = "endorsement-key-not-of-the-template"
    ENDORSEMENT_POLICY = "endorsement-key-with-another-policy"
    ENDORSEMENT_ALGORITHM = "endorsement-key-algorithm"
    # the attestation key
    ATTESTATION_MALFORMED = "attestation-key-malformed"
    ATTESTATION_NOT_FIXED_TO_TPM = "attestation-key-not-fixed-to-its-tpm"
    ATTESTATION_NOT_FIXED_TO_PARENT = "attestation-key-not-fixed-to-its-parent"
    ATTESTATION_IMPORTED = "attestation-key-not-made-in-the-tpm"
    ATTESTATION_UNRESTRICTED = "attestation-key-signs-anything"
    ATTESTATION_SIGNS_NOT = "attestation-key-does-not-sign"
    ATTESTATION_DECRYPTS = "attestation-key-decrypts"
    ATTESTATION_ALGORITHM = "attestation-key-algorithm"
    # what it says of the key
    STATEMENT_MALFORMED = "statement-malformed"
    STATEMENT_NOT_GENERATED = "statement-not-by-a-tpm"
    STATEMENT_OF_ANOTHER_KIND = "statement-of-another-kind"
    STATEMENT_NONCE = "statement-with-another-nonce"
    STATEMENT_OTHER_KEY = "statement-of-another-key"
    STATEMENT_SIGNATURE_MALFORMED = "statement-signature-malformed"
    STATEMENT_SIGNATURE_ALGORITHM = "statement-signature-algorithm"
    STATEMENT_SIGNATURE_WRONG = "statement-signature-wrong"
    # the key itself
    KEY_MALFORMED = "key-malformed"
    KEY_NOT_FIXED_TO_TPM = "key-not-fixed-to-its-tpm"
    KEY_NOT_FIXED_TO_PARENT = "key-not-fixed-to-its-parent"
    KEY_IMPORTED = "key-not-made-in-the-tpm"
    KEY_SIGNS_NOT = "key-does-not-sign"
    KEY_RESTRICTED = "key-restricted"
    KEY_DECRYPTS = "key-decrypts"
    KEY_ALGORITHM = "key-algorithm"
    KEY_POLICY = "key-with-another-policy"
    # the proof that endorsement and attestation key are in one TPM
    ACTIVATION_WRONG = "activation-wrong"
    ACTIVATION_LATE = "activation-late"
    # what was quoted
    QUOTE_DIGEST = "quote-of-other-values"


class Refused(Exception):
    """`what` says it in a sentence."""

    def __init__(self, reason: Reason, what: str) -> None:
        super().__init__(f"{what} ({reason})")
        self.reason, self.what = reason, what

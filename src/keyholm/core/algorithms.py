"""What each key and object is called by its algorithm, as `keyholm new --type` spells it."""

from typing import Final

from keyholm.core.model import Algorithm, Key, Kind, Object, OtherAlgorithm, SecretType, spelled
from keyholm.wire import der
from keyholm.wire.codec import Malformed
from keyholm.wire.pkcs11.constants import CKA
from keyholm.wire.ssh import keys

RSA: Final = "1.2.840.113549.1.1.1"
EC: Final = "1.2.840.10045.2.1"
# By the AlgorithmIdentifier of a SubjectPublicKeyInfo; of EC by the curve.
_OIDS: Final[dict[bytes, str]] = {
    der.oid(dotted): name
    for dotted, name in {
        "1.2.840.10045.3.1.7": Algorithm.ECDSA_P256,
        "1.3.132.0.34": Algorithm.ECDSA_P384,
        "1.3.132.0.35": Algorithm.ECDSA_P521,
        "1.3.132.0.33": OtherAlgorithm.ECDSA_P224,
        "1.3.132.0.10": OtherAlgorithm.SECP256K1,
        "1.3.101.112": Algorithm.ED25519,
        "1.3.101.113": OtherAlgorithm.ED448,
        "1.3.101.110": OtherAlgorithm.X25519,
        "1.3.101.111": OtherAlgorithm.X448,
        "2.16.840.1.101.3.4.3.17": OtherAlgorithm.ML_DSA_44,
        "2.16.840.1.101.3.4.3.18": OtherAlgorithm.ML_DSA_65,
        "2.16.840.1.101.3.4.3.19": OtherAlgorithm.ML_DSA_87,
        "2.16.840.1.101.3.4.4.2": OtherAlgorithm.ML_KEM_768,
        "2.16.840.1.101.3.4.4.3": OtherAlgorithm.ML_KEM_1024,
    }.items()
}
_RSA: Final = der.oid(RSA)
_EC: Final = der.oid(EC)
_OBJECT_IDENTIFIER: Final = 0x06

# All that there are; of those with a size, the usual ones.
KNOWN: Final = (
    *Algorithm,
    *OtherAlgorithm,
    *(f"rsa-{bits}" for bits in (1024, 2048, 3072, 4096, 8192)),
    *(f"{secret}-{bits}" for secret in SecretType for bits in (128, 192, 256, 512)),
    "ssh-dss",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)


def algorithm_of(held: Key | Object) -> str:
    """Of a certificate or data: what kind of object it is."""
    if isinstance(held, Object):
        info = held.attributes.get(CKA.PUBLIC_KEY_INFO)
        found = of_spki(info) if held.kind is Kind.PUBLIC and isinstance(info, bytes) else ""
        return found or held.kind
    if held.ssh is not None:
        return of_ssh(held.ssh)
    if held.secret is not None:
        return spelled(held.secret)
    return of_spki(held.spki) or held.kind


def of_ssh(public: keys.PublicKey) -> str:
    """What cannot be made here is called as SSH calls it."""
    match public:
        case keys.Rsa(_, modulus):
            return f"rsa-{modulus.bit_length()}"
        case keys.Ecdsa(curve):
            return f"ecdsa-p{curve.removeprefix('nistp')}"
        case keys.Ed25519():
            return Algorithm.ED25519
        case keys.MlDsa44Ed25519():
            return Algorithm.MLDSA44_ED25519
        case _:
            return keys.type_name(public)


def of_spki(spki: bytes) -> str:
    """Empty where it is not known."""
    try:
        info = der.read_sequence(spki)
        algorithm = der.read_sequence(der.read_element(info, der.SEQUENCE))
        named = der.read_element(algorithm, _OBJECT_IDENTIFIER)
        if named == _RSA:
            numbers = der.read_sequence(der.read_tlv(info, der.BIT_STRING)[1:])
            return f"rsa-{der.read_integer(numbers).bit_length()}"
        if named == _EC:
            named = der.read_element(algorithm, _OBJECT_IDENTIFIER)
    except Malformed:
        return ""
    return _OIDS.get(named, "")

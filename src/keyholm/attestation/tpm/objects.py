"""What the three keys must be: endorsement key, attestation key, and the key that is attested."""

from collections.abc import Callable
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from keyholm.attestation.tpm.refusals import Reason, Refused
from keyholm.wire.codec import Bytes, Malformed, decode
from keyholm.wire.tpm2.constants import ALG, COORDINATES, CURVE, HASHES, OBJECT
from keyholm.wire.tpm2.names import name_of
from keyholm.wire.tpm2.structures import (
    PUBLIC,
    EccParameters,
    Point,
    Public,
    RsaParameters,
)

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

CURVES: Final[dict[CURVE, Callable[[], ec.EllipticCurve]]] = {
    CURVE.NIST_P256: ec.SECP256R1,
    CURVE.NIST_P384: ec.SECP384R1,
    CURVE.NIST_P521: ec.SECP521R1,
}
RSA_BITS: Final = (2048, 4096)
STRONG: Final = frozenset(HASHES) - {ALG.SHA1}

# The policies that the TCG's templates give an endorsement key (EK Credential Profile 2.5, B.6):
# of each hash, PolicySecret of the endorsement hierarchy (A); and that or one in NV (B).
ENDORSEMENT_POLICIES: Final = frozenset(
    map(
        bytes.fromhex,
        (
            "837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa",
            "ca3d0a99a2b93906f7a3342414efcfb3a385d44cd1fd459089d19b5071c0b7a0",
            "8bbf2266537c171cb56e403c4dc1d4b64f432611dc386e6f"
            "532050c3278c930e143e8bb1133824ccb431053871c6db53",
            "b26e7d28d11a50bc53d882bcf5fd3a1a074148bb35d3b4e4"
            "cb1c0ad9bde419cacb47ba09699646150f9fc000f3f80e12",
            "1e3b76502c8a1425aa0b7b3fc646a1b0fae063b03b5368f9c4cddecaff0891dd"
            "682bac1a85d4d832b781ea451915de5fc5bf0dc4a1917cd42fa041e3f998e0ee",
            "b8221ca69e8550a4914de3faa6a18c072cc01208073a928d5d66d59ef79e49a4"
            "29c41a6b269571d57edb25fbdb1838425608b413cd616a5f6db5b6071af99bea",
        ),
    )
)
_OF_ENDORSEMENT: Final = (
    OBJECT.FIXEDTPM
    | OBJECT.FIXEDPARENT
    | OBJECT.SENSITIVEDATAORIGIN
    | OBJECT.ADMINWITHPOLICY
    | OBJECT.RESTRICTED
    | OBJECT.DECRYPT
)
# The templates of the high range let the owner of the hierarchy use it as well.
_ALLOWED_BESIDE: Final = OBJECT.USERWITHAUTH


class Found(NamedTuple):
    """A public area that was read, with what follows from its bytes."""

    public: Public
    name: bytes
    key: PublicKey


def read_public(data: Bytes, malformed: Reason, algorithm: Reason) -> Found:
    """A TPMT_PUBLIC. Its name is computed here, and never taken from anybody."""
    try:
        public = decode(PUBLIC, data)
        name = name_of(public)
    except Malformed as error:
        raise Refused(malformed, f"A public area cannot be read: {error}.") from error
    if public.name_algorithm not in STRONG:
        raise Refused(algorithm, f"Its name is made by {public.name_algorithm.name}.")
    return Found(public, name, _key_of(public, malformed, algorithm))


def _key_of(public: Public, malformed: Reason, algorithm: Reason) -> PublicKey:
    parameters, unique = public.parameters, public.unique
    try:
        if isinstance(parameters, RsaParameters) and isinstance(unique, bytes):
            return _rsa(parameters, unique, algorithm)
        if isinstance(parameters, EccParameters) and isinstance(unique, Point):
            return _ec(parameters, unique, algorithm)
    except ValueError as error:
        raise Refused(malformed, f"The key is none: {error}.") from error
    raise Refused(algorithm, f"{public.type.name} is no key that can be attested.")


def _rsa(parameters: RsaParameters, modulus: bytes, algorithm: Reason) -> rsa.RSAPublicKey:
    number = int.from_bytes(modulus)
    least, most = RSA_BITS
    if not least <= number.bit_length() <= most:
        raise Refused(algorithm, f"An RSA key of {number.bit_length()} bits is not taken.")
    if number.bit_length() != parameters.bits:
        raise ValueError("its modulus is not as long as it says")
    return rsa.RSAPublicNumbers(parameters.exponent or 65537, number).public_key()


def _ec(parameters: EccParameters, point: Point, algorithm: Reason) -> ec.EllipticCurvePublicKey:
    curve = CURVES.get(parameters.curve)
    if curve is None:
        raise Refused(algorithm, f"A key on {parameters.curve.name} is not taken.")
    size = COORDINATES[parameters.curve]
    if len(point.x) > size or len(point.y) > size:
        raise ValueError("its coordinates are longer than its curve has them")
    x, y = int.from_bytes(point.x), int.from_bytes(point.y)
    return ec.EllipticCurvePublicNumbers(x, y, curve()).public_key()


# --- what each must be -----------------------------------------------------------------


def check_endorsement(data: Bytes) -> Found:
    """An endorsement key as the TCG's templates make it."""
    found = read_public(data, Reason.ENDORSEMENT_MALFORMED, Reason.ENDORSEMENT_ALGORITHM)
    attributes = found.public.attributes
    if attributes & ~_ALLOWED_BESIDE != _OF_ENDORSEMENT:
        raise Refused(
            Reason.ENDORSEMENT_TEMPLATE,
            f"The endorsement key has the attributes {int(attributes):#x}, which no template has.",
        )
    if found.public.policy not in ENDORSEMENT_POLICIES:
        raise Refused(Reason.ENDORSEMENT_POLICY, "The endorsement key has a policy of its own.")
    parameters = found.public.parameters
    symmetric = getattr(parameters, "symmetric", None)
    if symmetric is None or symmetric.algorithm is not ALG.AES or symmetric.mode is not ALG.CFB:
        raise Refused(Reason.ENDORSEMENT_TEMPLATE, "The endorsement key protects nothing by AES.")
    return found


_OF_ATTESTATION: Final = (
    (OBJECT.FIXEDTPM, True, Reason.ATTESTATION_NOT_FIXED_TO_TPM, "can leave its TPM"),
    (OBJECT.FIXEDPARENT, True, Reason.ATTESTATION_NOT_FIXED_TO_PARENT, "can go to another parent"),
    (OBJECT.SENSITIVEDATAORIGIN, True, Reason.ATTESTATION_IMPORTED, "was not made in its TPM"),
    (OBJECT.RESTRICTED, True, Reason.ATTESTATION_UNRESTRICTED, "signs whatever it is given"),
    (OBJECT.SIGN_ENCRYPT, True, Reason.ATTESTATION_SIGNS_NOT, "does not sign"),
    (OBJECT.DECRYPT, False, Reason.ATTESTATION_DECRYPTS, "also decrypts"),
)
_OF_KEY: Final = (
    (OBJECT.FIXEDTPM, True, Reason.KEY_NOT_FIXED_TO_TPM, "can leave its TPM"),
    (OBJECT.FIXEDPARENT, True, Reason.KEY_NOT_FIXED_TO_PARENT, "can go to another parent"),
    (OBJECT.SENSITIVEDATAORIGIN, True, Reason.KEY_IMPORTED, "was not made in its TPM"),
    (OBJECT.SIGN_ENCRYPT, True, Reason.KEY_SIGNS_NOT, "does not sign"),
    (OBJECT.RESTRICTED, False, Reason.KEY_RESTRICTED, "is for attesting, not for use"),
)
_NO_DECRYPTION: Final = ((OBJECT.DECRYPT, False, Reason.KEY_DECRYPTS, "also decrypts"),)


def check_attestation_key(data: Bytes) -> Found:
    """A restricted signing key: what it signs, its TPM has written."""
    found = read_public(data, Reason.ATTESTATION_MALFORMED, Reason.ATTESTATION_ALGORITHM)
    _check_attributes("The attestation key", found.public, _OF_ATTESTATION)
    return found


def check_key(
    data: Bytes, *, policies: frozenset[bytes] | None = None, decrypts: bool = False
) -> Found:
    """The attested key. `policies`: the digests of those that are approved; `decrypts`: it may
    decrypt as well, as keys that sign by RSA_Decrypt have to."""
    found = read_public(data, Reason.KEY_MALFORMED, Reason.KEY_ALGORITHM)
    _check_attributes("The key", found.public, _OF_KEY if decrypts else (*_OF_KEY, *_NO_DECRYPTION))
    if policies is not None and (
        found.public.policy not in policies or found.public.attributes & OBJECT.USERWITHAUTH
    ):
        raise Refused(Reason.KEY_POLICY, "The key is used under no policy that is approved.")
    return found


def _check_attributes(
    what: str, public: Public, wanted: tuple[tuple[OBJECT, bool, Reason, str], ...]
) -> None:
    for bit, must, reason, says in wanted:
        if bool(public.attributes & bit) is not must:
            raise Refused(reason, f"{what} {says}.")

"""What keys of a TPM look like: how one is asked for, and what SSH calls it.

Every key may sign and decrypt, and is bound to no scheme (as ssh-tpm-agent and tpm2-openssl make
them): so it does by TPM2_RSA_Decrypt what the TPM has no hash for. One with a PIN is under the
TPM's protection against guessing; one without is not (noDA), since an empty PIN cannot be
guessed, and a TPM that is locked because of another key must not stop it.
"""

from typing import Final

from keyholm.core.errors import AlgorithmUnsupported, BadKeyFile
from keyholm.core.model import Algorithm, KeyType, RsaKey, spelled
from keyholm.stores.software import keys as software
from keyholm.wire.ssh.keys import Curve, Ecdsa, PublicKey, Rsa
from keyholm.wire.ssh.private_keys import Private
from keyholm.wire.ssh.private_types import PrivateEcdsa, PrivateRsa
from keyholm.wire.tpm2.constants import ALG, COORDINATES, CURVE, OBJECT
from keyholm.wire.tpm2.structures import EccParameters, Point, Public, RsaParameters
from keyholm.wire.tpm2.types import UINT16, write_sized

CURVES: Final[dict[Curve, CURVE]] = {
    Curve.NISTP256: CURVE.NIST_P256,
    Curve.NISTP384: CURVE.NIST_P384,
    Curve.NISTP521: CURVE.NIST_P521,
}
_SSH_CURVES: Final = {of_tpm: of_ssh for of_ssh, of_tpm in CURVES.items()}
_EC: Final[dict[KeyType, CURVE]] = {
    Algorithm.ECDSA_P256: CURVE.NIST_P256,
    Algorithm.ECDSA_P384: CURVE.NIST_P384,
    Algorithm.ECDSA_P521: CURVE.NIST_P521,
}
_RSA: Final[dict[KeyType, int]] = {
    Algorithm.RSA_2048: 2048,
    Algorithm.RSA_3072: 3072,
    Algorithm.RSA_4096: 4096,
}
USES: Final = OBJECT.USERWITHAUTH | OBJECT.SIGN_ENCRYPT | OBJECT.DECRYPT
BORN_HERE: Final = OBJECT.FIXEDTPM | OBJECT.FIXEDPARENT | OBJECT.SENSITIVEDATAORIGIN
LARGEST_RSA: Final = 4096
USUAL_EXPONENT: Final = 65537


def template(wanted: KeyType, *, pin: bool) -> Public:
    """Raises `AlgorithmUnsupported`."""
    attributes = BORN_HERE | _uses(pin=pin)
    if wanted in _EC:
        return Public(ALG.SHA256, attributes, b"", EccParameters(curve=_EC[wanted]), Point())
    bits = wanted.bits if isinstance(wanted, RsaKey) else _RSA.get(wanted, 0)
    exponent = wanted.exponent if isinstance(wanted, RsaKey) else USUAL_EXPONENT
    if not 2048 <= bits <= LARGEST_RSA or bits % 1024 or exponent != USUAL_EXPONENT:
        raise AlgorithmUnsupported(
            f"A TPM has no {spelled(wanted)} keys.",
            remedy="It has ecdsa-p256 and rsa-2048, and most have ecdsa-p384.",
        )
    return Public(ALG.SHA256, attributes, b"", RsaParameters(bits=bits), b"")


def _uses(*, pin: bool) -> OBJECT:
    return USES if pin else USES | OBJECT.NODA


def was_born_here(public: Public) -> bool:
    """Whether the TPM says that it made the key itself, so that it was never elsewhere."""
    return public.attributes & BORN_HERE == BORN_HERE


def ssh_key(public: Public) -> PublicKey:
    """Raises `AlgorithmUnsupported`: nothing that signs."""
    match public.parameters, public.unique:
        case EccParameters(curve=curve), Point(x, y) if curve in _SSH_CURVES:
            width = COORDINATES[curve]
            if max(len(x), len(y)) <= width:
                point = b"\4" + x.rjust(width, b"\0") + y.rjust(width, b"\0")
                return Ecdsa(_SSH_CURVES[curve], point)
        case RsaParameters(exponent=exponent), bytes(modulus) if modulus:
            return Rsa(exponent or USUAL_EXPONENT, int.from_bytes(modulus))
    raise AlgorithmUnsupported("This key file holds no key that keyholm can use.")


# --- keys that come from elsewhere ---------------------------------------------------------


def imported(private: Private, *, pin: bool) -> tuple[Public, memoryview]:
    """As a TPM has it, and its secret: the scalar, or one of the primes.

    Raises `AlgorithmUnsupported`, `BadKeyFile`."""
    software.check(private)
    attributes = _uses(pin=pin)
    match private:
        case PrivateEcdsa(public, scalar):
            curve = CURVES[public.curve]
            width = COORDINATES[curve]
            x, y = public.point[1 : 1 + width], public.point[1 + width :]
            parameters = EccParameters(curve=curve)
            return Public(ALG.SHA256, attributes, b"", parameters, Point(x, y)), scalar
        case PrivateRsa(public, _, _, p):
            return _imported_rsa(public, attributes), p
        case _:
            raise AlgorithmUnsupported(
                "A TPM has no such keys.", remedy="It takes ECDSA keys, and RSA keys of 2048 bits."
            )


def _imported_rsa(public: Rsa, attributes: OBJECT) -> Public:
    bits = public.modulus.bit_length()
    if bits % 1024 or not 2048 <= bits <= LARGEST_RSA or public.exponent != USUAL_EXPONENT:
        raise AlgorithmUnsupported("A TPM has no RSA keys of this size or exponent.")
    modulus = public.modulus.to_bytes(bits // 8)
    return Public(ALG.SHA256, attributes, b"", RsaParameters(bits=bits), modulus)


def sensitive(public: Public, pin: bytes, secret: memoryview) -> bytearray:
    """TPM2B_SENSITIVE, which its maker wipes (Part 2, 12.3.2.4)."""
    width = _secret_size(public)
    number = bytearray(width)
    given = bytes(secret).lstrip(b"\0")
    if len(given) > width:
        raise BadKeyFile("The private key is longer than its public half allows.")
    number[width - len(given) :] = given
    body = bytearray(UINT16.write(public.type) + write_sized(pin) + write_sized(b""))
    body += write_sized(number)
    return bytearray(UINT16.write(len(body))) + body


def _secret_size(public: Public) -> int:
    if isinstance(public.parameters, EccParameters):
        return COORDINATES[public.parameters.curve]
    if isinstance(public.parameters, RsaParameters):
        return public.parameters.bits // 16
    raise AlgorithmUnsupported("A TPM has no such keys.")

"""The keys of a card: made, used, and told of, as SP 800-73-4 part 2 has them."""

from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from keyholm.testing.piv.names import (
    SW,
    Algorithm,
    PinPolicy,
    Refused,
    Slot,
    TouchPolicy,
)
from keyholm.wire.apdu import tlv

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

CURVES: Final[dict[int, ec.EllipticCurve]] = {
    Algorithm.P256: ec.SECP256R1(),
    Algorithm.P384: ec.SECP384R1(),
}
HASHES: Final[dict[int, hashes.HashAlgorithm]] = {
    Algorithm.P256: hashes.SHA256(),
    Algorithm.P384: hashes.SHA384(),
}
RSA_BYTES: Final = 2048 // 8
GENERATED, IMPORTED = 1, 2


@dataclass(frozen=True, slots=True)
class CardKey:
    private: PrivateKey
    pin: PinPolicy
    touch: TouchPolicy = TouchPolicy.NEVER
    origin: int = GENERATED

    @property
    def algorithm(self) -> Algorithm:
        if isinstance(self.private, rsa.RSAPrivateKey):
            return Algorithm.RSA_2048
        return Algorithm.P256 if self.private.curve.key_size == 256 else Algorithm.P384

    def answer(self, challenge: bytes) -> bytes:
        """RSA on a whole block, or an ECDSA signature of a hash."""
        if isinstance(self.private, rsa.RSAPrivateKey):
            return _rsa(self.private, challenge)
        return _ecdsa(self.private, challenge, HASHES[self.algorithm])

    def agree(self, point: bytes) -> bytes:
        """The x coordinate of ECDH (SP 800-73-4 part 2, A.5.2)."""
        if isinstance(self.private, rsa.RSAPrivateKey):
            raise Refused(SW.INCORRECT_DATA)
        try:
            other = ec.EllipticCurvePublicKey.from_encoded_point(self.private.curve, point)
        except ValueError:
            raise Refused(SW.INCORRECT_DATA) from None
        return self.private.exchange(ec.ECDH(), other)

    def public(self) -> bytes:
        """What stands in template 7f49."""
        key = self.private.public_key()
        if isinstance(key, rsa.RSAPublicKey):
            numbers = key.public_numbers()
            return tlv(0x81, numbers.n.to_bytes(RSA_BYTES)) + tlv(0x82, numbers.e.to_bytes(3))
        form = serialization.PublicFormat.UncompressedPoint
        return tlv(0x86, key.public_bytes(serialization.Encoding.X962, form))


def _rsa(private: rsa.RSAPrivateKey, block: bytes) -> bytes:
    # The card gets a block that is padded already; `cryptography` signs messages only.
    if len(block) != RSA_BYTES:
        raise Refused(SW.WRONG_LENGTH)
    numbers = private.private_numbers()
    value = int.from_bytes(block)
    if value >= numbers.public_numbers.n:
        raise Refused(SW.INCORRECT_DATA)
    of_p, of_q = pow(value, numbers.dmp1, numbers.p), pow(value, numbers.dmq1, numbers.q)
    difference = (of_p - of_q) * numbers.iqmp % numbers.p
    return (of_q + difference * numbers.q).to_bytes(RSA_BYTES)


def _ecdsa(
    private: ec.EllipticCurvePrivateKey, digest: bytes, width: hashes.HashAlgorithm
) -> bytes:
    if not 0 < len(digest) <= width.digest_size:
        raise Refused(SW.INCORRECT_DATA)
    # A shorter hash is the same number with zeros in front.
    whole = digest.rjust(width.digest_size, b"\0")
    return private.sign(whole, ec.ECDSA(Prehashed(width)))


def generate(algorithm: int) -> PrivateKey:
    if algorithm == Algorithm.RSA_2048:
        return rsa.generate_private_key(65537, 2048)
    if algorithm in CURVES:
        return ec.generate_private_key(CURVES[algorithm])
    raise Refused(SW.INCORRECT_DATA)


def load(algorithm: int, parts: dict[int, bytes]) -> PrivateKey:
    """From the elements of Yubico's IMPORT: 01-05 for RSA (p, q, dp, dq, qinv), 06 for EC."""
    try:
        if algorithm == Algorithm.RSA_2048:
            return _load_rsa(*(int.from_bytes(parts[tag]) for tag in (1, 2, 3, 4, 5)))
        return ec.derive_private_key(int.from_bytes(parts[6]), CURVES[algorithm])
    except (KeyError, ValueError, ZeroDivisionError):
        raise Refused(SW.INCORRECT_DATA) from None


def _load_rsa(p: int, q: int, dp: int, dq: int, qinv: int) -> rsa.RSAPrivateKey:
    public = rsa.RSAPublicNumbers(65537, p * q)
    if public.n.bit_length() != 2048:
        raise ValueError("another size")
    d = pow(65537, -1, (p - 1) * (q - 1))
    return rsa.RSAPrivateNumbers(p, q, d, dp, dq, qinv, public).private_key()


def pin_policy(slot: int, asked: PinPolicy) -> PinPolicy:
    if asked != PinPolicy.DEFAULT:
        return asked
    fixed: dict[int, PinPolicy] = {
        Slot.SIGNATURE: PinPolicy.ALWAYS,
        Slot.CARD_AUTHENTICATION: PinPolicy.NEVER,
    }
    return fixed.get(slot, PinPolicy.ONCE)


# --- the management key ----------------------------------------------------------------

MANAGEMENT_SIZES: Final[dict[int, int]] = {
    Algorithm.TDES: 24,
    Algorithm.AES_128: 16,
    Algorithm.AES_192: 24,
    Algorithm.AES_256: 32,
}
DEFAULT_MANAGEMENT_KEY: Final = bytes(range(1, 9)) * 3


@dataclass(frozen=True, slots=True)
class ManagementKey:
    algorithm: int = Algorithm.TDES
    value: bytes = DEFAULT_MANAGEMENT_KEY

    @property
    def block(self) -> int:
        return 8 if self.algorithm == Algorithm.TDES else 16

    def encrypt(self, block: bytes) -> bytes:
        encryptor = self._cipher().encryptor()
        return encryptor.update(block) + encryptor.finalize()

    def _cipher(self) -> Cipher[modes.ECB]:
        kind = TripleDES if self.algorithm == Algorithm.TDES else algorithms.AES
        try:
            # One block of a challenge: there is nothing to chain (SP 800-73-4 part 2, A.1).
            return Cipher(kind(self.value), modes.ECB())  # noqa: S305
        except UnsupportedAlgorithm:  # a library without 3DES
            raise Refused(SW.CONDITIONS_OF_USE_NOT_SATISFIED) from None


def management_key(algorithm: int, value: bytes) -> ManagementKey:
    if MANAGEMENT_SIZES.get(algorithm) != len(value):
        raise Refused(SW.INCORRECT_DATA)
    return ManagementKey(algorithm, value)

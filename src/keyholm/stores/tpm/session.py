"""HMAC sessions with a TPM, so that nothing between it and us reads or alters what crosses.

A session is salted to a key of the TPM whose name we know: only that TPM learns the session's
key. Every command and every answer is proven by HMAC with fresh nonces, and its first parameter
is encrypted (AES-128-CFB) where the command lets it be. One session serves all keys, each
command with the PIN of the key that it uses.
"""

import hmac
import secrets
from typing import Any, Final, NamedTuple

from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA384, SHA512, HashAlgorithm

from keyholm.core.errors import StoreFailed
from keyholm.core.secret import Secret
from keyholm.stores.tpm import errors
from keyholm.stores.tpm.device import Device
from keyholm.wire.codec import Bytes
from keyholm.wire.tpm2 import commands as tpm
from keyholm.wire.tpm2 import sessions
from keyholm.wire.tpm2.commands import Answer, Authorization, Command, Refused, parameters_of
from keyholm.wire.tpm2.constants import ALG, COORDINATES, CURVE, HANDLE, SE, SESSION
from keyholm.wire.tpm2.kdf import kdfe
from keyholm.wire.tpm2.names import size_of
from keyholm.wire.tpm2.responses import RC, Part, response
from keyholm.wire.tpm2.sessions import State
from keyholm.wire.tpm2.structures import (
    AES_128_CFB,
    POINT,
    EccParameters,
    Point,
    Public,
    RsaParameters,
)

ALGORITHM: Final = ALG.SHA256
NONCE: Final = 32
_SALT_LABEL: Final = b"SECRET"
NO_PIN: Final = b""
CURVES: Final[dict[CURVE, ec.EllipticCurve]] = {
    CURVE.NIST_P256: ec.SECP256R1(),
    CURVE.NIST_P384: ec.SECP384R1(),
    CURVE.NIST_P521: ec.SECP521R1(),
}
HASHES: Final[dict[ALG, HashAlgorithm]] = {
    ALG.SHA1: SHA1(),  # noqa: S303 - of a key that somebody else made so
    ALG.SHA256: SHA256(),
    ALG.SHA384: SHA384(),
    ALG.SHA512: SHA512(),
}


class Named(NamedTuple):
    """What a command is about: its handle, and the name by which the TPM proves that it is it."""

    handle: int
    name: bytes


# --- salts -----------------------------------------------------------------------------


def encrypted_seed(public: Public, label: bytes) -> tuple[bytes, bytes]:
    """A secret for the TPM that has this key, and how it gets there (Part 1, B.10, C.6)."""
    size = size_of(public.name_algorithm)
    match public.parameters:
        case RsaParameters(exponent=exponent) if isinstance(public.unique, bytes):
            modulus = int.from_bytes(public.unique)
            key = rsa.RSAPublicNumbers(exponent or 65537, modulus).public_key()
            hashed = HASHES[public.name_algorithm]
            seed = secrets.token_bytes(size)
            oaep = padding.OAEP(padding.MGF1(hashed), hashed, label + b"\0")
            return seed, key.encrypt(seed, oaep)
        case EccParameters(curve=curve) if isinstance(public.unique, Point) and curve in CURVES:
            return _agreed(public.name_algorithm, curve, public.unique, label)
    raise StoreFailed("Nothing can be encrypted to this key of the TPM.")


def _agreed(algorithm: ALG, curve: CURVE, point: Point, label: bytes) -> tuple[bytes, bytes]:
    width = COORDINATES[curve]
    x, y = int.from_bytes(point.x), int.from_bytes(point.y)
    theirs = ec.EllipticCurvePublicNumbers(x, y, CURVES[curve]).public_key()
    ours = ec.generate_private_key(CURVES[curve])
    mine = ours.public_key().public_numbers()
    mine_x, mine_y = mine.x.to_bytes(width), mine.y.to_bytes(width)
    shared = ours.exchange(ec.ECDH(), theirs)
    bits = 8 * size_of(algorithm)
    seed = kdfe(algorithm, shared, label, mine_x, x.to_bytes(width), bits)
    return seed, POINT.write(Point(mine_x, mine_y))


# --- sessions --------------------------------------------------------------------------


class Session:
    """One HMAC session. Not for threads: its user holds the device's lock."""

    def __init__(self, device: Device, salt_key: int, public: Public) -> None:
        """`salt_key` is loaded; the session stays when it goes."""
        self._device = device
        salt, encrypted = encrypted_seed(public, _SALT_LABEL)
        nonce = secrets.token_bytes(NONCE)
        self.handle, self._nonce_tpm = device.run(
            tpm.START_AUTH_SESSION,
            (salt_key, HANDLE.NULL),
            nonce,
            encrypted,
            SE.HMAC,
            AES_128_CFB,
            ALGORITHM,
        )
        if len(self._nonce_tpm) < 16:
            raise errors.altered("a nonce that is too short")
        self._key = Secret.of(sessions.session_key(ALGORITHM, salt, self._nonce_tpm, nonce))
        self._link = device.links

    @property
    def alive(self) -> bool:
        """False: it went with its link."""
        return self._device.links == self._link

    def run(
        self, command: Command, objects: tuple[Named, ...], *values: Any, pin: Bytes = NO_PIN
    ) -> tuple[Any, ...]:
        """What it gives, after the handle where it gives one. `pin` is of the first object.

        Raises `Refused`, which is not proven by anything, and `StoreFailed`."""
        parameters = parameters_of(command, *values)
        state = State(ALGORITHM, self._key.view, secrets.token_bytes(NONCE), self._nonce_tpm)
        bits = _bits(command)
        auth = pin if command.authorized else NO_PIN
        if bits & SESSION.DECRYPT:
            parameters = _ciphered(parameters, *sessions.command_cipher_key(state, auth))
        hashed = sessions.cp_hash(ALGORITHM, command.code, _names(objects), parameters)
        mac = sessions.command_mac(state, auth, hashed, bits)
        proof = Authorization(self.handle, state.nonce_caller, bits, mac)
        handles = tuple(each.handle for each in objects)
        answer = self._device.send(command, handles, parameters, (proof,))
        plain = self._opened(command, state, auth, bits, answer)
        given = self._device.results(command, plain)
        return given if answer.handle is None else (answer.handle, *given)

    def _opened(
        self, command: Command, state: State, auth: Bytes, sent: SESSION, answer: Answer
    ) -> bytes:
        if len(answer.sessions) != 1:
            raise errors.altered("it is not proven")
        [proof] = answer.sessions
        state = state._replace(nonce_tpm=proof.nonce)
        hashed = sessions.rp_hash(ALGORITHM, command.code, answer.parameters)
        expected = sessions.response_mac(state, auth, hashed, proof.attributes)
        if not hmac.compare_digest(expected, proof.hmac):
            raise errors.altered("its proof is wrong")
        if proof.attributes != sent:
            raise errors.altered("its session is another")
        self._nonce_tpm = proof.nonce
        if not sent & SESSION.ENCRYPT:
            return answer.parameters
        return _ciphered(
            answer.parameters, *sessions.response_cipher_key(state, auth), decrypt=True
        )

    def close(self) -> None:
        if self.alive:
            self._device.flush(self.handle)
        self._key.close()


def _bits(command: Command) -> SESSION:
    bits = SESSION.CONTINUESESSION
    if command.decrypts:
        bits |= SESSION.DECRYPT
    if command.encrypts:
        bits |= SESSION.ENCRYPT
    return bits


def _names(objects: tuple[Named, ...]) -> tuple[bytes, ...]:
    return tuple(each.name for each in objects)


def _ciphered(parameters: bytes, key: bytes, iv: bytes, *, decrypt: bool = False) -> bytes:
    """The first parameter, but for its size, encrypted or decrypted (Part 1, 21.3)."""
    end = 2 + int.from_bytes(parameters[:2])
    cipher = Cipher(algorithms.AES(key), CFB(iv))
    run = cipher.decryptor() if decrypt else cipher.encryptor()
    return parameters[:2] + run.update(parameters[2:end]) + run.finalize() + parameters[end:]


def is_lost(refused: Refused) -> bool:
    """Whether the TPM says that it has no such session."""
    told = response(refused.number)
    if told.code is RC.REFERENCE_S0:
        return True
    return told.part is Part.SESSION and told.code in (RC.HANDLE, RC.VALUE)

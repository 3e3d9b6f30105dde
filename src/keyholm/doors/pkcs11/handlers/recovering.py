"""Signatures from which their data comes back (C_SignRecover, C_VerifyRecover), and the state of
operations, which is never given out."""

from typing import Final

from keyholm.core.errors import SignatureInvalid
from keyholm.cryptoki.wrong import Wrong
from keyholm.doors.pkcs11 import lengths
from keyholm.doors.pkcs11.client import Client
from keyholm.doors.pkcs11.objects import Shown
from keyholm.doors.pkcs11.running import Kind, fits
from keyholm.wire.pkcs11.constants import CKA, CKM, CKR

SHORTEST_PADDING: Final = 8  # bytes of 0xff (RFC 8017, section 9.2)


def verify_recover(
    client: Client, handle: int, signature: bytes | None, room: int
) -> tuple[object, ...]:
    """Nothing but the public numbers of the key is used, which every program can read."""
    session = client.session(handle)
    with session.lock:
        active = session.running(Kind.VERIFY_RECOVER)
        try:
            data = _recovered(active.shown, active.chosen.ckm, signature or b"")
        except BaseException:
            session.end(Kind.VERIFY_RECOVER)
            raise
        if not fits(len(data), room):
            return (len(data),)
        session.end(Kind.VERIFY_RECOVER)
        return (data,)


def _recovered(shown: Shown, ckm: int, signature: bytes) -> bytes:
    size = lengths.modulus(shown)
    if len(signature) != size:
        raise Wrong(CKR.SIGNATURE_LEN_RANGE)
    modulus, exponent = shown.value(CKA.MODULUS), shown.value(CKA.PUBLIC_EXPONENT)
    if not isinstance(modulus, bytes) or not isinstance(exponent, bytes):
        raise Wrong(CKR.KEY_TYPE_INCONSISTENT)
    number = int.from_bytes(signature)
    if number >= int.from_bytes(modulus):
        raise SignatureInvalid("The signature is larger than the key.")
    block = pow(number, int.from_bytes(exponent), int.from_bytes(modulus)).to_bytes(size)
    if ckm == CKM.RSA_X_509:
        return block
    padding, end, data = block[2:].partition(b"\0")
    if block[:2] != b"\0\1" or not end or len(padding) < SHORTEST_PADDING or padding.strip(b"\xff"):
        raise SignatureInvalid("The signature is not by this key.")
    return data


def get_operation_state(client: Client, handle: int, room: int) -> tuple[object, ...]:
    session = client.session(handle)
    with session.lock:
        if not session.active and session.digesting is None and session.found is None:
            raise Wrong(CKR.OPERATION_NOT_INITIALIZED)
        raise Wrong(CKR.STATE_UNSAVEABLE, "What is under way does not leave the daemon.")


def set_operation_state(
    client: Client, handle: int, state: bytes | None, encryption_key: int, signing_key: int
) -> None:
    client.session(handle)
    raise Wrong(CKR.SAVED_STATE_INVALID, "Nobody was given the state of an operation here.")

"""Message-based calls (PKCS#11 3.0): one init, then many messages, each with its own IV and tag.

A message is an operation of the gate like any other. What makes the IV, if the program asks for
that, is the kernel's generator: no counter can run over or be put back.
"""

import os
from collections.abc import Callable
from typing import Final

import msgspec

from keyholm.core.gate import Use
from keyholm.core.mechanisms import AesCcm, AesGcm, ChaCha20Poly1305, Mechanism, Verb
from keyholm.core.operation import Operation
from keyholm.cryptoki import mechanisms
from keyholm.cryptoki.mechanisms import Row
from keyholm.cryptoki.wrong import Wrong
from keyholm.doors.pkcs11.client import Client, is_legacy, key_of
from keyholm.doors.pkcs11.handlers import using
from keyholm.doors.pkcs11.objects import Shown
from keyholm.doors.pkcs11.running import Kind, Message, fits
from keyholm.wire.codec import Malformed
from keyholm.wire.pkcs11 import mechanisms as wire
from keyholm.wire.pkcs11.constants import CKA, CKF, CKG, CKR
from keyholm.wire.pkcs11.parameters import (
    CcmMessage,
    ChaCha20Poly1305Message,
    GcmMessage,
    Parameter,
)

Aead = GcmMessage | CcmMessage | ChaCha20Poly1305Message

CRYPTS: Final[dict[Kind, tuple[int, int, Verb]]] = {
    Kind.MESSAGE_ENCRYPT: (CKF.MESSAGE_ENCRYPT, CKA.ENCRYPT, Verb.ENCRYPT),
    Kind.MESSAGE_DECRYPT: (CKF.MESSAGE_DECRYPT, CKA.DECRYPT, Verb.DECRYPT),
}
CHACHA20_TAG: Final = 16


# --- beginning and ending ------------------------------------------------------------------


def crypt_init(kind: Kind) -> Callable[[Client, int, wire.Mechanism, int], None]:
    function, use, _ = CRYPTS[kind]

    def begin(client: Client, handle: int, mechanism: wire.Mechanism, key: int) -> None:
        session = client.session(handle)
        with session.lock:
            if mechanism == wire.NO_MECHANISM:
                session.end_messages(kind)
                return
            shown = client.object(key, CKR.KEY_HANDLE_INVALID)
            row = mechanisms.row_for(mechanism.type, function, legacy=is_legacy(shown.token))
            _check(shown, row, use)
            session.start_messages(kind, Message(shown, row))

    return begin


def _check(shown: Shown, row: Row, use: int) -> None:
    if shown.value(CKA.KEY_TYPE) not in row.key_types:
        raise Wrong(CKR.KEY_TYPE_INCONSISTENT, "The key is of another kind.")
    if not shown.flag(use):
        raise Wrong(CKR.KEY_FUNCTION_NOT_PERMITTED, "The key was not made for that.")


def final(kind: Kind) -> Callable[[Client, int], None]:
    def end(client: Client, handle: int) -> None:
        session = client.session(handle)
        with session.lock:
            if kind in CRYPTS:
                session.messages_of(kind)
                session.end_messages(kind)
            else:
                session.running(kind)
                session.end(kind)

    return end


# --- encrypting and decrypting -------------------------------------------------------------


def encrypt_message(
    client: Client,
    handle: int,
    given: bytes | None,
    aad: bytes | None,
    data: bytes | None,
    room: int,
) -> tuple[object, ...]:
    session = client.session(handle)
    with session.lock:
        message = session.messages_of(Kind.MESSAGE_ENCRYPT)
        parameter = _parameter(message, given)
        plain = data or b""
        if not fits(len(plain), room):
            return None, len(plain)
        parameter = _with_nonce(parameter)
        operation = _begun(client, message, parameter, aad or b"", Verb.ENCRYPT)
        sealed = operation.update(plain) + operation.finish()
        return _sealed(message, parameter, sealed)


def decrypt_message(
    client: Client,
    handle: int,
    given: bytes | None,
    aad: bytes | None,
    data: bytes | None,
    room: int,
) -> tuple[object, ...]:
    session = client.session(handle)
    with session.lock:
        message = session.messages_of(Kind.MESSAGE_DECRYPT)
        parameter = _parameter(message, given)
        sealed = data or b""
        if not fits(len(sealed), room):
            return (len(sealed),)
        operation = _begun(client, message, parameter, aad or b"", Verb.DECRYPT)
        plain = operation.update(sealed + _tag(parameter))
        return (plain + operation.finish(),)


def encrypt_message_begin(
    client: Client, handle: int, given: bytes | None, aad: bytes | None
) -> tuple[object, ...]:
    session = client.session(handle)
    with session.lock:
        message = session.messages_of(Kind.MESSAGE_ENCRYPT)
        parameter = _with_nonce(_parameter(message, given))
        message.begin(parameter, _begun(client, message, parameter, aad or b"", Verb.ENCRYPT))
        return (wire.write_message(message.row.ckm, parameter),)


def decrypt_message_begin(
    client: Client, handle: int, given: bytes | None, aad: bytes | None
) -> None:
    session = client.session(handle)
    with session.lock:
        message = session.messages_of(Kind.MESSAGE_DECRYPT)
        parameter = _parameter(message, given)
        message.begin(parameter, _begun(client, message, parameter, aad or b"", Verb.DECRYPT))


def encrypt_message_next(
    client: Client, handle: int, given: bytes | None, part: bytes | None, room: int, flags: int
) -> tuple[object, ...]:
    session = client.session(handle)
    with session.lock:
        message = session.messages_of(Kind.MESSAGE_ENCRYPT)
        parameter, operation = _under_way(message)
        plain = part or b""
        if not fits(message.waiting + len(plain), room):
            return None, message.waiting + len(plain)
        sealed = operation.update(plain)
        message.waiting += len(plain) - len(sealed)
        if not flags & CKF.END_OF_MESSAGE:
            return wire.write_message(message.row.ckm, parameter), sealed
        message.end()
        return _sealed(message, parameter, sealed + operation.finish())


def decrypt_message_next(
    client: Client, handle: int, given: bytes | None, part: bytes | None, room: int, flags: int
) -> tuple[object, ...]:
    """All comes with the last part: nothing is told before its tag was seen."""
    session = client.session(handle)
    with session.lock:
        message = session.messages_of(Kind.MESSAGE_DECRYPT)
        _, operation = _under_way(message)
        sealed = part or b""
        if not flags & CKF.END_OF_MESSAGE:
            message.waiting += len(sealed)
            operation.update(sealed)
            return (b"",)
        if not fits(message.waiting + len(sealed), room):
            return (message.waiting + len(sealed),)
        last = _parameter(message, given)
        message.end()
        return (operation.update(sealed + _tag(last)) + operation.finish(),)


def _under_way(message: Message) -> tuple[Aead, Operation]:
    parameter, operation = message.parameter, message.operation
    if operation is None or not isinstance(parameter, Aead):
        raise Wrong(CKR.OPERATION_NOT_INITIALIZED)
    return parameter, operation


def _begun(client: Client, message: Message, parameter: Aead, aad: bytes, verb: Verb) -> Operation:
    mechanism = _mechanism(parameter, aad)
    return client.gate.begin(client.caller, Use(key_of(message.shown), mechanism, verb))


def _parameter(message: Message, given: bytes | None) -> Aead:
    try:
        found: Parameter | None = (
            None if given is None else wire.read_message(message.row.ckm, given)
        )
    except Malformed as error:
        raise Wrong(CKR.MECHANISM_PARAM_INVALID, f"Of the message: {error}.") from error
    if not isinstance(found, Aead):
        raise Wrong(CKR.MECHANISM_PARAM_INVALID, "A message needs its own parameter.")
    return found


def _mechanism(parameter: Aead, aad: bytes) -> Mechanism:
    match parameter:
        case GcmMessage(iv=iv, tag_bits=bits):
            return AesGcm(iv, aad, bits // 8)
        case CcmMessage(data_length=length, nonce=nonce, mac_length=size):
            return AesCcm(nonce, aad, size, length)
        case ChaCha20Poly1305Message(nonce=nonce):
            return ChaCha20Poly1305(nonce, aad)


def _with_nonce(parameter: Aead) -> Aead:
    """With the IV that is used: the program's, or one that is made for this message."""
    match parameter:
        case GcmMessage(iv, fixed, generator) if generator != CKG.NO_GENERATE:
            return msgspec.structs.replace(parameter, iv=_nonce(iv, fixed, generator))
        case CcmMessage(_, nonce, fixed, generator) if generator != CKG.NO_GENERATE:
            return msgspec.structs.replace(parameter, nonce=_nonce(nonce, fixed, generator))
        case _:
            return parameter


def _nonce(given: bytes, fixed: int, generator: int) -> bytes:
    """Its first `fixed` bits stay. A random rest must be long enough never to come twice."""
    if generator not in (CKG.GENERATE, CKG.GENERATE_RANDOM) or fixed % 8:
        raise Wrong(CKR.MECHANISM_PARAM_INVALID, "IVs are made at random here, by whole bytes.")
    kept = given[: fixed // 8]
    if len(given) - len(kept) < 8:
        raise Wrong(CKR.MECHANISM_PARAM_INVALID, "An IV needs 64 bits that are made here.")
    return kept + os.urandom(len(given) - len(kept))


def _tag(parameter: Aead) -> bytes:
    return parameter.mac if isinstance(parameter, CcmMessage) else parameter.tag


def _sealed(message: Message, parameter: Aead, sealed: bytes) -> tuple[object, ...]:
    """The parameter as the program is to have it, and the ciphertext without its tag."""
    size = _tag_size(parameter)
    end = len(sealed) - size
    told = _with_tag(parameter, sealed[end:])
    return wire.write_message(message.row.ckm, told), sealed[:end]


def _tag_size(parameter: Aead) -> int:
    match parameter:
        case GcmMessage(tag_bits=bits):
            return bits // 8
        case CcmMessage(mac_length=size):
            return size
        case ChaCha20Poly1305Message():
            return CHACHA20_TAG


def _with_tag(parameter: Aead, tag: bytes) -> Aead:
    if isinstance(parameter, CcmMessage):
        return msgspec.structs.replace(parameter, mac=tag)
    return msgspec.structs.replace(parameter, tag=tag)


# --- signing and verifying: the mechanisms have no parameter of a message --------------------


def sign_message(
    client: Client, handle: int, given: bytes | None, data: bytes | None, room: int
) -> tuple[object, ...]:
    return None, *using.one_of_many(client, handle, Kind.MESSAGE_SIGN, data or b"", room)


def sign_message_begin(client: Client, handle: int, given: bytes | None) -> tuple[object, ...]:
    client.session(handle).running(Kind.MESSAGE_SIGN).parts.clear()
    return (None,)


def sign_message_next(
    client: Client, handle: int, given: bytes | None, part: bytes | None, is_last: int, room: int
) -> tuple[object, ...]:
    session = client.session(handle)
    with session.lock:
        active = session.running(Kind.MESSAGE_SIGN)
        if not is_last:
            active.keep(part or b"")
            return None, b""
        whole = b"".join(active.parts) + (part or b"")
        answer = using.one_of_many(client, handle, Kind.MESSAGE_SIGN, whole, room)
        if isinstance(answer[0], bytes):
            active.forget()
        return None, *answer


def verify_message(
    client: Client, handle: int, given: bytes | None, data: bytes | None, signature: bytes | None
) -> None:
    using.verify_one_of_many(client, handle, data or b"", signature or b"")


def verify_message_begin(client: Client, handle: int, given: bytes | None) -> None:
    client.session(handle).running(Kind.MESSAGE_VERIFY).forget()


def verify_message_next(
    client: Client, handle: int, given: bytes | None, part: bytes | None, signature: bytes | None
) -> None:
    session = client.session(handle)
    with session.lock:
        active = session.running(Kind.MESSAGE_VERIFY)
        if signature is None:
            active.keep(part or b"")
            return
        whole = b"".join(active.parts) + (part or b"")
        active.forget()
        using.verify_one_of_many(client, handle, whole, signature)

"""Message-based calls (3.0), signatures with recovery, and what is under way."""

import hashlib
import os
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from tests.doors.pkcs11.served import ROOM, House, Program, Refused
from tests.doors.pkcs11.test_server import ECDSA, good, private_of

from keyholm.core.audit.records import Operation
from keyholm.core.model import Algorithm
from keyholm.wire.pkcs11 import mechanisms as wire
from keyholm.wire.pkcs11.constants import CKA, CKF, CKG, CKK, CKM, CKO, CKR
from keyholm.wire.pkcs11.mechanisms import Mechanism
from keyholm.wire.pkcs11.parameters import CcmMessage, ChaCha20Poly1305Message, GcmMessage

AAD, PLAIN = b"in the clear", b"what nobody is to read"
SECRET = bytes(range(32))
CASES = {
    CKM.AES_GCM: (CKK.AES, GcmMessage(bytes(12), 0, CKG.NO_GENERATE, 128, b"")),
    CKM.AES_CCM: (CKK.AES, CcmMessage(len(PLAIN), bytes(12), 0, CKG.NO_GENERATE, 16, b"")),
    CKM.CHACHA20_POLY1305: (CKK.CHACHA20, ChaCha20Poly1305Message(bytes(12), b"")),
}
PEERS: dict[int, Any] = {
    CKM.AES_GCM: AESGCM,
    CKM.AES_CCM: AESCCM,
    CKM.CHACHA20_POLY1305: ChaCha20Poly1305,
}


def secret_key(program: Program, session: int, key_type: int) -> int:
    template = (
        (CKA.CLASS, CKO.SECRET_KEY),
        (CKA.KEY_TYPE, key_type),
        (CKA.VALUE, SECRET),
        (CKA.TOKEN, False),
        (CKA.ENCRYPT, True),
        (CKA.DECRYPT, True),
    )
    handle: int = program.call("CreateObject", session, template)
    return handle


def tag_of(ckm: int, told: bytes) -> bytes:
    read = wire.read_message(ckm, told)
    return read.mac if isinstance(read, CcmMessage) else read.tag  # type: ignore[union-attr]


@pytest.mark.parametrize("ckm", CASES, ids=CKM.name)
def test_a_message_is_sealed_as_others_seal_it(house: House, ckm: int) -> None:
    key_type, parameter = CASES[ckm]
    program = house.program()
    session = program.open()
    key = secret_key(program, session, key_type)
    given = wire.write_message(ckm, parameter)
    program.call("MessageEncryptInit", session, Mechanism(ckm), key)
    assert program.call("EncryptMessage", session, given, AAD, PLAIN, 0)[1] == len(PLAIN)
    told, sealed = program.call("EncryptMessage", session, given, AAD, PLAIN, ROOM)
    program.call("MessageEncryptFinal", session)
    tag = tag_of(ckm, told)
    assert PEERS[ckm](SECRET).decrypt(bytes(12), sealed + tag, AAD) == PLAIN

    program.call("MessageDecryptInit", session, Mechanism(ckm), key)
    assert program.call("DecryptMessage", session, told, AAD, sealed, ROOM) == PLAIN
    with pytest.raises(Refused) as caught:
        program.call("DecryptMessage", session, told, b"other", sealed, ROOM)
    assert caught.value.code in (CKR.ENCRYPTED_DATA_INVALID, CKR.AEAD_DECRYPT_FAILED)
    # A message that was forged ends itself, not what was begun for all of them.
    assert program.call("DecryptMessage", session, told, AAD, sealed, ROOM) == PLAIN


@pytest.mark.parametrize("ckm", CASES, ids=CKM.name)
def test_a_message_may_come_in_parts(house: House, ckm: int) -> None:
    key_type, parameter = CASES[ckm]
    program = house.program()
    session = program.open()
    key = secret_key(program, session, key_type)
    given = wire.write_message(ckm, parameter)
    program.call("MessageEncryptInit", session, Mechanism(ckm), key)
    program.call("EncryptMessageBegin", session, given, AAD)
    _, first = program.call("EncryptMessageNext", session, given, PLAIN[:5], ROOM, 0)
    told, rest = program.call(
        "EncryptMessageNext", session, given, PLAIN[5:], ROOM, CKF.END_OF_MESSAGE
    )
    sealed = first + rest
    assert PEERS[ckm](SECRET).decrypt(bytes(12), sealed + tag_of(ckm, told), AAD) == PLAIN

    program.call("MessageDecryptInit", session, Mechanism(ckm), key)
    program.call("DecryptMessageBegin", session, given, AAD)
    assert program.call("DecryptMessageNext", session, given, sealed[:5], ROOM, 0) == b""
    assert (
        program.call("DecryptMessageNext", session, told, sealed[5:], ROOM, CKF.END_OF_MESSAGE)
        == PLAIN
    )


def test_an_iv_that_the_token_makes_is_told_and_never_the_same(house: House) -> None:
    program = house.program()
    session = program.open()
    key = secret_key(program, session, CKK.AES)
    asked = GcmMessage(b"fix!" + bytes(8), 32, CKG.GENERATE_RANDOM, 128, b"")
    program.call("MessageEncryptInit", session, Mechanism(CKM.AES_GCM), key)
    ivs = set()
    for _ in range(3):
        given = wire.write_message(CKM.AES_GCM, asked)
        told, sealed = program.call("EncryptMessage", session, given, AAD, PLAIN, ROOM)
        read = wire.read_message(CKM.AES_GCM, told)
        assert isinstance(read, GcmMessage)
        assert read.iv.startswith(b"fix!")
        assert AESGCM(SECRET).decrypt(read.iv, sealed + read.tag, AAD) == PLAIN
        ivs.add(read.iv)
    assert len(ivs) == 3


def test_an_iv_with_too_little_that_is_new_is_refused(house: House) -> None:
    program = house.program()
    session = program.open()
    key = secret_key(program, session, CKK.AES)
    program.call("MessageEncryptInit", session, Mechanism(CKM.AES_GCM), key)
    asked = GcmMessage(bytes(12), 64, CKG.GENERATE_RANDOM, 128, b"")
    with pytest.raises(Refused) as caught:
        program.call(
            "EncryptMessage", session, wire.write_message(CKM.AES_GCM, asked), AAD, PLAIN, ROOM
        )
    assert caught.value.code == CKR.MECHANISM_PARAM_INVALID


def test_a_tag_that_is_cut_is_no_tag(house: House) -> None:
    program = house.program()
    session = program.open()
    key = secret_key(program, session, CKK.AES)
    sealed = AESGCM(SECRET).encrypt(bytes(12), PLAIN, AAD)
    with pytest.raises(InvalidTag):
        AESGCM(SECRET).decrypt(bytes(12), sealed[:-1] + b"\0", AAD + b"x")
    wrong = GcmMessage(bytes(12), 0, CKG.NO_GENERATE, 128, os.urandom(16))
    program.call("MessageDecryptInit", session, Mechanism(CKM.AES_GCM), key)
    with pytest.raises(Refused):
        program.call(
            "DecryptMessage",
            session,
            wire.write_message(CKM.AES_GCM, wrong),
            AAD,
            sealed[:-16],
            ROOM,
        )


def test_many_messages_are_signed_after_one_init(house: House) -> None:
    key = house.key(Algorithm.ECDSA_P256)
    program = house.program()
    session = program.open()
    handle = private_of(program, session, key)
    program.call("MessageSignInit", session, ECDSA, handle)
    for text in (b"one", b"two"):
        digest = hashlib.sha256(text).digest()
        assert program.call("SignMessage", session, None, digest, 0)[1] == 64
        good(key, program.call("SignMessage", session, None, digest, ROOM)[1], digest)
    program.call("SignMessageBegin", session, None)
    digest = hashlib.sha256(b"three").digest()
    program.call("SignMessageNext", session, None, digest[:9], 0, 0)
    signature = program.call("SignMessageNext", session, None, digest[9:], 1, ROOM)[1]
    good(key, signature, digest)
    program.call("MessageSignFinal", session)
    assert len(house.trail.of(Operation)) == 3
    [public] = program.find(session, (CKA.CLASS, CKO.PUBLIC_KEY), (CKA.LABEL, key.label.encode()))
    program.call("MessageVerifyInit", session, ECDSA, public)
    program.call("VerifyMessage", session, None, digest, signature)
    with pytest.raises(Refused) as caught:
        program.call("VerifyMessage", session, None, bytes(32), signature)
    assert caught.value.code == CKR.SIGNATURE_INVALID
    program.call("VerifyMessageBegin", session, None)
    program.call("VerifyMessageNext", session, None, digest[:9], None)
    program.call("VerifyMessageNext", session, None, digest[9:], signature)


def test_what_was_signed_comes_back(house: House) -> None:
    key = house.key(Algorithm.RSA_2048)
    program = house.program()
    session = program.open()
    handle = private_of(program, session, key)
    [public] = program.find(session, (CKA.CLASS, CKO.PUBLIC_KEY), (CKA.LABEL, key.label.encode()))
    program.call("SignRecoverInit", session, Mechanism(CKM.RSA_PKCS), handle)
    signature = program.call("SignRecover", session, b"short", ROOM)
    program.call("VerifyRecoverInit", session, Mechanism(CKM.RSA_PKCS), public)
    assert program.call("VerifyRecover", session, signature, 0) == 5
    assert program.call("VerifyRecover", session, signature, ROOM) == b"short"
    program.call("VerifyRecoverInit", session, Mechanism(CKM.RSA_PKCS), public)
    with pytest.raises(Refused) as caught:
        program.call("VerifyRecover", session, signature[:-1] + b"\0", ROOM)
    assert caught.value.code == CKR.SIGNATURE_INVALID
    with pytest.raises(Refused) as caught:
        program.call("VerifyRecover", session, signature, ROOM)
    assert caught.value.code == CKR.OPERATION_NOT_INITIALIZED


def test_the_state_of_an_operation_stays_here(house: House) -> None:
    program = house.program()
    session = program.open()
    with pytest.raises(Refused) as caught:
        program.call("GetOperationState", session, ROOM)
    assert caught.value.code == CKR.OPERATION_NOT_INITIALIZED
    program.call("DigestInit", session, Mechanism(CKM.SHA256))
    with pytest.raises(Refused) as caught:
        program.call("GetOperationState", session, ROOM)
    assert caught.value.code == CKR.STATE_UNSAVEABLE


def test_who_waits_for_a_slot_hears_of_the_next_token(house: House) -> None:
    program = house.program()
    with pytest.raises(Refused) as caught:
        program.call("WaitForSlotEvent", CKF.DONT_BLOCK)
    assert caught.value.code == CKR.NO_EVENT
    house.store.make_token("second", os.getuid(), None)
    slot = program.call("WaitForSlotEvent", 0)
    assert program.call("GetTokenInfo", slot)[0] == "second"

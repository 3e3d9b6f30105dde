"""The PKCS#11 door over a real socket: dialects, applications, sessions, errors with sentences."""

import hashlib
import os
import socket
import struct
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import load_der_public_key
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.doors.pkcs11.served import ROOM, House, Program, Refused

from keyholm.core.audit.records import Operation
from keyholm.core.model import Algorithm, Key, NewKey
from keyholm.core.policy import OPEN, parse
from keyholm.core.secret import Secret
from keyholm.core.store import NewPins
from keyholm.doors.pkcs11.application import MAX_SESSIONS
from keyholm.doors.pkcs11.handlers import HANDLERS
from keyholm.doors.pkcs11.server import RELAYED
from keyholm.stores.disk.pin_token import PinToken
from keyholm.stores.disk.token import DiskToken
from keyholm.wire.pkcs11 import messages
from keyholm.wire.pkcs11.calls import CALLS, Call, Type
from keyholm.wire.pkcs11.constants import CK, CKA, CKF, CKM, CKO, CKR, CKS, CKU
from keyholm.wire.pkcs11.mechanisms import NO_MECHANISM, Mechanism
from keyholm.wire.pkcs11.values import NULL
from keyholm.wire.ssh import keys

ECDSA = Mechanism(CKM.ECDSA)
DIGEST = hashlib.sha256(b"what is signed").digest()
PRIVATE = (CKA.CLASS, CKO.PRIVATE_KEY)
VERSIONS = (0, 1, 2, 0x80)


def public(key: Key) -> Any:
    spki = keys.spki(key.public)
    assert spki
    return load_der_public_key(spki)


def private_of(program: Program, session: int, key: Key) -> int:
    [found] = program.find(session, PRIVATE, (CKA.LABEL, key.label.encode()))
    return found


def good(key: Key, signature: bytes, digest: bytes = DIGEST) -> None:
    half = len(signature) // 2
    der = utils.encode_dss_signature(
        int.from_bytes(signature[:half]), int.from_bytes(signature[half:])
    )
    public(key).verify(der, digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))


# --- how it begins -------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_every_dialect_is_served(house: House, version: int) -> None:
    key = house.key(Algorithm.ECDSA_P256)
    program = house.program(version=version)
    assert program.call("GetSlotList", 1, 10) == (0,)
    session = program.open()
    handle = private_of(program, session, key)
    program.call("SignInit", session, ECDSA, handle)
    good(key, program.call("Sign", session, DIGEST, ROOM))


@pytest.mark.parametrize("first", [3, 0x7F, 0x82, 0xFF])
def test_a_client_of_no_known_dialect_is_left(house: House, first: int) -> None:
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.settimeout(10)
        stranger.connect(str(house.path))
        stranger.sendall(bytes([first]))
        assert stranger.recv(1) == b""


def test_what_is_relayed_is_said_to_be(house: House) -> None:
    key = house.key(Algorithm.ECDSA_P256)
    program = Program.__new__(Program)
    program.socket = socket.socket(socket.AF_UNIX)
    program.socket.connect(str(house.path))
    program.socket.sendall(bytes([RELAYED, 0]))
    assert program.read(1) == b"\0"
    program.protocol = messages.protocol_of(house.program(version=0).protocol.dialect)
    session = program.open()
    with pytest.raises(Refused) as caught:
        program.call("DestroyObject", session, private_of(program, session, key))
    assert caught.value.code == CKR.TOKEN_WRITE_PROTECTED
    program.close()


# --- applications --------------------------------------------------------------------


def test_connections_of_one_application_share_its_sessions(house: House) -> None:
    first = house.program()
    session = first.open()
    assert house.program(token=first.token).call("GetSessionInfo", session)[0] == 0


def test_a_token_of_another_process_is_worth_nothing(house: House) -> None:
    first = house.program()
    session = first.open()
    house.as_uid(os.getuid())  # another pid
    stranger = house.program(token=first.token)
    assert stranger.token != first.token
    with pytest.raises(Refused) as caught:
        stranger.call("GetSessionInfo", session)
    assert caught.value.code == CKR.SESSION_HANDLE_INVALID


def test_an_application_ends_with_its_last_connection(house: House) -> None:
    first = house.program()
    session = first.open()
    second = house.program(token=first.token)
    first.close()
    assert second.call("GetSessionInfo", session)[1] == CKS.RW_PUBLIC_SESSION
    second.close()
    end = time.monotonic() + 10
    while house.door.applications.count and time.monotonic() < end:
        time.sleep(0.01)
    assert house.door.applications.count == 0
    with pytest.raises(Refused):
        house.program(token=first.token).call("GetSessionInfo", session)


def test_another_user_sees_no_token(house: House) -> None:
    house.as_uid(os.getuid() + 1)
    program = house.program()
    assert program.call("GetSlotList", 1, 10) == ()
    with pytest.raises(Refused) as caught:
        program.open()
    assert caught.value.code == CKR.SLOT_ID_INVALID


# --- wrong calls ---------------------------------------------------------------------

VALUES: dict[Type, Any] = {
    Type.BYTE: 0,
    Type.ULONG: 0,
    Type.TEXT: "",
    Type.SPACED: "",
    Type.BYTES: b"",
    Type.ROOM: 64,
    Type.ULONGS: (),
    Type.ULONG_ROOM: 8,
    Type.ATTRIBUTES: (),
    Type.ATTRIBUTE_ROOM: (),
    Type.MECHANISM: ECDSA,
    Type.MESSAGE: None,
}
OF_A_SESSION = [
    call
    for call in CALLS
    if call.ours is not None and call.takes and call.takes[0].name == "session"
]


@pytest.mark.parametrize("call", OF_A_SESSION, ids=lambda call: call.name)
def test_no_call_takes_a_session_that_is_not_there(house: House, call: Call) -> None:
    program = house.program()
    values = [VALUES[parameter.type] for parameter in call.takes if parameter.type]
    with pytest.raises(Refused) as caught:
        program.call(call.name, 999, *values[1:])
    offered = call.name in HANDLERS
    assert caught.value.code == (
        CKR.SESSION_HANDLE_INVALID if offered else CKR.FUNCTION_NOT_SUPPORTED
    )


UNDER_WAY = [
    "Sign", "SignUpdate", "SignFinal", "Verify", "VerifyUpdate", "VerifyFinal", "Encrypt",
    "EncryptUpdate", "EncryptFinal", "Decrypt", "DecryptUpdate", "DecryptFinal", "Digest",
    "DigestUpdate", "DigestKey", "DigestFinal", "FindObjects", "FindObjectsFinal",
    "DigestEncryptUpdate", "SignEncryptUpdate", "DecryptDigestUpdate", "DecryptVerifyUpdate",
    "VerifySignature", "VerifySignatureUpdate", "VerifySignatureFinal",
]  # fmt: skip


@pytest.mark.parametrize("name", UNDER_WAY)
def test_nothing_goes_on_that_was_not_begun(house: House, name: str) -> None:
    program = house.program()
    session = program.open()
    call = next(call for call in CALLS if call.name == name)
    values = [VALUES[parameter.type] for parameter in call.takes if parameter.type]
    with pytest.raises(Refused) as caught:
        program.call(name, session, *values[1:])
    assert caught.value.code == CKR.OPERATION_NOT_INITIALIZED


INITS = ["SignInit", "VerifyInit", "EncryptInit", "DecryptInit"]


@pytest.mark.parametrize("name", INITS)
def test_a_key_that_is_not_there_begins_nothing(house: House, name: str) -> None:
    program = house.program()
    session = program.open()
    with pytest.raises(Refused) as caught:
        program.call(name, session, ECDSA, 999)
    assert caught.value.code == CKR.KEY_HANDLE_INVALID


def test_an_unknown_call_is_not_supported(house: House) -> None:
    program = house.program()
    body = program.ask(struct.pack(">II", 0xFFFF, 0))
    answer = program.protocol.decode_answer(CALLS[0], body)
    assert isinstance(answer, messages.Refusal)
    assert answer.status == CKR.FUNCTION_NOT_SUPPORTED


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(body=st.binary(max_size=80), number=st.sampled_from([c.ours for c in CALLS if c.ours]))
def test_any_bytes_get_an_answer(house: House, body: bytes, number: int) -> None:
    program = house.program()
    try:
        answer = program.ask(struct.pack(">I", number) + body)
        assert answer
    finally:
        program.close()


# --- signing -------------------------------------------------------------------------


def test_a_question_for_the_length_ends_nothing_and_uses_no_key(house: House) -> None:
    key = house.key(Algorithm.ECDSA_P256)
    program = house.program()
    session = program.open()
    program.call("SignInit", session, ECDSA, private_of(program, session, key))
    assert program.call("Sign", session, DIGEST, 0) == 64
    assert program.call("Sign", session, DIGEST, 63) == 64
    assert house.trail.of(Operation) == []
    good(key, program.call("Sign", session, DIGEST, 64))
    assert len(house.trail.of(Operation)) == 1
    with pytest.raises(Refused) as caught:
        program.call("Sign", session, DIGEST, 64)
    assert caught.value.code == CKR.OPERATION_NOT_INITIALIZED


def test_init_and_use_in_one_leave_nothing_behind(house: House) -> None:
    key = house.key(Algorithm.ECDSA_P256)
    program = house.program()
    session = program.open()
    handle = private_of(program, session, key)
    assert program.call("SignOnce", session, ECDSA, handle, DIGEST, 0) == 64
    good(key, program.call("SignOnce", session, ECDSA, handle, DIGEST, 64))
    with pytest.raises(Refused) as caught:
        program.call("Sign", session, DIGEST, 64)
    assert caught.value.code == CKR.OPERATION_NOT_INITIALIZED


def test_begin_tells_the_length_and_that_it_may_be_folded(house: House) -> None:
    key = house.key(Algorithm.ECDSA_P256)
    program = house.program()
    session = program.open()
    handle = private_of(program, session, key)
    assert program.call("Begin", session, 0, ECDSA, handle) == (64, 1)
    good(key, program.call("Sign", session, DIGEST, 64))


def test_a_message_in_parts_is_signed_as_a_whole(house: House) -> None:
    key = house.key(Algorithm.RSA_2048)
    program = house.program()
    session = program.open()
    handle = private_of(program, session, key)
    program.call("SignInit", session, Mechanism(CKM.SHA256_RSA_PKCS), handle)
    for part in (b"what ", b"is ", b"", b"signed"):
        program.call("SignUpdate", session, part)
    signature = program.call("SignFinal", session, ROOM)
    rsa_key = public(key)
    assert isinstance(rsa_key, rsa.RSAPublicKey)
    rsa_key.verify(signature, b"what is signed", padding.PKCS1v15(), hashes.SHA256())


def test_an_error_ends_its_operation(house: House) -> None:
    key = house.key(Algorithm.RSA_2048)
    program = house.program()
    session = program.open()
    handle = private_of(program, session, key)
    program.call("SignInit", session, Mechanism(CKM.RSA_PKCS), handle)
    with pytest.raises(Refused) as caught:
        program.call("Sign", session, bytes(300), ROOM)
    assert caught.value.code in (CKR.DATA_LEN_RANGE, CKR.DATA_INVALID)
    with pytest.raises(Refused) as caught:
        program.call("Sign", session, bytes(30), ROOM)
    assert caught.value.code == CKR.OPERATION_NOT_INITIALIZED


def test_one_operation_of_a_kind_at_a_time(house: House) -> None:
    key = house.key(Algorithm.ECDSA_P256)
    program = house.program()
    session = program.open()
    handle = private_of(program, session, key)
    program.call("SignInit", session, ECDSA, handle)
    with pytest.raises(Refused) as caught:
        program.call("SignInit", session, ECDSA, handle)
    assert caught.value.code == CKR.OPERATION_ACTIVE
    program.call("SignInit", session, NO_MECHANISM, 0)  # ends it (3.0)
    program.call("SignInit", session, ECDSA, handle)
    program.call("SessionCancel", session, CKF.SIGN)
    program.call("SignInit", session, ECDSA, handle)


@pytest.mark.parametrize("rule", ['namespaces = ["git"]', "readable = true"])
def test_a_key_that_is_bound_to_what_it_signs_refuses_every_digest(house: House, rule: str) -> None:
    key = house.key(Algorithm.ECDSA_P256, policy=parse(rule))
    program = house.program()
    session = program.open()
    handle = private_of(program, session, key)
    program.call("SignInit", session, ECDSA, handle)
    for call in (("Sign", session), ("SignOnce", session, ECDSA, handle)):
        with pytest.raises(Refused) as caught:
            program.call(*call, DIGEST, ROOM)
        assert caught.value.code == CKR.FUNCTION_REJECTED
        assert "bare digest" in caught.value.what
        assert "agent" in caught.value.remedy


@pytest.mark.parametrize("rule", ['namespaces = ["git"]', "readable = true"])
def test_a_key_that_is_bound_to_what_it_signs_does_nothing_else(house: House, rule: str) -> None:
    key = house.key(Algorithm.RSA_2048, policy=parse(rule))
    program = house.program()
    session = program.open()
    sealed = public(key).encrypt(b"secret", padding.PKCS1v15())
    handle = private_of(program, session, key)
    with pytest.raises(Refused) as caught:
        program.call("DecryptOnce", session, Mechanism(CKM.RSA_PKCS), handle, sealed, ROOM)
    assert caught.value.code == CKR.FUNCTION_REJECTED
    assert "is not used to decrypt" in caught.value.what


def test_a_stock_client_gets_the_code_without_the_sentence(house: House) -> None:
    key = house.key(Algorithm.ECDSA_P256, policy=parse("readable = true"))
    program = house.program(version=0)
    session = program.open()
    program.call("SignInit", session, ECDSA, private_of(program, session, key))
    with pytest.raises(Refused) as caught:
        program.call("Sign", session, DIGEST, ROOM)
    assert (caught.value.code, caught.value.what) == (CKR.FUNCTION_REJECTED, "")


def test_digests_and_random_bytes_leave_no_record(house: House) -> None:
    program = house.program()
    session = program.open()
    program.call("DigestInit", session, Mechanism(CKM.SHA256))
    program.call("DigestUpdate", session, b"what is ")
    program.call("DigestUpdate", session, b"signed")
    assert program.call("DigestFinal", session, 64) == DIGEST
    assert (
        program.call("DigestOnce", session, Mechanism(CKM.SHA256), b"what is signed", 64) == DIGEST
    )
    assert len(program.call("GenerateRandom", session, 20)) == 20
    assert program.call("GenerateRandom", session, NULL) == b""
    assert house.trail.of(Operation) == []


def test_attributes_that_can_be_told_are_told_beside_those_that_cannot(house: House) -> None:
    key = house.key(Algorithm.ECDSA_P256)
    program = house.program()
    session = program.open()
    handle = private_of(program, session, key)
    wanted = ((CKA.LABEL, 64), (CKA.VALUE, 64), (CKA.MODULUS, 64), (CKA.SIGN, 1))
    told, code = program.call("GetAttributeValue", session, handle, wanted)
    assert told == (
        (CKA.LABEL, b"ecdsa-p256"),
        (CKA.VALUE, None),
        (CKA.MODULUS, None),
        (CKA.SIGN, True),
    )
    assert code in (CKR.ATTRIBUTE_SENSITIVE, CKR.ATTRIBUTE_TYPE_INVALID)


def test_a_find_brings_attributes_along(house: House) -> None:
    house.key(Algorithm.ECDSA_P256, "one")
    house.key(Algorithm.ECDSA_P256, "two")
    program = house.program()
    session = program.open()
    program.call("FindObjectsInit", session, (PRIVATE,))
    handles, told = program.call("FindObjectsWith", session, 10, (CKA.LABEL, CKA.VALUE))
    assert len(handles) == 2
    assert told == (
        (CKA.LABEL, b"one"),
        (CKA.VALUE, None),
        (CKA.LABEL, b"two"),
        (CKA.VALUE, None),
    )


def test_what_was_allowed_a_key_is_asked_again_once_it_changes(house: House) -> None:
    key = house.key(Algorithm.ECDSA_P256)
    program = house.program()
    session = program.open()
    handle = private_of(program, session, key)
    good(key, program.call("SignOnce", session, ECDSA, handle, DIGEST, ROOM))
    program.call("SetAttributeValue", session, handle, ((CKA.SIGN, False),))
    for call in (
        ("SignOnce", session, ECDSA, handle, DIGEST, ROOM),
        ("Begin", session, 0, ECDSA, handle),
        ("SignInit", session, ECDSA, handle),
    ):
        with pytest.raises(Refused) as caught:
            program.call(*call)
        assert caught.value.code == CKR.KEY_FUNCTION_NOT_PERMITTED


def test_a_session_object_that_was_changed_is_seen_as_it_is_now(house: House) -> None:
    program = house.program()
    session = program.open(writable=False)
    data = ((CKA.CLASS, CKO.DATA), (CKA.LABEL, b"old"), (CKA.VALUE, b"v"))
    handle = program.call("CreateObject", session, data)
    for label in (b"new", b"newer"):
        program.call("SetAttributeValue", session, handle, ((CKA.LABEL, label),))
        told, _ = program.call("GetAttributeValue", session, handle, ((CKA.LABEL, 64),))
        assert told == ((CKA.LABEL, label),)
        assert program.find(session, (CKA.LABEL, label)) == (handle,)
    assert program.find(session, (CKA.LABEL, b"old")) == ()
    program.call("DestroyObject", session, handle)


def test_a_session_key_that_may_not_sign_any_more_does_not(house: House) -> None:
    program = house.program()
    session = program.open()
    curve = (CKA.EC_PARAMS, bytes.fromhex("06082a8648ce3d030107"))
    generate = Mechanism(CKM.EC_KEY_PAIR_GEN)
    other, private = program.call("GenerateKeyPair", session, generate, (curve,), ())
    program.call("SignOnce", session, ECDSA, private, DIGEST, ROOM)
    program.call("SetAttributeValue", session, private, ((CKA.SIGN, False),))
    with pytest.raises(Refused) as caught:
        program.call("SignOnce", session, ECDSA, private, DIGEST, ROOM)
    assert caught.value.code == CKR.KEY_FUNCTION_NOT_PERMITTED
    program.call("SetAttributeValue", session, other, ((CKA.LABEL, b"half"),))
    assert program.find(session, (CKA.LABEL, b"half")) == (other,)


def test_a_key_that_wants_its_pin_each_time_is_not_used_in_one_call(house: House) -> None:
    program = house.program()
    session = program.open()
    private = ((CKA.TOKEN, True), (CKA.SIGN, True), (CKA.ALWAYS_AUTHENTICATE, True))
    public = ((CKA.TOKEN, True), (CKA.EC_PARAMS, bytes.fromhex("06082a8648ce3d030107")))
    mechanism = Mechanism(CKM.EC_KEY_PAIR_GEN, None)
    _, handle = program.call("GenerateKeyPair", session, mechanism, public, private)
    made = len(house.trail.of(Operation))
    with pytest.raises(Refused) as caught:
        program.call("SignOnce", session, ECDSA, handle, DIGEST, ROOM)
    assert caught.value.code == CKR.USER_NOT_LOGGED_IN
    assert len(house.trail.of(Operation)) == made


def test_what_was_used_and_is_destroyed_since_is_gone(house: House) -> None:
    key = house.key(Algorithm.ECDSA_P256)
    program = house.program()
    session = program.open()
    handle = private_of(program, session, key)
    good(key, program.call("SignOnce", session, ECDSA, handle, DIGEST, ROOM))
    house.token.destroy(key)
    with pytest.raises(Refused) as caught:
        program.call("SignOnce", session, ECDSA, handle, DIGEST, ROOM)
    assert caught.value.code == CKR.KEY_HANDLE_INVALID


def test_what_is_destroyed_elsewhere_is_gone(house: House) -> None:
    key = house.key(Algorithm.ECDSA_P256)
    program = house.program()
    session = program.open()
    handle = private_of(program, session, key)
    house.token.destroy(key)
    with pytest.raises(Refused) as caught:
        program.call("SignOnce", session, ECDSA, handle, DIGEST, ROOM)
    assert caught.value.code == CKR.KEY_HANDLE_INVALID


def halves(program: Program, session: int) -> tuple[int, int]:
    [private] = program.find(session, PRIVATE)
    [other] = program.find(session, (CKA.CLASS, CKO.PUBLIC_KEY))
    return private, other


def test_a_pair_is_destroyed_one_half_after_the_other(house: House) -> None:
    house.key(Algorithm.ECDSA_P256)
    program = house.program()
    session = program.open()
    private, other = halves(program, session)
    program.call("DestroyObject", session, private)
    assert not house.token.keys()
    program.call("DestroyObject", session, other)
    with pytest.raises(Refused) as caught:
        program.call("DestroyObject", session, other)
    assert caught.value.code == CKR.OBJECT_HANDLE_INVALID


def test_who_destroys_a_public_half_keeps_the_private_key(house: House) -> None:
    key = house.key(Algorithm.ECDSA_P256)
    program = house.program()
    session = program.open()
    private, other = halves(program, session)
    program.call("DestroyObject", session, other)
    assert program.find(session, (CKA.CLASS, CKO.PUBLIC_KEY)) == ()
    good(key, program.call("SignOnce", session, ECDSA, private, DIGEST, ROOM))
    program.call("DestroyObject", session, private)
    assert not house.token.keys()


def test_a_session_ends_well_after_its_objects_did(house: House) -> None:
    program = house.program()
    session = program.open()
    curve = (CKA.EC_PARAMS, bytes.fromhex("06082a8648ce3d030107"))
    generate = Mechanism(CKM.EC_KEY_PAIR_GEN)
    other, private = program.call("GenerateKeyPair", session, generate, (curve,), ())
    program.call("DestroyObject", session, private)
    program.call("CloseSession", session)
    assert program.find(program.open(), PRIVATE) == ()
    assert other != private


def test_sessions_are_bounded(house: House) -> None:
    program = house.program()
    for _ in range(MAX_SESSIONS):
        program.open()
    with pytest.raises(Refused) as caught:
        program.open()
    assert caught.value.code == CKR.SESSION_COUNT
    program.call("CloseAllSessions", 0)
    program.open()


def test_the_free_slot_is_seen_by_who_looks_for_slots_only(house: House) -> None:
    program = house.program()
    assert program.call("GetSlotList", 1, 10) == (0,)
    every = program.call("GetSlotList", 0, 10)
    assert len(every) == 2
    flags = program.call("GetSlotInfo", every[1])[2]
    assert not flags & CKF.TOKEN_PRESENT
    # modutil -list ends with an error at the first slot whose token has nothing to say.
    told = program.call("GetTokenInfo", every[1])
    assert told[0] == ""
    assert not told[4] & CKF.TOKEN_INITIALIZED
    with pytest.raises(Refused) as caught:
        program.open(every[1])
    assert caught.value.code == CKR.TOKEN_NOT_PRESENT


def test_a_token_says_what_it_is(house: House) -> None:
    told = house.program().call("GetTokenInfo", 0)
    assert told[:3] == ("main", "keyholm", "disk")
    assert len(told[3]) == 16
    assert not told[4] & CKF.LOGIN_REQUIRED
    assert told[11] == CK.UNAVAILABLE_INFORMATION


@pytest.mark.parametrize(
    ("has_key", "locked", "what", "remedy"),
    [
        (False, False, "shows this program no key", "keyholm why"),
        (False, True, "shows this program no key", "keyholm why"),
        (True, False, "shows this program its keys without a login", "can use none of them"),
        (True, True, "is locked", "keyholm unlock shut"),
    ],
)
def test_who_logs_in_where_nobody_can_be_asked_reads_what_is_the_matter(
    house: House, has_key: bool, locked: bool, what: str, remedy: str
) -> None:
    """`ssh -I` logs in where it found nothing that it can use."""
    with Secret.of(b"correct horse") as passphrase:
        token = house.store.make_token("shut", os.getuid(), passphrase)
    assert isinstance(token, DiskToken)
    if has_key:
        token.generate(NewKey("k", Algorithm.ECDSA_P256), OPEN)
    if locked:
        token.lock()
    program = house.program()
    with pytest.raises(Refused) as caught:
        program.call("Login", program.open(house.door.slots.number(token)), CKU.USER, None)
    assert caught.value.code == CKR.FUNCTION_REJECTED
    assert what in caught.value.what
    assert remedy in caught.value.remedy


def test_who_had_logged_in_logs_in_again_once_the_token_was_locked(house: House) -> None:
    """A vendor's token is locked when its worker was begun anew, and `keyholm lock` locks all."""
    with Secret.of(b"officer") as officer, Secret.of(b"1234") as user:
        pins = NewPins(officer, user, application_login=True)
        token = house.store.make_pin_token("pins", os.getuid(), pins)
    assert isinstance(token, PinToken)
    program = house.program()
    session = program.open(house.door.slots.number(token))
    program.call("Login", session, CKU.USER, b"1234")
    with pytest.raises(Refused) as twice:
        program.call("Login", session, CKU.USER, b"1234")
    assert twice.value.code == CKR.USER_ALREADY_LOGGED_IN
    token.lock()
    program.call("Login", session, CKU.USER, b"1234")
    assert not token.locked

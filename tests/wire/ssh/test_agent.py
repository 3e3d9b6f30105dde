import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.ssh import samples
from tests.wire.ssh.samples import view
from tests.wire.ssh.test_constraints import constraint_sets

from keyholm.wire.codec import STRING, TEXT, UINT32, Malformed
from keyholm.wire.ssh import agent
from keyholm.wire.ssh.agent import (
    MESSAGES,
    AddIdentity,
    AddIdentityConstrained,
    AddSmartcardKey,
    AddSmartcardKeyConstrained,
    Confirm,
    Extension,
    ExtensionFailure,
    ExtensionResponse,
    Failure,
    IdentitiesAnswer,
    Identity,
    Lifetime,
    Lock,
    Message,
    RemoveAll,
    RemoveAllV1,
    RemoveIdentity,
    RemoveSmartcardKey,
    RequestIdentities,
    SessionBind,
    SignFlag,
    SignRequest,
    SignResponse,
    Success,
    UnknownMessage,
    Unlock,
)
from keyholm.wire.ssh.keys import Ed25519
from keyholm.wire.ssh.private_keys import PrivateEd25519, PrivateWithCertificate

ED25519 = PrivateEd25519(Ed25519(b"P" * 32), view(b"S" * 32))
ED25519_WIRE = (
    f"0000000b 7373682d65643235353139 00000020 {'50' * 32} 00000040 {'53' * 32}{'50' * 32}"
)
# By RFC 9987, written out by hand.
VECTORS: dict[str, Message] = {
    "05": Failure(),
    "06": Success(),
    "09": RemoveAllV1(),
    "0b": RequestIdentities(),
    "0c 00000001 00000002 abcd 00000004 6e616d65": IdentitiesAnswer(
        (Identity(b"\xab\xcd", b"name"),)
    ),
    "0d 00000001 aa 00000002 bbcc 00000004": SignRequest(
        b"\xaa", b"\xbb\xcc", SignFlag.RSA_SHA2_512
    ),
    "0e 00000002 dead": SignResponse(b"\xde\xad"),
    f"11 {ED25519_WIRE} 00000001 63": AddIdentity(ED25519, b"c"),
    "12 00000001 aa": RemoveIdentity(b"\xaa"),
    "13": RemoveAll(),
    "14 00000002 2f6d 00000001 31": AddSmartcardKey("/m", view(b"1")),
    "15 00000002 2f6d 00000000": RemoveSmartcardKey("/m", view(b"")),
    "16 00000002 7077": Lock(view(b"pw")),
    "17 00000002 7077": Unlock(view(b"pw")),
    f"19 {ED25519_WIRE} 00000000 01 0000003c 02": AddIdentityConstrained(
        ED25519, b"", (Lifetime(60), Confirm())
    ),
    "1a 00000002 2f6d 00000001 31 02": AddSmartcardKeyConstrained("/m", view(b"1"), (Confirm(),)),
    "1b 00000005 7175657279": Extension("query"),
    "1b 00000001 78 0102": Extension("x", b"\1\2"),
    "1c": ExtensionFailure(),
    "1d 00000005 7175657279 00000001 78": ExtensionResponse("query", b"\0\0\0\1x"),
}

blobs = st.binary(max_size=40)
pins = st.binary(max_size=10).map(view)
names = st.text(max_size=10)
messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(Failure),
    st.builds(Success),
    st.builds(RemoveAllV1),
    st.builds(RequestIdentities),
    st.builds(IdentitiesAnswer, st.lists(st.builds(Identity, blobs, blobs), max_size=3).map(tuple)),
    st.builds(SignRequest, blobs, blobs, st.integers(0, 7).map(SignFlag)),
    st.builds(SignResponse, blobs),
    st.builds(AddIdentity, samples.private_keys, blobs, constraint_sets),
    st.builds(RemoveIdentity, blobs),
    st.builds(RemoveAll),
    st.builds(AddSmartcardKey, names, pins),
    st.builds(RemoveSmartcardKey, names, pins),
    st.builds(Lock, pins),
    st.builds(Unlock, pins),
    st.builds(AddIdentityConstrained, samples.private_keys, blobs, constraint_sets),
    st.builds(AddSmartcardKeyConstrained, names, pins, constraint_sets),
    st.builds(Extension, names, blobs),
    st.builds(ExtensionFailure),
    st.builds(ExtensionResponse, names, blobs),
)
# What may be cut short or go on, and still is a message of its kind.
OPEN_ENDED = Extension | ExtensionResponse | SignRequest
CONSTRAINED = AddIdentity | AddIdentityConstrained | AddSmartcardKeyConstrained


@pytest.mark.parametrize(("wire", "message"), VECTORS.items())
def test_vector_reads_and_writes(wire: str, message: Message) -> None:
    assert agent.decode(bytes.fromhex(wire)) == message
    assert agent.decode(memoryview(bytes.fromhex(wire))) == message
    assert agent.encode(message) == bytes.fromhex(wire)


def test_every_message_has_a_vector() -> None:
    assert {type(message) for message in VECTORS.values()} == {m.kind for m in MESSAGES.values()}


@given(messages)
def test_what_we_write_we_read(message: Message) -> None:
    assert agent.decode(agent.encode(message)) == message


@given(messages)
def test_a_cut_or_padded_frame_is_refused(message: Message) -> None:
    frame = agent.encode(message)
    constrained = isinstance(message, CONSTRAINED) and message.constraints
    for cut in range(0, len(frame), max(1, len(frame) // 200)):
        if constrained or (isinstance(message, OPEN_ENDED) and frame[0] != 13):
            break
        with pytest.raises(Malformed):
            agent.decode(frame[:cut])
    if not isinstance(message, OPEN_ENDED):
        with pytest.raises(Malformed):
            agent.decode(frame + b"\0")


@given(st.sampled_from(sorted(MESSAGES)), st.binary())
def test_arbitrary_bytes_give_a_message_or_malformed(number: int, rest: bytes) -> None:
    try:
        message = agent.decode(number.to_bytes() + rest)
    except Malformed:
        return
    assert agent.decode(agent.encode(message)) == message


@pytest.mark.parametrize("number", sorted(set(range(256)) - MESSAGES.keys()))
def test_a_number_that_nobody_uses_is_unknown(number: int) -> None:
    with pytest.raises(UnknownMessage, match=f"number {number}"):
        agent.decode(number.to_bytes())


def test_an_empty_frame_is_malformed_but_not_unknown() -> None:
    with pytest.raises(Malformed) as refusal:
        agent.decode(b"")
    assert refusal.type is Malformed


def test_a_boastful_count_is_refused_at_its_first_missing_item() -> None:
    with pytest.raises(Malformed, match="4 bytes wanted at offset 5, 0 left"):
        agent.decode(bytes.fromhex("0c ffffffff"))


SIGN = bytes.fromhex("0d 00000001 aa 00000002 bbcc")


def test_a_sign_request_may_go_on_but_needs_its_flags() -> None:
    # As OpenSSH does: trailing bytes are ignored, missing flags are not.
    expected = SignRequest(b"\xaa", b"\xbb\xcc", SignFlag.RSA_SHA2_256)
    assert agent.decode(SIGN + UINT32.write(2) + b"more") == expected
    for short in (b"", b"\0\0\0"):
        with pytest.raises(Malformed):
            agent.decode(SIGN + short)


def test_unknown_sign_flags_are_ignored() -> None:
    request = agent.decode(SIGN + b"\xff\xff\xff\xfc")
    assert isinstance(request, SignRequest)
    assert request.flags is SignFlag.RSA_SHA2_512
    assert agent.decode(SIGN + b"\xff\xff\xff\xf8") == SignRequest(
        b"\xaa", b"\xbb\xcc", SignFlag(0)
    )


@given(constraint_sets)
def test_constraints_are_read_in_the_older_message_as_well(constraints: object) -> None:
    both = [
        kind(ED25519, b"", constraints)  # type: ignore[arg-type]
        for kind in (AddIdentity, AddIdentityConstrained)
    ]
    frames = [agent.encode(message)[1:] for message in both]
    assert frames[0] == frames[1]
    assert agent.decode(b"\x11" + frames[0]) == both[0]


@pytest.mark.parametrize("name", samples.CERTIFIED)
def test_a_key_may_come_with_its_certificate(name: str) -> None:
    certificate = samples.blob(f"{name}-cert")
    added = AddIdentity(PrivateWithCertificate(certificate, samples.private(name)), b"certified")
    assert agent.decode(agent.encode(added)) == added


@pytest.mark.parametrize(
    "wire", ["16", "16 00000001", "16 00000001 7070", "17 00000001 70 00", "16 ffffffff 70"]
)
def test_a_malformed_lock_is_refused_like_any_other(wire: str) -> None:
    # OpenSSH's agent ends itself here.
    with pytest.raises(Malformed):
        agent.decode(bytes.fromhex(wire))


def test_a_secret_lies_where_it_came_in() -> None:
    frame = bytearray(bytes.fromhex("16 00000002 7077"))
    message = agent.decode(memoryview(frame))
    assert isinstance(message, Lock)
    frame[5:] = bytes(2)
    assert message.password == bytes(2)


@pytest.mark.parametrize("message", VECTORS.values(), ids=lambda message: type(message).__name__)
def test_no_secret_is_shown(message: Message) -> None:
    assert "memory" not in repr(message)
    assert not {"pin=", "password=", "seed="} & set(repr(message).replace("(", " ").split())


BINDING = SessionBind(b"host key", b"session", b"signature", is_forwarding=True)
BINDING_WIRE = b"".join(map(STRING.write, (b"host key", b"session", b"signature"))) + b"\1"


def test_a_session_binding_reads_and_writes() -> None:
    assert agent.decode_session_bind(BINDING_WIRE) == BINDING
    assert agent.encode_session_bind(BINDING) == BINDING_WIRE
    for wrong in (BINDING_WIRE[:-1], BINDING_WIRE + b"\0", b""):
        with pytest.raises(Malformed):
            agent.decode_session_bind(wrong)


@given(st.builds(SessionBind, blobs, blobs, blobs, st.booleans()))
def test_a_binding_that_we_write_we_read(binding: SessionBind) -> None:
    written = agent.encode_session_bind(binding)
    assert agent.decode_session_bind(written) == binding
    for cut in range(len(written)):
        with pytest.raises(Malformed):
            agent.decode_session_bind(written[:cut])


def test_the_answer_to_a_query_is_that_of_openssh() -> None:
    # What the probe of OpenSSH 10.5 printed.
    answer = agent.query_answer((agent.SESSION_BIND,))
    expected = b"\x1d" + TEXT.write("query") + TEXT.write("session-bind@openssh.com")
    assert agent.encode(answer) == expected
    assert agent.decode_query_answer(answer.contents) == (agent.SESSION_BIND,)


def test_ten_thousand_identities_read_and_write() -> None:
    answer = IdentitiesAnswer((Identity(bytes(51), b"comment"),) * 10_000)
    assert agent.decode(agent.encode(answer)) == answer

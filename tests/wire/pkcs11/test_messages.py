"""Requests and answers of every call in every dialect."""

import struct
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.pkcs11.strategies import DIALECTS, values

from keyholm.wire.codec import Malformed
from keyholm.wire.pkcs11 import messages, parameters
from keyholm.wire.pkcs11.calls import BY_NAME, OURS, STOCK, Call, Parameter, Type
from keyholm.wire.pkcs11.constants import CKA, CKM, CKR
from keyholm.wire.pkcs11.dialect import OWN_VERSION, Dialect
from keyholm.wire.pkcs11.mechanisms import Mechanism
from keyholm.wire.pkcs11.messages import NO_BYTES, Protocol, Refusal, fit, fit_ulongs, protocol_of

OWN = protocol_of(Dialect(OWN_VERSION))
OLD, NEW = protocol_of(Dialect(0)), protocol_of(Dialect(2))
SIGN, SIGN_INIT = BY_NAME["Sign"], BY_NAME["SignInit"]
PSS = Mechanism(CKM.RSA_PKCS_PSS, parameters.Pss(CKM.SHA256, 2, 32))


def calls(dialect: Dialect) -> list[Call]:
    return list((OURS if dialect.is_ours else STOCK).values())


def sent(protocol: Protocol, parameters: tuple[Parameter, ...], *, is_answer: bool) -> list[Any]:
    return protocol._sent(parameters, is_answer=is_answer)


def drawn(
    data: st.DataObject, protocol: Protocol, call: Call, *, is_answer: bool
) -> tuple[Any, ...]:
    given = sent(protocol, call.gives if is_answer else call.takes, is_answer=is_answer)
    return tuple(
        data.draw(values(parameter, protocol.dialect, is_answer=is_answer)) for parameter in given
    )


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
@given(data=st.data())
def test_a_request_is_read_as_it_was_written(dialect: Dialect, data: st.DataObject) -> None:
    protocol = Protocol(dialect)
    call = data.draw(st.sampled_from(calls(dialect)))
    written = drawn(data, protocol, call, is_answer=False)
    body = protocol.encode_request(call, *written)
    request = protocol.decode_request(body)
    assert (request.call, request.values) == (call, written)
    for end in range(len(body)):
        if call.name == "DigestInit" and not dialect.is_ours and end >= len(body) - 4:
            # What older versions write is what newer ones do, and four bytes more.
            continue
        with pytest.raises(Malformed):
            protocol.decode_request(body[:end])
    with pytest.raises(Malformed):
        protocol.decode_request(body + b"\0")


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
@given(data=st.data())
def test_an_answer_is_read_as_it_was_written(dialect: Dialect, data: st.DataObject) -> None:
    protocol = Protocol(dialect)
    call = data.draw(st.sampled_from(calls(dialect)))
    written = drawn(data, protocol, call, is_answer=True)
    body = protocol.encode_answer(call, *written)
    assert protocol.decode_answer(call, body) == written
    if not any(parameter.type is Type.MECHANISM_UPDATE for parameter in call.gives):
        for end in range(len(body)):
            with pytest.raises(Malformed):
                protocol.decode_answer(call, body[:end])
        with pytest.raises(Malformed):
            protocol.decode_answer(call, body + b"\0")


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
@given(data=st.data())
def test_any_bytes_are_a_message_or_malformed(dialect: Dialect, data: st.DataObject) -> None:
    protocol = Protocol(dialect)
    call = data.draw(st.sampled_from(calls(dialect)))
    head = protocol._signature(call.takes, is_answer=False).encode()
    start = struct.pack(">II", protocol.number(call), len(head)) + head
    body = data.draw(st.sampled_from([b"", start])) + data.draw(st.binary(max_size=100))
    for run in (lambda: protocol.decode_request(body), lambda: protocol.decode_answer(call, body)):
        try:
            run()
        except Malformed:
            continue


@pytest.mark.parametrize("protocol", [OLD, OWN], ids=["stock", "ours"])
def test_another_signature_is_refused(protocol: Protocol) -> None:
    body = protocol.encode_request(SIGN, 1, b"data", 64)
    with pytest.raises(Malformed, match="another signature"):
        protocol.decode_request(body.replace(b"uayfy", b"uayay"))
    answer = protocol.encode_answer(SIGN, b"signature")
    with pytest.raises(Malformed, match="another signature"):
        protocol.decode_answer(SIGN, answer.replace(b"ay", b"au", 1))


@pytest.mark.parametrize(
    ("protocol", "number"), [(OLD, 0x10001), (OLD, 90), (OWN, 9), (OWN, 89), (OWN, 0x1FFFF)]
)
def test_a_call_that_nobody_knows_is_a_value(protocol: Protocol, number: int) -> None:
    assert protocol.decode_request(struct.pack(">I", number) + b"whatever").call is None


def test_a_call_that_a_dialect_lacks_is_not_written() -> None:
    with pytest.raises(LookupError, match="SignOnce"):
        OLD.encode_request(BY_NAME["SignOnce"], 1)


@pytest.mark.parametrize("first", [0, 1, 2])
@pytest.mark.parametrize("mechanism", [Mechanism(CKM.ECDSA), PSS])
@pytest.mark.parametrize("writer", [OLD, NEW], ids=["old", "new"])
def test_a_mechanism_is_read_whichever_way_it_was_sent(
    first: int, mechanism: Mechanism, writer: Protocol
) -> None:
    """p11-kit 0.25.6 sends mechanisms another way, also to a server of an older version."""
    protocol = protocol_of(Dialect(first))
    body = writer.encode_request(SIGN_INIT, 1, mechanism, 5)
    assert protocol.decode_request(body).values == (1, mechanism, 5)
    template = ((CKA.TOKEN, True), (CKA.LABEL, b"label"))
    body = writer.encode_request(BY_NAME["GenerateKey"], 1, mechanism, template)
    assert protocol.decode_request(body).values == (1, mechanism, template)
    body = writer.encode_request(BY_NAME["DigestInit"], 1, mechanism)
    assert protocol.decode_request(body).values == (1, mechanism)


@pytest.mark.parametrize("first", [0, 1, 2])
def test_what_is_in_a_wanted_template_may_be_listed(first: int) -> None:
    """p11-kit does so since 0.25.4, which no version byte tells from 0.25.0."""
    protocol = protocol_of(Dialect(first))
    call = BY_NAME["GetAttributeValue"]
    plain = struct.pack(">I4I", 2, CKA.WRAP_TEMPLATE, 24, CKA.ID, 9)
    nested = struct.pack(">I6I", 2, CKA.WRAP_TEMPLATE, 24, 1, CKA.TOKEN, 1, CKA.ID)
    head = OLD.encode_request(call, 1, 2, ())[:-4]
    for listed in (plain, nested + struct.pack(">I", 9)):
        request = protocol.decode_request(head + listed)
        assert request.values == (1, 2, ((CKA.WRAP_TEMPLATE, 24), (CKA.ID, 9)))


@pytest.mark.parametrize("null", ["00 00000000", "01 ffffffff"], ids=["0.24", "0.25"])
def test_an_array_that_is_null_is_none(null: str) -> None:
    login = OLD.encode_request(BY_NAME["Login"], 1, 1, b"")[:-5]
    assert OLD.decode_request(login + bytes.fromhex(null)).values == (1, 1, None)
    assert OLD.decode_request(login + bytes.fromhex("01 00000000")).values == (1, 1, b"")
    seed = OLD.encode_request(BY_NAME["SeedRandom"], 1, b"")[:-5]
    assert OLD.decode_request(seed + bytes.fromhex(null)).values == (1, None)
    for head in (login, seed):
        with pytest.raises(Malformed):
            OLD.decode_request(head + bytes.fromhex("00 00000004"))


@pytest.mark.parametrize("protocol", [OLD, OWN], ids=["stock", "ours"])
def test_a_pin_is_where_the_frame_is(protocol: Protocol) -> None:
    frame = bytearray(protocol.encode_request(BY_NAME["Login"], 1, 1, b"1234"))
    request = protocol.decode_request(frame)
    *_, pin = request.values
    assert bytes(pin) == b"1234"
    frame[:] = bytes(len(frame))
    assert bytes(pin) == bytes(4)
    assert repr(request) == "Request(Login)"


@pytest.mark.parametrize("name", ["SeedRandom", "InitPIN"])
@pytest.mark.parametrize("size", [1, 0x10000, 0x7FFFFFFF, 0xFFFFFFFE])
def test_a_boastful_length_is_refused(name: str, size: int) -> None:
    """CVE-2020-29361 and -29362: lengths that nothing stands behind."""
    body = OWN.encode_request(BY_NAME[name], 1, b"")
    assert body.endswith(b"\1\0\0\0\0")
    with pytest.raises(Malformed):
        OWN.decode_request(body[:-4] + struct.pack(">I", size))


def test_errors() -> None:
    assert OLD.encode_error(CKR.PIN_INCORRECT, "what", "do") == bytes.fromhex(
        "00000000 00000001 75 00000000000000a0"
    )
    assert OLD.decode_answer(SIGN, OLD.encode_error(0x80000001)) == Refusal(0x80000001)
    said = OWN.encode_error(CKR.PIN_INCORRECT, "The PIN is wrong.", "Überlege.")
    assert OWN.decode_answer(SIGN, said) == Refusal(
        CKR.PIN_INCORRECT, "The PIN is wrong.", "Überlege."
    )
    for protocol in (OLD, OWN):
        body = protocol.encode_error(CKR.HOST_MEMORY)
        for end in range(len(body)):
            with pytest.raises(Malformed):
                protocol.decode_answer(SIGN, body[:end])
        with pytest.raises(Malformed, match="CKR_OK"):
            protocol.decode_answer(SIGN, body.replace(b"\2", b"\0"))
        with pytest.raises(ValueError, match="no error"):
            protocol.encode_error(CKR.OK)
    with pytest.raises(Malformed, match="another signature"):
        OWN.decode_answer(SIGN, OLD.encode_error(CKR.HOST_MEMORY))


def test_the_answer_to_another_call_is_refused() -> None:
    with pytest.raises(Malformed, match="an answer to the call 45"):
        OWN.decode_answer(SIGN, OWN.encode_answer(BY_NAME["SignFinal"], b""))


@pytest.mark.parametrize(
    ("result", "room", "answer"),
    [
        (b"four", 0, 4),  # NULL: only the length
        (b"four", 3, 4),  # too small
        (b"four", 4, b"four"),
        (b"four", 400, b"four"),
        (b"four", NO_BYTES, 4),  # a buffer of no bytes
        (b"", NO_BYTES, b""),
        (b"", 0, 0),
        (b"", 1, b""),
    ],
)
def test_a_result_and_the_room_for_it(result: bytes, room: int, answer: bytes | int) -> None:
    assert fit(result, room) == answer
    assert isinstance(fit(result, room), type(answer))
    body = OWN.encode_answer(SIGN, answer)
    assert OWN.decode_answer(SIGN, body) == (answer,)
    flag, length = body[10], struct.unpack_from(">I", body, 11)[0]
    assert (flag, length) == (isinstance(answer, bytes), len(result))


@pytest.mark.parametrize(
    ("result", "room", "answer"),
    [
        ((7, 8), 0, 2),
        ((7, 8), 1, 2),
        ((7, 8), 2, (7, 8)),
        ((7, 8), NO_BYTES, 2),
        ((), NO_BYTES, ()),
        ((), 0, 0),
        ((), 4, ()),
    ],
)
def test_a_list_and_the_room_for_it(
    result: tuple[int, ...], room: int, answer: tuple[int, ...] | int
) -> None:
    assert fit_ulongs(result, room) == answer
    assert isinstance(fit_ulongs(result, room), type(answer))


def test_text_is_padded_and_cut_between_characters() -> None:
    call = BY_NAME["InitToken2"]
    body = OLD.encode_request(call, 1, None, "é" * 17)
    assert body[-32:] == "é".encode() * 16
    body = OLD.encode_request(call, 1, None, "x" + "é" * 16)
    assert body[-32:] == b"x" + "é".encode() * 15 + b" "
    assert OLD.decode_request(body).values[2] == "x" + "é" * 15
    with pytest.raises(Malformed, match="not 32"):
        OLD.decode_request(body[:-36] + struct.pack(">I", 31) + body[-31:])


def test_frames() -> None:
    frame = messages.frame(16, b"body", messages.CROWDED)
    assert frame == bytes.fromhex("00000010 00000001 00000004 01") + b"body"
    assert messages.read_head(frame[:12], 4) == (16, 1, 4)
    for head in (
        frame[:11],
        struct.pack(">III", 0, 0, 4),
        struct.pack(">III", 16, 65, 4),
        struct.pack(">III", 16, 0, 5),
        struct.pack(">III", 16, 0, 0xFFFFFFFF),
    ):
        with pytest.raises(Malformed):
            messages.read_head(head, 4)


@pytest.mark.parametrize(
    ("name", "many"),
    [
        ("CreateObject", struct.pack(">IB", CKA.TOKEN, 0)),
        ("CreateObject", struct.pack(">IBII", CKA.WRAP_TEMPLATE, 1, 0, 0)),
        ("GetAttributeValue", struct.pack(">II", CKA.TOKEN, 1)),
        ("FindObjectsWith", struct.pack(">Q", 2**63)),
    ],
)
def test_what_is_read_takes_memory_in_proportion(name: str, many: bytes) -> None:
    """A hostile frame costs up to some 20 times its bytes, for a moment: the door bounds frames."""
    call, count = BY_NAME[name], 20_000
    values = {"CreateObject": (1, ()), "GetAttributeValue": (1, 2, ())}.get(name, (1, 3, ()))
    body = OWN.encode_request(call, *values)[:-4] + struct.pack(">I", count) + many * count
    tracemalloc.start()
    try:
        OWN.decode_request(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 32 * len(body)


def test_our_module_lists_what_is_in_a_wanted_template() -> None:
    call = BY_NAME["GetAttributeValue"]
    head = OWN.encode_request(call, 1, 2, ())[:-4]
    listed = struct.pack(">9I", 2, CKA.WRAP_TEMPLATE, 24, 1, CKA.TOKEN, 1, CKA.ID, 9, 0)[:-4]
    wanted = ((CKA.WRAP_TEMPLATE, 24), (CKA.ID, 9))
    assert OWN.decode_request(head + listed).values == (1, 2, wanted)
    # A template that is there and has no room still has a count of nothing.
    empty = struct.pack(">4I", 1, CKA.WRAP_TEMPLATE, NO_BYTES, 0)
    assert OWN.decode_request(head + empty).values == (1, 2, ((CKA.WRAP_TEMPLATE, NO_BYTES),))
    plain = struct.pack(">5I", 2, CKA.WRAP_TEMPLATE, 24, CKA.ID, 9)
    with pytest.raises(Malformed):
        OWN.decode_request(head + plain)

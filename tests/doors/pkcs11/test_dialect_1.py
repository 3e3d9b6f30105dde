"""A module of then against the door of now: the requests that were recorded, byte for byte."""

import itertools
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from tests.doors.pkcs11.served import House
from tests.native.frames import (
    DIALECT_1,
    NAMED,
    PROTOCOL,
    Exchange,
    Recording,
    furnish,
    take_frame,
    take_hello,
)

from keyholm.wire.pkcs11 import handshake, messages
from keyholm.wire.pkcs11.calls import CALLS
from keyholm.wire.pkcs11.constants import CKA, CKM, CKR
from keyholm.wire.pkcs11.messages import Refusal

THEN = Recording.read(DIALECT_1)
# Texts and numbers of the wire that are the same whenever it is said, unlike ids and signatures.
FIXED = {CKA.LABEL, CKA.CLASS, CKA.KEY_TYPE}
SOME = 20  # requests, of which the last is about an object


class Replay:
    """The recorded connection over again, up to any of its requests."""

    def __init__(self, house: House, client_hello: bytes = THEN.client_hello) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(str(house.path))
        self.socket.sendall(client_hello)
        self.hello = take_hello(self.socket)

    def __enter__(self) -> "Replay":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ask(self, request: bytes) -> tuple[bytes, bytes]:
        """Options and body of the answer."""
        self.socket.sendall(messages.frame(7, request))
        code, options, body = take_frame(self.socket)
        assert code == 7
        return options, body


@pytest.fixture
def furnished(house: House) -> House:
    furnish(house)
    return house


@pytest.fixture
def replay(furnished: House) -> Iterator[Replay]:
    with Replay(furnished) as made:
        yield made


def shape(exchange: Exchange, answer: bytes) -> Any:
    """What of an answer stays as it was: all but what is random, of which the length does."""
    values = PROTOCOL.decode_answer(NAMED[exchange.call], answer)
    if isinstance(values, Refusal):
        return values
    if exchange.call in ("GetInfo", "GetSlotInfo", "GetTokenInfo"):
        return values[:1]  # after the label come serial number, version, and how much room is left
    if exchange.call in ("GetMechanismList", "GetMechanismInfo"):
        return len(values)  # there may be more of them
    return [_shape(value) for value in values]


def _shape(value: Any) -> Any:
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, tuple) and value and isinstance(value[0], tuple):
        return [(cka, told if cka in FIXED else _shape(told)) for cka, told in value]
    return value


def test_the_requests_of_then_are_answered_as_then(replay: Replay) -> None:
    """Handles too: they are counted, so each request names what it named."""
    for number, exchange in enumerate(THEN.exchanges):
        _, answer = replay.ask(bytes.fromhex(exchange.request))
        then = bytes.fromhex(exchange.answer)
        assert shape(exchange, answer) == shape(exchange, then), (number, exchange.call)


def test_all_mechanisms_of_then_are_there(replay: Replay) -> None:
    call = NAMED["GetMechanismList"]
    *_, listed = (each for each in THEN.exchanges if each.call == call.name)
    _, answer = replay.ask(bytes.fromhex(listed.request))
    then, now = (
        PROTOCOL.decode_answer(call, each) for each in (bytes.fromhex(listed.answer), answer)
    )
    assert not isinstance(then, Refusal)
    assert not isinstance(now, Refusal)
    assert {CKM.ECDSA, CKM.EDDSA} < set(then[0]) <= set(now[0])


def test_the_session_of_then_has_what_a_usual_one_has() -> None:
    """What is not in the recording is not held to it."""
    calls = {each.call for each in THEN.exchanges}
    assert calls >= {
        "Begin", "SignOnce", "VerifyOnce", "FindObjects", "FindObjectsWith", "GetAttributeValue",
        "GenerateKey", "CreateObject", "SetAttributeValue", "DestroyObject", "SignUpdate",
    }  # fmt: skip
    refusals = [
        PROTOCOL.decode_answer(NAMED[e.call], bytes.fromhex(e.answer)) for e in THEN.exchanges
    ]
    assert any(isinstance(each, Refusal) and each.what and each.remedy for each in refusals)


def test_what_a_later_module_says_in_its_hello_is_passed_over(furnished: House) -> None:
    """Features without a number, and fields behind those that we know."""
    then = THEN.client_hello
    rest = struct.pack(">Q", (1 << 64) - 1) + then[handshake.HEAD.size + 8 :] + b"later"
    with Replay(furnished, then[:1] + struct.pack(">I", len(rest)) + rest) as later:
        hello = handshake.decode_server_hello(later.hello[handshake.HEAD.size :])
        assert hello.features == 0
        for exchange in itertools.islice(THEN.exchanges, SOME):
            _, answer = later.ask(bytes.fromhex(exchange.request))
            assert shape(exchange, answer) == shape(exchange, bytes.fromhex(exchange.answer))


def unknown_numbers() -> Sequence[int]:
    known = {call.ours for call in CALLS}
    return [number for number in (0x10FFF, 0x2000, 0xFFFFFFFF) if number not in known]


@pytest.mark.parametrize("number", unknown_numbers())
def test_a_call_of_a_later_module_is_not_supported(replay: Replay, number: int) -> None:
    _, answer = replay.ask(struct.pack(">I", number) + struct.pack(">I", 1) + b"u" + bytes(8))
    refusal = PROTOCOL.decode_answer(NAMED["GetInfo"], answer)
    assert isinstance(refusal, Refusal)
    assert refusal.status == CKR.FUNCTION_NOT_SUPPORTED
    for exchange in itertools.islice(THEN.exchanges, SOME):  # and the connection lives on
        _, answer = replay.ask(bytes.fromhex(exchange.request))
        assert shape(exchange, answer) == shape(exchange, bytes.fromhex(exchange.answer))

"""Whatever comes is answered, and nothing secret stays."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.wire.pkcs11 import strategies

from keyholm.stores.modules import answering
from keyholm.stores.modules.answering import PROTOCOL, SECRET_CALLS, answer
from keyholm.stores.modules.binding.binding import Binding
from keyholm.stores.modules.binding.library import Library
from keyholm.wire.codec import Malformed
from keyholm.wire.pkcs11.calls import BY_NAME, OURS, Call, Type
from keyholm.wire.pkcs11.constants import CKA, CKM, CKR
from keyholm.wire.pkcs11.mechanisms import Mechanism
from keyholm.wire.pkcs11.messages import Refusal
from keyholm.wire.pkcs11.parameters import Pbkdf2
from keyholm.worker import frames

PIN = b"a PIN that nobody else has"
LARGE = 1 << 20
unhurried = settings(
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def library(
    echo_module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Library]:
    monkeypatch.setenv("ECHO_FILE", str(tmp_path / "told"))
    loaded = Library.load(echo_module)
    loaded.initialize()
    yield loaded
    loaded.finalize()


def values_of(call: Call) -> st.SearchStrategy[tuple[Any, ...]]:
    parts = []
    for parameter in call.takes:
        if parameter.type in (Type.ROOM, Type.ULONG_ROOM):
            parts.append(st.one_of(st.integers(0, 100), st.just(0xFFFFFFFF), st.just(LARGE)))
        elif parameter.type is not Type.NOTHING:
            parts.append(strategies.values(parameter, PROTOCOL.dialect, is_answer=False))
    return st.tuples(*parts)


CALLS = st.sampled_from([call for _, call in sorted(OURS.items())])
REQUESTS = CALLS.flatmap(lambda call: st.tuples(st.just(call), values_of(call)))


@unhurried
@given(request=REQUESTS)
def test_every_request_is_answered(library: Library, request: tuple[Call, Any]) -> None:
    call, values = request
    frame = PROTOCOL.encode_request(call, *values)
    told, body = answer(Binding(library), memoryview(bytearray(frame)))
    assert told is call
    decoded = PROTOCOL.decode_answer(call, body)
    if isinstance(decoded, Refusal):
        assert decoded.status in {CKR.FUNCTION_NOT_SUPPORTED, CKR.DEVICE_ERROR, *call.errors}, (
            call.name
        )


@unhurried
@given(request=REQUESTS, cut=st.integers(0, 200), more=st.binary(max_size=20))
def test_a_request_that_is_spoilt_is_answered(
    library: Library, request: tuple[Call, Any], cut: int, more: bytes
) -> None:
    call, values = request
    frame = PROTOCOL.encode_request(call, *values)
    _, body = answer(Binding(library), frame[:cut] + more)
    if body[:4] == bytes(4):
        assert isinstance(PROTOCOL.decode_answer(call, body), Refusal)


@unhurried
@given(data=st.binary(max_size=100))
def test_what_is_no_request_is_answered(library: Library, data: bytes) -> None:
    _, body = answer(Binding(library), data)
    with suppress(Malformed):
        assert PROTOCOL.decode_answer(BY_NAME["GetInfo"], body)
    assert body


def test_nothing_secret_stays_in_memory(library: Library) -> None:
    binding = Binding(library)
    password = Pbkdf2(1, b"salt", 1, 4, b"", memoryview(PIN))
    for name, values in (
        ("Login", (5, 1, PIN)),
        ("SetPIN", (5, PIN, PIN)),
        ("InitToken2", (5, PIN, "label")),
        ("CreateObject", (5, ((CKA.VALUE, PIN), (CKA.LABEL, b"label")))),
        ("GenerateKey", (5, Mechanism(CKM.PKCS5_PBKD2, password), ())),
        ("Login", (5, 1, PIN * 20_000)),
    ):
        assert name in SECRET_CALLS
        frame = bytearray(PROTOCOL.encode_request(BY_NAME[name], *values))
        _, body = answer(binding, memoryview(frame))
        assert not isinstance(PROTOCOL.decode_answer(BY_NAME[name], body), Refusal)
        assert not any(binding._work.memory._view), name
        assert not binding._work.memory._more, name
    answer(binding, PROTOCOL.encode_request(BY_NAME["Decrypt"], 5, b"x", LARGE))
    assert not any(binding._work.output._block.raw)


def test_a_channel_is_served_until_it_is_closed(library: Library) -> None:
    ours, theirs = socket.socketpair()
    ended: list[Exception] = []

    def serve() -> None:
        try:
            answering.serve(library, theirs)
        except frames.HungUp as error:
            ended.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    with ours, theirs:
        for name, values in (
            ("GetSlotList", (1, 5)),
            ("Login", (5, 1, PIN)),
            ("Digest", (5, bytes(LARGE), 99)),
        ):
            frames.send(ours, PROTOCOL.encode_request(BY_NAME[name], *values))
            body = frames.receive(ours, 20)
            assert not isinstance(PROTOCOL.decode_answer(BY_NAME[name], body), Refusal)
        ours.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert len(ended) == 1

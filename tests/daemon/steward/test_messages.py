"""What keeper and steward say to each other, as bytes."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import msgpack

from keyholm.core.caller import Executable, Process
from keyholm.core.prompt import Kind, Question
from keyholm.daemon.steward.messages import (
    Answered,
    Ask,
    CheckProvider,
    Done,
    Ended,
    EndWorker,
    Examine,
    Examined,
    Failed,
    Identified,
    Identify,
    Message,
    ProviderAllowed,
    Reload,
    Resolve,
    Resolved,
    Show,
    Signed,
    SignWithKey,
    StartWorker,
    Tried,
    TryWorker,
    Usable,
    Witness,
    WorkerEnded,
    WorkerStarted,
    decode_reply,
    decode_request,
    encode,
)
from keyholm.wire.codec import Malformed
from keyholm.worker.spec import Isolation

words = st.text(st.characters(codec="utf-8"), max_size=20)
uint32 = st.integers(0, 2**32 - 1)
uint64 = st.integers(0, 2**64 - 1)
executables = st.builds(Executable, words, uint64, uint64, st.booleans(), st.booleans())
processes = st.builds(
    Process,
    pid=uint32,
    start=uint64,
    executable=st.none() | executables,
    unit=words,
    cgroup=words,
    tty=words,
    command=words,
    parents=st.lists(words, max_size=3).map(tuple),
    relay=st.booleans(),
)
questions = st.builds(
    Question,
    kind=st.sampled_from(Kind),
    title=words,
    text=words,
    prompt=words,
    attempts_left=st.none() | uint32,
    pid=uint32,
    uid=uint32,
    # To the millisecond: that is how it is sent.
    seconds=st.integers(0, 10**6).map(lambda number: number / 1000),
)
isolations = st.builds(
    Isolation, st.booleans(), words, st.lists(words, max_size=3).map(tuple), st.booleans()
)
usable = st.builds(Usable, words, words)
KINDS: dict[type, st.SearchStrategy[Message]] = {
    Identify: st.builds(Identify, uint32, st.booleans()),
    Identified: st.builds(Identified, processes, st.none() | uint32, st.booleans()),
    Resolve: st.builds(Resolve, words),
    Resolved: st.builds(Resolved, st.none() | executables),
    Ask: st.builds(Ask, questions),
    Answered: st.builds(Answered, st.booleans(), words, words),
    Show: st.builds(Show, questions),
    Examine: st.builds(Examine),
    Examined: st.builds(Examined, st.lists(usable, max_size=3).map(tuple)),
    SignWithKey: st.builds(SignWithKey, st.binary(), words, st.binary(), uint32),
    Signed: st.builds(Signed, st.binary()),
    CheckProvider: st.builds(CheckProvider, words),
    ProviderAllowed: st.builds(ProviderAllowed, words),
    Witness: st.builds(Witness, st.binary()),
    StartWorker: st.builds(StartWorker, words, words),
    WorkerStarted: st.builds(WorkerStarted, uint32, uint32, isolations),
    WorkerEnded: st.builds(WorkerEnded, uint32),
    Ended: st.builds(Ended, st.none() | uint32, st.lists(words, max_size=3).map(tuple)),
    EndWorker: st.builds(EndWorker, uint32),
    TryWorker: st.builds(TryWorker),
    Tried: st.builds(Tried, isolations),
    Reload: st.builds(Reload),
    Done: st.builds(Done),
    Failed: st.builds(Failed, words, words, words),
}
messages = st.one_of(*KINDS.values())


def decode(body: bytes) -> Message:
    """By whichever side it is for."""
    try:
        return decode_request(body)
    except Malformed:
        return decode_reply(body)


def test_every_message_is_tried_here() -> None:
    assert KINDS.keys() == set(Message.__subclasses__())


@given(messages)
def test_what_is_said_is_understood(message: Message) -> None:
    assert decode(encode(message)) == message


@given(messages)
def test_a_request_is_no_reply(message: Message) -> None:
    """Neither side takes what only it may say."""
    understood = 0
    for side in (decode_request, decode_reply):
        with contextlib.suppress(Malformed):
            understood += side(encode(message)) == message
    assert understood == 1


@given(messages)
def test_a_cut_or_padded_message_is_refused(message: Message) -> None:
    body = encode(message)
    for cut in range(len(body)):
        with pytest.raises(Malformed):
            decode(body[:cut])
    with pytest.raises(Malformed):
        decode(body + b"\0")


@given(st.binary())
def test_any_bytes_are_a_message_or_refused(body: bytes) -> None:
    try:
        message = decode(body)
    except Malformed:
        return
    assert decode(encode(message)) == message


@given(messages, st.data())
def test_a_message_with_a_byte_changed_is_a_message_or_refused(
    message: Message, data: st.DataObject
) -> None:
    body = bytearray(encode(message))
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode(bytes(body))
    except Malformed:
        return


@pytest.mark.parametrize(
    "wrong",
    [
        ["Identify", "1"],
        ["Identify", None],
        ["Identify"],
        ["Identify", 1, 2],
        ["Resolve", 7],
        ["Ask", ["CONFIRM"]],
        ["Witness", "text"],
        ["Launch", "/bin/sh"],
        {"type": "Identify", "pid": 1},
        [],
        [[]] * 1000,
    ],
)
def test_a_field_of_another_type_is_refused(wrong: object) -> None:
    with pytest.raises(Malformed):
        decode_request(msgpack.encode(wrong))


def test_a_depth_that_nobody_needs_is_refused() -> None:
    with pytest.raises(Malformed):
        decode_request(b"\x92\xa3Ask" + b"\x91" * 100_000)

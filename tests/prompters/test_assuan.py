"""The Assuan protocol: lines on two pipes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyholm.core.secret import Secret
from keyholm.prompters.assuan import Conversation, Refused, escaped, unescape
from keyholm.prompters.prompter import CannotAsk, OutOfPatience, Patience


@contextmanager
def talking(answer: bytes) -> Iterator[Conversation]:
    """With a server that has said `answer` and hung up."""
    reading, answers = os.pipe()
    commands, writing = os.pipe()
    conversation = Conversation.on(reading, writing, Patience(5))
    try:
        os.write(answers, answer)
        os.close(answers)
        yield conversation
    finally:
        conversation.close()
        for descriptor in (reading, commands, writing):
            os.close(descriptor)


# As pinentry 1.2.1 answers GETPIN.
ANSWERS = {
    b"D 1234\nOK\n": b"1234",
    b"# hello\nS PASSWORD_FROM_CACHE\nD a%25b%0Ac\nOK closing\n": b"a%b\nc",
    b"D ab\nD cd\nOK\n": b"abcd",
    b"OK\n": b"",
    b"D %41%e4%zz%4\nOK\n": b"A\xe4%zz%4",
}


@pytest.mark.parametrize(("answer", "data"), ANSWERS.items())
def test_data_is_what_its_lines_stand_for(answer: bytes, data: bytes) -> None:
    with talking(answer) as conversation, conversation.get("GETPIN") as found:
        assert bytes(found.view) == data


@given(st.binary(max_size=400))
def test_any_data_that_is_escaped_comes_out_as_it_was(data: bytes) -> None:
    line = b"".join(b"%%%02X" % byte if byte in b"%\r\n" else bytes([byte]) for byte in data)
    with Secret(400) as into:
        size = unescape(memoryview(line), into.view)
        assert bytes(into.view[:size]) == data


@given(st.binary(max_size=60), st.integers(0, 10))
def test_no_line_writes_more_than_there_is_room_for(line: bytes, room: int) -> None:
    with Secret(room) as into:
        assert unescape(memoryview(line), into.view) <= room


@given(st.text())
def test_what_is_said_stays_on_one_line(text: str) -> None:
    assert not {"\r", "\n"} & set(escaped(text))


def test_a_refusal_has_its_code() -> None:
    with (
        talking(b"ERR 83886179 Operation cancelled <Pinentry>\n") as conversation,
        pytest.raises(Refused, match="Operation cancelled") as caught,
    ):
        conversation.say("CONFIRM")
    assert caught.value.code == 99


@pytest.mark.parametrize("answer", [b"", b"D 12", b"OK", b"x" * 5000])
def test_a_server_that_ends_or_babbles_asked_nobody(answer: bytes) -> None:
    with talking(answer) as conversation, pytest.raises(CannotAsk):
        conversation.greeting()


def test_a_server_that_says_nothing_is_not_waited_for_for_ever() -> None:
    reading, answers = os.pipe()
    commands, writing = os.pipe()
    conversation = Conversation.on(reading, writing, Patience(0.1))
    try:
        with pytest.raises(OutOfPatience):
            conversation.greeting()
    finally:
        conversation.close()
        for descriptor in (reading, answers, commands, writing):
            os.close(descriptor)


@given(st.binary(max_size=300))
def test_any_answer_is_an_answer_or_an_error(answer: bytes) -> None:
    with talking(answer) as conversation:
        try:
            conversation.get("GETPIN").close()
        except (Refused, CannotAsk):
            return

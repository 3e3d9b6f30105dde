"""Frames on a channel of a worker."""

import socket
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyholm.wire.codec import Malformed
from keyholm.worker.frames import MOST, HungUp, receive, send

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@given(st.binary(max_size=60_000))
def test_what_is_sent_arrives(frame: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send(ours, frame)
        assert receive(theirs, 5) == frame


def test_a_large_frame_arrives_whole_from_a_view(pair: Pair) -> None:
    ours, theirs = pair
    frame = memoryview(bytearray(range(256)) * 30_000)
    sending = threading.Thread(target=send, args=(ours, frame))
    sending.start()
    assert receive(theirs, 30) == bytes(frame)
    sending.join()


def test_a_frame_that_is_too_long_is_refused_before_it_comes(pair: Pair) -> None:
    ours, theirs = pair
    ours.sendall((MOST + 1).to_bytes(4))
    with pytest.raises(Malformed):
        receive(theirs, 5)


def test_two_answers_to_one_question_are_refused(pair: Pair) -> None:
    ours, theirs = pair
    ours.sendall(b"\0\0\0\1a\0\0\0\1b")
    with pytest.raises(Malformed):
        receive(theirs, 5)


@pytest.mark.parametrize("begun", [b"", b"\0\0", b"\0\0\0\5ab"])
def test_who_hangs_up_is_noticed(pair: Pair, begun: bytes) -> None:
    ours, theirs = pair
    ours.sendall(begun)
    ours.close()
    with pytest.raises(HungUp):
        receive(theirs, 5)


@pytest.mark.parametrize("begun", [b"", b"\0\0", b"\0\0\0\5ab"])
def test_an_answer_is_not_waited_for_for_ever(pair: Pair, begun: bytes) -> None:
    ours, theirs = pair
    ours.sendall(begun)
    with pytest.raises(TimeoutError):
        receive(theirs, 0.01)

"""Frames between keeper and steward, however they arrive."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from keyholm.daemon.steward.channel import HEADER, MOST_BODY, HungUp, receive_plain, send
from keyholm.wire.codec import Malformed

BODY = b"body" * 50
FRAME = HEADER.pack(len(BODY), 0) + BODY


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


Pair = tuple[socket.socket, socket.socket]


def test_a_plain_frame_arrives_whole(pair: Pair) -> None:
    ours, theirs = pair
    for body in (b"", BODY, BODY * 1000):
        sender = threading.Thread(target=send, args=(theirs, body))
        sender.start()
        assert receive_plain(ours, 5) == body
        sender.join()


@pytest.mark.parametrize("cut", [1, HEADER.size - 1, HEADER.size, HEADER.size + 1, len(FRAME) - 1])
def test_a_plain_frame_arrives_in_pieces(pair: Pair, cut: int) -> None:
    ours, theirs = pair

    def late() -> None:
        time.sleep(0.02)
        theirs.sendall(FRAME[cut:])

    theirs.sendall(FRAME[:cut])
    sender = threading.Thread(target=late)
    sender.start()
    assert receive_plain(ours, 5) == BODY
    sender.join()


@pytest.mark.parametrize(
    "frame",
    [
        HEADER.pack(len(BODY), 1) + BODY,  # a secret belongs into locked memory
        HEADER.pack(len(BODY), 1),
        HEADER.pack(MOST_BODY + 1, 0),
        FRAME + b"\0",
    ],
)
def test_what_is_no_plain_frame_is_refused(pair: Pair, frame: bytes) -> None:
    ours, theirs = pair
    theirs.sendall(frame)
    with pytest.raises(Malformed):
        receive_plain(ours, 5)


@pytest.mark.parametrize("cut", range(0, len(FRAME), 7))
def test_a_cut_frame_is_the_end_of_its_channel(pair: Pair, cut: int) -> None:
    ours, theirs = pair
    theirs.sendall(FRAME[:cut])
    theirs.close()
    with pytest.raises(HungUp):
        receive_plain(ours, 5)


@pytest.mark.parametrize("sent", [b"", FRAME[:3], FRAME[:20]])
def test_an_answer_is_not_waited_for_for_ever(pair: Pair, sent: bytes) -> None:
    ours, theirs = pair
    theirs.sendall(sent)
    with pytest.raises(TimeoutError):
        receive_plain(ours, 0.01)

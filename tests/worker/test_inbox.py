"""Frames at the worker's end, in memory that is used again and can be wiped."""

import socket
from collections.abc import Iterator

import pytest

from keyholm.wire.codec import Malformed
from keyholm.worker.frames import AT_ONCE, LENGTH, MOST, HungUp, Inbox, send

Pair = tuple[socket.socket, Inbox]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        yield ours, Inbox(theirs)


@pytest.mark.parametrize("size", [0, 1, AT_ONCE - 4, AT_ONCE - 3, AT_ONCE, 100_000])
def test_a_frame_of_any_length_is_received(pair: Pair, size: int) -> None:
    channel, inbox = pair
    for fill in (1, 2):
        send(channel, bytes([fill]) * size)
        assert inbox.receive() == bytes([fill]) * size


def test_a_frame_that_comes_in_pieces_is_one(pair: Pair) -> None:
    channel, inbox = pair
    channel.sendall(LENGTH.pack(5)[:2])
    channel.sendall(LENGTH.pack(5)[2:] + b"he")
    channel.sendall(b"llo")
    assert bytes(inbox.receive()) == b"hello"


@pytest.mark.parametrize("size", [100, AT_ONCE * 3])
def test_a_frame_is_wiped_where_it_lies(pair: Pair, size: int) -> None:
    channel, inbox = pair
    send(channel, b"\xaa" * size)
    frame = inbox.receive()
    inbox.wipe()
    assert frame == bytes(size)
    assert b"\xaa" not in inbox._usual


def test_what_is_no_frame_ends_it(pair: Pair) -> None:
    channel, inbox = pair
    channel.sendall(LENGTH.pack(MOST + 1))
    with pytest.raises(Malformed):
        inbox.receive()


def test_two_frames_at_once_are_one_too_many(pair: Pair) -> None:
    channel, inbox = pair
    channel.sendall((LENGTH.pack(1) + b"x") * 2)
    with pytest.raises(Malformed):
        inbox.receive()


def test_an_end_in_mid_frame_is_an_end(pair: Pair) -> None:
    channel, inbox = pair
    channel.sendall(LENGTH.pack(100_000) + b"begun")
    channel.close()
    with pytest.raises(HungUp):
        inbox.receive()

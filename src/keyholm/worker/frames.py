"""Frames on a channel of a worker: a length of four bytes, and as many bytes of content."""

import select
import socket
import struct
import time
from typing import Final

from keyholm.wire.codec import Bytes, Malformed

LENGTH: Final = struct.Struct(">I")
MOST: Final = 16 * 1024 * 1024 + 64  # what a door takes in one frame
AT_ONCE: Final = 16 * 1024
PIECE: Final = 1024 * 1024


class HungUp(ConnectionError):
    """The other side is gone."""


def send(channel: socket.socket, frame: Bytes) -> None:
    """Raises `HungUp`, and `TimeoutError` where nobody reads it. The frame is not copied: it
    may be a view of a secret."""
    head = LENGTH.pack(len(frame))
    try:
        sent = channel.sendmsg((head, frame))
        if sent < LENGTH.size + len(frame):
            _send_rest(channel, head, frame, sent)
    except BlockingIOError as error:  # SO_SNDTIMEO
        raise TimeoutError from error
    except ConnectionError as error:
        raise HungUp(str(error)) from error


def _send_rest(channel: socket.socket, head: bytes, frame: Bytes, sent: int) -> None:
    if sent < len(head):
        channel.sendall(head[sent:])
        sent = len(head)
    channel.sendall(memoryview(frame)[sent - len(head) :])


def receive(channel: socket.socket, seconds: float | None = None) -> bytes:
    """The next frame; `seconds` is for all of it. Raises `HungUp`, `Malformed`, `TimeoutError`."""
    deadline = None if seconds is None else time.monotonic() + seconds
    data = _some(channel, AT_ONCE, deadline)
    while len(data) < LENGTH.size:
        data += _some(channel, AT_ONCE, deadline)
    (size,) = LENGTH.unpack_from(data)
    have = len(data) - LENGTH.size
    if size > MOST or have > size:
        raise Malformed(f"a frame of {size} bytes, of which {have} are here")
    if have == size:
        return data[LENGTH.size :]
    # Grows with the bytes that came, not with the length that was announced.
    pieces = [data[LENGTH.size :]]
    while have < size:
        pieces.append(_some(channel, min(size - have, PIECE), deadline))
        have += len(pieces[-1])
    return b"".join(pieces)


class Inbox:
    """Receives at the worker's end, where frames may hold secrets: they lie in memory that is
    used again, and can be wiped."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._usual = bytearray(AT_ONCE)
        self._frame = memoryview(self._usual)[:0]

    def receive(self) -> memoryview:
        """The next frame, until the one after it. Raises `HungUp` and `Malformed`."""
        data = memoryview(self._usual)
        have = self._into(data)
        while have < LENGTH.size:
            have += self._into(data[have:])
        (size,) = LENGTH.unpack_from(data)
        have -= LENGTH.size
        if size > MOST or have > size:
            raise Malformed(f"a frame of {size} bytes, of which {have} are here")
        begun = data[LENGTH.size : LENGTH.size + have]
        self._frame = begun if have == size else self._rest(begun, size)
        return self._frame

    def wipe(self) -> None:
        """The frame that was received last."""
        self._frame[:] = bytes(len(self._frame))

    def _rest(self, begun: memoryview, size: int) -> memoryview:
        frame = memoryview(bytearray(size))
        have = len(begun)
        frame[:have] = begun
        begun[:] = bytes(have)
        while have < size:
            have += self._into(frame[have:])
        return frame

    def _into(self, data: memoryview) -> int:
        try:
            count = self._channel.recv_into(data)
        except ConnectionError as error:
            raise HungUp(str(error)) from error
        if not count:
            raise HungUp("end of file")
        return count


def _some(channel: socket.socket, most: int, deadline: float | None) -> bytes:
    try:
        try:
            data = channel.recv(most, socket.MSG_DONTWAIT)
        except BlockingIOError:
            _wait(channel, deadline)
            data = channel.recv(most)
    except ConnectionError as error:
        raise HungUp(str(error)) from error
    if not data:
        raise HungUp("end of file")
    return data


def _wait(channel: socket.socket, deadline: float | None) -> None:
    # Who sleeps in recv() itself is also woken when the other side has read our frame.
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
    if not poll.poll(left):
        raise TimeoutError

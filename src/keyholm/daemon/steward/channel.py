"""Frames between keeper and steward: a body, and at most one secret or socket beside it.

    uint32  bytes of the body
    uint32  bytes of the secret
    body
    secret

The secret goes from and into locked memory; it is never part of a message's value. A socket
goes as a descriptor, with the first byte of its frame.
"""

import select
import socket
import struct
from typing import Final

from keyholm.core.secret import Secret
from keyholm.wire.codec import Malformed

HEADER: Final = struct.Struct(">II")
DESCRIPTOR: Final = struct.Struct("i")
MOST_BODY: Final = 1024 * 1024
MOST_SECRET: Final = 64 * 1024
AT_ONCE: Final = 4096  # bytes that are asked for before the size of a plain frame is known


class HungUp(ConnectionError):
    """The other side is gone."""


def send(channel: socket.socket, body: bytes, beside: Secret | socket.socket | None = None) -> None:
    """Raises `HungUp`."""
    try:
        if beside is None:
            channel.sendall(HEADER.pack(len(body), 0) + body)
        elif isinstance(beside, Secret):
            channel.sendall(HEADER.pack(len(body), len(beside)) + body)
            channel.sendall(beside.view)
        else:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, DESCRIPTOR.pack(beside.fileno()))]
            frame = HEADER.pack(len(body), 0) + body
            channel.sendall(frame[channel.sendmsg([frame], rights) :])
    except OSError as error:
        raise HungUp(str(error)) from error


def receive(channel: socket.socket) -> tuple[bytes, Secret | None]:
    """The next frame. Raises `HungUp`, `Malformed` and `TimeoutError`."""
    body_size, secret_size = HEADER.unpack(_exactly(channel, HEADER.size))
    if body_size > MOST_BODY or secret_size > MOST_SECRET:
        raise Malformed(f"a frame of {body_size} and {secret_size} bytes")
    body = _exactly(channel, body_size)
    if not secret_size:
        return body, None
    secret = Secret(secret_size)
    try:
        _into(channel, secret.view)
    except OSError:
        secret.close()
        raise
    return body, secret


def receive_socket(channel: socket.socket) -> tuple[bytes, socket.socket | None]:
    """The next frame, which may have a socket of packets beside it, and no secret.

    Raises `HungUp`, `Malformed` and `TimeoutError`.
    """
    try:
        data, rights, _, _ = channel.recvmsg(1, socket.CMSG_SPACE(DESCRIPTOR.size))
    except ConnectionError as error:
        raise HungUp(str(error)) from error
    beside = None
    if rights:
        (descriptor,) = DESCRIPTOR.unpack(rights[0][2][: DESCRIPTOR.size])
        beside = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, descriptor)
    try:
        if not data:
            raise HungUp("end of file")
        body_size, secret_size = HEADER.unpack(data + _exactly(channel, HEADER.size - 1))
        if body_size > MOST_BODY or secret_size:
            raise Malformed(f"a frame of {body_size} and {secret_size} bytes")
        return _exactly(channel, body_size), beside
    except (OSError, Malformed):
        if beside is not None:
            beside.close()
        raise


def receive_plain(channel: socket.socket, seconds: float) -> bytes:
    """The next frame of a blocking channel that has no secret in any: in one piece as a rule.

    Raises `HungUp`, `Malformed` and `TimeoutError`.
    """
    try:
        data = channel.recv(AT_ONCE, socket.MSG_DONTWAIT)  # asked long ago, as a rule
    except BlockingIOError:
        data = _later(channel, seconds)
    if not data:
        raise HungUp("end of file")
    while len(data) < HEADER.size:
        data += _later(channel, seconds)
    body_size, secret_size = HEADER.unpack_from(data)
    size = HEADER.size + body_size
    if body_size > MOST_BODY or secret_size or len(data) > size:
        raise Malformed(f"a plain frame of {body_size} and {secret_size} bytes")
    while len(data) < size:
        data += _later(channel, seconds)
    return data[HEADER.size :]


def _later(channel: socket.socket, seconds: float) -> bytes:
    # Who sleeps in recv() itself is also woken when the other side has read the request.
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    if not poll.poll(seconds * 1000):
        raise TimeoutError
    return _some(channel, AT_ONCE)


def _exactly(channel: socket.socket, size: int) -> bytes:
    data = _some(channel, size)
    if len(data) == size:
        return data
    pieces = [data]
    missing = size - len(data)
    while missing:
        pieces.append(_some(channel, min(missing, 65536)))
        missing -= len(pieces[-1])
    return b"".join(pieces)


def _some(channel: socket.socket, size: int) -> bytes:
    try:
        data = channel.recv(size)
    except ConnectionError as error:
        raise HungUp(str(error)) from error
    if not data and size:
        raise HungUp("end of file")
    return data


def _into(channel: socket.socket, view: memoryview) -> None:
    while view:
        count = channel.recv_into(view)
        if not count:
            raise HungUp("end of file")
        view = view[count:]

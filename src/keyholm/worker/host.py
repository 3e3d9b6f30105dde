"""The worker's own side: closes itself in, loads what is foreign, and serves each channel.

It is started by `start`, with its master socket as descriptor 3, and begins single-threaded.
"""

import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from mmap import mmap
from typing import Final, NoReturn, Protocol

from keyholm.wire.codec import Malformed
from keyholm.worker.confine import confine
from keyholm.worker.frames import HungUp
from keyholm.worker.spec import MASTER, MOST_PACKET, Loaded, Spec, decode, encode

DESCRIPTOR: Final = struct.Struct("i")
GOODBYE_SECONDS: Final = 1.0
ROOM: Final = 1 << 20  # bytes that a process must be able to get
USED_UP: Final = 71  # its status: EX_OSERR


class LoadFailed(Exception):
    """The library could not be had: at `step`, with its own `code` and words."""

    def __init__(self, step: str, text: str, code: int = 0) -> None:
        super().__init__(text)
        self.step, self.text, self.code = step, text, code


class Service(Protocol):
    """What is done in a worker."""

    def load(self, spec: Spec) -> bytes:
        """Load the library, in the sandbox; gives what the user of it wants to know at once.

        Raises `LoadFailed`.
        """

    def serve(self, channel: socket.socket) -> None:
        """In a thread of its own, until the channel is closed. Raises `HungUp`, `Malformed`."""

    def end(self) -> None:
        """Nobody wants the library any more: it may say goodbye to others. It need not return."""


def end_if_used_up() -> None:
    """A library that has taken all descriptors or all memory will fail from now on, or find
    nothing where its files are. This process ends, and the next one begins anew."""
    try:
        os.close(os.dup(MASTER))
        mmap(-1, ROOM).close()
    except (OSError, MemoryError) as error:
        os.write(2, f"it has used up what it may have: {error}\n".encode())
        os._exit(USED_UP)


def run(service: Service) -> NoReturn:
    """Be a worker until the master is closed."""
    # What else was left open in whoever started us is none of the library's business.
    os.closerange(MASTER + 1, os.sysconf("SC_OPEN_MAX"))
    with socket.socket(fileno=MASTER) as master:
        spec = decode(master.recv(MOST_PACKET), Spec)
        master.send(encode(confine(spec)))
        loaded = _load(service, spec)
        with suppress(ConnectionError):  # nobody wants us any more
            master.send(encode(loaded))
            if not loaded.step:
                _serve(service, master)
    if not loaded.step:
        goodbye = threading.Thread(target=service.end, daemon=True)
        goodbye.start()
        goodbye.join(GOODBYE_SECONDS)
    # Whatever threads of the library there are.
    os._exit(0)


def _load(service: Service, spec: Spec) -> Loaded:
    try:
        return Loaded(service.load(spec))
    except LoadFailed as error:
        return Loaded(step=error.step, code=error.code, text=error.text)


def _serve(service: Service, master: socket.socket) -> None:
    for channel in _channels(master):
        threading.Thread(target=_serve_one, args=(service, channel), daemon=True).start()


def _channels(master: socket.socket) -> Iterator[socket.socket]:
    while True:
        data, rights, _, _ = master.recvmsg(1, socket.CMSG_SPACE(DESCRIPTOR.size))
        if not data:
            return
        if not rights:
            end_if_used_up()  # there was no room for one
            continue
        (descriptor,) = DESCRIPTOR.unpack(rights[0][2][: DESCRIPTOR.size])
        yield socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, descriptor)


def _serve_one(service: Service, channel: socket.socket) -> None:
    with channel, suppress(HungUp, Malformed):
        service.serve(channel)

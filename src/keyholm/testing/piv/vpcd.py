"""A card in a virtual reader of pcscd, over the protocol of vsmartcard's driver `vpcd`.

The driver listens at one TCP port for each of its two slots; to connect is to insert a card, to
close is to pull it. Each message is two bytes of length and its bytes. One byte is an order to
the slot (off, on, reset, the ATR is wanted), more is a command to the card.

By itself the driver listens on every address of the machine: give pcscd a network namespace of
its own. (It can connect to us instead, but then it ends pcscd when a card is pulled: version 3.3.)
"""

import contextlib
import socket
import threading
from typing import Final

from keyholm.testing.piv.card import Card

LOOPBACK: Final = "127.0.0.1"
SLOTS: Final = 2  # what vpcd is built with; the second listens at the next port
OFF, ON, RESET, ATR = b"\0", b"\1", b"\2", b"\4"


class Inserted:
    """A card in a slot, from now until it is pulled; a thread answers for it."""

    def __init__(self, card: Card, connection: socket.socket) -> None:
        card.reset()
        self.card = card
        # pcscd has seen the card: a moment later programs see it too.
        self.powered = threading.Event()
        self._connection = connection
        self._thread = threading.Thread(target=self._serve, name="card")
        self._thread.start()

    def pull(self) -> None:
        """Also while a command is with the card, and then from its own thread: no answer goes."""
        with contextlib.suppress(OSError):  # the reader has gone already
            self._connection.shutdown(socket.SHUT_RDWR)
        if self._thread is not threading.current_thread():
            self._thread.join()

    def __enter__(self) -> "Inserted":
        return self

    def __exit__(self, *_: object) -> None:
        self.pull()

    def _serve(self) -> None:
        with self._connection, contextlib.suppress(ConnectionError):
            while (message := _receive(self._connection)) is not None:
                answer = self._answer(message)
                if answer is not None:
                    self._connection.sendall(len(answer).to_bytes(2) + answer)

    def _answer(self, message: bytes) -> bytes | None:
        """What goes back; None to an order that wants no answer."""
        if message == ATR:
            return self.card.atr
        if len(message) > 1:
            return self.card.answer(message)
        if message in (OFF, ON, RESET):
            self.card.reset()
        if message == ON:
            self.powered.set()
        return None


def insert(card: Card, port: int) -> Inserted:
    """Into the slot that listens there, on loopback."""
    return Inserted(card, socket.create_connection((LOOPBACK, port)))


def _receive(connection: socket.socket) -> bytes | None:
    size = _exactly(connection, 2)
    return None if size is None else _exactly(connection, int.from_bytes(size))


def _exactly(connection: socket.socket, size: int) -> bytes | None:
    """So many bytes, 65,535 at most; None at the end of the connection."""
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            return None
        data += part
        # vpcd writes length and body apart, and waits 40 ms for our acknowledgement between.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
    return data

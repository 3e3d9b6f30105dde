"""Sessions as frames: recorded between the module and a daemon, kept, and played again.

    python3 -m tests.native.frames FOLDER

records the session of usual.py, of the module as it is built here and the door as it is here.
"""

import json
import os
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from tests.doors.pkcs11.served import House
from tests.native.driver import Module
from tests.native.usual import KEYS, Usual

from keyholm.wire.pkcs11 import handshake, messages
from keyholm.wire.pkcs11.calls import CALLS, OURS
from keyholm.wire.pkcs11.constants import CKR
from keyholm.wire.pkcs11.dialect import OWN_VERSION, Dialect
from native import build

DIALECT_1: Final = Path(__file__).parents[1] / "vectors/pkcs11/dialect-1"
NAMED: Final = {call.name: call for call in CALLS}
LARGEST: Final = 1 << 24
PROTOCOL: Final = messages.protocol_of(Dialect(OWN_VERSION))
NOT_SUPPORTED: Final = PROTOCOL.encode_error(CKR.FUNCTION_NOT_SUPPORTED)


@dataclass(frozen=True)
class Exchange:
    """A request and its answer: the bodies, and the options of the answer, in hexadecimal."""

    call: str
    request: str
    options: str
    answer: str


@dataclass(frozen=True)
class Recording:
    """A connection, and what the program saw of it."""

    client_hello: bytes
    daemon_hello: bytes
    exchanges: Sequence[Exchange]
    seen: dict[str, list[Any]]

    @classmethod
    def read(cls, folder: Path) -> "Recording":
        hellos, *rest = map(json.loads, (folder / "frames.jsonl").read_text().splitlines())
        return cls(
            bytes.fromhex(hellos["client"]),
            bytes.fromhex(hellos["daemon"]),
            [Exchange(**each) for each in rest],
            json.loads((folder / "seen.json").read_text()),
        )

    def write(self, folder: Path) -> None:
        hellos = {"client": self.client_hello.hex(), "daemon": self.daemon_hello.hex()}
        lines = [hellos, *map(asdict, self.exchanges)]
        folder.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / "frames.jsonl").write_text(text)
        (folder / "seen.json").write_text(json.dumps(self.seen, indent=1) + "\n")


# --- the bytes of a connection -----------------------------------------------------------


def take(connected: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connected.recv(size - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def take_hello(connected: socket.socket) -> bytes:
    head = take(connected, handshake.HEAD.size)
    return head + take(connected, handshake.rest_of_hello(head))


def take_frame(connected: socket.socket) -> tuple[int, bytes, bytes]:
    """Its code, options and body."""
    head = take(connected, messages.HEAD.size)
    code, options, size = messages.read_head(head, LARGEST)
    return code, take(connected, options), take(connected, size)


def name_of(request: bytes) -> str:
    call = OURS.get(int.from_bytes(request[:4]))
    return call.name if call else ""


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(20)
        yield listener


# --- recording ---------------------------------------------------------------------------


class Relay(threading.Thread):
    """Between one connection of the module and the daemon; keeps what passes."""

    def __init__(self, listener: socket.socket, daemon: Path) -> None:
        super().__init__()
        self.listener, self.daemon_path = listener, daemon
        self.hellos: tuple[bytes, bytes] = (b"", b"")
        self.exchanges: list[Exchange] = []

    def run(self) -> None:
        client, _ = self.listener.accept()
        with client, socket.socket(socket.AF_UNIX) as daemon:
            daemon.connect(str(self.daemon_path))
            hello = take_hello(client)
            daemon.sendall(hello)
            self.hellos = hello, take_hello(daemon)
            client.sendall(self.hellos[1])
            try:
                while True:
                    self._pass_on(client, daemon)
            except EOFError:
                return

    def _pass_on(self, client: socket.socket, daemon: socket.socket) -> None:
        code, options, request = take_frame(client)
        daemon.sendall(messages.frame(code, request, options))
        answered, options, answer = take_frame(daemon)
        client.sendall(messages.frame(answered, answer, options))
        name = name_of(request)
        self.exchanges.append(Exchange(name, request.hex(), options.hex(), answer.hex()))


def furnish(house: House) -> None:
    for label, algorithm, policy in KEYS:
        house.key(algorithm, label, policy)


def record(built: Path, folder: Path) -> Recording:
    house = House(folder)
    try:
        furnish(house)
        os.environ["KEYHOLM_PKCS11"] = str(folder / "relay")
        with listening(folder / "relay") as listener:
            relay = Relay(listener, house.path)
            relay.start()
            module = Module(built)
            module.initialize()
            seen = Usual(module).run()
            module.finalize()
            relay.join()
    finally:
        house.stop()
    return Recording(*relay.hellos, relay.exchanges, seen)


# --- playing -----------------------------------------------------------------------------


class Player(threading.Thread):
    """A daemon of then: gives the answers that were recorded, and knows no call of later.

    `unknown` are calls that it does not know either.
    """

    def __init__(
        self,
        listener: socket.socket,
        recording: Recording,
        *,
        hello: bytes = b"",
        unknown: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.listener, self.recording, self.unknown = listener, recording, unknown
        self.hello = hello or recording.daemon_hello
        self.left = list(recording.exchanges)
        self.client_hello = b""
        self.refused: list[int] = []  # numbers of calls that it does not know

    def run(self) -> None:
        client, _ = self.listener.accept()
        with client:
            self.client_hello = take_hello(client)
            client.sendall(self.hello)
            try:
                while True:
                    code, _, request = take_frame(client)
                    client.sendall(messages.frame(code, *self._answer(request)))
            except EOFError:
                return

    def _answer(self, request: bytes) -> tuple[bytes, bytes]:
        name = name_of(request)
        known = {each.call for each in self.recording.exchanges} - set(self.unknown)
        if name not in known:
            self.refused.append(int.from_bytes(request[:4]))
            return NOT_SUPPORTED, b"\0"
        exchange = self._next(name, request.hex())
        return bytes.fromhex(exchange.answer), bytes.fromhex(exchange.options)

    def _next(self, name: str, request: str) -> Exchange:
        """What was answered to these bytes, or, if they never came, to such a call next."""
        same = [each for each in self.left if each.request == request]
        alike = [each for each in self.left if each.call == name]
        last = [each for each in self.recording.exchanges if each.call == name][-1:]
        exchange = (same or alike or last)[0]
        if exchange in self.left:
            self.left.remove(exchange)
        return exchange


def main() -> None:
    (to,) = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="kh", dir="/tmp") as name:
        folder = Path(name)
        record(build.build(folder / build.file_here()), folder).write(Path(to))


if __name__ == "__main__":
    main()

"""The PKCS#11 door on a real socket over a real disk store, and a program that speaks to it."""

import os
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from keyholm.core.caller import Caller, Door, Executable, Peer, Process
from keyholm.core.model import Algorithm, Key, NewKey
from keyholm.core.policy import OPEN, Policy
from keyholm.doors.pkcs11.server import MAX_BODY, Pkcs11Door
from keyholm.doors.serving import Connection, Limits, Serving, listen
from keyholm.stores.disk.cost import Cost
from keyholm.stores.disk.store import DiskStore
from keyholm.stores.disk.token import DiskToken
from keyholm.stores.software.shield import Shield
from keyholm.testing.fakes import Clock, ListTrail, ScriptedPrompters, gate_over
from keyholm.wire.pkcs11 import handshake, messages
from keyholm.wire.pkcs11.calls import CALLS
from keyholm.wire.pkcs11.constants import CKF, CKR
from keyholm.wire.pkcs11.dialect import OWN_VERSION, Dialect
from keyholm.wire.pkcs11.handshake import ClientHello
from keyholm.wire.pkcs11.messages import Refusal, protocol_of

CHEAP = Cost(passes=1, memory=8, lanes=1)
LIMITS = Limits(frame=MAX_BODY + 64, frame_seconds=2)
NAMED = {call.name: call for call in CALLS}
TOOL = Executable("/usr/bin/pkcs11-tool", 1, 2, trusted=True, interpreter=False)
ROOM = 1 << 16


class Refused(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"{CKR.name(refusal.status)}: {refusal.what} {refusal.remedy}")
        self.code, self.what, self.remedy = refusal.status, refusal.what, refusal.remedy


class Program:
    """A client of one connection. A call that fails raises `Refused`."""

    def __init__(
        self, path: Path, *, version: int = OWN_VERSION, token: bytes = handshake.NO_TOKEN
    ) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(str(path))
        self.protocol = protocol_of(Dialect(version))
        self.token = token
        self.flags = b""
        if version == OWN_VERSION:
            hello = ClientHello(0, (0, 1, 0), 8, os.getpid(), token)
            self.socket.sendall(handshake.encode_client_hello(hello))
            rest = self.read(handshake.rest_of_hello(self.read(handshake.HEAD.size)))
            self.token = handshake.decode_server_hello(rest).token
        else:
            self.socket.sendall(bytes([version]))
            assert self.read(1) == bytes([version])

    def read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def ask(self, body: bytes) -> bytes:
        self.socket.sendall(messages.frame(16, body))
        code, options, size = messages.read_head(self.read(messages.HEAD.size), MAX_BODY)
        assert code == 16
        self.flags = self.read(options)
        return self.read(size)

    def call(self, name: str, *values: Any) -> Any:
        """The values of the answer: one by itself, more as a tuple."""
        call = NAMED[name]
        body = self.ask(self.protocol.encode_request(call, *values))
        answer = self.protocol.decode_answer(call, body)
        if isinstance(answer, Refusal):
            raise Refused(answer)
        return answer[0] if len(answer) == 1 else answer

    def open(self, slot: int = 0, *, writable: bool = True) -> int:
        flags = CKF.SERIAL_SESSION | (CKF.RW_SESSION if writable else 0)
        session: int = self.call("OpenSession", slot, flags)
        return session

    def find(self, session: int, *template: Any) -> tuple[int, ...]:
        self.call("FindObjectsInit", session, template)
        found: tuple[int, ...] = self.call("FindObjects", session, 1000)
        self.call("FindObjectsFinal", session)
        return found

    def close(self) -> None:
        self.socket.close()


class House:
    """A token without a passphrase, and whoever connects is taken for `process`."""

    def __init__(self, folder: Path, shield: Shield | None = None) -> None:
        self.trail, self.people, self.clock = ListTrail(), ScriptedPrompters(), Clock()
        self.shield = shield or Shield()
        self.store = DiskStore(folder / "store", shield=self.shield, cost=CHEAP, floor=CHEAP)
        token = self.store.make_token("main", os.getuid(), None)
        assert isinstance(token, DiskToken)
        self.token = token
        self.gate = gate_over([self.store], self.trail, self.people, self.clock)
        self.process = Process(pid=42, start=7, executable=TOOL)
        self.door = Pkcs11Door(self.gate, lambda peer, connection: self.process)
        self.path = folder / "pkcs11"
        self.peer: Peer | None = None
        self.serving = Serving(
            listen(str(self.path)),
            self._serve,
            accepts=lambda peer: True,
            limits=LIMITS,
            name="pkcs11",
        )
        self.serving.start()
        self._programs = ExitStack()

    def _serve(self, connection: Connection) -> None:
        if self.peer is not None:
            connection.peer = self.peer
        self.door.serve(connection)

    def stop(self) -> None:
        self._programs.close()
        self.serving.stop()
        self.store.close()
        self.shield.close()

    def program(self, **how: Any) -> Program:
        program = Program(self.path, **how)
        self._programs.callback(program.close)
        return program

    def caller(self) -> Caller:
        return Caller(Door.CONTROL, Peer(os.getuid(), 0, 1), lambda: self.process)

    def key(self, algorithm: Algorithm, label: str = "", policy: Policy = OPEN) -> Key:
        return self.token.generate(NewKey(label or str(algorithm), algorithm), policy)

    def bind(self, key: Key, policy: Policy) -> Key:
        return self.token.set_policy(key, policy)

    def as_uid(self, uid: int) -> None:
        self.peer = Peer(uid, uid, 4242)

    def seen_as(self, executable: str) -> None:
        self.process = replace(self.process, executable=replace(TOOL, path=executable))

"""A control door on a real socket over a real disk store, for tests of the door and of the API."""

import os
import socket
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from keyholm.client import Client, connect
from keyholm.core.caller import Executable, Process
from keyholm.core.model import Key
from keyholm.doors.control import schema
from keyholm.doors.control.server import ControlDoor, Facts
from keyholm.doors.serving import Limits, Serving, listen
from keyholm.stores.disk.cost import Cost
from keyholm.stores.disk.store import DiskStore
from keyholm.stores.software.shield import Shield
from keyholm.testing.fakes import Clock, ListTrail, ScriptedPrompters, gate_over

PASSPHRASE = b"correct horse battery staple"
CHEAP = Cost(passes=1, memory=8, lanes=1)
LIMITS = Limits(frame=schema.MAX_FRAME, frame_seconds=2)
SSH = Executable("/usr/bin/ssh", 1, 2, trusted=True, interpreter=False)


class Agent:
    """The side of the agent door that can withdraw keys."""

    name = "agent"

    def __init__(self) -> None:
        self.withdrawn = 0

    def withdraw(self, key: Key) -> None:
        self.withdrawn += 1

    def restore_withdrawn(self, keys: Collection[Key]) -> int:
        count, self.withdrawn = self.withdrawn, 0
        return count


MODULE: Final = schema.Module(
    name="acme",
    library="/opt/acme.so",
    state="running",
    pid=4711,
    isolation="full",
    tokens=["acme-work-1", "main"],
    crashes=2,
    error="It crashed.",
    remedy="Ask its maker.",
)


class House:
    """Every client is taken for `peer_uid`, running `process`."""

    def __init__(self, folder: Path) -> None:
        self.trail, self.people, self.clock = ListTrail(), ScriptedPrompters(), Clock()
        self.agent = Agent()
        self.shield = Shield()
        self.store = DiskStore(folder / "store", shield=self.shield, cost=CHEAP, floor=CHEAP)
        self.gate = gate_over(
            [self.store],
            self.trail,
            self.people,
            self.clock,
            certificates=folder / "certificates",
        )
        self.process = Process(pid=42, start=7, executable=SSH)
        self.asked_uid: int | None = None  # of the process that `policy explain` is about
        self.door = ControlDoor(
            self.gate,
            lambda peer, connection: self.process,
            self._look_up,
            self._facts,
            self.agent,
            self.people,
            os.getuid(),
            lambda: [MODULE],
            self._reload,
        )
        self.reloaded = 0
        self.path = folder / "control"
        self.peer_uid: int | None = None
        self.serving = Serving(
            listen(str(self.path)),
            self._serve,
            accepts=lambda peer: True,
            limits=LIMITS,
            name="control",
        )
        self.serving.start()
        self._clients = ExitStack()

    def _serve(self, connection: Any) -> None:
        if self.peer_uid is not None:
            connection.peer = replace(connection.peer, uid=self.peer_uid, gid=self.peer_uid)
        self.door.serve(connection)

    def _reload(self) -> None:
        self.reloaded += 1

    def _look_up(self, pid: int) -> tuple[int, Process]:
        uid = os.getuid() if self.asked_uid is None else self.asked_uid
        return uid, replace(self.process, pid=pid)

    def _facts(self) -> Facts:
        trail = schema.Trail(
            directory="", origin="test", records=0, durability="written", reserve=0, available=True
        )
        return Facts("0", 1, 0, self.clock(), [], trail, {}, "full", True, True, {"askpass": ""})

    def stop(self) -> None:
        self._clients.close()
        self.serving.stop()
        self.store.close()
        self.shield.close()

    def client(self) -> Client:
        return self._clients.enter_context(connect(str(self.path), timeout=10))

    def raw(self) -> socket.socket:
        connected = self._clients.enter_context(socket.socket(socket.AF_UNIX))
        connected.settimeout(10)
        connected.connect(str(self.path))
        return connected

    def last(self, kind: type) -> Any:
        return self.trail.of(kind)[-1]

    def token(self, name: str = "main", passphrase: bytes | None = PASSPHRASE) -> None:
        secrets = [passphrase] if passphrase is not None else []
        self.client().call("tokens.new", {"name": name}, secrets=secrets)

    def key(self, name: str = "laptop", **more: Any) -> Mapping[str, Any]:
        return self.client().new(name, **more)

"""The process that holds the keys: what runs in it, how it begins, reloads and ends."""

import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from msgspec import Struct

from keyholm.core.actions import Destroy
from keyholm.core.caller import Caller, Door, Peer
from keyholm.core.errors import KeyholmError
from keyholm.core.gate import Gate
from keyholm.core.store import Store
from keyholm.daemon.configuration import Configuration
from keyholm.daemon.hardening import Hardening
from keyholm.daemon.steward.client import StewardClient
from keyholm.doors.serving import Serving
from keyholm.stores.memory.store import MemoryStore

DRAIN_SECONDS: Final = 1.5  # of the two that an end may take


class OpenDoor(Struct, frozen=True):
    path: str  # empty: the socket was handed to us
    serving: Serving


@dataclass(eq=False)
class Keeper:
    gate: Gate
    steward: StewardClient
    hardening: Hardening
    memory: MemoryStore
    stores: Sequence[Store]
    doors: Mapping[str, OpenDoor]
    close_trail: Callable[[], None]
    apply: Callable[[Configuration], None] = lambda configuration: None
    broken: KeyholmError | None = None  # why the TPM that was asked for is not there
    started: float = field(default_factory=time.time)
    _reloading: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        for door in self.doors.values():
            door.serving.start()

    def stop(self) -> None:
        """Let what was begun end, then forget every key. The record of each use is written."""
        end = time.monotonic() + DRAIN_SECONDS
        for door in self.doors.values():
            door.serving.stop(grace=max(0.05, end - time.monotonic()))
        for store in self.stores:
            store.close()
        self.close_trail()
        self.steward.close()

    def reload(self, configuration: Configuration) -> None:
        """Raises `KeyholmError`: then nothing has changed."""
        with self._reloading:  # a signal, and clients of the control door
            self.steward.reload()
            self.apply(configuration)

    def described(self) -> list[str]:
        return [
            f"{name} at {door.path or 'a socket of systemd'}" for name, door in self.doors.items()
        ]

    def drop_memory(self, sender: signal.struct_siginfo) -> None:
        """SIGUSR1: forget what ssh-add handed over, and nothing else."""
        peer = Peer(sender.si_uid, sender.si_uid, sender.si_pid)
        caller = Caller(Door.CONTROL, peer, self.steward.look_up(peer).answer)
        token = self.memory.token
        for key in tuple(token.keys()):
            try:
                self.gate.manage(caller, Destroy(key))
            except KeyholmError:
                # Forgetting is never refused: a trail that is full must not keep keys alive.
                token.clear()
                return

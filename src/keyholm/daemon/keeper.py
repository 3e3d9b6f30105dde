"""The process that holds the keys: what runs in it, how it begins, reloads and ends."""

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from keyholm.core.actions import Destroy
from keyholm.core.caller import Caller, Door, Peer
from keyholm.core.errors import KeyholmError
from keyholm.core.gate import Gate
from keyholm.core.store import Store
from keyholm.daemon.hardening import Hardening
from keyholm.daemon.steward.client import StewardClient
from keyholm.doors.serving import Serving
from keyholm.stores.memory.store import MemoryStore

DRAIN_SECONDS: Final = 1.5  # of the two that an end may take


@dataclass(eq=False)
class Keeper:
    gate: Gate
    steward: StewardClient
    hardening: Hardening
    memory: MemoryStore
    stores: Sequence[Store]
    doors: Sequence[Serving]
    close_trail: Callable[[], None]
    close_doors: Callable[[], None] = lambda: None
    started: float = field(default_factory=time.time)

    def start(self) -> None:
        for door in self.doors:
            door.start()

    def stop(self) -> None:
        """Let what was begun end, then forget every key. The record of each use is written."""
        end = time.monotonic() + DRAIN_SECONDS
        for door in self.doors:
            door.stop(grace=max(0.0, end - time.monotonic()))
        for store in self.stores:
            store.close()
        self.close_trail()
        self.steward.close()

    def drop_memory(self, sender: signal.struct_siginfo) -> None:
        """SIGUSR1: forget what ssh-add handed over, and nothing else."""
        peer = Peer(sender.si_uid, sender.si_uid, sender.si_pid)
        caller = Caller(Door.CONTROL, peer, self.steward.look_up(peer))
        token = self.memory.token
        for key in tuple(token.keys()):
            try:
                self.gate.manage(caller, Destroy(key))
            except KeyholmError:
                # Forgetting is never refused: a trail that is full must not keep keys alive.
                token.clear()
                return

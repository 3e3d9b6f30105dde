"""Who asks, as the thread that serves them knows: looked up ahead of time, and remembered."""

import os
import threading
from socket import socket
from typing import Final

from msgspec import Struct

from keyholm.core.caller import Peer, Process
from keyholm.core.prompt import Kind, Question
from keyholm.daemon.steward import pidfd
from keyholm.daemon.steward.client import StewardClient
from keyholm.daemon.steward.look_up import Gone, LookUp

# Clients that have listed the keys and may never sign: so many are looked up for nothing.
MOST_AHEAD: Final = 64
GONE: Final = -1  # instead of a handle on a process that had ended by then


class Asker(threading.local):
    """Whose request this thread is working on: a prompt of a store goes to their screen.

    A store is not told who asks, and need not be; a door serves one client a thread.
    """

    peer: Peer | None = None
    begun: Peer | None = None  # who was looked up last, or is being
    ahead: tuple[Peer, LookUp | Gone] | None = None
    handle: tuple[Peer, int | None] | None = None

    def question(
        self, kind: Kind, text: str, prompt: str = "", attempts_left: int | None = None
    ) -> Question:
        """For whoever asks; for nobody's screen in particular, where that is not known."""
        peer = self.peer
        return Question(
            kind,
            "keyholm",
            text,
            prompt,
            attempts_left=attempts_left,
            pid=peer.pid if peer else 0,
            uid=peer.uid if peer else 0,
        )


class LooksUp(Struct, frozen=True):
    """What the doors are given to find out who is at a connection.

    `late`: the kernel has a handle on a connection's peer for as long as it is open; else
    one is opened by number when the connection is accepted.
    """

    steward: StewardClient
    asker: Asker
    late: bool

    def accepted(self, peer: Peer) -> None:
        """Called before anything else for this peer, as soon as its connection is there."""
        self._drop_handle()
        self.asker.peer, self.asker.ahead = peer, None
        if not self.late:
            try:
                self.asker.handle = (peer, pidfd.early(peer.pid))
            except pidfd.Ended:
                self.asker.handle = (peer, GONE)

    def identify(self, peer: Peer, connection: socket) -> Process:
        asker = self.asker
        asker.begun = peer
        ahead, asker.ahead = asker.ahead, None
        if ahead is not None and ahead[0] is peer:
            return ahead[1].answer()
        return self._look_up(peer, connection).answer()

    def foresee(self, peer: Peer, connection: socket) -> None:
        """Ask now, so that the answer is there when somebody wants it."""
        asker = self.asker
        if asker.begun is not peer and self.steward.waiting < MOST_AHEAD:
            asker.begun = peer
            asker.ahead = (peer, self._look_up(peer, connection))

    def _look_up(self, peer: Peer, connection: socket) -> LookUp | Gone:
        held, self.asker.handle = self.asker.handle, None
        handle = held[1] if held is not None and held[0] is peer else None
        if handle == GONE:
            return Gone()
        return self.steward.look_up(peer, connection, handle)

    def _drop_handle(self) -> None:
        held, self.asker.handle = self.asker.handle, None
        handle = held[1] if held is not None else None
        if handle is not None and handle != GONE:
            os.close(handle)

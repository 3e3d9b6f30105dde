"""Who asks, as the thread that serves them knows: looked up ahead of time, and remembered."""

import threading
from dataclasses import dataclass
from socket import socket

from keyholm.core.caller import Peer, Process
from keyholm.daemon.steward.client import LookUp, StewardClient


class Asker(threading.local):
    """Whose request this thread is working on: a prompt of a store goes to their screen.

    A store is not told who asks, and need not be; a door serves one client a thread.
    """

    peer: Peer | None = None
    ahead: tuple[Peer, LookUp] | None = None


@dataclass(frozen=True, slots=True)
class LooksUp:
    """What the doors are given to find out who is at a connection."""

    steward: StewardClient
    asker: Asker

    def identify(self, peer: Peer, connection: socket) -> Process:
        asker = self.asker
        asker.peer = peer
        ahead, asker.ahead = asker.ahead, None
        if ahead is not None and ahead[0] is peer:
            return ahead[1].answer()
        return self.steward.identify(peer, connection)

    def foresee(self, peer: Peer, connection: socket) -> None:
        """Ask now, so that the answer is there when somebody wants it."""
        asker = self.asker
        if asker.peer is not peer:
            asker.peer = peer
            asker.ahead = (peer, self.steward.look_up(peer, connection))

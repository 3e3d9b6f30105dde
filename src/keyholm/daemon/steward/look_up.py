"""One caller that is being looked up, and whether it is still the one that connected."""

import os
import socket
from typing import Protocol

from keyholm.core.caller import UNKNOWN_PROCESS, Peer, Process
from keyholm.core.errors import DaemonFailed
from keyholm.daemon.steward import pidfd
from keyholm.daemon.steward.messages import Identified, Identify, Message


class Asked(Protocol):
    """What it needs of `StewardClient`."""

    def begin(self, request: Message) -> socket.socket: ...
    def finish(self, channel: socket.socket) -> Message: ...
    def forget(self, channel: socket.socket) -> None: ...


class LookUp:
    """`handle`, a pidfd of the process that connected, is closed by this."""

    def __init__(self, steward: Asked, peer: Peer, handle: int | None) -> None:
        self._steward, self._handle = steward, handle
        self._channel: socket.socket | None = None
        try:
            self._channel = steward.begin(Identify(peer.pid))
        except DaemonFailed:
            self._close()

    def answer(self) -> Process:
        """Once. A process that ended meanwhile, or that the steward started, is unknown."""
        channel, self._channel = self._channel, None
        if channel is None:
            return UNKNOWN_PROCESS
        try:
            found = self._steward.finish(channel)
            # The number may have gone to another process before it was looked up.
            if self._handle is not None and pidfd.has_ended(self._handle):
                return UNKNOWN_PROCESS
        except DaemonFailed:
            return UNKNOWN_PROCESS
        finally:
            self._close()
        return (
            found.process if isinstance(found, Identified) and not found.ours else UNKNOWN_PROCESS
        )

    def _close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def __del__(self) -> None:
        self._close()
        if self._channel is not None:
            self._steward.forget(self._channel)


class Gone:
    """Of a process that has ended."""

    def answer(self) -> Process:
        return UNKNOWN_PROCESS

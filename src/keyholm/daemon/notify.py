"""Tells systemd how the daemon is doing (sd_notify(3)), if it wants to know."""

import socket
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Final

VARIABLE: Final = "NOTIFY_SOCKET"


class Notify:
    """Connected before the sandbox closes, which makes no new connection."""

    def __init__(self, environment: MutableMapping[str, str]) -> None:
        self._socket: socket.socket | None = None
        address = environment.pop(VARIABLE, "")
        if address.startswith(("/", "@")):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                # An @ stands for the NUL of an abstract address.
                self._socket.connect(address.replace("@", "\0", 1))
            except OSError:
                self.close()

    def ready(self) -> None:
        self._say(b"READY=1")

    def reloading(self, now_usec: int) -> None:
        self._say(b"RELOADING=1\nMONOTONIC_USEC=%d" % now_usec)

    def stopping(self) -> None:
        self._say(b"STOPPING=1")

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _say(self, message: bytes) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.send(message)

"""Ways to a TPM: a device of the kernel, or swtpm's data channel. Whole frames, both ways.

/dev/tpmrm0           shared by the kernel among all programs
/dev/tpm0             ours alone
swtpm:/run/tpm.sock   a TPM in software, by its unix socket
swtpm:127.0.0.1:2321  the same by TCP
"""

import os
import select
import socket
from collections.abc import Callable
from typing import Final, Protocol

from keyholm.core.errors import BadConfiguration, KeyholmError
from keyholm.stores.tpm import errors
from keyholm.wire.tpm2.commands import HEAD_SIZE, MOST_FRAME, frame_size

SECONDS: Final = 300.0  # an RSA key of 4096 bits takes minutes
SWTPM: Final = "swtpm:"


class Link(Protocol):
    def exchange(self, frame: bytes) -> bytes:
        """The whole answer. Raises `OSError` and `Malformed`; the link is of no use then."""
        ...

    def close(self) -> None: ...


class DeviceLink:
    """The kernel takes a command in one write and gives its answer in one read."""

    def __init__(self, path: str, seconds: float = SECONDS) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._seconds = seconds

    def exchange(self, frame: bytes) -> bytes:
        if os.write(self._file, frame) != len(frame):
            raise OSError("it took only a part of a command")
        waiting = select.poll()
        waiting.register(self._file, select.POLLIN)
        if not waiting.poll(self._seconds * 1000):
            raise TimeoutError(f"nothing came for {self._seconds:.0f} seconds")
        return os.read(self._file, MOST_FRAME)

    def close(self) -> None:
        os.close(self._file)


class SocketLink:
    def __init__(self, connected: socket.socket, seconds: float = SECONDS) -> None:
        self._socket = connected
        self._socket.settimeout(seconds)

    def exchange(self, frame: bytes) -> bytes:
        self._socket.sendall(frame)
        head = self._take(HEAD_SIZE)
        return head + self._take(frame_size(head) - HEAD_SIZE)

    def _take(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            part = self._socket.recv(size - len(found))
            if not part:
                raise ConnectionError("it closed the connection")
            found += part
        return found

    def close(self) -> None:
        self._socket.close()


def connect(where: str, open_device: Callable[[str], Link] = DeviceLink) -> Link:
    """Raises `TokenNotPresent`, `BadConfiguration`, `StoreFailed`."""
    try:
        if where.startswith("/"):
            return open_device(where)
        return SocketLink(_connected(where))
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise errors.not_there(where) from error
    except PermissionError as error:
        raise errors.not_permitted(where) from error
    except OSError as error:
        raise errors.lost(where, error.strerror or error) from error


def _connected(where: str) -> socket.socket:
    place = where.removeprefix(SWTPM)
    host, _, port = place.rpartition(":")
    if place.startswith("/"):
        connected = socket.socket(socket.AF_UNIX)
        try:
            connected.connect(place)
        except OSError:
            connected.close()
            raise
        return connected
    if not where.startswith(SWTPM) or not host or not port.isdecimal() or int(port) > 0xFFFF:
        raise _no_place(where)
    connected = socket.create_connection((host, int(port)), timeout=10)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connected


def _no_place(where: str) -> KeyholmError:
    return BadConfiguration(
        f"{where!r} is no way to a TPM.",
        remedy="Say /dev/tpmrm0, swtpm:/path/of/a/socket or swtpm:HOST:PORT.",
    )


def is_shared(where: str) -> bool:
    """Whether somebody else starts the TPM and shuts it down in order."""
    return where.startswith("/dev/tpmrm")

"""Clients of a real agent that speak its protocol themselves, and what they cost its processes."""

import os
import selectors
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.interop.conftest import Home

from keyholm.wire.ssh import agent as wire
from keyholm.wire.ssh import keys

FAILURE: Final = 5
SUCCESS: Final = 6
IDENTITIES: Final = 12
SIGNATURE: Final = 14
MOST: Final = 1 << 16  # more than any answer here is long


def connect(home: Home) -> socket.socket:
    connected = socket.socket(socket.AF_UNIX)
    connected.connect(home.environment["SSH_AUTH_SOCK"])  # waits where the queue is full
    connected.settimeout(20)
    return connected


def framed(frame: bytes) -> bytes:
    return struct.pack(">I", len(frame)) + frame


def ask(connected: socket.socket, frame: bytes) -> bytes:
    connected.sendall(framed(frame))
    size = int.from_bytes(connected.recv(4, socket.MSG_WAITALL))
    return connected.recv(size, socket.MSG_WAITALL)


def with_key(home: Home, kind: str = "ed25519") -> Home:
    key = home.new_key(kind, "-t", kind)
    home.run("ssh-add", "-q", str(key))
    return home


def sign_request(home: Home, data: bytes = b"data") -> bytes:
    (request,) = sign_requests(home, data)
    return request


def sign_requests(home: Home, data: bytes = b"data") -> list[bytes]:
    """One for each key that the agent has."""
    blobs = [keys.parse_line(line)[0] for line in home.run("ssh-add", "-L").splitlines()]
    return [wire.encode(wire.SignRequest(blob, data, wire.SignFlag(0))) for blob in blobs]


def crowd(
    connections: Sequence[socket.socket], requests: Sequence[bytes], *, busy: int, total: int
) -> list[float]:
    """So many signatures in all, `busy` of the connections asking at any time, all in their turn.

    Gives the seconds that each answer took, sorted.
    """
    frames = [framed(requests[number % len(requests)]) for number in range(len(connections))]
    resting = deque(range(len(connections)))
    asked: dict[int, float] = {}
    took: list[float] = []
    with selectors.EpollSelector() as ready:
        for number, connected in enumerate(connections):
            ready.register(connected, selectors.EVENT_READ, number)
        while len(took) < total:
            while len(asked) < min(busy, total - len(took)):
                number = resting.popleft()
                asked[number] = time.perf_counter()
                connections[number].sendall(frames[number])
            for key, _ in ready.select(20) or _nobody():
                answer = connections[key.data].recv(MOST)
                assert answer[4:5] == bytes([SIGNATURE]), answer[:5]
                took.append(time.perf_counter() - asked.pop(key.data))
                resting.append(key.data)
    return sorted(took)


def _nobody() -> list[tuple[selectors.SelectorKey, int]]:
    raise AssertionError("no answer for twenty seconds")


@dataclass(frozen=True, slots=True)
class Held:
    """What a daemon's process has. Descriptors only root can count, since the keeper is closed
    to other programs of its user; the room for them grows with their number and never shrinks."""

    threads: int
    descriptors: int
    descriptor_room: int
    locked_kib: int
    children: int

    def is_within(self, other: "Held", more: "Held") -> bool:
        return all(
            getattr(self, name) <= getattr(other, name) + getattr(more, name)
            for name in self.__slots__
        )


# What a daemon at rest may have beyond what it had: threads that wait for the next client, with
# their buffers. Ten thousand of anything are far beyond it.
AT_REST: Final = Held(threads=4, descriptors=4, descriptor_room=256, locked_kib=256, children=0)


def held(pid: int) -> Held:
    text = Path(f"/proc/{pid}/status").read_text()
    status = dict(line.split(":", 1) for line in text.splitlines())
    descriptors = len(os.listdir(f"/proc/{pid}/fd")) if os.geteuid() == 0 else 0
    return Held(
        int(status["Threads"]),
        descriptors,
        int(status["FDSize"]),
        int(status["VmLck"].split()[0]),
        len(children(pid)),
    )


def children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return found


def keeper(home: Home) -> int:
    """Who answers at the socket."""
    with connect(home) as connected:
        raw = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return int(struct.unpack("3i", raw)[0])


def wait_for(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)

"""Load for an agent: one request in flight on each connection, every answer checked.

A client in Python costs 5 to 10 microseconds a request, the same for every agent. With many
connections it is spread over processes of its own, one a core, so that it is not what limits;
on a machine with two cores it still takes part of what the agent could have used.
"""

import multiprocessing
import selectors
import socket
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

IDENTITIES, SIGNATURE, SUCCESS = 12, 14, 6
WARM_UP = 0.05  # seconds


@dataclass(frozen=True, slots=True)
class Latencies:
    """Of each measured request, in nanoseconds, sorted; and how many were asked in all."""

    values: list[int]
    asked: int

    def percentile(self, part: float) -> float:
        """In microseconds."""
        return self.values[round(part * (len(self.values) - 1))] / 1000


class WrongAnswer(Exception):
    pass


class Connected:
    """A blocking connection with a buffer that is large enough for any answer."""

    def __init__(self, path: Path, capacity: int = 1 << 22) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        # Blocking: connect waits while the agent's queue is full, and recv needs no poll before.
        self.socket.connect(str(path))
        self.buffer = bytearray(capacity)

    def close(self) -> None:
        self.socket.close()

    def ask(self, request: bytes, expected: int) -> memoryview:
        connected, buffer = self.socket, self.buffer
        connected.sendall(request)
        got = connected.recv_into(buffer)
        while got < 5 or got < 4 + int.from_bytes(buffer[:4]):
            more = connected.recv_into(memoryview(buffer)[got:])
            if not more:
                raise WrongAnswer(f"closed after {got} bytes")
            got += more
        if buffer[4] != expected:
            raise WrongAnswer(f"answer of type {buffer[4]} instead of {expected}")
        return memoryview(buffer)[4:got]


def repeat(path: Path, request: bytes, expected: int, seconds: float, least: int = 5) -> Latencies:
    """The same request on one connection for so long, but so many times at least."""
    connection = Connected(path)
    clock = time.perf_counter_ns
    asked = 0
    end = clock() + int(WARM_UP * 1e9)
    while clock() < end:
        connection.ask(request, expected)
        asked += 1
    values: list[int] = []
    end = clock() + int(seconds * 1e9)
    after = 0
    while after < end or len(values) < least:
        before = clock()
        connection.ask(request, expected)
        after = clock()
        values.append(after - before)
    connection.close()
    return Latencies(sorted(values), asked + len(values))


def log_in(path: Path, list_request: bytes, sign_request: bytes, times: int) -> Latencies:
    """What one ssh login does: connect, list, sign, close."""
    values = []
    for _ in range(times):
        before = time.perf_counter_ns()
        connection = Connected(path, capacity=1 << 16)
        connection.ask(list_request, IDENTITIES)
        connection.ask(sign_request, SIGNATURE)
        connection.close()
        values.append(time.perf_counter_ns() - before)
    return Latencies(sorted(values), times)


@dataclass(frozen=True, slots=True)
class Throughput:
    per_second: float
    latencies: Latencies


def crowd(
    path: Path, request: bytes, connections: int, seconds: float, processes: int
) -> Throughput:
    """Requests a second that so many busy connections get in all."""
    context = multiprocessing.get_context("fork")
    shares = [connections // processes + (n < connections % processes) for n in range(processes)]
    pipes, children = [], []
    for share in shares:
        ours, theirs = context.Pipe()
        child = context.Process(target=_crowd_part, args=(theirs, path, request, share, seconds))
        child.start()
        theirs.close()
        pipes.append(ours)
        children.append(child)
    for pipe in pipes:  # all are connected before any begins
        pipe.recv()
    for pipe in pipes:
        pipe.send("go")
    parts: list[_Part] = [pipe.recv() for pipe in pipes]
    for child in children:
        child.join()
    values = sorted(value for part in parts for value in part.values)
    latencies = Latencies(values, sum(part.asked for part in parts))
    return Throughput(sum(len(part.values) / part.took for part in parts), latencies)


@dataclass(frozen=True, slots=True)
class _Part:
    took: float
    values: list[int]
    asked: int


def _crowd_part(
    pipe: Connection, path: Path, request: bytes, connections: int, seconds: float
) -> None:
    chosen = selectors.EpollSelector()
    sockets = [Connected(path, capacity=1).socket for _ in range(connections)]
    sent_at = {}
    for connected in sockets:
        chosen.register(connected, selectors.EVENT_READ, data=connected)
    pipe.send("ready")
    pipe.recv()
    clock = time.perf_counter_ns
    begin = clock()
    for connected in sockets:
        sent_at[connected] = clock()
        connected.sendall(request)
    measured_from = begin + int(WARM_UP * 1e9)
    end = measured_from + int(seconds * 1e9)
    values: list[int] = []
    asked = connections
    now = begin
    while now < end:
        for key, _ in chosen.select(5) or _nothing():
            connected = key.data
            answer = connected.recv(8192)  # a signature is one small write
            if len(answer) < 5 or answer[4] != SIGNATURE:
                raise WrongAnswer(f"no signature but {answer[:5]!r}")
            now = clock()
            if now >= measured_from:
                values.append(now - sent_at[connected])
            sent_at[connected] = now
            connected.sendall(request)
            asked += 1
    for connected in sockets:
        connected.close()
    pipe.send(_Part((now - measured_from) / 1e9, values, asked))


def _nothing() -> list[tuple[selectors.SelectorKey, int]]:
    raise WrongAnswer("no answer for five seconds")

"""Clients that are slow in three ways: `slow_clients.py SOCKET REQUEST COUNT`.

A third leaves a request half sent, a third sends a byte of one every second, a third asks and
never reads. Prints `ready` when all are in place, and, once its input ends, how many the agent
still served then.
"""

import contextlib
import select
import socket
import sys
from typing import Final

SECOND: Final = 1.0
PATIENCE: Final = 0.3  # that long a client takes nothing more before it counts as stuck


def connected(path: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.connect(path)
    return made


def stuff(clients: list[socket.socket], request: bytes) -> None:
    """Ask until there is no more room on the way there and back."""
    left = {client.fileno(): client for client in clients}
    waiting = select.poll()
    for client in clients:
        client.setblocking(False)
        waiting.register(client, select.POLLOUT)
    while left and (ready := waiting.poll(PATIENCE * 1000)):
        for number, _ in ready:
            with contextlib.suppress(BlockingIOError):
                left[number].sendall(request * 10)


def is_served(client: socket.socket) -> bool:
    hung_up = select.poll()
    hung_up.register(client, select.POLLHUP)
    return not hung_up.poll(0)


def main(path: str, request: bytes, count: int) -> None:
    clients = [connected(path) for _ in range(count)]
    never, bit_by_bit, half = clients[::3], clients[1::3], clients[2::3]
    stuff(never, request)
    for client in half:
        client.sendall(request[: len(request) // 2])
    at = 0
    print("ready", flush=True)
    while True:
        for client in bit_by_bit:
            with contextlib.suppress(BrokenPipeError):
                client.sendall(request[at : at + 1])
        at = (at + 1) % len(request)
        if select.select([sys.stdin], [], [], SECOND)[0]:
            break
    print(sum(map(is_served, clients)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], bytes.fromhex(sys.argv[2]), int(sys.argv[3]))

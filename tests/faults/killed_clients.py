"""Starts clients and kills them: `killed_clients.py SOCKET COUNT SEED REQUEST...`.

Each is a process that does one of four things until SIGKILL comes, at a moment that nobody
chose: it asks and reads, it asks and never reads, it stops within a request, or it connects,
asks and closes again and again. Some live at any time. Prints how many were killed.
"""

import os
import random
import signal
import socket
import sys
import time
from typing import Final, NoReturn

ALIVE: Final = 6
LONGEST: Final = 0.004  # seconds from one death to the next
CAPACITY: Final = 1 << 16


def connected(path: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.connect(path)
    return made


def reads(path: str, requests: list[bytes], dice: random.Random) -> None:
    client = connected(path)
    while True:
        client.sendall(dice.choice(requests))
        client.recv(CAPACITY)


def never_reads(path: str, requests: list[bytes], dice: random.Random) -> None:
    client = connected(path)
    while True:
        client.sendall(dice.choice(requests))


def stops_within(path: str, requests: list[bytes], dice: random.Random) -> None:
    client = connected(path)
    request = dice.choice(requests)
    client.sendall(request[: dice.randrange(len(request))])
    signal.pause()


def logs_in(path: str, requests: list[bytes], dice: random.Random) -> None:
    while True:
        with connected(path) as client:
            client.sendall(dice.choice(requests))
            client.recv(CAPACITY)


WAYS: Final = (reads, never_reads, stops_within, logs_in)


def live(path: str, requests: list[bytes], dice: random.Random) -> NoReturn:
    try:
        dice.choice(WAYS)(path, requests, dice)
    finally:
        os._exit(1)  # the agent ended it, which is for the parent to tell


def main(path: str, count: int, seed: int, requests: list[bytes]) -> None:
    dice = random.Random(seed)
    alive: list[int] = []
    killed = 0
    for started in range(count + ALIVE):
        if started < count:
            child = random.Random(dice.getrandbits(64))
            pid = os.fork()
            if not pid:
                live(path, requests, child)
            alive.append(pid)
        if len(alive) > ALIVE or started >= count:
            time.sleep(dice.uniform(0, LONGEST))
            victim = alive.pop(dice.randrange(len(alive)))
            os.kill(victim, signal.SIGKILL)
            killed += os.waitstatus_to_exitcode(os.waitpid(victim, 0)[1]) == -signal.SIGKILL
    print(killed)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), list(map(bytes.fromhex, sys.argv[4:])))

"""A service for tests: what it is told to do is what a foreign library could do."""

import ctypes
import os
import socket
import sys
import time
from typing import NoReturn

from keyholm.worker import frames
from keyholm.worker.host import LoadFailed, run
from keyholm.worker.spec import Spec


class Echo:
    def load(self, spec: Spec) -> bytes:
        match spec.init_args:
            case "no such file":
                print("dlopen: no such file", file=sys.stderr, flush=True)
                raise LoadFailed("load", "no such file", 5)
            case "crash":
                ctypes.string_at(0)
            case "sleep":
                time.sleep(600)
            case _:
                pass
        return f"echo for {spec.name}".encode()

    def serve(self, channel: socket.socket) -> None:
        while True:
            frame = frames.receive(channel)
            if frame == b"nonsense":
                channel.sendall(b"\xff" * 20)
            frames.send(channel, answer(frame))

    def end(self) -> None:
        print("goodbye", file=sys.stderr, flush=True)
        time.sleep(600)


def answer(frame: bytes) -> bytes:
    word, _, rest = frame.partition(b" ")
    match word:
        case b"crash":
            print("about to crash", file=sys.stderr, flush=True)
            ctypes.string_at(0)
        case b"abort":
            os.abort()
        case b"exit":
            os._exit(int(rest))
        case b"sleep":
            time.sleep(float(rest))
        case b"big":
            return bytes(int(rest))
        case b"pid":
            return b"%d" % os.getpid()
        case _:
            pass
    return frame


def main() -> NoReturn:
    run(Echo())

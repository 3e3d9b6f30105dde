"""`keyholm p11 --stdio`: PKCS#11 calls from standard input to the daemon, answers back.

p11-kit starts it for a module file that says `remote: |keyholm p11 --stdio`, so its programs
need no code of ours. The daemon is told that the calls are passed on.
"""

import os
import select
import socket
from argparse import Namespace
from typing import TYPE_CHECKING, Final

from keyholm.core.errors import DaemonNotRunning
from keyholm.daemon import places

if TYPE_CHECKING:
    from keyholm.cli.parser import Subparsers

RELAYED: Final = b"\x81"
CHUNK: Final = 64 * 1024


def add_parser(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser(
        "p11",
        description="Pass PKCS#11 calls on to the daemon. For a p11-kit module file that says "
        "`remote: |keyholm p11 --stdio`.",
    )
    parser.add_argument(
        "--stdio", action="store_true", required=True, help="on standard input and output"
    )
    parser.set_defaults(run=run)


def run(arguments: Namespace) -> int:
    path = str(places.find(os.environ).socket("pkcs11"))
    with socket.socket(socket.AF_UNIX) as daemon:
        try:
            daemon.connect(path)
        except OSError as error:
            raise DaemonNotRunning(
                f"Nobody listens at {path} ({error.strerror}).", remedy="`keyholm serve`"
            ) from error
        daemon.sendall(RELAYED)
        relay(0, 1, daemon)
    return 0


def relay(source: int, sink: int, daemon: socket.socket) -> None:
    """Both ways, until either side has no more to say."""
    while True:
        ready, _, _ = select.select([source, daemon.fileno()], [], [])
        if source in ready:
            request = os.read(source, CHUNK)
            if not request:
                return
            daemon.sendall(request)
        if daemon.fileno() in ready:
            answer = daemon.recv(CHUNK)
            if not answer:
                return
            _write_all(sink, answer)


def _write_all(sink: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(sink, view) :]

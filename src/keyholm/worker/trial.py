"""A worker that loads nothing: started to see how well one can be closed in here."""

import socket
from typing import NoReturn

from keyholm.worker.host import run
from keyholm.worker.spec import Spec


class Trial:
    def load(self, spec: Spec) -> bytes:
        return b""

    def serve(self, channel: socket.socket) -> None:
        pass

    def end(self) -> None:
        pass


def main() -> NoReturn:
    run(Trial())

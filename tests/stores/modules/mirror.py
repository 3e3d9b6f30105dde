"""In a worker: a module that says of itself what its `init_args` say, and does nothing else."""

from socket import socket
from typing import NoReturn

from keyholm.stores.modules.info import ModuleInfo, encode_info
from keyholm.worker import host
from keyholm.worker.spec import Spec


class Mirror:
    def load(self, spec: Spec) -> bytes:
        manufacturer, _, description = spec.init_args.partition("/")
        return encode_info(ModuleInfo((2, 40), manufacturer, description, (0, 1), (2, 40), ()))

    def serve(self, channel: socket) -> None:
        channel.recv(1)

    def end(self) -> None:
        pass


def main() -> NoReturn:
    host.run(Mirror())

"""A TPM in software, alone: on a unix socket as the product takes it, or by TCP for tpm2-tools."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.rigs.tpm import _neighbours, _swtpm, running, until

from keyholm.stores.tpm.links import Link, connect

FLAGS = ("--flags", "not-need-init,startup-clear")


@contextlib.contextmanager
def on_socket(folder: Path) -> Iterator[str]:
    """The way to it, as the configuration says it."""
    (folder / "state").mkdir(parents=True, exist_ok=True)
    path = folder / "tpm.sock"
    path.unlink(missing_ok=True)
    command = [
        *("swtpm", "socket", "--tpm2", "--tpmstate", f"dir={folder}/state"),
        *("--server", f"type=unixio,path={path}"),
        *("--ctrl", f"type=unixio,path={folder}/control", *FLAGS),
    ]
    with running(folder, *command, environment={}):
        until(lambda: _takes_clients(path), folder)
        yield f"swtpm:{path}"


@contextlib.contextmanager
def on_tcp(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The same, and the environment of tpm2-tools; it serves one of both at a time."""
    (folder / "state").mkdir(parents=True, exist_ok=True)
    port = _neighbours()
    with running(folder, *_swtpm(folder, port), environment={}):
        until(lambda: _listens(port), folder)
        tcti = f"swtpm:host=127.0.0.1,port={port}"
        yield f"swtpm:127.0.0.1:{port}", {"TPM2TOOLS_TCTI": tcti, "TPM2OPENSSL_TCTI": tcti}


def _takes_clients(path: Path) -> bool:
    """The file is there before anybody listens."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as trying:
        trying.connect(str(path))
        return True
    return False


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


class Wire:
    """What stands between us and the TPM: it keeps a record, and may alter what passes."""

    def __init__(self, where: str) -> None:
        self._link = connect(where)
        self._lock = threading.Lock()
        self.record: list[tuple[bytes, bytes]] = []
        self.on_command: Callable[[bytes], bytes] = lambda frame: frame
        self.on_answer: Callable[[bytes, bytes], bytes] = lambda frame, answer: answer

    def connect(self, _: str) -> Link:
        return self

    def exchange(self, frame: bytes) -> bytes:
        with self._lock:
            answer = self._link.exchange(self.on_command(frame))
            self.record.append((frame, answer))
            return self.on_answer(frame, answer)

    def close(self) -> None:
        """It stays, as a bus does."""

    def end(self) -> None:
        self._link.close()

    @property
    def crossed(self) -> bytes:
        return b"".join(part for both in self.record for part in both)

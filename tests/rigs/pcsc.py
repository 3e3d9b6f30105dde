"""A pcscd of one test: its own socket, its own namespaces, and vpcd's virtual reader alone."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.programs import program
from tools.system_packages import BORROWED

from keyholm.testing.piv.card import Card
from keyholm.testing.piv.vpcd import LOOPBACK, SLOTS, Inserted

ROOM = Path(__file__).with_name("pcscd_room.py")
DRIVER = "usr/lib/pcsc/drivers/serial/libifdvpcd.so"
# ykcs11 and ykman look at readers with this name only.
READER_NAME = "Yubico YubiKey OTP+FIDO+CCID"
PORT = 0x8C7B  # in a network of its own, so always free
INSERTIONS = 64
SECONDS = 20.0


def driver() -> Path:
    found = [root / DRIVER for root in (BORROWED / "tree", Path("/")) if (root / DRIVER).exists()]
    if not found:
        pytest.skip("vsmartcard-vpcd is not installed")
    return found[0]


def namespaces() -> list[str]:
    """The words that give a program its own mounts, network and IPC; as root of them at least."""
    words = [program("unshare"), "--mount", "--net", "--ipc", "--propagation", "private"]
    if os.geteuid():
        words += ["--user", "--map-root-user"]
    if subprocess.run([*words, "true"], capture_output=True).returncode:
        pytest.skip("this kernel gives no namespaces")
    return words


class Pcscd:
    """While it runs, `environment` leads programs to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "pcscd"
        self.environment = {"PCSCLITE_CSOCK_NAME": str(self.socket)}
        self._sockets: list[socket.socket] = []
        self._inserted: list[Inserted] = []

    def insert(self, card: Card, slot: int = 0) -> Inserted:
        """Gives the card in its slot when the reader has taken it."""
        connection = self._sockets.pop()
        end = time.monotonic() + SECONDS
        while connection.connect_ex((LOOPBACK, PORT + slot)) and time.monotonic() < end:
            time.sleep(0.02)
        inserted = Inserted(card, connection)
        self._inserted.append(inserted)
        assert inserted.powered.wait(SECONDS), (self.folder / "pcscd.log").read_text()
        return inserted

    def pull(self) -> None:
        """The card that was inserted last."""
        self._inserted[-1].pull()

    @contextlib.contextmanager
    def running(self) -> Iterator["Pcscd"]:
        configuration = self.folder / "reader.conf"
        configuration.write_text(
            f'FRIENDLYNAME "{READER_NAME}"\nDEVICENAME /dev/null:{PORT:#X}\n'
            f"LIBPATH {driver()}\nCHANNELID {PORT:#X}\n"
        )
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.socket))
        listener.listen(SLOTS)
        ours, theirs = socket.socketpair()
        with listener, ours, theirs, (self.folder / "pcscd.log").open("w") as log:
            passed = (listener.fileno(), theirs.fileno())
            process = subprocess.Popen(
                [
                    *namespaces(),
                    *(sys.executable, "-I", str(ROOM), str(configuration)),
                    *map(str, (*passed, INSERTIONS)),
                ],
                env={"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
                pass_fds=passed,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
            theirs.close()
            listener.close()
            self._take(ours)
        try:
            yield self
        finally:
            for inserted in self._inserted:
                inserted.pull()
            process.terminate()
            process.wait(SECONDS)
            for left in self._sockets:
                left.close()
            self._inserted, self._sockets = [], []
            self.socket.unlink(missing_ok=True)

    def _take(self, ours: socket.socket) -> None:
        while len(self._sockets) < INSERTIONS:
            _, descriptors, _, _ = socket.recv_fds(ours, 1, 64)
            assert descriptors, (self.folder / "pcscd.log").read_text()
            self._sockets += [socket.socket(fileno=number) for number in descriptors]

"""openCryptoki with its slot daemon, in mounts and shared memory that nobody else has.

Who uses it must be in there too: `Room.words` go before a command. Root's alone: the places of
the daemon belong to root and the group pkcs11, and a user namespace has no such group.
"""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.programs import program
from tests.rigs.rig import RSA, Rig, library, make_keys, run
from tools.system_packages import LIBRARIES

MODULE = (f"{LIBRARIES}/pkcs11/libopencryptoki.so", f"{LIBRARIES}/opencryptoki/libopencryptoki.so")
ROOM = Path(__file__).with_name("slotd_room.py")
PIN, FIRST_SO_PIN = "123456", "87654321"  # the SO PIN of a new token is fixed
SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Room:
    rig: Rig
    words: tuple[str, ...]
    """Put before a command that is to run in there."""


@contextlib.contextmanager
def opencryptoki(folder: Path) -> Iterator[Room]:
    """Its token in software has an RSA key; it does no elliptic curves."""
    path = library(*MODULE)
    program("pkcsslotd")
    if os.geteuid():
        pytest.skip("openCryptoki's slot daemon wants root and its group pkcs11")
    folder.mkdir(parents=True)
    apart = ["unshare", "--mount", "--ipc", "--propagation", "private"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*apart, sys.executable, "-I", str(ROOM), str(folder)],
            env={"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        words = ("nsenter", "-t", str(process.pid), "--mount", "--ipc", "--")
        _wait_for(process, words, folder)
        yield Room(Rig("opencryptoki", path, PIN, _make_token(path, words)), words)
    finally:
        # It does not end on SIGTERM while it takes somebody, dead or alive, for its client; and
        # what it keeps is in the room alone.
        process.kill()
        process.wait(SECONDS)


def _wait_for(process: subprocess.Popen[bytes], words: tuple[str, ...], folder: Path) -> None:
    end = time.monotonic() + SECONDS
    listening = [*words, "test", "-S", "/run/pkcsslotd.socket"]
    while subprocess.run(listening, capture_output=True).returncode:
        assert process.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < end, (folder / "log").read_text()
        time.sleep(0.02)


def _make_token(path: str, words: tuple[str, ...]) -> dict[str, str]:
    tool = [*words, "pkcs11-tool", "--module", path]
    run(*tool, "--init-token", "--label", "ock", "--so-pin", FIRST_SO_PIN)
    officer = ["--login", "--login-type", "so", "--so-pin", FIRST_SO_PIN]
    run(*tool, *officer, "--init-pin", "--pin", PIN)
    keys = {RSA: "02"}
    make_keys(path, PIN, keys, before=words)
    return keys

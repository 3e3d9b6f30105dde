"""keyholm-agent and keyholm serve as processes, started as their users start them."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.interop.conftest import Home, home
from tests.programs import program

__all__ = ["home"]

AGENT = (sys.executable, "-m", "keyholm.daemon.agent")
SERVE = (sys.executable, "-m", "keyholm.cli.main", "serve")


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In place of pytest's own: with a path that is short enough for a socket."""
    made = Path(tempfile.mkdtemp(prefix="kh", dir="/tmp"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


def until(there: Callable[[], object], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    """Ended; whether init has looked already is another matter."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@dataclass
class Running:
    """A daemon that was started, with what it said so far."""

    home: Home
    process: "subprocess.Popen[str]"
    socket: str

    def ssh_add(self, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [program("ssh-add"), *words],
            cwd=self.home.folder,
            env={**self.home.environment, "SSH_AUTH_SOCK": self.socket, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def answers(self) -> bool:
        return self.ssh_add("-l").returncode in (0, 1)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(10)


def ended(process: "subprocess.Popen[str]", socket: str) -> None:
    """Also its steward, which removes the socket last of all."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
    until(lambda: not os.path.exists(socket))


@pytest.fixture
def agent(home: Home) -> Iterator[Callable[..., Running]]:
    """Starts keyholm-agent in the foreground and waits for its first answer."""
    with contextlib.ExitStack() as stack:

        def begin(*words: str, **environment: str) -> Running:
            home.environment.update(environment)
            path = str(home.folder / "s")
            process = stack.enter_context(
                subprocess.Popen(
                    [*AGENT, "-D", "-a", path, *words],
                    env=home.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(ended, process, path)
            running = Running(home, process, path)
            assert process.stdout
            assert process.stdout.readline().startswith("SSH_AUTH_SOCK=")
            assert running.answers()
            return running

        yield begin


@pytest.fixture
def serve(home: Home) -> Iterator[Callable[..., Running]]:
    """Starts keyholm serve on a home that was made, and waits until it is ready."""
    with contextlib.ExitStack() as stack:

        def begin(*words: str, ready: bool = True, **environment: str) -> Running:
            process = stack.enter_context(
                subprocess.Popen(
                    [*SERVE, *words],
                    env={**home.environment, **environment},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(ended, process, str(home.folder / "kh/run/ssh"))
            if ready:
                assert process.stdout
                assert process.stdout.readline().startswith("keyholm: ready"), (
                    process.stderr.read() if process.stderr else ""
                )
            return Running(home, process, str(home.folder / "kh/run/ssh"))

        yield begin


def steward_of(pid: int) -> int:
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


def as_nobody() -> dict[str, object]:
    """Arguments for `subprocess` that make another user of root."""
    if os.geteuid() != 0:
        pytest.skip("contract only: another uid can be had by root alone")
    return {"user": 65534, "group": 65534, "extra_groups": []}

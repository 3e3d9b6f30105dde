"""A program with the module while its daemon is killed, its threads share a session, or it forks."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.interop.conftest import READY_SECONDS, Home, answers

from native import build

PROGRAM = "tests.faults.module_program"
ROOT = Path(__file__).parents[2]
SIGNERS, SHARING = 8, 24
SECONDS = 100
soak = pytest.mark.soak


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return build.build(tmp_path_factory.mktemp("module") / build.file_here())
    except build.NoCompiler:
        pytest.skip("no C compiler, and no ziglang")


class Daemon:
    """keyholm serve, which can be killed as a whole and started again."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.path = home.folder / "kh/run/pkcs11"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "keyholm.cli.main", "serve"]
        with (self.home.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                env=self.home.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + READY_SECONDS
        while not answers(self.path):
            assert time.monotonic() < end, (self.home.folder / "log").read_text()
            time.sleep(0.02)

    def kill(self) -> None:
        """With its helpers: nothing of it gets to say good-bye."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@pytest.fixture
def daemon(home: Home) -> Iterator[Daemon]:
    home.keyholm("init", "--no-passphrase")
    running = Daemon(home)
    try:
        running.start()
        home.keyholm("new", "k", "--type", "ecdsa-p256")
        yield running
    finally:
        running.kill()


@contextmanager
def program(
    daemon: Daemon, built: Path, what: str, count: int = 0
) -> Iterator[subprocess.Popen[str]]:
    public = daemon.home.keyholm("export", "k")
    words = [sys.executable, "-m", PROGRAM, str(built), public, what, str(count)]
    with subprocess.Popen(
        words,
        cwd=ROOT,
        env=daemon.home.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def result_of(running: subprocess.Popen[str], seconds: float | None = SECONDS) -> Any:
    """What it said last. Who hangs is ended by the time limit, and fails."""
    said, _ = running.communicate(timeout=seconds)
    assert running.returncode == 0
    return json.loads(said.splitlines()[-1])


@pytest.mark.parametrize("kills", [3, pytest.param(100, marks=soak)])
def test_eight_threads_sign_on_whenever_the_daemon_is_killed(
    daemon: Daemon, built: Path, kills: int
) -> None:
    with program(daemon, built, "on") as running:
        wait_until_all_sign(running)
        for _ in range(kills):
            daemon.kill()
            daemon.start()
            since(running)
            wait_until_all_sign(running)
        result = result_of(running)
    assert result["good"] > SIGNERS * kills
    assert result["errors"], "nobody noticed that it was killed"


def since(running: subprocess.Popen[str]) -> list[int]:
    """How much each thread signed since it was asked last."""
    assert running.stdin is not None
    assert running.stdout is not None
    with suppress(BrokenPipeError):
        running.stdin.write("\n")
        running.stdin.flush()
    line = running.stdout.readline()
    assert line, "the program died"
    counts: list[int] = json.loads(line)["since"]
    return counts


def wait_until_all_sign(running: subprocess.Popen[str]) -> None:
    waiting, end = set(range(SIGNERS)), time.monotonic() + SECONDS
    while waiting:
        assert time.monotonic() < end, f"the threads {waiting} sign no more"
        waiting -= {number for number, count in enumerate(since(running)) if count}
        time.sleep(0.02)


@pytest.mark.parametrize("count", [100, pytest.param(10_000, marks=soak)])
def test_twenty_four_threads_sign_in_one_session(daemon: Daemon, built: Path, count: int) -> None:
    """The standard wants one at a time; what it wants of us is that each try is a good signature
    or one of two errors, and that the session is good afterwards."""
    with program(daemon, built, "threads", count) as running:
        result = result_of(running, None)
    assert result["good"] + sum(result["errors"].values()) == SHARING * count
    assert result["good"]


@pytest.mark.parametrize("count", [20, pytest.param(1_000, marks=soak)])
def test_every_child_of_a_program_that_signs_signs_for_itself(
    daemon: Daemon, built: Path, count: int
) -> None:
    with program(daemon, built, "forks", count) as running:
        result = result_of(running, None)
    assert result["children"] == count
    assert result["good"]

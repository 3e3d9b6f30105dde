"""Real daemons on throw-away homes, for real clients."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from tests.programs import program

READY_SECONDS = 20.0


def answers(path: Path) -> bool:
    """Whether somebody listens there; the file alone may not have its permissions yet."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def remove(folder: Path, seconds: float = 10.0) -> None:
    """A daemon that is ending may still write its last record."""
    end = time.monotonic() + seconds
    while True:
        try:
            return shutil.rmtree(folder)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


class Home:
    """A folder with a short path, since sockets lie in it, and the programs run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment: dict[str, str] = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin",
            "HOME": str(folder),
            "KEYHOLM_HOME": str(folder / "kh"),
            "LANG": "C.UTF-8",
            "GIT_CONFIG_NOSYSTEM": "1",
            "SSH_ASKPASS_REQUIRE": "never",
        }
        self.sshd_config = folder / "sshd_config"

    def run(self, *command: str, fails: bool = False, env: Mapping[str, str] | None = None) -> str:
        """Its output and errors; the test fails where the status is not what it should be."""
        done = subprocess.run(
            [program(command[0]), *command[1:]],
            cwd=self.folder,
            env={**self.environment, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode != 0) is fails, f"{command}: {done.returncode}\n{done.stdout}"
        return done.stdout

    def keyholm(self, *words: str, fails: bool = False) -> str:
        return self.run(sys.executable, "-m", "keyholm.cli.main", *words, fails=fails)

    def new_key(self, name: str, *words: str) -> Path:
        """A file key of ssh-keygen's."""
        path = self.folder / name
        self.run("ssh-keygen", "-q", "-N", "", "-C", name, "-f", str(path), *words)
        return path

    def sshd(self, *authorized: str) -> list[str]:
        """The command of an ssh that logs in to a private sshd of its own, over pipes."""
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd insists on it
        host_key = self.folder / "host_key"
        if not host_key.exists():
            self.new_key("host_key", "-t", "ed25519")
        (self.folder / "authorized_keys").write_text("".join(authorized))
        self.sshd_config.write_text(
            f"HostKey {host_key}\nAuthorizedKeysFile {self.folder}/authorized_keys\n"
            "StrictModes no\nPidFile none\nUsePAM no\nPermitRootLogin yes\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        )
        public = host_key.with_suffix(".pub").read_text().split()[:2]
        known = self.folder / "known_hosts"
        known.write_text(f"h1 {' '.join(public)}\n")
        options = {
            "UserKnownHostsFile": str(known),
            "GlobalKnownHostsFile": "none",
            "HostKeyAlias": "h1",
            "BatchMode": "yes",
            "ProxyCommand": f"{program('sshd')} -i -f {self.sshd_config}",
        }
        words = [f"-o{name}={value}" for name, value in options.items()]
        return ["ssh", "-F", "none", *words]

    @contextlib.contextmanager
    def started(self, command: Sequence[str], ready: Path) -> Iterator[subprocess.Popen[str]]:
        """A process that runs for as long as the block does, from when it listens at `ready`."""
        with (self.folder / "log").open("a") as log:
            process = subprocess.Popen(
                command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                text=True,
            )
        try:
            end = time.monotonic() + READY_SECONDS
            while not answers(ready) and process.poll() is None and time.monotonic() < end:
                time.sleep(0.02)
            assert answers(ready), (self.folder / "log").read_text()
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(10)


@pytest.fixture
def home() -> Iterator[Home]:
    folder = Path(tempfile.mkdtemp(prefix="kh", dir="/tmp"))
    try:
        yield Home(folder)
    finally:
        remove(folder)


@pytest.fixture
def agent(home: Home) -> Iterator[Home]:
    """keyholm-agent, empty."""
    path = home.folder / "agent"
    command = [sys.executable, "-m", "keyholm.daemon.agent", "-D", "-a", str(path)]
    home.environment["SSH_AUTH_SOCK"] = str(path)
    with home.started(command, path):
        yield home


@pytest.fixture
def daemon(home: Home) -> Iterator[Home]:
    """keyholm serve, with a token that has no passphrase."""
    home.keyholm("init", "--no-passphrase")
    path = home.folder / "kh/run/ssh"
    home.environment["SSH_AUTH_SOCK"] = str(path)
    with home.started([sys.executable, "-m", "keyholm.cli.main", "serve"], path):
        yield home

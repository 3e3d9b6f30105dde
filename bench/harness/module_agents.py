"""SSH agents whose keys are on a token of a module: OpenSSH's with its helper, and keyholm."""

import contextlib
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.torture import build

from bench.harness import load
from bench.harness.agents import environment, wait_for
from bench.harness.keys import LIST, LOGIN_DATA, framed
from bench.harness.modules import COMMAND, PIN, Module, serving, softhsm_settings
from keyholm.daemon.module_files import Login, ModuleSettings
from keyholm.wire.ssh import agent, keys
from keyholm.wire.ssh.agent import SignFlag

KINDS = ("P-256", "RSA-2048")
ON_DISK = "on-disk"


@dataclass(frozen=True, slots=True)
class Door:
    """An agent, and the request for a signature with a key of each kind."""

    name: str
    socket: Path
    requests: dict[str, bytes] = field(repr=False)

    @classmethod
    def at(cls, name: str, socket: Path) -> "Door":
        requests = {kind_of(blob): signing(blob) for blob, _ in offered(socket)}
        return cls(name, socket, requests)


@contextlib.contextmanager
def openssh(home: Path, behind: Module) -> Iterator[Door]:
    socket, errors, ask = home / "s", home / "stderr", home / "ask"
    ask.write_text(f"#!/bin/sh\necho {PIN}\n")
    ask.chmod(0o700)
    command = ["ssh-agent", "-D", "-a", str(socket)]
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            command, env=behind.environment, stdout=subprocess.DEVNULL, stderr=stderr
        )
    try:
        wait_for(socket, process, errors)
        asking = {"SSH_AUTH_SOCK": str(socket), "SSH_ASKPASS": str(ask)}
        _run(
            ["ssh-add", "-q", "-s", behind.path],
            behind.environment | asking | {"SSH_ASKPASS_REQUIRE": "force"},
        )
        yield Door.at("ssh-agent, SoftHSM2", socket)
    finally:
        process.terminate()
        process.wait(20)


@contextlib.contextmanager
def keyholm(home: Path, behind: Module) -> Iterator[Door]:
    with _opened(home, behind.token, softhsm_settings(behind, Login.DAEMON)) as run:
        yield Door.at("keyholm, SoftHSM2", run / "ssh")


@dataclass(frozen=True, slots=True)
class Beside:
    """A key on disk, alone or while another key signs that takes its time."""

    name: str
    socket: Path
    request: bytes = field(repr=False)
    slow: bytes | None = field(repr=False)

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        over = threading.Event()
        thread = threading.Thread(target=self._sign_slowly, args=(over,))
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _sign_slowly(self, over: threading.Event) -> None:
        if self.slow is None:
            return
        connection = load.Connected(self.socket, capacity=1 << 12)
        while not over.is_set():
            connection.ask(self.slow, load.SIGNATURE)
        connection.close()


@contextlib.contextmanager
def with_a_slow_key(
    home: Path, behind: Module, milliseconds: int
) -> Iterator[tuple[Beside, Beside]]:
    """The same key on disk: alone, and beside one of a module that makes each signature wait."""
    name, settings = softhsm_settings(behind, Login.DAEMON)
    orders = home / "orders"
    orders.mkdir()
    (orders / "order").write_text(f"C_Sign sleep 0 {milliseconds} -\n")
    slow = ModuleSettings(
        path=str(build.module(home)),
        env=settings.env | {"TORTURE_BEHIND": behind.path, "TORTURE_DIR": str(orders)},
        reads=settings.reads,
        writes=(*settings.writes, str(orders)),
    )
    with _opened(home, behind.token, (name, slow)) as run:
        requests = {comment: signing(blob) for blob, comment in offered(run / "ssh")}
        disk = requests.pop(ON_DISK)
        (other, *_) = requests.values()
        yield (
            Beside("alone", run / "ssh", disk, None),
            Beside(f"beside {milliseconds} ms", run / "ssh", disk, other),
        )


@contextlib.contextmanager
def _opened(home: Path, token: str, module: tuple[str, ModuleSettings]) -> Iterator[Path]:
    """keyholm with a key on disk, and the module's token unlocked; where its sockets are."""
    settings = environment(home) | {"KEYHOLM_HOME": str(home / "keyholm")}
    pin = home / "pin"
    pin.write_text(PIN)
    pin.chmod(0o600)
    with serving(home, settings, module) as run:
        _run([str(COMMAND), "new", ON_DISK, "--type", "ecdsa-p256"], settings)
        _run([str(COMMAND), "unlock", token, "--passphrase-file", str(pin)], settings)
        yield run


def _run(command: list[str], settings: dict[str, str]) -> None:
    done = subprocess.run(command, env=settings, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"`{' '.join(command)}` failed: {done.stderr.strip()}")


def offered(socket: Path) -> list[tuple[bytes, str]]:
    """The keys of an agent, with their comments."""
    connection = load.Connected(socket)
    answer = agent.decode(bytes(connection.ask(LIST, load.IDENTITIES)))
    connection.close()
    assert isinstance(answer, agent.IdentitiesAnswer)
    return [(each.key_blob, each.comment.decode()) for each in answer.identities]


def kind_of(blob: bytes) -> str:
    return "RSA-2048" if isinstance(keys.decode(blob), keys.Rsa) else "P-256"


def signing(blob: bytes) -> bytes:
    flags = SignFlag.RSA_SHA2_512 if kind_of(blob) == "RSA-2048" else SignFlag(0)
    return framed(agent.SignRequest(blob, LOGIN_DATA, flags))

"""The real programs: what ssh-add sends we read, what we send ssh-agent takes."""

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.programs import program
from tests.wire.ssh import samples

from keyholm.wire.ssh import agent, keys, signatures
from keyholm.wire.ssh.agent import (
    AddIdentity,
    AddIdentityConstrained,
    AddSmartcardKey,
    AddSmartcardKeyConstrained,
    Confirm,
    DestinationConstraint,
    Failure,
    Hop,
    HopKey,
    IdentitiesAnswer,
    Lifetime,
    Lock,
    Message,
    RemoveAll,
    RemoveIdentity,
    RestrictDestination,
    SignFlag,
    SignRequest,
    SignResponse,
    SkProvider,
    Success,
)
from keyholm.wire.ssh.private_keys import PrivateWithCertificate

pytestmark = pytest.mark.interop

FIDO = ("ed25519_sk", "ecdsa_sk")
SOFTWARE = tuple(name for name in samples.PLAIN if name not in FIDO)


class Recorder:
    """Says yes to whatever an agent's client sends, and keeps it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.frames: list[bytes] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection, connection.makefile("rwb") as stream:
                while size := int.from_bytes(stream.read(4)):
                    self.frames.append(stream.read(size))
                    stream.write(b"\0\0\0\1\6")
                    stream.flush()
            if self.frames and self.frames[-1] == b"stop":
                return

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(str(self.path))
            last.sendall(b"\0\0\0\4stop")
            last.recv(5)
        self._thread.join()
        self._listener.close()


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    recorder = Recorder(tmp_path / "a")
    yield recorder
    recorder.close()


def sent(recorder: Recorder, *arguments: str | Path, secret: str = "") -> list[Message]:
    """What ssh-add sends when it is called so; each read and written again to the same bytes."""
    environment = {
        "SSH_AUTH_SOCK": str(recorder.path),
        "PATH": "/usr/bin:/bin",
        "HOME": str(recorder.path.parent),
        "SSH_ASKPASS": str(recorder.path.parent / "askpass"),
        "SSH_ASKPASS_REQUIRE": "force",
    }
    askpass = Path(environment["SSH_ASKPASS"])
    askpass.write_text(f"#!/bin/sh\necho {secret}\n")
    askpass.chmod(0o700)
    subprocess.run(
        [program("ssh-add"), *arguments],
        env=environment,
        check=False,
        capture_output=True,
        timeout=30,
    )
    messages = [agent.decode(frame) for frame in recorder.frames]
    assert [agent.encode(message) for message in messages] == recorder.frames
    return messages


def key_file(folder: Path, name: str, *, certified: bool = False) -> Path:
    file = folder / name
    shutil.copy(samples.VECTORS / name, file)
    file.chmod(0o600)
    if certified:
        shutil.copy(samples.VECTORS / f"{name}-cert.pub", folder)
    return file


@pytest.mark.parametrize("name", SOFTWARE)
def test_ssh_add_sends_a_key(name: str, recorder: Recorder, tmp_path: Path) -> None:
    (message,) = sent(recorder, key_file(tmp_path, name))
    comment = keys.parse_line(samples.data(f"{name}.pub").decode())[1].encode()
    assert message == AddIdentity(samples.private(name), comment)


@pytest.mark.parametrize("name", FIDO)
def test_ssh_add_sends_a_fido_key(name: str, recorder: Recorder, tmp_path: Path) -> None:
    (message,) = sent(recorder, "-S", "/opt/provider.so", key_file(tmp_path, name))
    assert isinstance(message, AddIdentityConstrained)
    assert message.private == samples.private(name)
    assert message.constraints == (SkProvider("/opt/provider.so"),)


@pytest.mark.parametrize("name", samples.CERTIFIED)
def test_ssh_add_sends_a_certificate_after_its_key(
    name: str, recorder: Recorder, tmp_path: Path
) -> None:
    provider = ["-S", "internal"] if name in FIDO else []
    _, message = sent(recorder, *provider, key_file(tmp_path, name, certified=True))
    assert isinstance(message, AddIdentity | AddIdentityConstrained)
    assert message.private == PrivateWithCertificate(
        samples.blob(f"{name}-cert"), samples.private(name)
    )


def test_ssh_add_sends_constraints(recorder: Recorder, tmp_path: Path) -> None:
    (message,) = sent(recorder, "-t", "1h", "-c", key_file(tmp_path, "ed25519"))
    assert isinstance(message, AddIdentityConstrained)
    assert message.constraints == (Lifetime(3600), Confirm())


def test_ssh_add_sends_destinations(recorder: Recorder, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    lines = [
        f"one.example {keys.format_line(samples.blob('ecdsa256'))}",
        f"@cert-authority two.example {keys.format_line(samples.blob('ca'))}",
    ]
    known.write_text("\n".join([*lines, ""]))
    (message,) = sent(
        recorder, "-H", known, "-h", "one.example", "-h", "one.example>bob@two.example",
        key_file(tmp_path, "ed25519"),
    )  # fmt: skip
    assert isinstance(message, AddIdentityConstrained)
    one = Hop("", "one.example", (HopKey(samples.blob("ecdsa256"), is_ca=False),))
    two = Hop("bob", "two.example", (HopKey(samples.blob("ca"), is_ca=True),))
    assert message.constraints == (
        RestrictDestination(
            (DestinationConstraint(Hop("", ""), one), DestinationConstraint(one, two))
        ),
    )


def test_ssh_add_sends_everything_else(recorder: Recorder, tmp_path: Path) -> None:
    sent(recorder, "-d", key_file(tmp_path, "ed25519"))
    sent(recorder, "-D")
    sent(recorder, "-x", secret="password")
    sent(recorder, "-s", "/usr/lib/module.so", secret="1234")
    messages = sent(recorder, "-c", "-s", "/usr/lib/module.so", secret="1234")
    pin = samples.view(b"1234")
    assert RemoveIdentity(samples.blob("ed25519")) in messages
    assert RemoveAll() in messages
    assert Lock(samples.view(b"password")) in messages
    assert AddSmartcardKey("/usr/lib/module.so", pin) in messages
    assert AddSmartcardKeyConstrained("/usr/lib/module.so", pin, (Confirm(),)) in messages


@pytest.fixture
def openssh_agent(tmp_path: Path) -> Iterator[socket.socket]:
    path = tmp_path / "a"
    process = subprocess.Popen(
        [program("ssh-agent"), "-D", "-a", path],
        stdout=subprocess.PIPE,
        env={**os.environ, "SHELL": "sh"},
    )
    assert process.stdout
    with process.stdout, socket.socket(socket.AF_UNIX) as connection:
        process.stdout.readline()
        connection.connect(str(path))
        yield connection
    process.terminate()
    process.wait()


def ask(connection: socket.socket, message: Message) -> Message:
    frame = agent.encode(message)
    connection.sendall(len(frame).to_bytes(4) + frame)
    with connection.makefile("rb") as stream:
        return agent.decode(stream.read(int.from_bytes(stream.read(4))))


PLAIN_AND_CERTIFIED = [(name, False) for name in SOFTWARE] + [
    (name, True) for name in samples.CERTIFIED if name not in FIDO
]


@pytest.mark.parametrize(("name", "certified"), PLAIN_AND_CERTIFIED)
def test_openssh_agent_takes_our_key_and_signs(
    name: str, certified: bool, openssh_agent: socket.socket
) -> None:
    blob = samples.blob(f"{name}-cert" if certified else name)
    private = samples.private(name)
    added = PrivateWithCertificate(blob, private) if certified else private
    assert ask(openssh_agent, AddIdentity(added, b"ours")) == Success()

    listed = ask(openssh_agent, agent.RequestIdentities())
    assert listed == IdentitiesAnswer((agent.Identity(blob, b"ours"),))

    answer = ask(openssh_agent, SignRequest(blob, b"data", SignFlag.RSA_SHA2_512))
    assert isinstance(answer, SignResponse)
    signatures.verify(private.public, answer.signature, b"data")


def test_openssh_agent_understands_our_constraints(openssh_agent: socket.socket) -> None:
    private = samples.private("ed25519")
    host = Hop("", "host", (HopKey(samples.blob("ecdsa256"), is_ca=False),))
    restriction = RestrictDestination((DestinationConstraint(Hop("", ""), host),))
    added = AddIdentityConstrained(private, b"", (Lifetime(60), restriction))
    assert ask(openssh_agent, added) == Success()
    request = SignRequest(samples.blob("ed25519"), b"data", SignFlag(0))
    # It does keep to them: this connection is bound to no host.
    assert ask(openssh_agent, request) == Failure()

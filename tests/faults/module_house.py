"""A daemon with modules that are tortured, and with a key of its own that goes on signing."""

import contextlib
import json
import os
import resource
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from tests.faults.clients import SIGNATURE, ask, children, connect, framed, keeper
from tests.interop.conftest import Home
from tests.torture.rig import PIN, Torture

from keyholm.daemon import module_files
from keyholm.daemon.module_files import ModuleSettings
from keyholm.wire.codec import Reader
from keyholm.wire.ssh import agent as wire
from keyholm.wire.ssh import keys

ROOT: Final = Path(__file__).resolve().parents[2]
CALL_SECONDS: Final = 2.0
MEMORY_MIB: Final = 512
DESCRIPTORS: Final = 128
OTHER: Final = "other"  # the key of the disk store


class House:
    """`modules`: a torture for each, whose tokens have one key each."""

    def __init__(self, home: Home, modules: Mapping[str, Torture]) -> None:
        self.home, self.modules = home, modules
        self.pin = home.folder / "pin"
        self.pin.write_text(PIN)
        self.pin.chmod(0o600)

    # --- before and after --------------------------------------------------------------

    def configure(self, **settings: Any) -> None:
        folder = self.home.folder / "kh/modules"
        for name, torture in self.modules.items():
            tokens = torture.tokens
            module_files.write(
                folder,
                name,
                ModuleSettings(
                    path=str(torture.module),
                    env=torture.environment,
                    reads=(str(tokens.configuration),),
                    writes=(str(tokens.folder / "tokens"), str(torture.folder)),
                    **{
                        "call_seconds": CALL_SECONDS,
                        "memory_mib": MEMORY_MIB,
                        "descriptors": DESCRIPTORS,
                        **settings,
                    },
                ),
            )

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        path = self.home.folder / "kh/run/ssh"
        self.home.environment["SSH_AUTH_SOCK"] = str(path)
        command = [sys.executable, "-m", "keyholm.cli.main", "serve"]
        with self.home.started(command, path):
            yield

    def open(self) -> None:
        self.home.keyholm("new", OTHER, "--type", "ed25519")
        self.unlock()

    def unlock(self) -> None:
        for token in self.tokens():
            self.home.keyholm("unlock", token, "--passphrase-file", str(self.pin))

    def tokens(self) -> list[str]:
        """Of the modules, by name."""
        listed = json.loads(self.home.keyholm("token", "list", "--json"))["tokens"]
        return sorted(each["name"] for each in listed if each["store"] == "modules")

    # --- keys --------------------------------------------------------------------------

    def blobs(self) -> dict[str, bytes]:
        """The keys that the agent offers, by comment."""
        lines = self.home.run("ssh-add", "-L").splitlines()
        return {comment: blob for blob, comment in map(keys.parse_line, lines)}

    def request(self, name: str, data: bytes = b"data") -> bytes:
        return request_for(self.blobs()[name], data)

    def requests(self) -> dict[str, bytes]:
        """Of the keys of all modules, by the label of their tokens."""
        listed = json.loads(self.home.keyholm("list", "--json"))["keys"]
        return {
            each["token"].split("-")[1]: request_for(keys.parse_line(each["public"])[0])
            for each in listed
            if each["store"] == "modules"
        }

    def answer(self, request: bytes) -> int:
        """The kind of answer, on a connection of its own."""
        with connect(self.home) as client:
            return ask(client, request)[0]

    def signs(self, request: bytes) -> bool:
        return self.answer(request) == SIGNATURE

    def signs_often(self, request: bytes, times: int) -> None:
        with connect(self.home) as client:
            for _ in range(times):
                assert ask(client, request)[0] == SIGNATURE

    def signature_is_good(self, name: str, data: bytes) -> bool:
        """Of P-256: made, and of these data."""
        blob = self.blobs()[name]
        with connect(self.home) as client:
            frame = ask(client, request_for(blob, data))
        answer = wire.decode(frame)
        if not isinstance(answer, wire.SignResponse):
            return False
        return is_of(blob, bytes(answer.signature), data)

    @contextlib.contextmanager
    def asked(self, request: bytes) -> Iterator["Asked"]:
        """Somebody who waits for an answer."""
        with connect(self.home) as client:
            client.sendall(framed(request))
            yield Asked(client)

    @contextlib.contextmanager
    def going_on(self) -> Iterator["GoingOn"]:
        """The key of the disk store signs all the time; each of its answers must be good."""
        going = GoingOn(self.home, self.request(OTHER))
        try:
            yield going
            assert going.goes_on(), "no more answers from another store"
        finally:
            going.end()
        assert not going.failed, going.failed

    # --- what is told ------------------------------------------------------------------

    def why(self, count: int = 1) -> str:
        return " ".join(self.home.keyholm("why", "-n", str(count)).split())

    def uses(self, store: str) -> tuple[int, int]:
        """Records of signatures that were made, and of those that were not."""
        lines = self.home.keyholm("log", "export", "--format", "jsonl").splitlines()
        found = [json.loads(line) for line in lines]
        results = [
            each.get("result", "ok")
            for each in found
            if each.get("op") == "sign" and each.get("store") == store
        ]
        return results.count("ok"), len(results) - results.count("ok")

    @contextlib.contextmanager
    def broken_trail(self) -> Iterator[None]:
        """The daemon can write no more."""
        pid = keeper(self.home)
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, before[1]))
        try:
            yield
        finally:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, before)

    def memory_kib(self) -> int:
        """Of the keeper."""
        status = Path(f"/proc/{keeper(self.home)}/status").read_text()
        (line,) = (each for each in status.splitlines() if each.startswith("VmRSS:"))
        return int(line.split()[1])

    def processes(self) -> list[int]:
        """The keeper, the steward, the workers and all that they started."""
        found = [keeper(self.home)]
        for pid in found:
            with contextlib.suppress(FileNotFoundError):
                found += children(pid)
        return found


class Asked:
    def __init__(self, client: socket.socket) -> None:
        self._client = client

    def answered(self) -> bool:
        return bool(select.select([self._client], [], [], 0)[0])

    def answer(self) -> int:
        """What kind of answer came at last."""
        size = int.from_bytes(self._client.recv(4, socket.MSG_WAITALL))
        return self._client.recv(size, socket.MSG_WAITALL)[0]


class GoingOn:
    """A client that signs and signs."""

    def __init__(self, home: Home, request: bytes) -> None:
        self.count, self.failed = 0, ""
        self._home, self._request = home, request
        self._over = threading.Event()
        self._more = threading.Condition()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            with connect(self._home) as client:
                while not self._over.wait(0.001):
                    assert ask(client, self._request)[0] == SIGNATURE
                    with self._more:
                        self.count += 1
                        self._more.notify_all()
        except (OSError, AssertionError, IndexError) as error:
            self.failed = repr(error)

    def goes_on(self, times: int = 3, seconds: float = 20) -> bool:
        """So many answers from now on."""
        with self._more:
            wanted = self.count + times
            return self._more.wait_for(lambda: self.count >= wanted, seconds)

    def end(self) -> None:
        self._over.set()
        self._thread.join()


def request_for(blob: bytes, data: bytes = b"data") -> bytes:
    return wire.encode(wire.SignRequest(blob, data, wire.SignFlag(0)))


def is_of(blob: bytes, signature: bytes, data: bytes) -> bool:
    """Whether an SSH signature of P-256 is of these data."""
    public = keys.decode(blob)
    assert isinstance(public, keys.Ecdsa)
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public.point)
    reader = Reader(signature)
    text(reader)
    numbers = Reader(text(reader))
    r, s = (int.from_bytes(text(numbers)) for _ in range(2))
    try:
        point.verify(encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def text(reader: Reader) -> bytes:
    return reader.take(int.from_bytes(reader.take(4)))


def program_signs(home: Home, module: str, label: str, times: int = 1) -> list[str]:
    """What a program is told that signs with keyholm's PKCS#11 module, time by time."""
    command = [sys.executable, "-m", "tests.torture.signer", module, PIN, str(times), label]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": f"{ROOT}/src",
            "KEYHOLM_PKCS11": str(home.folder / "kh/run/pkcs11"),
        },
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.splitlines()

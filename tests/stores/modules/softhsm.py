"""SoftHSM2 with tokens of its own, behind a worker that this process starts."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import keyholm
from keyholm.core.errors import ConsentDenied
from keyholm.core.policies import Policies
from keyholm.core.secret import Secret
from keyholm.stores.modules.setup import Setup
from keyholm.stores.modules.store import ModulesStore
from keyholm.worker.proxy import Worker
from keyholm.worker.spec import Spec
from keyholm.worker.start import DirectStarter

LIBRARIES: Final = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
)
USER_PIN: Final = b"1234"
OFFICER_PIN: Final = b"so: 87654321"
SERVICE: Final = "keyholm.stores.modules.host"


def library() -> str:
    return next((path for path in LIBRARIES if os.path.exists(path)), "")


@dataclass
class FakeHuman:
    """Says what it was told to say, and remembers what it was asked."""

    pins: list[bytes] = field(default_factory=list)
    agrees: bool = True
    asked: list[str] = field(default_factory=list)

    def pin(self, text: str, attempts_left: int | None = None) -> Secret:
        self.asked.append(text)
        if not self.pins:
            raise ConsentDenied("Nobody is there.")
        return Secret.of(self.pins.pop(0))

    def confirm(self, text: str) -> None:
        self.asked.append(text)
        if not self.agrees:
            raise ConsentDenied("They said no.")

    @contextmanager
    def notice(self, text: str) -> Iterator[None]:
        self.asked.append(text)
        yield


class SoftHsm:
    """A configuration in `folder`, and tokens in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tokens = folder / "tokens"
        self.tokens.mkdir()
        self.config = folder / "softhsm2.conf"
        self.config.write_text(
            f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n"
        )

    @property
    def environment(self) -> dict[str, str]:
        return {"SOFTHSM2_CONF": str(self.config)}

    def make_token(self, label: str, pin: bytes = USER_PIN) -> None:
        self.run(
            "softhsm2-util", "--init-token", "--free", "--label", label,
            "--pin", pin.decode(), "--so-pin", OFFICER_PIN.decode(),
        )  # fmt: skip

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command, env={**os.environ, **self.environment}, capture_output=True, check=True
        )
        return done.stdout.decode()

    def tool(self, label: str, *arguments: str) -> str:
        return self.run(
            "pkcs11-tool", "--module", library(), "--token-label", label, "--login",
            "--pin", USER_PIN.decode(), *arguments,
        )  # fmt: skip

    def spec(self, name: str) -> Spec:
        return Spec(
            name=name,
            library=library(),
            env=self.environment,
            reads=(str(self.config),),
            writes=(str(self.tokens),),
        )

    def worker(self, name: str = "softhsm") -> Worker:
        folders = [str(Path(keyholm.__file__).parent.parent), *_site()]
        starter = DirectStarter(lambda name, path: self.spec(name), SERVICE, folders=folders)
        return Worker(starter, name)

    def store(self, human: FakeHuman | None = None, *, application: bool = False) -> ModulesStore:
        setup = Setup("softhsm", library(), application_login=application)
        return ModulesStore(
            [(setup, self.worker())],
            human=human or FakeHuman(),
            policies=Policies(self.folder),
            owner=1000,
        )


def _site() -> list[str]:
    import msgspec

    return [str(Path(msgspec.__file__).parent.parent)]

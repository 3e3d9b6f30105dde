"""A torture module with a token that has real keys, and the folder that commands it."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from tests.programs import program

PIN: Final = "1234"
SOFTHSM: Final = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
)
IDS: Final = {"p256": "01", "rsa": "02"}
_PEM: Final = (
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
)
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def softhsm() -> str:
    found = next(filter(os.path.exists, SOFTHSM), None)
    if found is None:
        pytest.skip("SoftHSM2 (package softhsm2) is not installed")
    return found


@dataclass(frozen=True, slots=True)
class Tokens:
    """SoftHSM2 with tokens of its own in a folder."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, labels: Sequence[str] = ("one",)) -> "Tokens":
        softhsm()
        (folder / "tokens").mkdir(parents=True)
        made = cls(folder)
        made.configuration.write_text(
            f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n"
        )
        for label in labels:
            made.util("--init-token", "--free", "--label", label, "--so-pin", PIN, "--pin", PIN)
            made.put(label, "p256", ec.generate_private_key(ec.SECP256R1()))
        return made

    @property
    def configuration(self) -> Path:
        return self.folder / "softhsm2.conf"

    @property
    def environment(self) -> dict[str, str]:
        return {"SOFTHSM2_CONF": str(self.configuration)}

    def util(self, *words: str) -> None:
        subprocess.run(
            [program("softhsm2-util"), *words],
            env={**os.environ, **self.environment},
            check=True,
            stdout=subprocess.PIPE,
        )

    def put(self, label: str, name: str, key: PrivateKey) -> None:
        file = self.folder / "key.pem"
        file.write_bytes(key.private_bytes(*_PEM))
        where = ("--token", label, "--pin", PIN, "--id", IDS[name], "--label", name)
        self.util("--import", str(file), *where)
        file.unlink()


@dataclass(frozen=True, slots=True)
class Torture:
    """What the module is told, and what it found."""

    module: Path
    tokens: Tokens
    folder: Path

    @classmethod
    def make(cls, module: Path, folder: Path, labels: Sequence[str] = ("one",)) -> "Torture":
        (folder / "orders").mkdir(parents=True)
        return cls(module, Tokens.make(folder, labels), folder / "orders")

    @property
    def environment(self) -> dict[str, str]:
        own = {"TORTURE_DIR": str(self.folder), "TORTURE_BEHIND": softhsm()}
        return own | self.tokens.environment

    def order(
        self, call: str, act: str, *, always: bool = False, number: int = 0, label: str = "-"
    ) -> None:
        """The next such call does it; or all of them, until it is told otherwise."""
        new = self.folder / "new"
        new.write_text(f"{call} {act} {0 if always else 1} {number} {label}\n")
        new.replace(self.folder / "order")

    def was_obeyed(self) -> bool:
        return not (self.folder / "order").exists()

    def no_order(self) -> None:
        (self.folder / "order").unlink(missing_ok=True)

    def targets(self, *targets: object) -> None:
        (self.folder / "targets").write_text("".join(f"{target}\n" for target in targets))

    def found(self) -> list[str]:
        """What it found since it was asked last."""
        file = self.folder / "found"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return lines

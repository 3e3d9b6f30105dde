"""What a test is given of one vendor's module that works: all that `keyholm module add` wants."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.programs import program

EC, RSA = "ec", "rsa"


@dataclass(frozen=True, slots=True)
class Rig:
    """`keys`: what its token has, by the CKA_ID in hexadecimal."""

    name: str
    path: str
    pin: str
    keys: Mapping[str, str]
    environment: Mapping[str, str] = field(default_factory=dict)
    init_args: str = ""

    def options(self) -> list[str]:
        """Of `keyholm module add`."""
        words = ["--name", self.name]
        for name, value in self.environment.items():
            words += ["--env", f"{name}={value}"]
        return words + (["--init-args", self.init_args] if self.init_args else [])


def library(*paths: str) -> str:
    """The first of them that is installed."""
    for path in paths:
        if Path(path).exists():
            return path
    pytest.skip(f"{paths[0]} is not installed")


def run(
    *command: str, environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> str:
    """What a program says that sets something up; the test fails where it fails."""
    done = subprocess.run(
        [program(command[0]), *command[1:]],
        env={**os.environ, **(environment or {})},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}"
    return done.stdout


def make_keys(
    module: str,
    pin: str,
    keys: Mapping[str, str],
    environment: Mapping[str, str] | None = None,
    before: Sequence[str] = (),
) -> None:
    """By pkcs11-tool, in the token that it finds first. `before`: words in front of it."""
    kinds = {EC: "EC:prime256v1", RSA: "rsa:2048"}
    for kind, name in keys.items():
        words = ["--keypairgen", "--key-type", kinds[kind], "--id", name, "--label", kind]
        tool = [*before, "pkcs11-tool", "--module", module, "--login", "--pin", pin]
        run(*tool, *words, environment=environment)

"""PKCS#11 modules to measure: what each needs to run, filled with the same keys, and its load.

The load is a C program, since the calls of a faster module take less than a call of Python.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.harness.agents import environment
from keyholm.daemon import module_files
from keyholm.daemon.module_files import Login, ModuleSettings

ROOT = Path(__file__).resolve().parent.parent.parent
COMMAND = ROOT / ".venv" / "bin" / "keyholm"
OURS = ROOT / "src" / "keyholm" / "_native" / "keyholm-pkcs11.so"
SOFTHSM = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so")
STOCK_CLIENT = (
    f"/usr/lib/{os.uname().machine}-linux-gnu/pkcs11/p11-kit-client.so",
    "/usr/lib64/pkcs11/p11-kit-client.so",
)
LABEL = "main"
PIN = "12345678"
P256, RSA_2048 = 0, 1


@dataclass(frozen=True, slots=True)
class Module:
    """A module with a token that has keys, as a program meets it."""

    name: str
    path: str
    environment: dict[str, str] = field(repr=False)
    pin: str
    load: Path
    token: str = LABEL

    def run(self, *words: object) -> list[float]:
        """The seconds that all of it took, then the nanoseconds of each. Raises `LoadFailed`."""
        done = subprocess.run(
            [self.load, self.path, self.token, self.pin, *map(str, words)],
            env=self.environment,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            said = done.stderr.strip() or f"it ended with {done.returncode}"
            raise LoadFailed(f"{self.name}: {words[0]}: {said}")
        return [float(line) for line in done.stdout.split()]

    def with_setting(self, name: str, value: str) -> "Module":
        changed = self.environment | {name: value}
        return replace(self, environment=changed)


class LoadFailed(Exception):
    pass


def existing(candidates: Sequence[str]) -> str | None:
    return next((path for path in candidates if os.path.exists(path)), None)


def missing() -> list[str]:
    """What is not here, in words."""
    wanted = {
        "SoftHSM2 (package softhsm2)": existing(SOFTHSM) and shutil.which("softhsm2-util"),
        "p11-kit's client (package p11-kit-modules)": existing(STOCK_CLIENT),
        "p11-kit's server (package p11-kit)": shutil.which("p11-kit"),
        "keyholm's own module (python3 dev.py setup says why)": OURS.exists(),
        "a C compiler named cc, which the load is made with": shutil.which("cc"),
    }
    return [what for what, found in wanted.items() if not found]


def is_able() -> bool:
    """Whether anything can be measured."""
    return OURS.exists() and shutil.which("cc") is not None


def build_load(folder: Path) -> Path:
    load = folder / "p11load"
    source = Path(__file__).with_name("p11load.c")
    flags = ("-O2", "-std=c11", "-D_POSIX_C_SOURCE=200809L", f"-I{ROOT / 'native' / 'pkcs11'}")
    subprocess.run(["cc", *flags, "-o", load, source, "-ldl", "-lpthread"], check=True)
    return load


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    # A short place: the name of a socket has 107 bytes.
    made = Path(tempfile.mkdtemp(prefix="khbench-", dir="/tmp"))
    try:
        yield made
    finally:
        shutil.rmtree(made)


@contextlib.contextmanager
def keyholm(home: Path, load: Path) -> Iterator[Module]:
    """Our module and a daemon, with policy and trail as they come."""
    ours = environment(home) | {"KEYHOLM_HOME": str(home / "keyholm")}
    with serving(home, ours) as run:
        settings = environment(home) | {"KEYHOLM_PKCS11": str(run / "pkcs11")}
        yield Module("keyholm", str(OURS), settings, "-", load)


@contextlib.contextmanager
def keyholm_with(home: Path, behind: Module) -> Iterator[Module]:
    """The same with the token of `behind`, a SoftHSM2, in a worker; programs log in themselves."""
    ours = environment(home) | {"KEYHOLM_HOME": str(home / "keyholm")}
    with serving(home, ours, softhsm_settings(behind, login=Login.APPLICATION)) as run:
        settings = environment(home) | {"KEYHOLM_PKCS11": str(run / "pkcs11")}
        yield replace(behind, name="keyholm, SoftHSM2", path=str(OURS), environment=settings)


@contextlib.contextmanager
def serving(
    home: Path, settings: dict[str, str], *modules: tuple[str, ModuleSettings]
) -> Iterator[Path]:
    """`keyholm serve` with these modules; gives the folder of its sockets."""
    subprocess.run(
        [COMMAND, "init", "--no-passphrase"], env=settings, check=True, capture_output=True
    )
    for name, module in modules:
        module_files.write(home / "keyholm" / "modules", name, module)
    run = home / "keyholm" / "run"
    with _process([str(COMMAND), "serve"], settings, run / "pkcs11"):
        yield run


def softhsm_settings(behind: Module, login: Login) -> tuple[str, ModuleSettings]:
    configuration = behind.environment["SOFTHSM2_CONF"]
    return "softhsm", ModuleSettings(
        path=behind.path,
        env={"SOFTHSM2_CONF": configuration},
        login=login,
        reads=(configuration,),
        writes=(str(Path(configuration).with_name("tokens")),),
    )


def through_stock_client(module: Module) -> Module:
    """The same daemon, by p11-kit's own client."""
    client = existing(STOCK_CLIENT)
    assert client is not None
    address = {"P11_KIT_SERVER_ADDRESS": f"unix:path={module.environment['KEYHOLM_PKCS11']}"}
    return Module(
        "stock client, keyholm", client, module.environment | address, module.pin, module.load
    )


def softhsm(home: Path, load: Path, label: str = LABEL) -> Module:
    path = existing(SOFTHSM)
    assert path is not None
    tokens, configuration = home / "tokens", home / "softhsm2.conf"
    tokens.mkdir()
    configuration.write_text(f"directories.tokendir = {tokens}\nlog.level = ERROR\n")
    settings = environment(home) | {"SOFTHSM2_CONF": str(configuration)}
    command = ["softhsm2-util", "--init-token", "--free", "--label", label]
    command += ["--pin", PIN, "--so-pin", PIN]
    subprocess.run(command, env=settings, check=True, capture_output=True)
    return Module("SoftHSM2", path, settings, PIN, load, label)


@contextlib.contextmanager
def p11_kit(home: Path, behind: Module) -> Iterator[Module]:
    """`behind`, out of process by p11-kit's client and server."""
    client = existing(STOCK_CLIENT)
    assert client is not None
    socket = home / "p11-kit"
    command = ["p11-kit", "server", "--foreground", "--provider", behind.path]
    command += ["--name", str(socket), "pkcs11:"]
    with _process(command, behind.environment, socket):
        settings = environment(home) | {"P11_KIT_SERVER_ADDRESS": f"unix:path={socket}"}
        yield replace(behind, name="p11-kit, SoftHSM2", path=client, environment=settings)


@contextlib.contextmanager
def _process(command: list[str], settings: dict[str, str], socket: Path) -> Iterator[None]:
    process = subprocess.Popen(
        command, env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 30
        while not socket.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"`{' '.join(command)}` does not run.")
            time.sleep(0.01)
        yield
    finally:
        process.terminate()
        process.wait(20)

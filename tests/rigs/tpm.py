"""A TPM in software, tpm2-abrmd on a bus of its own before it, and tpm2-pkcs11's store on it."""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.programs import program
from tests.rigs.rig import EC, RSA, Rig, library, run
from tools.system_packages import LIBRARIES

MODULE = (f"{LIBRARIES}/pkcs11/libtpm2_pkcs11.so", f"{LIBRARIES}/libtpm2_pkcs11.so.1")
PIN = "123456"
SECONDS = 20.0
BUS = """\
<busconfig>
  <type>session</type>
  <listen>unix:path={path}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""


@contextlib.contextmanager
def running(folder: Path, *command: str, environment: dict[str, str]) -> Iterator[None]:
    with (folder / "log").open("a") as log:
        process = subprocess.Popen(
            [program(command[0]), *command[1:]],
            env={"PATH": os.environ["PATH"], **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield
        assert process.poll() is None, (folder / "log").read_text()
    finally:
        process.terminate()
        process.wait(SECONDS)


@contextlib.contextmanager
def tpm2(folder: Path) -> Iterator[Rig]:
    """Its token has a P-256 and an RSA-2048 key, and one more slot is empty."""
    path = library(*MODULE)
    library(f"{LIBRARIES}/libtss2-tcti-tabrmd.so.0")
    (folder / "state").mkdir(parents=True)
    (folder / "store").mkdir()
    environment = {
        "DBUS_SESSION_BUS_ADDRESS": f"unix:path={folder}/bus",
        "TPM2_PKCS11_STORE": f"{folder}/store",
        "TPM2_PKCS11_TCTI": "tabrmd:bus_type=session",
        "TSS2_LOG": "all+none",
    }
    with contextlib.ExitStack() as stack:
        port = _neighbours()
        stack.enter_context(running(folder, *_swtpm(folder, port), environment={}))
        (folder / "bus.conf").write_text(BUS.format(path=folder / "bus"))
        bus = ["dbus-daemon", f"--config-file={folder}/bus.conf", "--nofork", "--nopidfile"]
        stack.enter_context(running(folder, *bus, environment={}))
        until(lambda: (folder / "bus").exists(), folder)
        broker = ["tpm2-abrmd", "--session", f"--tcti=swtpm:host=127.0.0.1,port={port}"]
        broker += ["--allow-root"] if os.geteuid() == 0 else []
        stack.enter_context(running(folder, *broker, environment=environment))
        until(lambda: _answers(environment), folder)
        yield Rig("tpm2", path, PIN, _make_token(environment), environment)


def _swtpm(folder: Path, port: int) -> list[str]:
    return [
        *("swtpm", "socket", "--tpm2", "--tpmstate", f"dir={folder}/state"),
        *("--server", f"type=tcp,port={port},bindaddr=127.0.0.1"),
        *("--ctrl", f"type=tcp,port={port + 1},bindaddr=127.0.0.1"),
        *("--flags", "not-need-init,startup-clear"),
    ]


def _answers(environment: dict[str, str]) -> bool:
    """Whether the broker is on the bus, and its TPM answers."""
    asked = subprocess.run(
        [program("tpm2_getrandom"), "-T", environment["TPM2_PKCS11_TCTI"], "4"],
        env={**os.environ, **environment},
        capture_output=True,
    )
    return asked.returncode == 0


def _make_token(environment: dict[str, str]) -> dict[str, str]:
    tool = {**environment, "TPM2TOOLS_TCTI": environment["TPM2_PKCS11_TCTI"]}
    run("tpm2_ptool", "init", environment=tool)
    pins = ["--sopin", "87654321", "--userpin", PIN]
    run("tpm2_ptool", "addtoken", "--pid", "1", "--label", "tpm", *pins, environment=tool)
    keys = {EC: "01", RSA: "02"}  # which it takes as text
    for kind, algorithm in {EC: "ecc256", RSA: "rsa2048"}.items():
        named = ["--key-label", kind, "--id", keys[kind], "--algorithm", algorithm]
        words = ["--label", "tpm", "--userpin", PIN, *named]
        run("tpm2_ptool", "addkey", *words, environment=tool)
    return {kind: name.encode().hex() for kind, name in keys.items()}


def _neighbours() -> int:
    """The first of two free ports: swtpm's control port must be the next."""
    for _ in range(50):
        with socket.create_server(("127.0.0.1", 0)) as first, contextlib.suppress(OSError):
            port: int = first.getsockname()[1]
            socket.create_server(("127.0.0.1", port + 1)).close()
            return port
    pytest.fail("no two neighbouring ports are free")


def until(condition: Callable[[], bool], folder: Path) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, (folder / "log").read_text()
        time.sleep(0.02)

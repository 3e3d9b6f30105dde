"""Agents to measure: start one, fill it, look at what it costs, end it."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.harness.keys import TestKey
from bench.harness.load import SUCCESS, Connected

TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Program:
    """A program with ssh-agent's command line."""

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class Agent:
    program: Program
    socket: Path
    pid: int
    home: Path

    def add(self, keys: Iterable[TestKey]) -> None:
        connection = Connected(self.socket, capacity=64)
        for key in keys:
            connection.ask(key.add, SUCCESS)
        connection.close()

    def cpu_seconds(self) -> float:
        """User and system time of the agent and its children, ended threads included."""
        return sum(_cpu(pid) for pid in tree(self.pid))

    def resident_kib(self) -> int:
        """Pages that several of its processes share are counted in each of them."""
        return sum(_field(pid, "status", "VmRSS:") for pid in tree(self.pid))

    def proportional_kib(self) -> int | None:
        """Shared pages by share; None where the kernel does not let us look."""
        try:
            return sum(_field(pid, "smaps_rollup", "Pss:") for pid in tree(self.pid))
        except PermissionError:
            return None

    def trail_bytes(self) -> int:
        files = (path for path in self.home.rglob("*") if "trail" in path.parts)
        return sum(path.stat().st_size for path in files if path.is_file())


def tree(pid: int) -> list[int]:
    found = [pid]
    for parent in found:
        with contextlib.suppress(FileNotFoundError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def _field(pid: int, file: str, name: str) -> int:
    for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    return 0


def environment(home: Path) -> dict[str, str]:
    """Nothing of the user's own is read or written by what is measured."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return kept | {
        "HOME": str(home),
        "TMPDIR": str(home),
        "XDG_RUNTIME_DIR": str(home / "run"),
        "XDG_DATA_HOME": str(home / "data"),
        "XDG_CONFIG_HOME": str(home / "config"),
    }


@contextlib.contextmanager
def running(program: Program) -> Iterator[Agent]:
    # A short place: the name of a socket has 107 bytes.
    home = Path(tempfile.mkdtemp(prefix="khbench-", dir="/tmp"))
    for name in ("run", "data", "config"):
        (home / name).mkdir(mode=0o700)
    path = home / "s"
    errors = home / "stderr"
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            [program.path, "-D", "-a", str(path)],
            env=environment(home),
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )
    try:
        wait_for(path, process, errors)
        yield Agent(program, path, process.pid, home)
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(home)


def wait_for(path: Path, process: subprocess.Popen[bytes], errors: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except (FileNotFoundError, ConnectionRefusedError):
                if process.poll() is not None or time.monotonic() > deadline:
                    said = errors.read_text(errors="replace").strip()
                    raise SystemExit(f"{process.args!r} does not run: {said}") from None
                time.sleep(0.0002)
            else:
                return

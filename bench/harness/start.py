"""How long a program takes to be there, and what it weighs before it has done anything."""

import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from bench.harness.agents import Program, environment, running
from bench.harness.keys import LIST
from bench.harness.load import IDENTITIES, Connected

TIMES = 9


def first_answer(program: Program) -> float:
    """Milliseconds from starting it to its first answer."""
    begin = time.perf_counter()
    with running(program) as agent:
        _ask(agent.socket)
        return (time.perf_counter() - begin) * 1000


def idle_mib(program: Program) -> tuple[float, float]:
    """Resident, and with shared pages by share, as far as the kernel lets us look."""
    with running(program) as agent:
        _ask(agent.socket)
        time.sleep(0.3)
        return agent.resident_kib() / 1024, (agent.proportional_kib() or 0) / 1024


def _ask(path: Path) -> None:
    connection = Connected(path, capacity=1 << 12)
    connection.ask(LIST, IDENTITIES)
    connection.close()


def activated(program: Program) -> float:
    """As `first_answer`, when the socket was there before and is handed over (LISTEN_FDS)."""
    home = Path(tempfile.mkdtemp(prefix="khbench-", dir="/tmp"))
    for name in ("run", "data", "config"):
        (home / name).mkdir(mode=0o700)
    path = home / "s"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        connection = Connected(path, capacity=1 << 12)
        begin = time.perf_counter()
        # LISTEN_PID must be the program's own number, so a shell says it and becomes it.
        process = subprocess.Popen(
            [
                *("sh", "-c", 'fd=$1; shift; eval "exec 3<&$fd"; LISTEN_PID=$$ exec "$@"', "sh"),
                *(str(listening.fileno()), program.path, "-D"),
            ],
            env=environment(home) | {"LISTEN_FDS": "1"},
            pass_fds=[listening.fileno()],
            stdout=subprocess.DEVNULL,
        )
        try:
            connection.ask(LIST, IDENTITIES)
            return (time.perf_counter() - begin) * 1000
        finally:
            connection.close()
            process.terminate()
            process.wait(20)
            shutil.rmtree(home)


def alone(ours: Program, commands: Path) -> str:
    """What has no peer to be compared with."""
    lines = []
    if (commands / "keyholm").exists() and ours.path.startswith(str(commands)):
        answers = [activated(ours) for _ in range(TIMES)]
        lines.append(f"socket activation to first answer  {statistics.median(answers):6.1f} ms")
        lines.append(f"keyholm list, three keys           {listing_command(commands):6.1f} ms")
    return "\n".join(lines)


def listing_command(commands: Path) -> float:
    """Wall time of the command, with the daemon running."""
    home = tempfile.mkdtemp(prefix="khbench-", dir="/tmp")
    keyholm = str(commands / "keyholm")
    environ = environment(Path(home)) | {"KEYHOLM_HOME": home + "/home"}

    def run(*words: str) -> None:
        done = subprocess.run([keyholm, *words], env=environ, text=True, capture_output=True)
        if done.returncode:
            raise SystemExit(f"keyholm {' '.join(words)} failed: {done.stderr.strip()}")

    run("init", "--no-passphrase")
    daemon = subprocess.Popen([keyholm, "serve"], env=environ, stdout=subprocess.PIPE)
    try:
        assert daemon.stdout is not None
        daemon.stdout.readline()
        for number in range(3):
            run("new", f"key{number}", "--type", "ed25519")
        took = []
        for _ in range(TIMES):
            begin = time.perf_counter()
            run("list")
            took.append((time.perf_counter() - begin) * 1000)
        return statistics.median(took)
    finally:
        daemon.terminate()
        daemon.wait(20)
        daemon.stdout.close()  # type: ignore[union-attr]
        shutil.rmtree(home)


def openssh_version() -> str:
    done = subprocess.run(["ssh", "-V"], text=True, capture_output=True, env=os.environ)
    return done.stderr.partition(",")[0].strip()

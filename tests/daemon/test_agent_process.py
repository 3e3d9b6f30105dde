"""keyholm-agent as a process: how it begins, what it obeys, how it ends, whom it serves."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from tests.daemon.conftest import AGENT, Running, as_nobody, is_gone, steward_of, until
from tests.interop.conftest import Home
from tests.programs import program

pytestmark = pytest.mark.interop
Start = Callable[..., Running]


def evaluated(output: str) -> dict[str, str]:
    """What a shell makes of the agent's lines."""
    done = subprocess.run(
        ["sh", "-c", f"{output}\nprintenv SSH_AUTH_SOCK SSH_AGENT_PID"],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    said, *values = done.stdout.splitlines()
    assert said.startswith("Agent pid ")
    return dict(zip(("socket", "pid"), values, strict=True))


def started(home: Home, *words: str) -> tuple[str, int]:
    found = evaluated(home.run(*AGENT, *words))
    return found["socket"], int(found["pid"])


# --- the beginning -------------------------------------------------------------------


def test_it_leaves_the_terminal_and_goes_on_behind_it(home: Home) -> None:
    path, pid = started(home, "-s")
    try:
        assert os.getsid(pid) == pid
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        assert Path(path).parent == home.folder / ".ssh/agent"
        assert home.run("ssh-add", "-l", fails=True, env={"SSH_AUTH_SOCK": path}).startswith(
            "The agent has no identities"
        )
    finally:
        os.kill(pid, signal.SIGTERM)
    until(lambda: is_gone(pid) and not os.path.exists(path))


def test_it_holds_on_to_nothing_of_where_it_was_started(home: Home) -> None:
    if os.geteuid() != 0:
        pytest.skip("contract only: it is closed to other programs of its user, and root looks")
    _, pid = started(home, "-s")
    try:
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
        until(lambda: os.readlink(f"/proc/{pid}/fd/2") == os.devnull)
        assert {os.readlink(f"/proc/{pid}/fd/{number}") for number in (0, 1)} == {os.devnull}
    finally:
        os.kill(pid, signal.SIGTERM)
    until(lambda: is_gone(pid))


def test_it_listens_when_its_parent_returns(home: Home) -> None:
    """A script goes on at once: what it asks waits until it can be answered."""
    path, pid = started(home, "-s", "-T")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        client.sendall(b"\0\0\0\1\x0b")
        assert client.recv(64) == b"\0\0\0\5\x0c\0\0\0\0"
    os.kill(pid, signal.SIGTERM)
    until(lambda: is_gone(pid) and not Path(path).parent.exists())


def test_a_signal_that_comes_at_once_leaves_nothing_behind(home: Home) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP):
        path, pid = started(home, "-s")
        os.kill(pid, number)
        until(partial(left_nothing, pid, path))


def left_nothing(pid: int, path: str) -> bool:
    return is_gone(pid) and not os.path.exists(path)


def test_a_command_gets_the_agent_and_gives_its_status(home: Home) -> None:
    program("ssh-add")
    done = subprocess.run(
        [*AGENT, "sh", "-c", 'ssh-add -l; echo "$SSH_AGENT_PID $SSH_AUTH_SOCK"; exit 7'],
        env=home.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 7
    pid, path = done.stdout.splitlines()[-1].split()
    assert "no identities" in done.stdout
    assert not is_gone(int(pid))
    # It looks whether its parent is there every ten seconds, as ssh-agent does.
    until(lambda: is_gone(int(pid)), 15)
    assert not os.path.exists(path)


def test_a_command_starts_with_the_signals_of_its_parent(home: Home) -> None:
    """Not with what Python ignores and we block."""
    script = "grep -E 'SigBlk|SigIgn' /proc/self/status; echo $SSH_AGENT_PID"
    before = subprocess.run(
        ["sh", "-c", "grep -E 'SigBlk|SigIgn' /proc/self/status"],
        capture_output=True,
        text=True,
        check=True,
    )
    after, pid, _ = home.run(*AGENT, "sh", "-c", script).rsplit("\n", 2)
    os.kill(int(pid), signal.SIGTERM)
    until(lambda: is_gone(int(pid)))
    assert f"{after}\n" == before.stdout


def test_a_command_that_is_not_there_is_told(home: Home) -> None:
    said = home.run(*AGENT, "/nonexistent/command", fails=True)
    assert "/nonexistent/command: No such file or directory" in said


def test_without_a_home_it_runs_and_says_where_its_trail_is(home: Home) -> None:
    program("ssh-add")
    path = home.folder / "s"
    environment = {**home.environment, "HOME": "/nonexistent"}
    environment |= {"TMPDIR": str(home.folder), "XDG_RUNTIME_DIR": str(home.folder / "run")}
    environment.pop("KEYHOLM_HOME")
    (home.folder / "run").mkdir()
    with subprocess.Popen(
        [*AGENT, "-D", "-a", path], env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr
        assert f"The trail of this agent is in {home.folder}/run" in process.stderr.readline()
        until(path.exists)
        assert Running(home, process, str(path)).answers()
        process.terminate()
        assert process.wait(10) == 2
    assert not Path("/nonexistent").exists()
    assert list((home.folder / "run/keyholm/agent/trail").glob("agent-0/*.segment"))


def test_a_trail_that_cannot_be_written_is_told_and_nothing_is_left(home: Home) -> None:
    (home.folder / "kh").mkdir()
    (home.folder / "kh/data").mkdir(mode=0o700)
    (home.folder / "kh/data/trail").write_text("not a folder")
    said = home.run(*AGENT, "-D", "-a", str(home.folder / "s"), fails=True)
    assert "The trail in" in said
    assert not (home.folder / "s").exists()


def test_a_configuration_that_is_wrong_is_told(home: Home) -> None:
    (home.folder / "kh").mkdir()
    (home.folder / "kh/config.toml").write_text("[agnet]\n")
    said = home.run(*AGENT, "-D", "-a", str(home.folder / "s"), fails=True)
    assert "Did you mean `agent`?" in said


def test_asked_to_it_says_what_happens_and_why(home: Home) -> None:
    path = home.folder / "s"
    with subprocess.Popen(
        [*AGENT, "-d", "-a", path],
        env=home.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            until(path.exists)
            running = Running(home, process, str(path))
            running.ssh_add("-q", "-c", str(home.new_key("mine")))
            assert running.ssh_add("-T", "mine.pub").returncode != 0
        finally:
            process.terminate()
        assert process.stderr
        said = process.stderr.read()
    assert "event=management action=import-key" in said
    assert "result=refused what=A human must be asked, and nobody can be (askpass:" in said


# --- signals -------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_it_ends_with_status_2_and_takes_its_socket_with_it(
    agent: Start, number: signal.Signals
) -> None:
    running = agent()
    steward = steward_of(running.process.pid)
    assert running.end(number) == 2
    assert not os.path.exists(running.socket)
    assert is_gone(steward)


def test_behind_a_terminal_it_does_not_heed_an_interrupt(home: Home) -> None:
    path, pid = started(home, "-s")
    os.kill(pid, signal.SIGINT)
    time.sleep(0.3)
    assert not is_gone(pid)
    assert "no identities" in home.run("ssh-add", "-l", fails=True, env={"SSH_AUTH_SOCK": path})
    os.kill(pid, signal.SIGTERM)
    until(lambda: is_gone(pid))


def test_usr1_forgets_every_key_and_it_lives_on(agent: Start) -> None:
    running = agent()
    running.home.new_key("key")
    assert running.ssh_add("-q", "key").returncode == 0
    running.process.send_signal(signal.SIGUSR1)
    until(lambda: running.ssh_add("-l").returncode == 1)
    assert running.ssh_add("-q", "key").returncode == 0


def test_killed_outright_it_leaves_no_socket_and_no_process(agent: Start) -> None:
    running = agent()
    steward = steward_of(running.process.pid)
    running.process.kill()
    running.process.wait()
    until(lambda: is_gone(steward) and not os.path.exists(running.socket))


def test_it_lives_on_without_its_steward(agent: Start) -> None:
    """Keys that were handed over are worth more than a restart; who asks is then unknown."""
    running = agent()
    key = running.home.new_key("key")
    running.ssh_add("-q", "key")
    running.ssh_add("-q", "-c", str(running.home.new_key("asked")))
    os.kill(steward_of(running.process.pid), signal.SIGKILL)
    assert running.ssh_add("-T", f"{key}.pub").returncode == 0
    assert running.ssh_add("-T", "asked.pub").returncode != 0
    assert running.end() == 2
    os.unlink(running.socket)  # nobody is left who could have


# --- handed a socket -----------------------------------------------------------------


@contextmanager
def activated(home: Home, script: str) -> Iterator["subprocess.Popen[str]"]:
    """As systemd starts it: the socket is descriptor 3, and the variables say so."""
    code = f"""
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind({str(home.folder / "act")!r})
listener.listen()
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
{script}
os.execv(sys.executable, [sys.executable, "-m", "keyholm.daemon.agent", "-D"])
"""
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env=home.environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def test_handed_a_socket_it_serves_that_and_leaves_it_there(home: Home) -> None:
    with activated(home, "") as process:
        until(Running(home, process, str(home.folder / "act")).answers)
        process.terminate()
        assert process.wait(10) == 0
        assert process.stdout
        assert process.stdout.read() == ""
    assert (home.folder / "act").exists()


def test_variables_that_are_meant_for_another_process_are_not_heeded(home: Home) -> None:
    with activated(home, "os.environ['LISTEN_PID'] = '1'") as process:
        assert process.stdout
        assert "/.ssh/agent/" in process.stdout.readline()
        process.terminate()
        assert process.wait(10) == 2


# --- whom it serves ------------------------------------------------------------------

ASK_FOR_KEYS = (
    "import socket, sys; s = socket.socket(1); s.connect(sys.argv[1]); "
    "s.sendall(b'\\0\\0\\0\\1\\x0b'); sys.stdout.buffer.write(s.recv(64))"
)


def test_another_user_gets_nothing_although_the_socket_is_open_to_all(agent: Start) -> None:
    running = agent()
    os.chmod(running.socket, 0o666)
    os.chmod(running.home.folder, 0o755)
    python = shutil.which("python3", path="/usr/bin:/bin") or sys.executable
    done = subprocess.run(
        [python, "-c", ASK_FOR_KEYS, running.socket],
        cwd="/",
        capture_output=True,
        check=False,
        **as_nobody(),  # type: ignore[call-overload]
    )
    assert done.stdout == b""
    ours = subprocess.run(
        [python, "-c", ASK_FOR_KEYS, running.socket], capture_output=True, check=True
    )
    assert ours.stdout == b"\0\0\0\5\x0c\0\0\0\0"


def test_a_lifetime_is_given_to_keys_that_have_none(agent: Start) -> None:
    running = agent("-t", "1")
    key = str(running.home.new_key("key"))
    running.ssh_add("-q", key)
    running.ssh_add("-q", "-t", "60", str(running.home.new_key("longer")))
    until(lambda: len(running.ssh_add("-l").stdout.splitlines()) == 1, 5)
    assert "longer" in running.ssh_add("-l").stdout

"""keyholm-agent's options, what it prints and how it refuses (ssh-agent(1), OpenSSH 10.5)."""

import os
import shutil
import socket
import string
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyholm.daemon.agent import main, quote
from keyholm.daemon.agent_line import USAGE, Fatal, Usage, lifetime, parse
from keyholm.daemon.agent_socket import (
    host_hash,
    is_dead,
    listen_at,
    listen_in_home,
    remove_stale,
)

SHELLS = [shell for shell in ("sh", "bash", "dash", "csh", "tcsh") if shutil.which(shell)]


def exits(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    status = main(arguments)
    shown = capsys.readouterr()
    return status, shown.out, shown.err


# --- options -------------------------------------------------------------------------


def test_every_option_has_its_meaning() -> None:
    options = "-D -s -a /s -t 1h30m -E md5 -P /x* -T -U"
    more = "-O no-restrict-websafe -O allow-remote-pkcs11 -O websafe-allow=a,b"
    line = parse(f"{options} {more}".split())
    assert (line.foreground, line.sh, line.address, line.lifetime) == (True, True, "/s", 5400)
    assert (line.fingerprint_hash, line.providers) == ("md5", "/x*")
    assert (line.in_tmp, line.no_clean_up) == (True, True)
    assert not line.restrict_websafe
    assert line.allow_remote_providers
    assert line.websafe_allow == "a,b"


def test_options_may_be_joined_and_end_where_the_command_begins() -> None:
    line = parse(["-Ta/s", "-t60", "ssh-add", "-l", "-c"])
    assert (line.in_tmp, line.address, line.lifetime) == (True, "/s", 60)
    assert line.command == ("ssh-add", "-l", "-c")
    assert parse(["--", "-x"]).command == ("-x",)


@pytest.mark.parametrize(
    ("shell", "csh"), [("/bin/csh", True), ("/bin/tcsh", True), ("/bin/bash", False), ("", False)]
)
def test_the_users_shell_decides_what_is_printed(
    monkeypatch: pytest.MonkeyPatch, shell: str, csh: bool
) -> None:
    monkeypatch.setenv("SHELL", shell)
    assert parse([]).csh is csh
    assert parse(["-c"]).csh
    assert not parse(["-s"]).csh


@pytest.mark.parametrize(
    "arguments",
    [
        ["-c", "-s"],
        ["-s", "-c"],
        ["-d", "-D"],
        ["-D", "-D"],
        ["-x"],
        ["-a"],
        ["-t", "5x"],
        ["-D", "command"],
        ["-d", "command"],
        ["-s", "command"],
        ["-c", "command"],
        ["-k", "command"],
    ],
)
def test_options_that_make_no_sense_show_the_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = exits(*arguments, capsys=capsys)
    assert (status, out) == (1, "")
    assert err.endswith(USAGE)


# What OpenSSH says, and its status 255.
FATAL = {
    ("-E", "sha1"): 'Invalid hash algorithm "sha1"',
    ("-O", "what"): "Unknown -O option",
    ("-P", "a", "-P", "b"): "-P option already specified",
    ("-O", "websafe-allow=a", "-O", "websafe-allow=b"): "websafe-allow already set",
}


@pytest.mark.parametrize(("arguments", "said"), FATAL.items())
def test_what_is_fatal_is_said_in_one_line(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exits(*arguments, capsys=capsys) == (255, "", f"{said}\n")
    with pytest.raises(Fatal):
        parse(arguments)


def test_what_is_wrong_stands_before_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert exits("-x", capsys=capsys)[2].startswith("unknown option -- x\n")
    assert exits("-a", capsys=capsys)[2].startswith("option requires an argument -- a\n")
    assert exits("-t", "soon", capsys=capsys)[2].startswith("Invalid lifetime\n")


# sshd_config(5), TIME FORMATS.
TIMES = {
    "600": 600,
    "10m": 600,
    "1h30m": 5400,
    "1H30M": 5400,
    "2d": 172800,
    "1w": 604800,
    "1w2d3h4m5s": 788645,
    "30s5": 35,
    "0": None,
    "2147483647": 2147483647,
}


@pytest.mark.parametrize(("text", "seconds"), TIMES.items())
def test_a_time_is_read_as_sshd_config_has_it(text: str, seconds: int | None) -> None:
    assert lifetime(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "5x", "h", "-5", "1.5", " 5", "5 ", "2147483648", "9" * 30, "4000w", "٣"]
)
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Usage, match="Invalid lifetime"):
        lifetime(text)


@given(st.text(max_size=30))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    try:
        found = lifetime(text)
    except Usage:
        return
    assert found is None or 0 < found < 2**31


# --- what shells make of it ----------------------------------------------------------


@pytest.mark.parametrize("path", ["/tmp/ssh-abc/agent.1", "/home/me/.ssh/agent/s.a.b"])
def test_an_ordinary_path_is_left_as_it_is(path: str) -> None:
    assert quote(path) == path


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "path", ["/tmp/a b", "/tmp/it's", "/tmp/$HOME", "/tmp/`id`", "/tmp/a;b", "/tmp/!x", '/tmp/"']
)
def test_a_shell_gets_back_the_path_that_was_meant(shell: str, path: str) -> None:
    """csh expands `!` when it reads commands from a terminal; here it reads a script."""
    csh = shell.endswith("csh")
    command = f"setenv P {quote(path)};" if csh else f"P={quote(path)}; export P;"
    done = subprocess.run(
        [shell, "-c", f"{command} printenv P"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{path}\n"


# --- -k and -V -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pid", "said"),
    [
        (None, "SSH_AGENT_PID not set, cannot kill agent"),
        ("abc", 'SSH_AGENT_PID="abc", which is not a good PID'),
        ("1", 'SSH_AGENT_PID="1", which is not a good PID'),
        ("-5", 'SSH_AGENT_PID="-5", which is not a good PID'),
        ("99999999999", 'SSH_AGENT_PID="99999999999", which is not a good PID'),
        ("4194303", "kill: No such process"),
    ],
)
def test_an_agent_that_cannot_be_killed_is_told(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    pid: str | None,
    said: str,
) -> None:
    if pid is None:
        monkeypatch.delenv("SSH_AGENT_PID", raising=False)
    else:
        monkeypatch.setenv("SSH_AGENT_PID", pid)
    assert exits("-k", capsys=capsys) == (1, "", f"{said}\n")


@pytest.mark.parametrize(("option", "unset"), [("-s", "unset"), ("-c", "unsetenv")])
def test_an_agent_is_killed_and_forgotten(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    option: str,
    unset: str,
) -> None:
    with subprocess.Popen(["sleep", "60"]) as agent:
        monkeypatch.setenv("SSH_AGENT_PID", str(agent.pid))
        assert exits(option, "-k", capsys=capsys) == (
            0,
            f"{unset} SSH_AUTH_SOCK;\n{unset} SSH_AGENT_PID;\necho Agent pid {agent.pid} killed;\n",
            "",
        )
        assert agent.wait(5) == -15


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = exits("-V", capsys=capsys)
    assert (status, out) == (0, "")
    assert err.startswith("keyholm-agent ")


# --- sockets -------------------------------------------------------------------------


def test_a_host_is_hashed_as_openssh_does_it() -> None:
    """misc-agent.c, hostname_hash: SHA-512 of the name, each byte one of 62 letters."""
    digest = subprocess.run(
        ["sha512sum"], input=b"host.example.com", capture_output=True, check=True
    ).stdout.split()[0]
    letters = string.ascii_lowercase + string.ascii_uppercase + string.digits
    expected = "".join(letters[byte % 62] for byte in bytes.fromhex(digest.decode())[:10])
    assert host_hash("host.example.com") == expected
    assert host_hash() == host_hash(socket.gethostname())


def test_a_socket_is_for_its_owner_alone_and_none_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    before = os.umask(0)
    try:
        listening = listen_at(str(path))
    finally:
        os.umask(before)
    with listening.socket:
        assert path.stat().st_mode & 0o777 == 0o600
        assert os.umask(before) == before
        with pytest.raises(OSError, match="in use"):
            listen_at(str(path))
        assert not is_dead(str(path))
    listening.remove()
    assert not path.exists()


def test_a_socket_of_somebody_else_at_the_same_place_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    first = listen_at(str(path))
    path.rename(tmp_path / "elsewhere")  # so that its inode is not given out again
    second = listen_at(str(path))
    with first.socket, second.socket:
        first.remove()
        assert path.exists()
        second.remove()
        assert not path.exists()


def test_the_default_place_is_made_below_a_home_that_is_there(tmp_path: Path) -> None:
    listening = listen_in_home(tmp_path)
    with listening.socket:
        path = Path(listening.path)
        assert path.parent == tmp_path / ".ssh/agent"
        assert path.name.startswith(f"s.{host_hash()}.agent.")
        assert len(path.name.split(".")[-1]) == 10
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert (tmp_path / ".ssh").stat().st_mode & 0o777 == 0o700
    listening.remove()
    with pytest.raises(FileNotFoundError):
        listen_in_home(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_old_sockets_that_nobody_listens_at_are_cleared_away(tmp_path: Path) -> None:
    folder = tmp_path / ".ssh/agent"
    folder.mkdir(parents=True)
    ours, others = f"s.{host_hash()}", "s.XXXXXXXXXX"
    dead = {
        name: folder / name for name in (f"{ours}.agent.a", f"{ours}.sshd.b", f"{others}.agent.c")
    }
    for path in dead.values():
        listen_at(str(path)).socket.close()
    (folder / "file").touch()
    young = folder / f"{ours}.agent.young"
    listen_at(str(young)).socket.close()
    alive = listen_at(str(folder / f"{ours}.agent.alive"))
    past = time.time() - 4000
    for path in (*dead.values(), Path(alive.path), folder / "file"):
        os.utime(path, (past, past))

    with alive.socket:
        remove_stale(tmp_path)
        left = {path.name for path in folder.iterdir()}
        assert left == {f"{others}.agent.c", young.name, Path(alive.path).name, "file"}
        remove_stale(tmp_path, every_host=True)
        assert f"{others}.agent.c" not in {path.name for path in folder.iterdir()}
        remove_stale(tmp_path, every_host=True, now=time.time() + 4000)
        assert {path.name for path in folder.iterdir()} == {Path(alive.path).name, "file"}
    remove_stale(tmp_path / "nowhere")


def test_an_address_that_is_taken_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "taken"
    path.write_text("precious")
    done = run_agent("-a", str(path))
    assert done.returncode == 1
    assert "cannot listen at" in done.stderr
    assert path.read_text() == "precious"


def test_an_address_that_is_too_long_is_refused(tmp_path: Path) -> None:
    done = run_agent("-a", str(tmp_path / ("x" * 120)))
    assert done.returncode == 1
    assert "too long" in done.stderr


def test_without_a_home_the_default_place_is_refused(tmp_path: Path) -> None:
    done = run_agent(HOME="/nonexistent")
    assert done.returncode == 1
    assert "/nonexistent/.ssh" in done.stderr


def test_clean_up_alone_starts_nothing(tmp_path: Path) -> None:
    done = run_agent("-u", HOME=str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def run_agent(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "keyholm.daemon.agent", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_sockets_of_one_machine_differ(tmp_path: Path) -> None:
    found = [listen_in_home(tmp_path) for _ in range(5)]
    assert len({listening.path for listening in found}) == 5
    for listening in found:
        listening.remove()
        listening.socket.close()

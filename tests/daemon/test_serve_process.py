"""keyholm serve as a process: one a home, its sockets, its signals, its end."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.daemon.conftest import SERVE, Running, is_gone, steward_of, until
from tests.interop.conftest import Home

pytestmark = pytest.mark.interop
Start = Callable[..., Running]


@pytest.fixture(autouse=True)
def made(home: Home) -> None:
    """A home with a token that needs no passphrase."""
    home.keyholm("init", "--no-passphrase")


def configure(home: Home, text: str) -> None:
    path = home.folder / "kh/config.toml"
    path.write_text(text)
    path.chmod(0o600)


def status(home: Home) -> dict[str, object]:
    found: dict[str, object] = json.loads(home.keyholm("status", "--json"))
    return found


# --- the beginning -------------------------------------------------------------------


def test_when_it_says_that_it_is_ready_it_is(serve: Start, home: Home) -> None:
    running = serve()
    assert running.ssh_add("-l").returncode == 1
    found = status(home)
    assert found["pid"] == running.process.pid
    assert found["steward"] is True


def test_its_folders_and_sockets_are_its_owners_alone(serve: Start, home: Home) -> None:
    before = os.umask(0)
    try:
        serve()
    finally:
        os.umask(before)
    for folder in ("kh/run", "kh/data"):
        assert stat.S_IMODE((home.folder / folder).stat().st_mode) == 0o700
    for door in ("ssh", "control"):
        assert stat.S_IMODE((home.folder / "kh/run" / door).stat().st_mode) == 0o600
    for path in (home.folder / "kh/data").rglob("*"):
        assert stat.S_IMODE(path.lstat().st_mode) & 0o077 == 0, path


def test_a_second_one_fails_and_names_the_first(serve: Start, home: Home) -> None:
    running = serve()
    said = home.keyholm("serve", fails=True)
    assert f"Another keyholm daemon (process {running.process.pid}) serves" in said
    assert running.answers()


def test_sockets_that_a_daemon_left_are_replaced(serve: Start, home: Home) -> None:
    left = home.folder / "kh/run/ssh"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(left))
    assert serve().answers()


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir])
def test_what_is_no_socket_of_ours_is_left_alone(home: Home, make: Callable[[Path], None]) -> None:
    strange = home.folder / "kh/run/ssh"
    make(strange)
    assert "is there already, and is no socket of ours" in home.keyholm("serve", fails=True)
    assert strange.exists()
    strange.unlink() if strange.is_file() else strange.rmdir()


def test_a_folder_that_is_a_link_is_refused(home: Home) -> None:
    data = home.folder / "kh/data"
    data.rename(home.folder / "elsewhere")
    data.symlink_to(home.folder / "elsewhere")
    assert "is a symbolic link" in home.keyholm("serve", fails=True)


def test_a_configuration_that_is_wrong_is_told(home: Home) -> None:
    configure(home, "[limits]\nconections = 5\n")
    said = home.keyholm("serve", fails=True)
    assert "There is no key `limits.conections`" in said
    assert "Did you mean `limits.connections`?" in said


def test_systemd_hands_over_sockets_by_name_and_hears_of_each_step(home: Home) -> None:
    notify = home.folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(notify))
        manager.settimeout(20)
        code = f"""
import os, socket
for number, name in ((10, "control"), (11, "ssh")):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind({str(home.folder)!r} + "/handed-" + name)
    listener.listen()
    os.dup2(listener.fileno(), number)
os.dup2(10, 3, True); os.dup2(11, 4, True)
os.environ.update(LISTEN_FDS="2", LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES="control:ssh")
os.execv({SERVE[0]!r}, {list(SERVE)!r})
"""
        environment = {**home.environment, "NOTIFY_SOCKET": str(notify)}
        with subprocess.Popen(
            [sys.executable, "-c", code], env=environment, stdout=subprocess.DEVNULL
        ) as process:
            try:
                assert manager.recv(100) == b"READY=1"
                running = Running(home, process, str(home.folder / "handed-ssh"))  # type: ignore[arg-type]
                assert running.answers()
                process.send_signal(signal.SIGHUP)
                assert manager.recv(100).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
                assert manager.recv(100) == b"READY=1"
            finally:
                process.terminate()
            assert manager.recv(100) == b"STOPPING=1"
            assert process.wait(10) == 0
    assert (home.folder / "handed-ssh").exists()
    assert not (home.folder / "kh/run/ssh").exists()


# --- signals -------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_within_two_seconds_and_tidies_up(
    serve: Start, home: Home, number: signal.Signals
) -> None:
    running = serve()
    steward = steward_of(running.process.pid)
    # Clients that would stay for ever.
    clients = [socket.socket(socket.AF_UNIX) for _ in range(20)]
    for client in clients:
        client.connect(running.socket)
        client.sendall(b"\0\0")
    begun = time.monotonic()
    assert running.end(number) == 0
    assert time.monotonic() - begun < 2.0
    for client in clients:
        client.close()
    assert is_gone(steward)
    assert list((home.folder / "kh/run").iterdir()) == []


def test_killed_outright_it_can_be_started_again_at_once(serve: Start, home: Home) -> None:
    running = serve()
    running.process.kill()
    running.process.wait()
    until(lambda: not os.path.exists(running.socket))
    assert serve().answers()


def test_usr1_forgets_what_ssh_add_handed_over_and_nothing_else(serve: Start, home: Home) -> None:
    running = serve()
    home.keyholm("new", "lasting")
    running.ssh_add("-q", str(home.new_key("handed")))
    assert len(running.ssh_add("-l").stdout.splitlines()) == 2
    running.process.send_signal(signal.SIGUSR1)
    until(lambda: len(running.ssh_add("-l").stdout.splitlines()) == 1)
    assert "lasting" in running.ssh_add("-l").stdout


def test_hup_reads_the_configuration_again_and_a_wrong_one_changes_nothing(
    serve: Start, home: Home
) -> None:
    configure(home, "[agent]\nlifetime = 3600\n")
    running = serve()
    assert running.process.stderr
    assert running.process.stdout
    configure(home, "[agent]\nlifetme = 1\n")
    running.process.send_signal(signal.SIGHUP)
    assert "Did you mean `agent.lifetime`?" in running.process.stderr.readline()
    running.ssh_add("-q", str(home.new_key("first")))
    time.sleep(1.2)
    assert running.ssh_add("-l").returncode == 0

    configure(home, "[agent]\nlifetime = 1\n")
    running.process.send_signal(signal.SIGHUP)
    assert running.process.stdout.readline() == "keyholm: read the configuration again\n"
    running.ssh_add("-q", str(home.new_key("second")))
    until(lambda: len(running.ssh_add("-l").stdout.splitlines()) == 1, 5)
    assert "first" in running.ssh_add("-l").stdout


def test_a_reload_changes_who_is_asked(serve: Start, home: Home) -> None:
    running = serve()
    running.ssh_add("-q", "-c", str(home.new_key("mine")))
    assert running.ssh_add("-T", "mine.pub").returncode != 0
    agrees = home.folder / "agrees"
    agrees.write_text("#!/bin/sh\n")
    agrees.chmod(0o755)
    assert running.end() == 0
    configure(home, "[prompters]\norder = ['terminal']\n")
    running = serve(SSH_ASKPASS_REQUIRE="force")
    running.ssh_add("-q", "-c", str(home.folder / "mine"))
    assert running.ssh_add("-T", "mine.pub").returncode != 0
    configure(home, f"[prompters]\naskpass = '{agrees}'\n")
    running.process.send_signal(signal.SIGHUP)
    assert running.process.stdout
    running.process.stdout.readline()
    assert running.ssh_add("-T", "mine.pub").returncode == 0


# --- without its steward, and with witnesses -----------------------------------------


def test_it_lives_on_without_its_steward_and_says_so(serve: Start, home: Home) -> None:
    running = serve()
    home.keyholm("new", "mine")
    (home.folder / "mine.pub").write_text(running.ssh_add("-L").stdout)
    os.kill(steward_of(running.process.pid), signal.SIGKILL)
    until(lambda: status(home)["steward"] is False)
    assert running.ssh_add("-T", "mine.pub").returncode == 0
    assert running.end() == 0
    for left in ("ssh", "control"):
        (home.folder / "kh/run" / left).unlink()


def test_checkpoints_go_to_every_witness(serve: Start, home: Home) -> None:
    file, told = home.folder / "witness", home.folder / "told"
    teller = home.folder / "teller"
    teller.write_text(f"#!/bin/sh\ncat >> {told}\n")
    teller.chmod(0o755)
    configure(home, f"[trail.witness]\nfile = '{file}'\ncommand = ['{teller}']\n")
    running = serve()
    home.keyholm("new", "mine")
    assert running.end() == 0
    newest = (home.folder / "kh/data/trail/serve-0/checkpoint").read_bytes()
    assert newest in file.read_bytes()
    assert newest in told.read_bytes()


def test_a_program_does_not_see_what_the_configuration_hides_from_it(
    serve: Start, home: Home
) -> None:
    running = serve()
    for name in ("laptop", "ci-deploy"):
        home.keyholm("new", name)
    assert "ci-deploy" in running.ssh_add("-L").stdout
    configure(home, '[[visible]]\nexe = "ssh-add"\ndoor = "agent"\nhide = {names = ["ci-*"]}\n')
    running.process.send_signal(signal.SIGHUP)
    until(lambda: "ci-deploy" not in running.ssh_add("-L").stdout)
    assert "laptop" in running.ssh_add("-L").stdout

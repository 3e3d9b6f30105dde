"""Who a process is, as /proc of the running kernel tells it."""

import os
import pty
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.programs import program

from keyholm.core.caller import DELETED, ELSEWHERE, UNKNOWN_PROCESS, Process
from keyholm.daemon.steward.identify import (
    cgroup_in,
    descends_from,
    identify,
    is_interpreter,
    owner_of,
    parse_stat,
    resolve,
    terminal_name,
    unit_of,
)

SLEEP = shutil.which("sleep") or "/bin/sleep"


@contextmanager
def running(*command: str) -> Iterator[int]:
    """The pid of a program. `Popen` returns when it is that program, and no longer us."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE)
    try:
        yield process.pid
    finally:
        process.kill()
        process.communicate()


def until(there: Callable[[], object], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.005)


# --- a process -----------------------------------------------------------------------


def test_a_program_is_known_by_the_file_that_runs() -> None:
    with running(SLEEP, "60") as pid:
        found = identify(pid)
    facts = os.stat(SLEEP)
    assert found.pid == pid
    assert found.executable is not None
    assert (found.executable.device, found.executable.inode) == (facts.st_dev, facts.st_ino)
    assert found.executable.path == os.path.realpath(SLEEP)
    assert found.executable.trusted
    assert not found.executable.interpreter
    assert found.command == "sleep"
    assert not found.relay


def test_its_start_is_the_kernels() -> None:
    line = Path(f"/proc/{os.getpid()}/stat").read_text()
    assert identify(os.getpid()).start == int(line.rpartition(")")[2].split()[19])


def test_its_parents_are_named_nearest_first() -> None:
    with running("sh", "-c", "sleep 60 & wait") as shell:
        children = Path(f"/proc/{shell}/task/{shell}/children")
        until(lambda: children.read_text())
        child = int(children.read_text().split()[0])
        until(lambda: identify(child).command == "sleep")
        assert identify(child).parents[:1] == ("sh",)
        os.kill(child, 9)


def test_a_process_that_ended_is_unknown_and_so_is_no_process() -> None:
    ended = subprocess.Popen([SLEEP, "0"])
    ended.wait()
    assert identify(ended.pid) == Process(pid=ended.pid)
    assert identify(0) == UNKNOWN_PROCESS
    assert identify(-1) == UNKNOWN_PROCESS


def test_a_zombie_is_unknown_but_for_its_number() -> None:
    zombie = subprocess.Popen([SLEEP, "0"])
    until(lambda: Path(f"/proc/{zombie.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z")
    assert identify(zombie.pid).executable is None
    zombie.wait()


def test_a_script_is_its_interpreter_whatever_it_is_called(tmp_path: Path) -> None:
    script = tmp_path / "ssh"
    script.write_text(f"#!{sys.executable}\nimport time; time.sleep(60)\n")
    script.chmod(0o755)
    with running(str(script)) as pid:
        until(lambda: identify(pid).command == "ssh")
        found = identify(pid)
    assert found.executable is not None
    assert found.executable.interpreter
    assert os.path.basename(found.executable.path).startswith("python")
    assert not found.relay


def test_a_program_started_by_the_dynamic_loader_is_an_interpreter() -> None:
    loader = Path("/lib64/ld-linux-x86-64.so.2")
    if not loader.exists():
        pytest.skip("contract only: another architecture")
    with running(str(loader), SLEEP, "60") as pid:
        found = identify(pid).executable
    assert found is not None
    assert found.interpreter


def test_who_execs_another_program_is_that_program_from_then_on(tmp_path: Path) -> None:
    """Attribution is of the moment of the look-up: why a rule about programs is no boundary."""
    copy = tmp_path / "innocent"
    shutil.copy(SLEEP, copy)
    # Connect as one program, exec another: the pid and the start stay the same.
    with running("sh", "-c", f"read go; exec {copy} 60") as pid:
        before = identify(pid)
        with open(f"/proc/{pid}/fd/0", "w") as stdin:
            stdin.write("go\n")
        until(lambda: identify(pid).command == "innocent")
        after = identify(pid)
    assert before.start == after.start
    assert before.executable != after.executable
    assert after.executable is not None
    assert after.executable.path == str(copy)


def test_a_file_under_a_bind_mount_is_not_the_file_whose_name_it_has(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    shutil.copy(SLEEP, hidden)
    target = shutil.which("true") or "/bin/true"
    alone = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "-Urm"]
    refused = subprocess.run([*alone, "true"], capture_output=True, text=True).stderr
    if refused:
        pytest.skip(f"no mount namespaces here: {refused}")
    script = f"mount --bind {hidden} {target} && exec {target} 60"
    with running(*alone, "sh", "-c", script) as pid:
        until(lambda: identify(pid).command == "true")
        found = identify(pid).executable
    there = resolve(target)
    assert found is not None
    assert there is not None
    assert (found.device, found.inode) != (there.device, there.inode)
    assert found.path.endswith(ELSEWHERE)


def test_a_program_that_was_deleted_says_so(tmp_path: Path) -> None:
    copy = tmp_path / "gone"
    shutil.copy(SLEEP, copy)
    with running(str(copy), "60") as pid:
        copy.unlink()
        found = identify(pid).executable
    assert found is not None
    assert found.path == f"{copy}{DELETED}"


@pytest.mark.parametrize(("mode", "trusted"), [(0o755, True), (0o775, False), (0o757, False)])
def test_what_others_can_write_is_not_trusted(tmp_path: Path, mode: int, trusted: bool) -> None:
    copy = tmp_path / "program"
    shutil.copy(SLEEP, copy)
    copy.chmod(mode)
    found = resolve(str(copy))
    assert found is not None
    assert found.trusted == (trusted and os.geteuid() == 0)


def test_what_another_user_owns_is_not_trusted(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("contract only: needs root")
    copy = tmp_path / "program"
    shutil.copy(SLEEP, copy)
    os.chown(copy, 65534, 65534)
    found = resolve(str(copy))
    assert found is not None
    assert not found.trusted


def test_a_rule_about_nothing_resolves_to_nothing() -> None:
    assert resolve("/nonexistent/program") is None
    assert resolve("\0") is None


@pytest.mark.interop
def test_an_ssh_process_is_a_relay() -> None:
    ssh = program("ssh")
    with running(ssh, "-F", "none", "-o", "ProxyCommand=sleep 60", "nowhere.invalid") as pid:
        assert identify(pid).relay


def test_the_owner_of_a_process_is_told() -> None:
    with running(SLEEP, "60") as pid:
        assert owner_of(pid) == os.geteuid()
    assert owner_of(-1) is None


def test_a_descendant_is_one_at_any_depth() -> None:
    with running("sh", "-c", "sh -c 'sleep 60 & wait' & wait") as shell:
        children = f"/proc/{shell}/task/{shell}/children"
        until(lambda: Path(children).read_text())
        child = int(Path(children).read_text().split()[0])
        below = f"/proc/{child}/task/{child}/children"
        until(lambda: Path(below).read_text())
        grandchild = int(Path(below).read_text().split()[0])
        assert descends_from(grandchild, shell)
        assert descends_from(grandchild, os.getpid())
        assert not descends_from(shell, grandchild)
        assert not descends_from(1, shell)
        for pid in (grandchild, child):
            os.kill(pid, 9)


def test_a_terminal_is_found_by_its_number() -> None:
    master, terminal = pty.openpty()
    try:
        assert terminal_name(os.fstat(terminal).st_rdev) == os.ttyname(terminal)
        assert terminal_name(0) == ""
        assert terminal_name(os.makedev(136, 65000)) == ""
    finally:
        os.close(master)
        os.close(terminal)


# --- text of /proc -------------------------------------------------------------------

names = st.text(st.characters(min_codepoint=1, max_codepoint=0x2FF), max_size=15)


@given(names, st.integers(1, 2**22), st.integers(0, 2**40))
def test_any_name_of_a_program_leaves_the_numbers_behind_it_alone(
    name: str, parent: int, start: int
) -> None:
    """proc(5): the name stands in brackets and may hold brackets, spaces and newlines."""
    line = f"7 ({name}) S {parent} 3 7 1026 9 " + "0 " * 13 + f"{start} 0 0\n"
    stat = parse_stat(line)
    assert (stat.parent, stat.group, stat.terminal) == (parent, 3, 1026)
    assert (stat.foreground, stat.start) == (9, start)
    assert stat.command.isprintable()


@pytest.mark.parametrize(
    "path",
    [
        "/usr/bin/python3.11",
        "/usr/bin/python3.11-dbg",
        "/usr/bin/python",
        "/usr/local/bin/pypy3.10",
        "/usr/bin/perl5.36.0",
        "/bin/bash",
        "/usr/bin/node",
        "/usr/lib/jvm/java-17/bin/java",
        "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
        "/usr/bin/ruby3.1",
        "/usr/bin/lua5.4",
        "/usr/bin/gawk",
        f"/usr/bin/python3{ELSEWHERE}",
        f"/usr/bin/python3{DELETED}",
    ],
)
def test_an_interpreter_is_known_by_any_version(path: str) -> None:
    assert is_interpreter(path)


@pytest.mark.parametrize(
    "path", ["/usr/bin/ssh", "/usr/bin/git", "/usr/bin/pythonic", "/usr/bin/sha256sum", ""]
)
def test_a_program_is_no_interpreter(path: str) -> None:
    assert not is_interpreter(path)


# Lines as systemd 252 and 255 write them, with the one hierarchy and with the old ones beside.
CGROUPS = {
    "0::/system.slice/ci-runner.service\n": "ci-runner.service",
    "0::/system.slice/system-getty.slice/getty@tty1.service\n": "getty@tty1.service",
    "0::/user.slice/user-1000.slice/session-3.scope\n": "session-3.scope",
    "0::/user.slice/user-1000.slice/user@1000.service/app.slice/backup.service\n": (
        "user:backup.service"
    ),
    "0::/user.slice/user-1000.slice/user@1000.service/init.scope\n": "user:init.scope",
    # A container's manager has folders delegated to it, and may call them what it likes.
    "0::/system.slice/docker.service/ci-runner.service\n": "docker.service",
    "0::/user.slice/user-1000.slice/user@1000.service/ci-runner.service\n": (
        "user:ci-runner.service"
    ),
    "0::/user.slice/user-1000.slice/user@1000.service\n": "user@1000.service",
    "9:name=systemd:/system.slice/cron.service\n8:pids:/\n0::/\n": "cron.service",
    "0::/\n": "",
    "": "",
}


@pytest.mark.parametrize(("text", "unit"), CGROUPS.items())
def test_a_unit_is_the_outermost_one_and_a_users_is_marked(text: str, unit: str) -> None:
    assert unit_of(cgroup_in(text)) == unit

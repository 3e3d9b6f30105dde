"""Who is at the other end: a program is told by its file, and a script by nothing at all."""

import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.interop.conftest import Home
from tests.programs import program

pytestmark = pytest.mark.interop

# Asks the agent for a signature over a few bytes, in a process of its own.
CLIENT = """
import base64, os, socket, sys
blob = base64.b64decode(sys.argv[1])
def string(data): return len(data).to_bytes(4) + data
agent = socket.socket(socket.AF_UNIX)
agent.connect(os.environ["SSH_AUTH_SOCK"])
request = string(b"\\x0d" + string(blob) + string(b"m") + bytes(4))
def answer(): return agent.recv(int.from_bytes(agent.recv(4), "big"))[0]
"""
ONCE = f"{CLIENT}agent.sendall(request); sys.exit(answer() != 14)"
# The process that connected becomes cat, which sends the request and then waits at a pipe for its
# child, which reads the answer.
BECOMES_CAT = """
open("request", "wb").write(request)
os.mkfifo("hold")
if os.fork():
    os.dup2(agent.fileno(), 1)
    os.execv(sys.argv[2], ["cat", "request", "hold"])
got = answer()
open("hold", "w").close()
os.unlink("hold")
open("answer", "w").write(str(got))
"""
LATER = f"{CLIENT}{BECOMES_CAT}"
AFTER_ONE = f"{CLIENT}agent.sendall(request); answer()\n{BECOMES_CAT}"


def allow(home: Home, rule: str) -> None:
    (home.folder / "rules").write_text(f"allow = [{{{rule}}}]\n")
    home.keyholm("policy", "set", "k", str(home.folder / "rules"))


@pytest.fixture
def key(daemon: Home) -> str:
    daemon.keyholm("new", "k")
    public = daemon.run("ssh-add", "-L")
    (daemon.folder / "k.pub").write_text(public)
    (daemon.folder / "m").write_text("hello")
    return public.split()[1]


def test_a_program_uses_a_key_that_is_for_it(daemon: Home, key: str) -> None:
    keygen = str(Path(program("ssh-keygen")).resolve())
    sign = [keygen, "-q", "-Y", "sign", "-n", "git", "-f", "k.pub", "m"]
    allow(daemon, f'exe = "{keygen}"')
    daemon.run(*sign)
    daemon.run("ssh-add", "-T", "k.pub", fails=True)
    allow(daemon, f'exe = "{Path(program("ssh-add")).resolve()}"')
    daemon.run("ssh-add", "-T", "k.pub")
    daemon.run("rm", "m.sig")
    daemon.run(*sign, fails=True)


def test_a_copy_of_a_program_is_another_program(daemon: Home, key: str) -> None:
    add = Path(program("ssh-add")).resolve()
    mine = daemon.folder / "ssh-add"
    shutil.copy(add, mine)
    mine.chmod(0o777)
    allow(daemon, f'exe = "{add}"')
    daemon.run("ssh-add", "-T", "k.pub")
    daemon.run(str(mine), "-T", "k.pub", fails=True)
    # Whoever can change a file can make it any program, so a rule about it is for nobody.
    allow(daemon, f'exe = "{mine}"')
    daemon.run(str(mine), "-T", "k.pub", fails=True)


def test_a_script_is_not_told_apart_by_its_interpreter(daemon: Home, key: str) -> None:
    python = str(Path(sys.executable).resolve())
    daemon.run(python, "-c", ONCE, key)
    allow(daemon, f'exe = "{python}"')
    daemon.run(python, "-c", ONCE, key, fails=True)
    allow(daemon, "forwarded = false")
    daemon.run(python, "-c", ONCE, key)


@pytest.fixture
def cat(daemon: Home, key: str) -> Callable[[str], bool]:
    """Whether a key for cat alone signs for a script that becomes cat after it connected."""
    path = str(Path(program("cat")).resolve())
    allow(daemon, f'exe = "{path}"')
    answer = daemon.folder / "answer"

    def signs(script: str) -> bool:
        answer.unlink(missing_ok=True)
        daemon.run(sys.executable, "-c", script, key, path)
        end = time.monotonic() + 10
        while not (answer.exists() and answer.read_text()) and time.monotonic() < end:
            time.sleep(0.02)
        return answer.read_text() == "14"

    return signs


def test_who_asked_once_stays_who_it_was(cat: Callable[[str], bool]) -> None:
    assert not cat(AFTER_ONE)


def test_a_program_that_runs_another_before_it_asks_is_taken_for_that_one(
    cat: Callable[[str], bool],
) -> None:
    # Why a rule about programs is no wall: docs/policy.md says so.
    assert cat(LATER)


def test_a_file_that_is_mounted_over_a_program_is_not_that_program(daemon: Home, key: str) -> None:
    unshare, add = program("unshare"), str(Path(program("ssh-add")).resolve())
    enter = [unshare, "--mount", *(["--map-root-user"] if os.geteuid() else [])]
    python = str(Path(sys.executable).resolve())
    try:
        daemon.run(*enter, "mount", "--bind", python, add)
    except AssertionError as error:
        pytest.skip(f"no mount namespaces here: {error}")
    allow(daemon, f'exe = "{add}"')
    daemon.run("ssh-add", "-T", "k.pub")
    script = 'mount --bind "$1" "$2" && exec "$2" -c "$3" "$4"'
    # Under another name, Python does not find its own modules.
    env = {"PYTHONHOME": sys.base_prefix}
    daemon.run(*enter, "sh", "-c", script, "sh", python, add, ONCE, key, fails=True, env=env)
    assert "allows others" in daemon.keyholm("why")
    allow(daemon, "forwarded = false")
    daemon.run(*enter, "sh", "-c", script, "sh", python, add, ONCE, key, env=env)

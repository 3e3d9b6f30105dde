"""Keys that somebody must agree to: real ssh-add, the real agent, real ways of being asked."""

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.daemon.conftest import Running
from tests.interop.conftest import Home
from tests.programs import program

pytestmark = pytest.mark.interop
Start = Callable[..., Running]


def script(folder: Path, text: str, name: str = "askpass") -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def with_key(running: Running) -> Path:
    key = running.home.new_key("mine")
    assert running.ssh_add("-q", "-c", str(key)).returncode == 0
    return key


def signs(running: Running, **environment: str) -> bool:
    return running.ssh_add("-T", "mine.pub", **environment).returncode == 0


# --- by askpass ----------------------------------------------------------------------


def asking(home: Home, agent: Start, answer: str) -> Running:
    """An agent whose askpass does what `answer` says."""
    ask = script(home.folder, answer)
    running = agent(SSH_ASKPASS=ask, SSH_ASKPASS_REQUIRE="force")
    with_key(running)
    return running


def test_who_is_asked_and_agrees_lets_the_key_be_used(home: Home, agent: Start) -> None:
    told = home.folder / "told"
    running = asking(home, agent, f'printf "%s|%s\\n" "$SSH_ASKPASS_PROMPT" "$1" > {told}')
    assert signs(running)
    kind, _, text = told.read_text().partition("|")
    fingerprint = home.run("ssh-keygen", "-lf", "mine.pub").split()[1]
    assert kind == "confirm"
    assert text.startswith(f"Allow use of key mine?\nKey fingerprint {fingerprint}.\n")
    assert f"{os.path.realpath('/usr/bin/ssh-add')} (process" in text


def test_a_key_is_shown_by_the_hash_that_was_asked_for(home: Home, agent: Start) -> None:
    told = home.folder / "told"
    ask = script(home.folder, f'printf "%s" "$1" > {told}')
    running = agent("-E", "md5", SSH_ASKPASS=ask, SSH_ASKPASS_REQUIRE="force")
    with_key(running)
    assert signs(running)
    fingerprint = home.run("ssh-keygen", "-E", "md5", "-lf", "mine.pub").split()[1]
    assert told.read_text().splitlines()[1] == f"Key fingerprint {fingerprint}."


def test_who_says_no_is_obeyed(home: Home, agent: Start) -> None:
    assert not signs(asking(home, agent, "echo no"))


def test_with_nobody_to_ask_the_answer_is_no(agent: Start) -> None:
    running = agent()  # SSH_ASKPASS_REQUIRE=never, no display, no terminal
    with_key(running)
    assert not signs(running)


def test_a_callers_own_askpass_changes_nothing(home: Home, agent: Start) -> None:
    """A hostile program cannot agree in its user's place."""
    running = agent()
    with_key(running)
    evidence = home.folder / "evidence"
    hostile = script(home.folder, f"touch {evidence}; echo yes", "hostile")
    assert not signs(running, SSH_ASKPASS=hostile, SSH_ASKPASS_REQUIRE="force", DISPLAY=":0")
    assert not evidence.exists()


def test_an_askpass_that_asks_for_keys_itself_gets_none(home: Home, agent: Start) -> None:
    result = home.folder / "result"
    answer = f"SSH_AUTH_SOCK={home.folder}/s ssh-add -l > {result} 2>&1; echo $? >> {result}"
    assert signs(asking(home, agent, answer))
    *said, status = result.read_text().splitlines()
    # The connection is closed: ssh-add says so, or is ended by SIGPIPE as it writes.
    assert status in ("1", "141")
    assert said in ([], ["error fetching identities: communication with agent failed"])


def test_who_waits_for_an_answer_holds_up_nobody_else(home: Home, agent: Start) -> None:
    running = asking(home, agent, "sleep 2; echo yes")
    running.ssh_add("-q", str(home.new_key("plain")))
    with subprocess.Popen(
        [program("ssh-add"), "-T", "mine.pub"],
        cwd=home.folder,
        env={**home.environment, "SSH_AUTH_SOCK": running.socket},
    ) as waiting:
        time.sleep(0.3)
        begun = time.monotonic()
        assert running.ssh_add("-T", "plain.pub").returncode == 0
        assert time.monotonic() - begun < 1.5
        assert waiting.wait(20) == 0


# --- at the caller's terminal --------------------------------------------------------


def at_a_terminal(running: Running, keys: bytes, *, background: bool = False) -> tuple[int, bytes]:
    """`ssh-add -T` as somebody runs it at a terminal, who types `keys` when asked."""
    command = [program("ssh-add"), "-T", str(running.home.folder / "mine.pub")]
    pid, master = pty.fork()
    if not pid:
        environment = {**running.home.environment, "SSH_AUTH_SOCK": running.socket}
        if background:
            # A job of a shell that keeps the terminal to itself.
            job = f"set -m; {' '.join(command)} & wait $!"
            os.execvpe("sh", ["sh", "-c", job], environment)
        os.execvpe(command[0], command, environment)
    shown = b""
    typed = False
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if not select.select([master], [], [], 0.1)[0]:
            continue
        try:
            piece = os.read(master, 4096)
        except OSError:  # the last one has closed it
            break
        shown += piece
        if b"agree: " in shown and not typed:
            os.write(master, keys)
            typed = True
    os.close(master)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown


@pytest.fixture
def terminal_only(home: Home, agent: Start) -> Running:
    (home.folder / "kh").mkdir()
    configuration = home.folder / "kh/config.toml"
    configuration.write_text("[prompters]\norder = ['terminal']\nseconds = 5\n")
    running = agent()
    with_key(running)
    return running


@pytest.mark.parametrize(("keys", "status"), [(b"yes\n", 0), (b"no\n", 1), (b"\n", 1)])
def test_the_caller_is_asked_at_its_own_terminal(
    terminal_only: Running, keys: bytes, status: int
) -> None:
    found, shown = at_a_terminal(terminal_only, keys)
    assert (found, b"Allow use of key mine?" in shown) == (status, True)


def test_a_caller_in_the_background_is_not_asked_there(terminal_only: Running) -> None:
    """The program in the foreground reads from the terminal, and would get the answer."""
    status, shown = at_a_terminal(terminal_only, b"yes\n", background=True)
    assert status != 0
    assert b"Allow use" not in shown


# --- FIDO keys -----------------------------------------------------------------------

DUMMY = Path("/usr/lib/openssh/regress/misc/sk-dummy/sk-dummy.so")


@pytest.fixture
def key(home: Home) -> Path:
    """A FIDO key of OpenSSH's software authenticator."""
    if not DUMMY.exists():
        pytest.skip("openssh-tests is not installed")
    path = home.folder / "mine"
    words = ["-q", "-t", "ed25519-sk", "-w", str(DUMMY), "-N", "", "-C", "mine", "-f", str(path)]
    home.run("ssh-keygen", *words)
    return path


def with_fido_key(running: Running) -> bool:
    return running.ssh_add("-q", "-S", str(DUMMY), "mine").returncode == 0


def test_a_fido_key_signs_through_opensshs_own_helper(agent: Start, key: Path) -> None:
    running = agent("-P", "/usr/lib/*")
    assert with_fido_key(running)
    assert signs(running)


def test_middleware_that_is_not_allowed_is_not_loaded(agent: Start, key: Path) -> None:
    assert not with_fido_key(agent("-P", "/opt/*"))


@pytest.mark.parametrize(
    "does",
    ["kill -9 $$", "exit 0", "head -c 100000 /dev/zero", "printf '\\000\\000\\000\\001\\005'"],
)
def test_a_helper_that_fails_costs_one_signature(
    home: Home, agent: Start, key: Path, does: str
) -> None:
    helper = script(home.folder, does, "helper")
    running = agent("-P", "/usr/lib/*", SSH_SK_HELPER=helper)
    assert with_fido_key(running)
    assert not signs(running)
    assert running.answers()


PIN_HELPER = """
import struct, subprocess, sys
(size,) = struct.unpack(">I", sys.stdin.buffer.read(4))
request = sys.stdin.buffer.read(size)
if request.endswith(struct.pack(">I", 4) + b"1234"):
    # Now the real one, which needs no PIN for a key that did not ask for one.
    frame = request[:-8] + struct.pack(">I", 0)
    done = subprocess.run(
        ["{real}"], input=struct.pack(">I", len(frame)) + frame, stdout=subprocess.PIPE
    )
    sys.stdout.buffer.write(done.stdout)
else:
    sys.stdout.buffer.write(struct.pack(">IBII", 9, 5, 0, 43))
"""


def test_a_pin_is_asked_for_once_when_the_device_wants_one_contract_fake(
    home: Home, agent: Start, key: Path
) -> None:
    """A helper that wants a PIN before it lets OpenSSH's own do the work."""
    real = "/usr/lib/openssh/ssh-sk-helper"
    helper = home.folder / "helper"
    helper.write_text(f"#!{sys.executable}\n{PIN_HELPER.format(real=real)}")
    helper.chmod(0o755)
    ask = script(
        home.folder, 'case "$SSH_ASKPASS_PROMPT" in none) exec sleep 60;; *) echo 1234;; esac'
    )
    environment = {"SSH_SK_HELPER": str(helper), "SSH_ASKPASS_REQUIRE": "force"}
    running = agent("-P", "/usr/lib/*", SSH_ASKPASS=ask, **environment)
    assert with_fido_key(running)
    assert signs(running)
    wrong = script(home.folder, "echo 0000")
    assert wrong == ask
    assert not signs(running)

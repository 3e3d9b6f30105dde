"""Real askpass programs, as shell scripts, and what their surroundings are."""

import os
import time
from pathlib import Path

import pytest

from keyholm.core.prompt import Answer, Kind, Question
from keyholm.prompters.askpass import Askpass
from keyholm.prompters.prompter import CannotAsk, OutOfPatience, Patience
from keyholm.prompters.session import Session

CONFIRM = Question(
    Kind.CONFIRM, "keyholm", "Allow use of key mine?\nKey fingerprint SHA256:abc.", seconds=20
)
SECRET = Question(Kind.SECRET, "keyholm", "Unlock it.", "Passphrase:", seconds=20)
NOTICE = Question(Kind.NOTICE, "keyholm", "Touch your key.", seconds=20)
FORCED = {"SSH_ASKPASS_REQUIRE": "force"}


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return tmp_path / "askpass"


def write(script: Path, text: str) -> str:
    script.write_text(f"#!/bin/sh\n{text}\n")
    script.chmod(0o755)
    return str(script)


def ask(path: str, question: Question = CONFIRM, start: dict[str, str] | None = None) -> Answer:
    askpass = Askpass(Session(FORCED if start is None else start), path)
    assert not askpass.unusable(question)
    return askpass.ask(question, Patience(question.seconds))


# --- what counts as an answer --------------------------------------------------------


@pytest.mark.parametrize("output", ["", "\\n", "yes", "YES\\n", "yes\\nmore"])
def test_nothing_or_yes_with_status_0_is_consent(script: Path, output: str) -> None:
    assert ask(write(script, f"printf '{output}'")) == Answer(True, "askpass")


@pytest.mark.parametrize("output", ["no", "y", "yes!", " yes", "yesyes", "\\000", "0"])
def test_anything_else_is_none(script: Path, output: str) -> None:
    assert not ask(write(script, f"printf '{output}'")).granted


def test_another_status_is_a_refusal(script: Path) -> None:
    assert ask(write(script, "echo yes; exit 1")) == Answer(False, "askpass", reason="denied")


def test_a_program_that_is_killed_is_a_refusal(script: Path) -> None:
    assert not ask(write(script, "kill -9 $$")).granted


def test_a_secret_is_the_first_line(script: Path) -> None:
    answer = ask(write(script, "printf 'p\\303\\244ss word\\r\\nmore\\n'"), SECRET)
    assert answer.granted
    assert answer.secret is not None
    with answer.secret as secret:
        assert bytes(secret.view) == "päss word".encode()


def test_an_empty_secret_is_one(script: Path) -> None:
    answer = ask(write(script, "echo"), SECRET)
    assert answer.secret is not None
    with answer.secret as secret:
        assert len(secret) == 0


def test_a_program_that_says_too_much_is_cut_off(script: Path) -> None:
    answer = ask(write(script, "yes | head -c 100000; exit 0"), SECRET)
    assert answer.secret is not None
    answer.secret.close()


def test_no_secret_is_given_by_a_program_that_failed(script: Path) -> None:
    assert ask(write(script, "echo 1234; exit 2"), SECRET).secret is None


# --- what it is told -----------------------------------------------------------------


def test_it_is_asked_as_ssh_agent_asks(script: Path, tmp_path: Path) -> None:
    told = tmp_path / "told"
    write(script, f'printf "%s|%s" "$1" "$SSH_ASKPASS_PROMPT" > {told}')
    ask(str(script))
    assert told.read_text() == f"{CONFIRM.text}|confirm"
    write(script, f'printf "%s|%s" "$1" "${{SSH_ASKPASS_PROMPT-unset}}" > {told}')
    answer = ask(str(script), SECRET)
    assert answer.secret is not None
    answer.secret.close()
    assert told.read_text() == "Unlock it.\nPassphrase:|unset"


def test_attempts_that_are_left_are_said(script: Path, tmp_path: Path) -> None:
    told = tmp_path / "told"
    question = Question(Kind.CONFIRM, "", "Go on?", attempts_left=2, seconds=20)
    ask(write(script, f'printf "%s" "$1" > {told}'), question)
    assert told.read_text() == "Go on?\n(2 attempts are left.)"


def test_its_environment_is_built_from_nothing(script: Path, tmp_path: Path) -> None:
    """A caller cannot reach it, and neither does what the daemon happened to be started with."""
    told = tmp_path / "told"
    hostile = {
        "LD_PRELOAD": "/tmp/evil.so",
        "GTK_MODULES": "evil",
        "PYTHONPATH": "/tmp",
        "SSH_AUTH_SOCK": "/tmp/s",
        "IFS": "x",
        "ENV": "/tmp/evil.sh",
        "PATH": "/tmp/evil",
    }
    start = {
        **hostile,
        "DISPLAY": ":7",
        "XAUTHORITY": "/run/x",
        "WAYLAND_DISPLAY": "wayland-0",
        "XDG_RUNTIME_DIR": str(tmp_path),
        "LANG": "de_DE.UTF-8",
        "HOME": "/nowhere",
    }
    ask(write(script, f"env > {told}"), CONFIRM, start)
    found = dict(line.split("=", 1) for line in told.read_text().splitlines())
    for added_by_the_shell in ("PWD", "SHLVL", "_"):
        found.pop(added_by_the_shell, None)
    assert found == {
        "DISPLAY": ":7",
        "XAUTHORITY": "/run/x",
        "WAYLAND_DISPLAY": "wayland-0",
        "XDG_RUNTIME_DIR": str(tmp_path),
        "LANG": "de_DE.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": os.path.expanduser(f"~{_name()}"),
        "SSH_ASKPASS_PROMPT": "confirm",
    }


def _name() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


def test_it_inherits_no_descriptor_and_no_terminal(script: Path, tmp_path: Path) -> None:
    told = tmp_path / "told"
    with open(tmp_path / "ours", "w") as ours:
        os.set_inheritable(ours.fileno(), True)
        ask(write(script, f"ls /proc/self/fd > {told}; cat >> {told}"))
        # 0 to 2, and the folder that ls reads.
        assert told.read_text().split() == ["0", "1", "2", "3"]


# --- when it can ask -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "path", "why"),
    [
        ({"DISPLAY": ":0"}, "", "neither"),
        ({"DISPLAY": ":0", "SSH_ASKPASS_REQUIRE": "never"}, "/bin/true", "never"),
        ({}, "/bin/true", "no display"),
        (FORCED, "true", "no absolute path"),
        (FORCED, "/nonexistent", "no program"),
        ({**FORCED, "SSH_ASKPASS": "ap"}, "", "no absolute path"),
    ],
)
def test_why_it_cannot_ask(start: dict[str, str], path: str, why: str) -> None:
    assert why in Askpass(Session(start), path).unusable(CONFIRM)


@pytest.mark.parametrize(
    "start", [FORCED, {"DISPLAY": ":0"}, {"WAYLAND_DISPLAY": "w", "SSH_ASKPASS_REQUIRE": "prefer"}]
)
def test_when_it_can(start: dict[str, str]) -> None:
    assert Askpass(Session({**start, "SSH_ASKPASS": "/bin/true"})).unusable(CONFIRM) == ""


def test_the_configured_program_goes_before_the_environments(script: Path) -> None:
    start = {**FORCED, "SSH_ASKPASS": "/bin/false"}
    assert ask(write(script, "exit 0"), CONFIRM, start).granted


def test_a_program_that_cannot_be_run_asked_nobody(script: Path) -> None:
    script.write_text("no program")
    script.chmod(0o755)
    with pytest.raises(CannotAsk, match="cannot be started"):
        ask(str(script))


# --- time ----------------------------------------------------------------------------


def test_it_and_what_it_started_end_with_the_question(script: Path, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    write(script, f"sleep 60 & echo $! > {pids}; echo $$ >> {pids}; wait")
    askpass = Askpass(Session(FORCED), str(script))
    answer = askpass.ask(CONFIRM, Patience(0.5))
    assert answer == Answer(False, "askpass", reason="timeout")
    for pid in map(int, pids.read_text().split()):
        assert gone(pid)


def test_one_that_ignores_being_asked_to_end_is_ended(script: Path) -> None:
    begun = time.monotonic()
    path = write(script, "trap '' TERM; while :; do sleep 0.05; done")
    assert Askpass(Session(FORCED), path).ask(CONFIRM, Patience(0.3)).reason == "timeout"
    assert time.monotonic() - begun < 5


def test_a_question_that_is_taken_back_ends_it(script: Path) -> None:
    reading, writing = os.pipe()
    try:
        os.close(writing)
        path = write(script, "sleep 60")
        answer = Askpass(Session(FORCED), path).ask(CONFIRM, Patience(20, reading))
    finally:
        os.close(reading)
    assert answer == Answer(False, "askpass", reason="withdrawn")


def test_a_notice_is_shown_until_nobody_wants_it(script: Path, tmp_path: Path) -> None:
    told = tmp_path / "told"
    path = write(script, f'echo "$SSH_ASKPASS_PROMPT $$" > {told}; exec sleep 60')
    Askpass(Session(FORCED), path).show(NOTICE, Patience(0.5))
    hint, pid = told.read_text().split()
    assert hint == "none"
    assert gone(int(pid))


def test_patience_ends() -> None:
    with pytest.raises(OutOfPatience, match="timeout"):
        Patience(0).wait()


def gone(pid: int) -> bool:
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False

"""The real pinentry on a real terminal, and small ones that say what a real one rarely does."""

import os
import pty
import select
import threading
import time
from pathlib import Path

import pytest
from tests.programs import program

from keyholm.core.prompt import Answer, Kind, Question
from keyholm.prompters.pinentry import Pinentry
from keyholm.prompters.prompter import CannotAsk, Patience
from keyholm.prompters.session import Session

CONFIRM = Question(Kind.CONFIRM, "keyholm", "Allow use of key mine?\n100% sure?", seconds=20)
SECRET = Question(Kind.SECRET, "keyholm", "Unlock it.", "Passphrase:", seconds=20)


def on_terminal(question: Question, keys: bytes, when: bytes) -> tuple[Answer, bytes]:
    """Ask by the real program; `keys` are typed once `when` is on the screen."""
    curses = program("pinentry-curses")
    master, terminal = pty.openpty()
    path = os.ttyname(terminal)
    shown = bytearray()
    done = threading.Event()

    def hand() -> None:
        typed = False
        while not done.is_set():
            if select.select([master], [], [], 0.05)[0]:
                shown.extend(os.read(master, 4096))
            if when in shown and not typed:
                time.sleep(0.1)  # it takes keys a moment after it has drawn
                os.write(master, keys)
                typed = True

    typing = threading.Thread(target=hand)
    typing.start()
    try:
        pinentry = Pinentry(Session({}), lambda question: path, curses)
        assert not pinentry.unusable(question)
        return pinentry.ask(question, Patience(question.seconds)), bytes(shown)
    finally:
        done.set()
        typing.join()
        os.close(master)
        os.close(terminal)


@pytest.mark.interop
def test_a_pin_is_typed_into_the_real_one() -> None:
    answer, shown = on_terminal(SECRET, b"12%4 x\r", b"Passphrase")
    assert answer.granted
    assert answer.secret is not None
    with answer.secret as secret:
        assert bytes(secret.view) == b"12%4 x"
    assert b"Unlock it." in shown
    assert b"12%4" not in shown


@pytest.mark.interop
def test_the_real_one_confirms() -> None:
    answer, shown = on_terminal(CONFIRM, b"\r", b"sure?")
    assert answer == Answer(True, "pinentry")
    assert b"100% sure?" in shown


@pytest.mark.interop
@pytest.mark.parametrize("keys", [b"\t\t\r", b"\x03"], ids=["by its button", "interrupted"])
def test_the_real_one_is_cancelled(keys: bytes) -> None:
    answer, _ = on_terminal(SECRET, keys, b"Passphrase")
    assert answer == Answer(False, "pinentry", reason="cancelled")


@pytest.mark.interop
def test_the_real_one_gives_up_when_the_time_is_up() -> None:
    question = Question(Kind.CONFIRM, "keyholm", "Allow?", seconds=1)
    answer, _ = on_terminal(question, b"", b"never")
    assert not answer.granted
    assert answer.reason in ("timeout", "cancelled")


# --- small ones ----------------------------------------------------------------------


def small(tmp_path: Path, script: str) -> Pinentry:
    path = tmp_path / "pinentry"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return Pinentry(Session({"DISPLAY": ":9"}), lambda question: "", str(path))


LOOP = """
echo OK hello
while read -r command rest; do
    echo "$command $rest" >> {told}
    case $command in
        {special}
        *) echo OK;;
    esac
done
"""


@pytest.mark.parametrize(
    ("code", "reason"), [(83886179, "cancelled"), (83886194, "denied"), (83886142, "timeout")]
)
def test_a_refusal_has_its_reason(tmp_path: Path, code: int, reason: str) -> None:
    special = f"CONFIRM) echo ERR {code} no;;"
    pinentry = small(tmp_path, LOOP.format(told="/dev/null", special=special))
    assert pinentry.ask(CONFIRM, Patience(5)) == Answer(False, "pinentry", reason=reason)


def test_it_is_told_what_is_asked_and_where(tmp_path: Path) -> None:
    told = tmp_path / "told"
    pinentry = small(tmp_path, LOOP.format(told=told, special="NOTHING) :;;"))
    assert pinentry.ask(CONFIRM, Patience(30)).granted
    lines = told.read_text().splitlines()
    assert "OPTION display=:9" in lines
    assert "SETKEYINFO --clear" in lines
    assert "SETTIMEOUT 30" in lines
    assert "SETTITLE keyholm" in lines
    assert "SETDESC Allow use of key mine?%0A100%25 sure?" in lines
    assert lines[-1] == "CONFIRM "


def test_one_that_knows_no_timeout_asks_all_the_same(tmp_path: Path) -> None:
    special = "SETTIMEOUT|OPTION|SETKEYINFO|SETTITLE) echo ERR 536871187 Unknown command;;"
    pinentry = small(tmp_path, LOOP.format(told="/dev/null", special=special))
    assert pinentry.ask(CONFIRM, Patience(5)).granted


@pytest.mark.parametrize(
    "script",
    [
        "exit 0",
        "echo OK; exit 0",
        "echo ERR 83886340 no display",
        "echo OK; echo OK; echo ERR 83886340 no tty; sleep 1",
        "head -c 5000 /dev/zero; sleep 1",
    ],
)
def test_one_that_showed_nothing_leaves_it_to_the_next(tmp_path: Path, script: str) -> None:
    with pytest.raises(CannotAsk):
        small(tmp_path, script).ask(CONFIRM, Patience(5))


def test_status_0_is_no_consent(tmp_path: Path) -> None:
    pinentry = small(tmp_path, "echo OK; read a; echo OK; exit 0")
    with pytest.raises(CannotAsk):
        pinentry.ask(CONFIRM, Patience(5))


def test_one_that_never_answers_is_ended(tmp_path: Path) -> None:
    pinentry = small(tmp_path, "echo OK; exec sleep 60")
    assert pinentry.ask(CONFIRM, Patience(0.3)).reason == "timeout"


@pytest.mark.parametrize(
    ("start", "path", "why"),
    [
        ({}, "/nonexistent", "no program"),
        ({}, "/bin/true", "neither a display nor a terminal"),
    ],
)
def test_why_it_cannot_ask(start: dict[str, str], path: str, why: str) -> None:
    assert why in Pinentry(Session(start), lambda question: "", path).unusable(CONFIRM)


def test_a_notice_is_taken_away_with_its_program(tmp_path: Path) -> None:
    told = tmp_path / "told"
    pinentry = small(tmp_path, LOOP.format(told=told, special="MESSAGE) exec sleep 60;;"))
    begun = time.monotonic()
    pinentry.show(Question(Kind.NOTICE, "keyholm", "Touch it."), Patience(0.5))
    assert time.monotonic() - begun < 5
    assert told.read_text().splitlines()[-1] == "MESSAGE "

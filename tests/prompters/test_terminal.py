"""A real terminal: a pty whose other end is typed at by the test."""

import os
import pty
import termios
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from keyholm.core.prompt import Answer, Kind, Question
from keyholm.prompters.prompter import CannotAsk, Patience
from keyholm.prompters.terminal import Terminal

ME = os.getuid()
CONFIRM = Question(Kind.CONFIRM, "keyholm", "Allow use of key mine?", uid=ME, seconds=20)
SECRET = Question(Kind.SECRET, "keyholm", "Unlock it.", "PIN:", uid=ME, seconds=20)


@dataclass
class Screen:
    """What a user sees, and a hand that types when the prompt stands there."""

    master: int
    path: str
    shown: bytearray = field(default_factory=bytearray)

    def read_until(self, text: bytes) -> None:
        while text not in self.shown:
            self.shown += os.read(self.master, 4096)

    def types(self, after: bytes, keys: bytes) -> threading.Thread:
        def hand() -> None:
            self.read_until(after)
            os.write(self.master, keys)

        thread = threading.Thread(target=hand)
        thread.start()
        return thread


@pytest.fixture
def screen() -> Iterator[Screen]:
    master, terminal = pty.openpty()
    try:
        yield Screen(master, os.ttyname(terminal))
    finally:
        os.close(master)
        os.close(terminal)


def ask(screen: Screen, question: Question, after: bytes, keys: bytes) -> Answer:
    hand = screen.types(after, keys)
    answer = Terminal(lambda question: screen.path).ask(question, Patience(question.seconds))
    hand.join()
    return answer


@pytest.mark.parametrize("keys", [b"yes\n", b"YES\n", b" yes \n"])
def test_yes_is_consent(screen: Screen, keys: bytes) -> None:
    assert ask(screen, CONFIRM, b"agree: ", keys) == Answer(True, "terminal")
    assert b"keyholm: Allow use of key mine?" in screen.shown


@pytest.mark.parametrize("keys", [b"\n", b"y\n", b"no\n", b"\x04", b"yes please\n"])
def test_anything_else_is_none(screen: Screen, keys: bytes) -> None:
    assert ask(screen, CONFIRM, b"agree: ", keys) == Answer(False, "terminal", reason="denied")


def test_a_secret_is_typed_unseen(screen: Screen) -> None:
    answer = ask(screen, SECRET, b"PIN: ", b"1234\n")
    assert answer.secret is not None
    with answer.secret as secret:
        assert bytes(secret.view) == b"1234"
    os.write(screen.master, b"")
    screen.read_until(b"PIN: \r\n")
    assert b"1234" not in screen.shown


def test_no_secret_is_none(screen: Screen) -> None:
    assert ask(screen, SECRET, b"PIN: ", b"\n") == Answer(False, "terminal", reason="cancelled")


def test_what_was_typed_ahead_agrees_to_nothing(screen: Screen) -> None:
    os.write(screen.master, b"yes\n")
    time.sleep(0.1)  # until it has come out at the other end
    answer = Terminal(lambda question: screen.path).ask(CONFIRM, Patience(0.3))
    assert answer == Answer(False, "terminal", reason="timeout")


def test_the_terminal_is_left_as_it_was(screen: Screen) -> None:
    descriptor = os.open(screen.path, os.O_RDWR | os.O_NOCTTY)
    try:
        before = termios.tcgetattr(descriptor)
        Terminal(lambda question: screen.path).ask(SECRET, Patience(0.2))
        assert termios.tcgetattr(descriptor) == before
    finally:
        os.close(descriptor)


def test_a_notice_is_shown(screen: Screen) -> None:
    notice = Question(Kind.NOTICE, "keyholm", "Touch your key.", uid=ME)
    Terminal(lambda question: screen.path).show(notice, Patience(1))
    screen.read_until(b"keyholm: Touch your key.\r\n")


def test_somebody_elses_terminal_is_no_place_to_ask(screen: Screen) -> None:
    question = Question(Kind.CONFIRM, "keyholm", "Allow?", uid=ME + 1)
    terminal = Terminal(lambda question: screen.path)
    assert "belongs to uid" in terminal.unusable(question)
    with pytest.raises(CannotAsk, match="belongs to uid"):
        terminal.ask(question, Patience(1))


def test_a_terminal_that_anybody_can_write_to_is_none(screen: Screen) -> None:
    os.chmod(screen.path, 0o622)
    terminal = Terminal(lambda question: screen.path)
    assert "anybody can write" in terminal.unusable(CONFIRM)


def test_a_file_is_no_terminal(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("yes\n")
    terminal = Terminal(lambda question: str(path))
    assert "no terminal" in terminal.unusable(CONFIRM)
    with pytest.raises(CannotAsk):
        terminal.ask(CONFIRM, Patience(1))


def test_a_device_that_is_no_terminal_is_none() -> None:
    if ME != 0:
        pytest.skip("contract only: /dev/zero belongs to root")
    with pytest.raises(CannotAsk):
        Terminal(lambda question: "/dev/zero").ask(CONFIRM, Patience(1))


def test_without_a_terminal_nobody_is_asked_there() -> None:
    terminal = Terminal(lambda question: "")
    assert "no terminal" in terminal.unusable(CONFIRM)
    with pytest.raises(CannotAsk):
        terminal.ask(CONFIRM, Patience(1))


def test_a_terminal_that_is_hung_up_is_a_refusal_and_no_crash() -> None:
    master, slave = pty.openpty()
    path = os.ttyname(slave)
    hand = Screen(master, path).types(b"agree: ", b"")

    def hang_up() -> None:
        hand.join()
        os.close(master)

    hanging = threading.Thread(target=hang_up)
    hanging.start()
    answer = Terminal(lambda question: path).ask(CONFIRM, Patience(5))
    hanging.join()
    os.close(slave)
    assert not answer.granted

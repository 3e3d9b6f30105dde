"""The terminal of the caller, if it is the caller's own, else of the daemon in the foreground.

Keys that were struck before the question stood there are thrown away, so that nobody agrees
by typing ahead.
"""

import contextlib
import os
import stat
import termios
from collections.abc import Iterator
from typing import Final

from keyholm.core.prompt import Answer, Kind, Question
from keyholm.core.secret import Secret
from keyholm.prompters.pinentry import TerminalOf
from keyholm.prompters.prompter import (
    MOST,
    CannotAsk,
    OutOfPatience,
    Patience,
    first_line,
    refusal,
)

LOCAL_MODES: Final = 3  # index of c_lflag in what termios gives
HOW: Final = {Kind.CONFIRM: "Type `yes` to agree: ", Kind.SECRET: "Passphrase: ", Kind.NOTICE: ""}


class Terminal:
    name = "terminal"

    def __init__(self, terminal_of: TerminalOf) -> None:
        self._terminal_of = terminal_of

    def unusable(self, question: Question | None) -> str:
        if question is None:
            return ""
        path = self._terminal_of(question)
        if not path:
            return "the caller has no terminal in whose foreground it runs"
        return why_not_theirs(path, question.uid)

    def ask(self, question: Question, patience: Patience) -> Answer:
        with self._opened(question) as terminal:
            try:
                answer = _typed(terminal, question, patience)
            except OutOfPatience as error:
                _write(terminal, f"({error.reason})\n")
                return refusal(self.name, error.reason)
        if question.kind is Kind.SECRET:
            if not answer.size:
                answer.close()
                return refusal(self.name, "cancelled")
            return Answer(True, self.name, answer)
        with answer:
            granted = bytes(answer.view).strip().lower() == b"yes"
        return Answer(granted, self.name, reason="" if granted else "denied")

    def show(self, question: Question, patience: Patience) -> None:
        with contextlib.suppress(CannotAsk), self._opened(question) as terminal:
            _write(terminal, f"{question.title}: {question.text}\n")

    @contextlib.contextmanager
    def _opened(self, question: Question) -> Iterator[int]:
        """Raises `CannotAsk`."""
        path = self._terminal_of(question)
        try:
            # Never as our controlling terminal: its signals are not meant for us.
            terminal = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError as error:
            raise CannotAsk(f"{path} cannot be opened: {error.strerror}") from error
        try:
            if reason := _not_theirs(os.fstat(terminal), path, question.uid):
                raise CannotAsk(reason)
            yield terminal
        finally:
            os.close(terminal)


def why_not_theirs(path: str, uid: int) -> str:
    try:
        return _not_theirs(os.stat(path), path, uid)
    except OSError as error:
        return f"{path}: {error.strerror}"


def _not_theirs(facts: os.stat_result, path: str, uid: int) -> str:
    """Somebody else's terminal is no place to ask this user, nor one that others can write to."""
    if not stat.S_ISCHR(facts.st_mode):
        return f"{path} is no terminal"
    if facts.st_uid != uid:
        return f"{path} belongs to uid {facts.st_uid} and not to the caller"
    if facts.st_mode & stat.S_IWOTH:
        return f"anybody can write to {path}"
    return ""


def _typed(terminal: int, question: Question, patience: Patience) -> Secret:
    how = question.prompt and f"{question.prompt} "
    _write(terminal, f"\n{question.title}: {question.text}\n")
    if question.attempts_left is not None:
        _write(terminal, f"({question.attempts_left} attempts are left.)\n")
    with _quiet(terminal, echo=question.kind is not Kind.SECRET):
        _write(terminal, how or HOW[question.kind])
        try:
            return _read_line(terminal, patience)
        finally:
            if question.kind is Kind.SECRET:
                _write(terminal, "\n")


@contextlib.contextmanager
def _quiet(terminal: int, *, echo: bool) -> Iterator[None]:
    """Whole lines, without echo for a secret, and nothing of what was typed before."""
    try:
        before = termios.tcgetattr(terminal)
    except termios.error as error:
        raise CannotAsk("it is no terminal") from error
    now = [*before]
    flags = int(before[LOCAL_MODES]) | termios.ICANON
    now[LOCAL_MODES] = flags | termios.ECHO if echo else flags & ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSAFLUSH, now)
    try:
        yield
    finally:
        with contextlib.suppress(termios.error):  # it was hung up meanwhile
            termios.tcsetattr(terminal, termios.TCSAFLUSH, before)


def _read_line(terminal: int, patience: Patience) -> Secret:
    with Secret(MOST) as buffer:
        size = 0
        while size < MOST:
            patience.wait(terminal)
            count = os.readv(terminal, [buffer.view[size:]])
            size += count
            if not count or buffer.view[size - 1] in b"\r\n":
                break
        return first_line(buffer, size)


def _write(terminal: int, text: str) -> None:
    data = text.encode()
    with contextlib.suppress(OSError):  # it was hung up meanwhile; reading will say so
        while data:
            data = data[os.write(terminal, data) :]

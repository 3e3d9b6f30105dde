"""pinentry: GnuPG's dialogs, in a window or on a terminal."""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Final

from keyholm.core.prompt import Answer, Kind, Question
from keyholm.prompters import assuan, program
from keyholm.prompters.assuan import Conversation
from keyholm.prompters.prompter import CannotAsk, OutOfPatience, Patience, refusal
from keyholm.prompters.session import Session, has_screen

USUAL: Final = ("/usr/bin/pinentry", "/usr/local/bin/pinentry")
TERMINAL_TYPE: Final = "xterm"  # all that we know of a caller's terminal is that it is one
REASONS: Final = {
    assuan.CANCELED: "cancelled",
    assuan.NOT_CONFIRMED: "denied",
    assuan.TIMEOUT: "timeout",
}

# The terminal where a question may be asked; empty: there is none.
TerminalOf = Callable[[Question], str]


class Pinentry:
    name = "pinentry"

    def __init__(self, session: Session, terminal_of: TerminalOf, path: str = "") -> None:
        self._session, self._terminal_of = session, terminal_of
        self._path = path or next((usual for usual in USUAL if os.access(usual, os.X_OK)), "")

    def unusable(self, question: Question | None) -> str:
        if not self._path:
            return "no pinentry is installed"
        if not os.access(self._path, os.X_OK):
            return f"{self._path} is no program that can be run"
        if has_screen(self._session.environment()):
            return ""
        if question is None or self._terminal_of(question):
            return ""
        return "there is neither a display nor a terminal of the caller"

    def ask(self, question: Question, patience: Patience) -> Answer:
        try:
            with self._talking(question, patience) as pinentry:
                return self._answer(pinentry, question)
        except assuan.Refused as error:
            if error.code not in REASONS:
                raise CannotAsk(str(error)) from error
            return refusal(self.name, REASONS[error.code])
        except OutOfPatience as error:
            return refusal(self.name, error.reason)

    def _answer(self, pinentry: Conversation, question: Question) -> Answer:
        try:
            if question.kind is Kind.SECRET:
                return Answer(True, self.name, pinentry.get("GETPIN"))
            pinentry.say("CONFIRM")
        except CannotAsk:
            # It was on the screen by now: interrupting it is an answer, too.
            return refusal(self.name, "cancelled")
        return Answer(True, self.name)

    def show(self, question: Question, patience: Patience) -> None:
        # It has no way to take a message away again but to be ended.
        with (
            contextlib.suppress(assuan.Refused, OutOfPatience, CannotAsk),
            self._talking(question, patience) as pinentry,
        ):
            pinentry.say("MESSAGE")

    @contextlib.contextmanager
    def _talking(self, question: Question, patience: Patience) -> Iterator[Conversation]:
        environment = self._session.environment()
        with program.started([self._path], environment, talks=True) as process:
            assert process.stdin is not None  # noqa: S101 - for the type checker
            assert process.stdout is not None  # noqa: S101
            pinentry = Conversation.on(process.stdout.fileno(), process.stdin.fileno(), patience)
            with contextlib.closing(pinentry):
                pinentry.greeting()
                self._prepare(pinentry, question, environment, patience)
                yield pinentry

    def _prepare(
        self,
        pinentry: Conversation,
        question: Question,
        environment: dict[str, str],
        patience: Patience,
    ) -> None:
        terminal = self._terminal_of(question)
        options = {
            "ttyname": terminal,
            "ttytype": TERMINAL_TYPE if terminal else "",
            "display": environment.get("DISPLAY", ""),
            "lc-ctype": environment.get("LC_ALL")
            or environment.get("LC_CTYPE")
            or environment.get("LANG", "C.UTF-8"),
        }
        for name, value in options.items():
            if value:
                pinentry.say("OPTION", f"{name}={value}", optional=True)
        text = question.text
        if question.attempts_left is not None:
            text += f"\n({question.attempts_left} attempts are left.)"
        # Never from a password cache of the desktop: somebody must be there.
        pinentry.say("SETKEYINFO", "--clear", optional=True)
        pinentry.say("SETTIMEOUT", str(max(1, round(patience.left))), optional=True)
        pinentry.say("SETTITLE", question.title, optional=True)
        pinentry.say("SETDESC", text)
        if question.prompt:
            pinentry.say("SETPROMPT", question.prompt)

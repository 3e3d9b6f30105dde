"""Asking a human: may this key be used, what is the PIN, please touch it.

The gate asks through one `Prompters`; behind it are askpass, pinentry, a terminal or a
desktop, in an order that the user configures. No answer is a refusal. What a prompt says
comes from facts that keyholm found out itself; text that a client sent is shown quoted,
on one line, without control characters.
"""

from enum import StrEnum, unique
from typing import Protocol

from msgspec import Struct

from keyholm.core.secret import Secret


@unique
class Kind(StrEnum):
    CONFIRM = "confirm"  # yes or no
    SECRET = "secret"
    NOTICE = "notice"  # "touch your key": shown until it is withdrawn


class Question(Struct, frozen=True):
    kind: Kind
    title: str
    text: str  # what is asked, with the key, the program and the destination
    prompt: str = ""  # what stands before the entry field
    attempts_left: int | None = None
    pid: int = 0  # the caller: its terminal may be where to ask
    uid: int = 0
    seconds: float = 60.0  # then the answer is no


class Answer(Struct, frozen=True):
    """`secret` is closed by whoever asked."""

    granted: bool
    prompter: str
    secret: Secret | None = None
    reason: str = ""  # of a refusal: denied, timeout, cancelled


class Notice(Protocol):
    """A question of kind NOTICE that is on the screen."""

    def withdraw(self) -> None: ...


class Prompters(Protocol):
    def ask(self, question: Question) -> Answer:
        """Blocks until somebody answers. Raises `NoPrompter` where nobody can be asked."""
        ...

    def show(self, question: Question) -> Notice:
        """Show a NOTICE, if that is possible at all."""
        ...

"""What a prompter is, and how long it waits for an answer."""

import select
import time
from typing import Final, Protocol

from keyholm.core.prompt import Answer, Question
from keyholm.core.secret import Secret

MOST: Final = 4096  # bytes of a passphrase or PIN


class Prompter(Protocol):
    """One way of asking."""

    @property
    def name(self) -> str: ...

    def unusable(self, question: Question | None) -> str:
        """Why it cannot ask `question` (or anything at all) now; empty: it can."""
        ...

    def ask(self, question: Question, patience: "Patience") -> Answer:
        """Raises `CannotAsk` if nothing was shown after all."""
        ...

    def show(self, question: Question, patience: "Patience") -> None:
        """Show a notice until nobody wants it any more."""
        ...


class CannotAsk(Exception):
    """Nothing was shown: the next prompter may try."""


class OutOfPatience(Exception):
    """`reason` says whether the time is up or whoever asked does not want to know any more."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


TIMEOUT: Final = "timeout"
WITHDRAWN: Final = "withdrawn"


class Patience:
    """How long to wait: for so many seconds, and until `hang_up` can be read or is closed."""

    def __init__(self, seconds: float, hang_up: int | None = None) -> None:
        self._end = time.monotonic() + seconds
        self._hang_up = hang_up

    @property
    def left(self) -> float:
        return self._end - time.monotonic()

    def wait(self, *descriptors: int, at_most: float | None = None) -> set[int]:
        """Those of `descriptors` that can be read; none only after `at_most` seconds.

        Raises `OutOfPatience`.
        """
        # poll, since select refuses descriptors of 1024 and above.
        poll = select.poll()
        for descriptor in descriptors:
            poll.register(descriptor, select.POLLIN)
        if self._hang_up is not None:
            poll.register(self._hang_up, select.POLLIN)
        left = self.left
        timeout = left if at_most is None else min(left, at_most)
        ready = {descriptor for descriptor, _ in poll.poll(max(0.0, timeout) * 1000)}
        if self._hang_up in ready:
            raise OutOfPatience(WITHDRAWN)
        if not ready and self.left <= 0:
            raise OutOfPatience(TIMEOUT)
        return ready


def refusal(prompter: str, reason: str) -> Answer:
    return Answer(granted=False, prompter=prompter, reason=reason)


def first_line(read: Secret, size: int) -> Secret:
    """What was typed: up to the end of the first line, in a secret of its own."""
    line = read.view[:size]
    for index, byte in enumerate(line):
        if byte in b"\r\n":
            return Secret.of(line[:index])
    return Secret.of(line)

"""Asks by the first prompter that can, in the order that the user chose."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Final

from keyholm.core.errors import NoPrompter
from keyholm.core.prompt import Answer, Question
from keyholm.prompters.prompter import CannotAsk, OutOfPatience, Patience, Prompter, refusal

TURN: Final = 0.2  # seconds between two looks whether it is our turn


class InOrder:
    """One question at a time: who must answer several at once answers the wrong one."""

    def __init__(self, prompters: Sequence[Prompter]) -> None:
        self.prompters = tuple(prompters)
        self._screen = threading.Lock()

    def ask(self, question: Question, patience: Patience) -> Answer:
        """Raises `NoPrompter`."""
        reasons = []
        try:
            with self._turn(patience):
                for prompter in self.prompters:
                    reason = prompter.unusable(question)
                    if not reason:
                        try:
                            return prompter.ask(question, patience)
                        except CannotAsk as error:
                            reason = str(error)
                    reasons.append(f"{prompter.name}: {reason}")
        except OutOfPatience as error:
            return refusal("", error.reason)
        raise NoPrompter(
            f"A human must be asked, and nobody can be ({'; '.join(reasons) or 'no prompter'}).",
            remedy="`keyholm doctor` tests the prompters and says how to set one up.",
        )

    def show(self, question: Question, patience: Patience) -> None:
        for prompter in self.prompters:
            if not prompter.unusable(question):
                with contextlib.suppress(CannotAsk):
                    prompter.show(question, patience)
                    return

    def examine(self) -> dict[str, str]:
        """Why each prompter could not ask now; empty: it could."""
        return {prompter.name: prompter.unusable(None) for prompter in self.prompters}

    @contextlib.contextmanager
    def _turn(self, patience: Patience) -> Iterator[None]:
        while not self._screen.acquire(timeout=TURN):
            patience.wait(at_most=0)
        try:
            yield
        finally:
            self._screen.release()

"""What a vendor's token wants of a human: asked of the user whose request the thread works on."""

from collections.abc import Iterator
from contextlib import contextmanager

from keyholm.core.errors import ConsentDenied
from keyholm.core.prompt import Kind
from keyholm.core.secret import Secret
from keyholm.daemon.asker import Asker
from keyholm.daemon.steward.client import StewardClient


class TokenHuman:
    def __init__(self, steward: StewardClient, asker: Asker) -> None:
        self._steward, self._asker = steward, asker

    def pin(self, text: str, attempts_left: int | None = None) -> Secret:
        answer = self._steward.ask(self._asker.question(Kind.SECRET, text, "PIN:", attempts_left))
        if answer.secret is None:
            raise ConsentDenied(
                f"No PIN was given ({answer.reason or 'denied'}).",
                remedy="Try again, and give the PIN when you are asked.",
            )
        return answer.secret

    def confirm(self, text: str) -> None:
        answer = self._steward.ask(self._asker.question(Kind.CONFIRM, text))
        if not answer.granted:
            raise ConsentDenied(
                f"The PIN was not sent: nobody agreed to it ({answer.reason or 'denied'}).",
                remedy="Try again, and agree when you are asked.",
            )

    @contextmanager
    def notice(self, text: str) -> Iterator[None]:
        shown = self._steward.show(self._asker.question(Kind.NOTICE, text))
        try:
            yield
        finally:
            shown.withdraw()

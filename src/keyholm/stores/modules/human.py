"""The user of the program that is being served, whom a token may want something of.

A store is not told who asks and need not be: whoever made the `Human` knows whose request a
thread is working on.
"""

from contextlib import AbstractContextManager
from typing import Protocol

from keyholm.core.secret import Secret


class Human(Protocol):
    def pin(self, text: str, attempts_left: int | None = None) -> Secret:
        """Raises `ConsentDenied`, `NoPrompter`."""

    def confirm(self, text: str) -> None:
        """Raises `ConsentDenied`, `NoPrompter`."""

    def notice(self, text: str) -> AbstractContextManager[object]:
        """Shown while something is waited for: a touch, a PIN pad."""

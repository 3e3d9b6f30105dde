"""Handing checkpoints to a witness, without ever making a record wait for one.

Who has a copy of a checkpoint can tell a trail that was rewritten or put back. A witness
may be slow or gone: it is told by a thread of its own, always the newest checkpoint, and
the trail records when it stops taking them and when it takes them again.
"""

import threading
from collections.abc import Callable
from typing import Final

from keyholm.core.errors import KeyholmError

Tell = Callable[[bytes], None]
"""Takes a checkpoint; raises a KeyholmError or OSError if the witness did not."""

LAST_WAIT: Final = 2.0  # seconds that closing waits for the last checkpoint to be taken


class Postman:
    def __init__(self, tell: Tell, changed: Callable[[str], None]) -> None:
        """`changed` gets the sentence of the first failure, and an empty one when it is over."""
        self._tell, self._changed = tell, changed
        self._state = threading.Condition()
        self._waiting: bytes | None = None
        self._stopping = False
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="witness", daemon=True)
        self._thread.start()

    def give(self, checkpoint: bytes) -> None:
        with self._state:
            self._waiting = checkpoint
            self._state.notify()

    def stop(self) -> None:
        with self._state:
            self._stopping = True
            self._state.notify()
        self._thread.join(LAST_WAIT)

    def _run(self) -> None:
        while (checkpoint := self._next()) is not None:
            try:
                self._tell(checkpoint)
            except (KeyholmError, OSError) as error:
                self._turn(failing=True, why=str(error))
            else:
                self._turn(failing=False, why="")

    def _next(self) -> bytes | None:
        with self._state:
            while self._waiting is None and not self._stopping:
                self._state.wait()
            checkpoint, self._waiting = self._waiting, None
            return checkpoint

    def _turn(self, *, failing: bool, why: str) -> None:
        if failing != self._failing:
            self._failing = failing
            self._changed(why)

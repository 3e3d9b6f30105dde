"""What changed is told in the order in which it did, and with no lock held that a change needs.

So a listener that keeps an index may take each change as it comes: what was made before it
was removed is told before it, whichever threads did it.
"""

import threading
from collections import deque
from collections.abc import Callable

from keyholm.core.store import Event


class Telling:
    def __init__(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        self._noted: deque[Event] = deque()
        self._turn = threading.RLock()  # a listener may make a change itself

    def note(self, event: Event) -> None:
        """Under the lock under which the change is made."""
        self._noted.append(event)

    def tell(self) -> None:
        """After that lock was released. When this returns, what was noted before has been told."""
        with self._turn:
            while self._noted:
                self._tell(self._noted.popleft())

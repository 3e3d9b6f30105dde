"""What is remembered of a module's sessions: it is asked for with later calls."""

from typing import Final

from msgspec import Struct, field

from keyholm.stores.modules.binding.memory import Memory

MOST: Final = 65536


class Session(Struct):
    slot: int | None = None
    # The mechanism of each message init, which says what the parameter of a message is.
    mechanisms: dict[str, int] = field(default_factory=dict)
    # Parameters of what was begun: modules have been seen to look at them once more later.
    kept: dict[str, Memory] = field(default_factory=dict)


class Sessions:
    """Shared by the channels of a library: the interpreter's lock is enough for its dicts."""

    def __init__(self) -> None:
        self._known: dict[int, Session] = {}

    def __len__(self) -> int:
        return len(self._known)

    def opened(self, handle: int, slot: int) -> None:
        self._known[handle] = Session(slot)

    def of(self, handle: int) -> Session:
        found = self._known.get(handle)
        if found is None:
            found = Session()
            # A handle that no C_OpenSession gave: nothing is kept of it.
            if len(self._known) < MOST:
                self._known[handle] = found
        return found

    def find(self, handle: int) -> Session | None:
        return self._known.get(handle)

    def closed(self, handle: int) -> None:
        session = self._known.pop(handle, None)
        if session is not None:
            _forget(session)

    def all_closed(self, slot: int) -> None:
        for handle in [h for h, session in list(self._known.items()) if session.slot == slot]:
            self.closed(handle)


def _forget(session: Session) -> None:
    for memory in session.kept.values():
        memory.clear()
    session.kept.clear()

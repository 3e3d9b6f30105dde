"""Applications: what PKCS#11 calls one, and what each has for itself.

An application is a process. The connections of our module join theirs by a random token, and
only from the process that got it, as the kernel tells; a stock client's connection is an
application of its own. Sessions, handles and logins belong to it, and end with its last
connection.
"""

import secrets
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from keyholm.core.caller import Peer
from keyholm.core.errors import LimitExceeded
from keyholm.core.session import Logins
from keyholm.core.store import Token
from keyholm.cryptoki.wrong import Wrong
from keyholm.doors.pkcs11.objects import Shown
from keyholm.doors.pkcs11.running import Active, Digesting, Hasher, Kind, Message
from keyholm.wire.pkcs11.constants import CKO, CKR

MAX_SESSIONS: Final = 4096
MAX_HANDLES: Final = 1_000_000  # of objects that were found
MAX_SESSION_OBJECTS: Final = 4096
MAX_WENT_ALONG: Final = 1024  # public halves that went with their private keys
TOKEN: Final = 16  # bytes of an application's own token


@dataclass(eq=False, slots=True)
class Session:
    """A session of PKCS#11: what is under way in it, and what it made."""

    handle: int
    slot: int
    token: Token
    writable: bool
    lock: threading.RLock = field(default_factory=threading.RLock)
    found: Iterator[Shown] | None = None
    active: dict[Kind, Active] = field(default_factory=dict)
    digesting: Digesting | None = None
    messages: dict[Kind, Message] = field(default_factory=dict)
    made: list[int] = field(default_factory=list)  # handles of its session objects

    def start(self, active: Active) -> None:
        if active.kind in self.active:
            raise Wrong(CKR.OPERATION_ACTIVE)
        self.active[active.kind] = active

    def running(self, kind: Kind) -> Active:
        active = self.active.get(kind)
        if active is None:
            raise Wrong(CKR.OPERATION_NOT_INITIALIZED)
        return active

    def digest(self) -> Digesting:
        if self.digesting is None:
            raise Wrong(CKR.OPERATION_NOT_INITIALIZED)
        return self.digesting

    def start_digest(self, hasher: Hasher) -> None:
        if self.digesting is not None:
            raise Wrong(CKR.OPERATION_ACTIVE)
        self.digesting = Digesting(hasher)

    def start_messages(self, kind: Kind, message: Message) -> None:
        if kind in self.messages:
            raise Wrong(CKR.OPERATION_ACTIVE)
        self.messages[kind] = message

    def messages_of(self, kind: Kind) -> Message:
        message = self.messages.get(kind)
        if message is None:
            raise Wrong(CKR.OPERATION_NOT_INITIALIZED)
        return message

    def end_messages(self, kind: Kind) -> None:
        message = self.messages.pop(kind, None)
        if message is not None and message.operation is not None:
            message.operation.abort()

    def end(self, kind: Kind) -> None:
        active = self.active.pop(kind, None)
        if active is not None:
            active.abort()

    def end_all(self) -> None:
        for kind in tuple(self.active):
            self.end(kind)
        for kind in tuple(self.messages):
            self.end_messages(kind)
        self.found = self.digesting = None


class Application:
    """What one process has: sessions, handles of objects, logins."""

    def __init__(self, peer: Peer, events_seen: int) -> None:
        self.peer = peer
        self.token = secrets.token_bytes(TOKEN)
        self.logins = Logins()
        self.connections = 0
        self.lock = threading.Lock()
        self.sessions: dict[int, Session] = {}
        self.events_seen = events_seen  # of slots: it hears of later ones
        self._last_handle = 0
        self._objects: dict[int, Shown] = {}
        self._handles: dict[object, int] = {}  # by what an object is
        self._went_along: deque[int] = deque(maxlen=MAX_WENT_ALONG)

    # --- sessions ----------------------------------------------------------------------

    def open(self, slot: int, token: Token, *, writable: bool) -> Session:
        with self.lock:
            if len(self.sessions) >= MAX_SESSIONS:
                raise Wrong(CKR.SESSION_COUNT, f"A program has at most {MAX_SESSIONS} sessions.")
            session = Session(self._next_handle(), slot, token, writable)
            self.sessions[session.handle] = session
        return session

    def session(self, handle: int) -> Session:
        session = self.sessions.get(handle)
        if session is None:
            raise Wrong(CKR.SESSION_HANDLE_INVALID)
        return session

    def close(self, handle: int) -> Session:
        with self.lock:
            session = self.sessions.pop(handle, None)
        if session is None:
            raise Wrong(CKR.SESSION_HANDLE_INVALID)
        return session

    def sessions_of(self, token: Token) -> list[Session]:
        with self.lock:
            return [session for session in self.sessions.values() if session.token is token]

    # --- objects -----------------------------------------------------------------------

    def handle_of(self, shown: Shown) -> int:
        """The same object has the same handle as long as the application lives."""
        handle = self._handles.get(shown.name)
        if handle is not None:
            self._objects[handle] = shown
            return handle
        with self.lock:
            if len(self._objects) >= MAX_HANDLES:
                raise LimitExceeded("A program has found too many objects.")
            handle = self._handles.setdefault(shown.name, self._next_handle())
            self._objects[handle] = shown
        return handle

    def object(self, handle: int, invalid: int = CKR.OBJECT_HANDLE_INVALID) -> Shown:
        shown = self._objects.get(handle)
        if shown is None:
            raise Wrong(invalid)
        return shown

    def show_anew(self, changed: Iterable[Shown]) -> None:
        """Session objects, as they are now."""
        with self.lock:
            for shown in changed:
                if (handle := self._handles.get(shown.name)) is not None:
                    self._objects[handle] = shown

    def knows(self, handle: int) -> bool:
        return handle in self._objects

    def session_objects(self, token: Token) -> list[Shown]:
        return [
            shown
            for session in self.sessions_of(token)
            for handle in tuple(session.made)
            if (shown := self._objects.get(handle)) is not None
        ]

    def forget(self, handle: int) -> None:
        with self.lock:
            shown = self._objects.pop(handle, None)
            if shown is not None:
                self._handles.pop(shown.name, None)

    def forget_public_half(self, private: Shown) -> None:
        """It went with its private key; who destroys it next, as most programs do, may."""
        handle = self._handles.get((*private.name[:3], CKO.PUBLIC_KEY))
        if handle is not None:
            self.forget(handle)
            self._went_along.append(handle)

    def went_along(self, handle: int) -> bool:
        """Whether it was a public half that went with its private key; true once."""
        with self.lock:
            if handle not in self._went_along:
                return False
            self._went_along.remove(handle)
            return True

    def forget_private(self, token: Token) -> None:
        """After a logout no handle of a private object is good any more."""
        with self.lock:
            gone = [
                handle
                for handle, shown in self._objects.items()
                if shown.is_private and shown.token is token
            ]
        for handle in gone:
            self.forget(handle)

    def _next_handle(self) -> int:
        self._last_handle += 1
        return self._last_handle


class Applications:
    """All that are connected."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_token: dict[bytes, Application] = {}

    @property
    def count(self) -> int:
        return len(self._by_token)

    def enter(self, peer: Peer, token: bytes = b"", events_seen: int = 0) -> Application:
        """The application of that token, if `peer` is its process; else a new one."""
        with self._lock:
            application = self._by_token.get(token)
            if application is None or application.peer != peer:
                application = Application(peer, events_seen)
                self._by_token[application.token] = application
            application.connections += 1
        return application

    def leave(self, application: Application) -> bool:
        """Whether that was its last connection: all that it had is to be ended then."""
        with self._lock:
            application.connections -= 1
            if application.connections:
                return False
            del self._by_token[application.token]
            return True

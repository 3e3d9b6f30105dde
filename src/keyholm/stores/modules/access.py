"""A token's own way to its module: a line, the session that is open on it, and who is logged in.

One request at a time, under `lock`. When the worker was replaced, the session is closed or the
token was out and in again, all of it is opened anew, and what asked is asked once more: it was
not done. A request in which the worker died is not repeated.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

from keyholm.core.errors import KeyholmError, StoreFailed, TokenNotPresent
from keyholm.core.session import Role
from keyholm.stores.modules import identity
from keyholm.stores.modules.errors import Answered, error_of
from keyholm.stores.modules.identity import Facts, Identity
from keyholm.stores.modules.line import Line
from keyholm.wire.pkcs11.constants import CKF, CKR, CKS

Made = TypeVar("Made")

# After these nothing was done, and another session, or other handles, may do.
HANDLES: Final = frozenset({CKR.KEY_HANDLE_INVALID, CKR.OBJECT_HANDLE_INVALID})
BUSY: Final = frozenset({CKR.OPERATION_ACTIVE, CKR.OPERATION_NOT_INITIALIZED})
SESSION: Final = frozenset(
    {CKR.SESSION_HANDLE_INVALID, CKR.SESSION_CLOSED, CKR.CRYPTOKI_NOT_INITIALIZED}
)
GONE: Final = frozenset({CKR.SLOT_ID_INVALID, CKR.DEVICE_REMOVED, CKR.TOKEN_NOT_PRESENT})
_ROLES: Final = {
    CKS.RO_USER_FUNCTIONS: Role.USER,
    CKS.RW_USER_FUNCTIONS: Role.USER,
    CKS.RW_SO_FUNCTIONS: Role.OFFICER,
}
_SERIAL: Final = CKF.SERIAL_SESSION


class Access:
    def __init__(
        self,
        identity_: Identity,
        facts: Facts,
        lines: Callable[[], Line],
        on_opened: Callable[[Line, int], None],
        on_gone: Callable[[], None],
    ) -> None:
        """`on_opened` is told of each new session: no handle from before it is good."""
        self.identity, self.facts = identity_, facts
        self.lock = threading.RLock()
        self.role: Role | None = None  # who is logged in, at the module
        self.writable = True
        self._lines, self._on_opened, self._on_gone = lines, on_opened, on_gone
        self._line: Line | None = None
        self._slot = self._session = 0
        self._closed = False

    @property
    def line(self) -> Line | None:
        return self._line

    def do(self, act: Callable[[Line, int], Made]) -> Made:
        """`act` with the line and a session. Raises what `core.errors` has for its `Answered`."""
        with self.lock:
            for is_last in (False, True):
                line, session = self.open()
                asked = line.asked
                try:
                    return act(line, session)
                except StoreFailed:
                    # Its worker ended while nobody asked anything: the next one may do.
                    if is_last or not line.unsent or line.asked != asked + 1:
                        raise
                except Answered as answered:
                    if answered.status == CKR.USER_NOT_LOGGED_IN:
                        self.role = None
                    if is_last or not self._mended(answered.status, line):
                        raise self.error(answered) from answered
            raise AssertionError  # the second time it is the last

    def _mended(self, status: int, line: Line) -> bool:
        """Whether it is worth another try."""
        if status in HANDLES:
            self._on_opened(line, self._session)
        elif status in BUSY:
            self.renew(line)
        elif status in SESSION or status in GONE:
            self.forget()
        else:
            return False
        return True

    def renew(self, line: Line) -> None:
        """Another session instead: the first one closes last, since a login ends with the last."""
        former = self._session
        self._session = self._open_session(line)
        self.close_session(line, former)

    def close_session(self, line: Line, session: int) -> None:
        with suppress(Answered, KeyholmError):
            line.call("CloseSession", session)

    def error(self, answered: Answered) -> KeyholmError:
        if answered.status in GONE:
            self.forget()
            self._on_gone()
        return error_of(answered, self.identity.label or self.identity.serial)

    def open(self) -> tuple[Line, int]:
        """The line, with a session on it. Whoever calls holds `lock`."""
        line = self._line
        if line is not None and line.alive and self._session:
            return line, self._session
        if self._closed:
            raise StoreFailed("The modules store is closed.", remedy="Start keyholm again.")
        self.forget()
        line = self._line = self._lines()
        self._slot = self._find_slot(line)
        self._session = self._open_session(line)
        self.role = self._role_now(line)
        self._on_opened(line, self._session)
        return line, self._session

    def forget(self) -> None:
        """The session, and the line if its worker is gone."""
        line, session = self._line, self._session
        self._session = 0
        if line is None:
            return
        if line.alive and session:
            self.close_session(line, session)
        line.close()
        self._line = None

    def close(self) -> None:
        """For good: nothing is asked any more. Whoever calls holds `lock`."""
        self.forget()
        self._closed = True

    def look(self) -> Facts:
        """The flags as they are now, before a PIN is sent. Whoever calls holds `lock`."""
        line, _ = self.open()
        try:
            _, self.facts = identity.read(line, self._slot)
        except Answered as answered:
            raise self.error(answered) from answered
        return self.facts

    @property
    def slot(self) -> int:
        return self._slot

    def another(self, line: Line) -> int:
        """One session more, for a use that comes in parts. Raises `Answered`."""
        return self._new_session(line)

    def _find_slot(self, line: Line) -> int:
        try:
            for slot in identity.slots(line):
                found, facts = identity.read(line, slot)
                if found == self.identity:
                    self.facts = facts
                    return slot
        except Answered as answered:
            raise self.error(answered) from answered
        self._on_gone()
        raise TokenNotPresent(
            f"{self.identity.label or self.identity.serial} is not there any more.",
            remedy="Insert it and try again.",
        )

    def _open_session(self, line: Line) -> int:
        self.writable = not self.facts.has(CKF.WRITE_PROTECTED)
        try:
            return self._new_session(line)
        except Answered as answered:
            if answered.status != CKR.TOKEN_WRITE_PROTECTED:
                raise self.error(answered) from answered
            self.writable = False
        try:
            return self._new_session(line)
        except Answered as answered:
            raise self.error(answered) from answered

    def _new_session(self, line: Line) -> int:
        flags = _SERIAL | (CKF.RW_SESSION if self.writable else 0)
        (session,) = line.call("OpenSession", self._slot, flags)
        return int(session)

    def _role_now(self, line: Line) -> Role | None:
        try:
            _, state, _, _ = line.call("GetSessionInfo", self._session)
        except Answered as answered:
            raise self.error(answered) from answered
        return _ROLES.get(state)

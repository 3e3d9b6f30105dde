"""The card as a reader sees it: commands in, answers out, and no I/O.

It joins what comes in a chain, cuts what does not fit into one answer (ISO 7816-4, 5.3.3 and
5.3.4), and knows which application is selected.
"""

from collections.abc import Callable
from typing import Final, Protocol

from keyholm.testing.piv.application import PivApplication
from keyholm.testing.piv.names import (
    INS,
    MANAGEMENT_AID,
    OTP_AID,
    PIV_AID,
    PIV_RID,
    SW,
    YUBIKEY_ATR,
    Refused,
)
from keyholm.testing.piv.yubikey import Management, Otp
from keyholm.wire import apdu
from keyholm.wire.apdu import CHAINED, Command
from keyholm.wire.codec import Malformed

# A certificate and what is around it; one that boasts is refused before more is kept.
MOST_CHAINED: Final = 4096
SHORT_ANSWER: Final = 256


class Application(Protocol):
    def select(self) -> bytes: ...
    def deselect(self) -> None: ...
    def answer(self, command: Command) -> bytes: ...


class Card:
    atr: bytes = YUBIKEY_ATR

    def __init__(self, serial: int = 1, version: tuple[int, int, int] = (5, 4, 3)) -> None:
        self.piv = PivApplication(serial, version)
        self.applications: dict[bytes, Application] = {
            PIV_AID: self.piv,
            MANAGEMENT_AID: Management(serial, version),
            OTP_AID: Otp(serial, version),
        }
        # Called with each whole command before it is answered: where a test pulls the card.
        self.before: Callable[[Command], None] = lambda _command: None
        self._selected: Application | None = None
        self._chain: Command | None = None
        self._rest = b""

    def reset(self) -> None:
        """Power is gone, or was taken away and given back."""
        if self._selected is not None:
            self._selected.deselect()
        self._selected, self._chain, self._rest = None, None, b""

    def answer(self, data: bytes) -> bytes:
        """One command; its answer with the status at the end."""
        try:
            command = apdu.decode(data)
        except Malformed:
            self._chain, self._rest = None, b""
            return SW.WRONG_LENGTH.to_bytes(2)
        try:
            return self._answer(command)
        except Refused as refused:
            return refused.status.to_bytes(2)

    def _answer(self, command: Command) -> bytes:
        if command.cla & ~CHAINED:
            raise Refused(SW.CLASS_NOT_SUPPORTED)
        if command.ins == INS.GET_RESPONSE:
            return self._more(command)
        self._rest = b""
        whole = self._joined(command)
        if whole is None:
            return SW.OK.to_bytes(2)
        self.before(whole)
        if whole.ins == INS.SELECT:
            self._rest = self._select(whole)
        elif self._selected is None:
            raise Refused(SW.INSTRUCTION_NOT_SUPPORTED)
        else:
            self._rest = self._selected.answer(whole)
        return self._next(command.expected)

    # --- in parts ------------------------------------------------------------------------

    def _joined(self, command: Command) -> Command | None:
        """The command with what came before it; None if more of it is to come."""
        chain, self._chain = self._chain, None
        if chain is not None:
            if _header(chain) != _header(command):
                raise Refused(SW.LAST_COMMAND_OF_CHAIN_EXPECTED)
            if len(chain.data) + len(command.data) > MOST_CHAINED:
                raise Refused(SW.NOT_ENOUGH_MEMORY)
        whole = Command(*_header(command), (chain.data if chain else b"") + command.data)
        if command.chained:
            self._chain = whole
            return None
        return whole

    def _more(self, command: Command) -> bytes:
        if command.p1 or command.p2 or command.data:
            raise Refused(SW.INCORRECT_P1_P2)
        if not self._rest:
            raise Refused(SW.CONDITIONS_OF_USE_NOT_SATISFIED)
        return self._next(command.expected)

    def _next(self, expected: int) -> bytes:
        room = expected or SHORT_ANSWER
        part, self._rest = self._rest[:room], self._rest[room:]
        left = len(self._rest)
        status = SW.MORE | (left if left < SHORT_ANSWER else 0) if left else SW.OK
        return part + status.to_bytes(2)

    # --- applications --------------------------------------------------------------------

    def _select(self, command: Command) -> bytes:
        if (command.p1, command.p2 & ~0x0C) != (0x04, 0x00):
            raise Refused(SW.INCORRECT_P1_P2)
        for name, application in self.applications.items():
            if len(command.data) >= len(PIV_RID) and name.startswith(command.data):
                # Selecting it again changes no login (SP 800-73-4 part 2, 3.1.1).
                if self._selected not in (None, application):
                    self._deselect()
                self._selected = application
                return application.select()
        raise Refused(SW.FILE_NOT_FOUND)

    def _deselect(self) -> None:
        if self._selected is not None:
            self._selected.deselect()


def _header(command: Command) -> tuple[int, int, int, int]:
    return command.cla & ~CHAINED, command.ins, command.p1, command.p2

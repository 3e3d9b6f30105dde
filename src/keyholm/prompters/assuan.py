"""The Assuan protocol, as much of it as a client of pinentry needs.

A line of at most 1000 bytes each way; `%`, CR and LF are spelt %25, %0D and %0A. An answer is
any number of `D` (data), `S` (status) and `#` (comment) lines, then `OK` or `ERR`. What is
read stays in locked memory, since a `D` line is a PIN.
"""

import os
from dataclasses import dataclass
from typing import Final

from keyholm.core.secret import Secret
from keyholm.prompters.prompter import MOST, CannotAsk, Patience

LONGEST: Final = 1000
CODE: Final = 0xFFFF  # gpg-error: the rest of the number says who found the error
CANCELED: Final = 99
NOT_CONFIRMED: Final = 114
TIMEOUT: Final = 62
NO_SUCH_COMMAND: Final = (69, 275, 276)  # not implemented, unknown command or option
HEX: Final = b"0123456789ABCDEFabcdef"


class Refused(Exception):
    """`ERR`."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code & CODE


@dataclass(slots=True)
class Conversation:
    """One server on two pipes. Use `with`, so that what was read is wiped."""

    reading: int
    writing: int
    patience: Patience
    _buffer: Secret
    _filled: int = 0
    _taken: int = 0

    @classmethod
    def on(cls, reading: int, writing: int, patience: Patience) -> "Conversation":
        return cls(reading, writing, patience, Secret(2 * LONGEST))

    def close(self) -> None:
        self._buffer.close()

    def greeting(self) -> None:
        """Raises `CannotAsk`."""
        try:
            self._answer(None)
        except Refused as error:
            raise CannotAsk(str(error)) from error

    def say(self, command: str, text: str = "", *, optional: bool = False) -> None:
        """A command that gives nothing back. Raises `Refused`, unless it is optional."""
        try:
            self._send(command, text)
            self._answer(None)
        except Refused:
            if not optional:
                raise

    def get(self, command: str) -> Secret:
        """The data that `command` gives. Raises `Refused`."""
        self._send(command, "")
        with Secret(MOST) as data:
            size = self._answer(data)
            return Secret.of(data.view[:size])

    def _send(self, command: str, text: str) -> None:
        line = f"{command} {escaped(text)}" if text else command
        data = line.encode()[: LONGEST - 1] + b"\n"
        try:
            while data:
                data = data[os.write(self.writing, data) :]
        except BrokenPipeError as error:
            raise CannotAsk("it ended before it was asked") from error

    def _answer(self, data: Secret | None) -> int:
        """Read up to OK; gives how much of `data` was filled."""
        size = 0
        while True:
            line = self._line()
            try:
                match bytes(line[:2]):
                    case b"OK":
                        return size
                    case b"D ":
                        if data is not None:
                            size += unescape(line[2:], data.view[size:])
                    case b"ER":
                        code, _, text = bytes(line[4:]).decode(errors="replace").partition(" ")
                        raise Refused(int(code) if code.isdigit() else 0, text)
                    case b"IN":
                        os.write(self.writing, b"CAN\n")
                    case _:
                        pass  # a comment or a status
            finally:
                line.release()

    def _line(self) -> memoryview:
        while True:
            view = self._buffer.view
            for at in range(self._taken, self._filled):
                if view[at] == 0x0A:
                    line = view[self._taken : at]
                    self._taken = at + 1
                    return line
            self._more()

    def _more(self) -> None:
        view = self._buffer.view
        left = self._filled - self._taken
        if self._taken:
            # Byte by byte, so that no copy of a secret is left in a bytes object.
            for index in range(left):
                view[index] = view[self._taken + index]
            self._taken, self._filled = 0, left
        if self._filled == len(view):
            raise CannotAsk("it sends a line without an end")
        self.patience.wait(self.reading)
        count = os.readv(self.reading, [view[self._filled :]])
        if not count:
            raise CannotAsk("it ended before it answered")
        self._filled += count


def escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def unescape(line: memoryview, into: memoryview) -> int:
    """Write what `line` stands for to `into`; what does not fit is left out."""
    at = size = 0
    while at < len(line) and size < len(into):
        byte = line[at]
        if byte == 0x25 and at + 2 < len(line) and line[at + 1] in HEX and line[at + 2] in HEX:
            byte = int(chr(line[at + 1]) + chr(line[at + 2]), 16)
            at += 2
        into[size] = byte
        at += 1
        size += 1
    return size

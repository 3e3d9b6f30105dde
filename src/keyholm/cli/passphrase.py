"""Passphrases: from a file or from the terminal, never from arguments or the environment."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from keyholm.core.errors import BadRequest, PassphraseIncorrect
from keyholm.core.secret import Secret

LONGEST: Final = 1024  # bytes
END: Final = b"\r\n"


def from_file(path: str) -> Secret:
    """The first line of `path`; `-` is standard input."""
    try:
        number = os.dup(0) if path == "-" else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise BadRequest(f"{path} cannot be read: {error.strerror}.") from error
    try:
        secret = _first_line(number)
    except OSError as error:
        raise BadRequest(f"{path} cannot be read: {error.strerror}.") from error
    finally:
        os.close(number)
    if not len(secret):
        raise BadRequest(f"There is no passphrase in {path}.", remedy="Write it on the first line.")
    return secret


def ask(path: str | None, question: str) -> Secret:
    """From the file at `path` if one is given, else typed blindly at the terminal."""
    if path is not None:
        return from_file(path)
    with _blind_terminal() as terminal:
        os.write(terminal, f"{question}: ".encode())
        try:
            return _first_line(terminal)
        finally:
            os.write(terminal, b"\n")


def ask_new(path: str | None, what: str) -> Secret:
    """As `ask`, but typed twice. An empty one is refused."""
    if path is not None:
        return from_file(path)
    first = ask(None, f"New passphrase for {what}")
    if not len(first):
        raise BadRequest("The passphrase is empty.", remedy="Think of one of several words.")
    with ask(None, "The same again") as again:
        if first != again:
            first.close()
            raise PassphraseIncorrect("The two passphrases differ.", remedy="Type it again.")
    return first


def can_ask() -> bool:
    return os.path.exists("/dev/tty") and sys.stdin is not None and _has_terminal()


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return False
    return True


@contextmanager
def _blind_terminal() -> Iterator[int]:
    """The controlling terminal, with its echo off for as long as this lasts."""
    import termios

    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise BadRequest(
            "A passphrase is wanted, and there is no terminal to ask at.",
            remedy="Give it with --passphrase-file FILE.",
        ) from error
    try:
        before = termios.tcgetattr(terminal)
        blind = termios.tcgetattr(terminal)
        blind[3] &= ~termios.ECHO
        try:
            # What was typed before the question was not meant for it.
            termios.tcsetattr(terminal, termios.TCSAFLUSH, blind)
            yield terminal
        finally:
            termios.tcsetattr(terminal, termios.TCSAFLUSH, before)
    finally:
        os.close(terminal)


def _first_line(number: int) -> Secret:
    """Read into locked memory, and no further than the line's end is known to be."""
    with Secret(LONGEST + 2) as buffer:
        filled = 0
        while filled < len(buffer):
            count = os.readv(number, [buffer.view[filled:]])
            if not count:
                break
            end = _end_of_line(buffer.view[filled : filled + count])
            if end is not None:
                filled += end
                break
            filled += count
        if filled > LONGEST:
            raise BadRequest(f"A passphrase of more than {LONGEST} bytes is refused.")
        return Secret.of(buffer.view[:filled])


def _end_of_line(part: memoryview) -> int | None:
    return next((index for index, byte in enumerate(part) if byte in END), None)

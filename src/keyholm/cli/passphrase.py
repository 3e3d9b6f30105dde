"""Passphrases: from a file or from the terminal, never from arguments or the environment."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeVar

from keyholm.core.errors import BadRequest, NoPrompter, PassphraseIncorrect, ProofNeeded
from keyholm.core.secret import Secret

T = TypeVar("T")
LONGEST: Final = 1024  # bytes
ENDS: Final = b"\r\n"


def from_file(path: str) -> Secret:
    """The first line of `path`; `-` is standard input."""
    try:
        number = os.dup(0) if path == "-" else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            secret = _first_line(number)
        finally:
            os.close(number)
    except OSError as error:
        raise BadRequest(f"{path} cannot be read: {error.strerror}.") from error
    if not len(secret):
        raise BadRequest(f"There is no passphrase in {path}.", remedy="Write it on the first line.")
    return secret


def passphrase(path: str | None, question: str) -> Secret:
    """From the file at `path` if one is given, else typed blindly at the terminal."""
    return from_file(path) if path is not None else _typed(question)


def new_passphrase(path: str | None, what: str) -> Secret:
    """As `passphrase`, but typed twice, since a mistake would lock its owner out."""
    if path is not None:
        return from_file(path)
    first = _typed(f"New passphrase for {what}")
    if not len(first):
        raise BadRequest("An empty passphrase protects nothing.", remedy="Take a few words.")
    with _typed("The same again") as again:
        if first != again:
            first.close()
            raise PassphraseIncorrect("The two passphrases differ.", remedy="Try again.")
    return first


def with_proof(call: Callable[[Sequence[memoryview]], T], path: str | None, what: str) -> T:
    """`call` without proof first; where the daemon wants some, with the passphrase of `what`."""
    if path is None:
        try:
            return call(())
        except ProofNeeded as error:
            sys.stderr.write(f"{error.what}\n")
    with passphrase(path, f"Passphrase of {what}") as proof:
        return call((proof.view,))


def _typed(question: str) -> Secret:
    with _blind_terminal() as terminal:
        os.write(terminal, f"{question}: ".encode())
        try:
            return _first_line(terminal)
        finally:
            os.write(terminal, b"\n")


@contextmanager
def _blind_terminal() -> Iterator[int]:
    """The controlling terminal, without its echo for as long as this lasts."""
    import termios

    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise NoPrompter(
            "A passphrase is wanted, and there is no terminal to ask at.",
            remedy="Give it in a file, by --passphrase-file.",
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
    """Read into locked memory, byte by byte: the next line may be the next passphrase."""
    with Secret(LONGEST + 1) as buffer:
        size = 0
        while os.readv(number, [buffer.view[size : size + 1]]) and buffer.view[size] not in ENDS:
            size += 1
            if size > LONGEST:
                raise BadRequest(f"A passphrase of more than {LONGEST} bytes is refused.")
        return Secret.of(buffer.view[:size])

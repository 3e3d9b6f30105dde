"""Passphrases: from a file, or from the terminal without an echo; never from the command line."""

import os
import sys
from collections.abc import Callable
from typing import Any, Final, TypeVar

from keyholm.core.errors import BadRequest, NoPrompter, ProofNeeded

T = TypeVar("T")
LONGEST: Final = 4096


def from_file(path: str) -> bytearray:
    """The first line of the file, without its end. `-` is standard input."""
    try:
        descriptor = os.dup(0) if path == "-" else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise BadRequest(f"{path} cannot be read: {error.strerror}.") from error
    secret = bytearray(LONGEST)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        size = 0
        while size < LONGEST and b"\n" not in secret[:size]:
            count = file.readinto(memoryview(secret)[size:])
            if not count:
                break
            size += count
    line = secret[:size].split(b"\n", 1)[0].rstrip(b"\r")
    wipe(secret)
    if not line:
        raise BadRequest(f"There is no passphrase in {path}.")
    return line


def from_terminal(prompt: str) -> bytearray:
    """Raises `NoPrompter` where there is no terminal."""
    import termios

    try:
        descriptor = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise NoPrompter(
            "A passphrase is needed, and there is no terminal to ask at.",
            remedy="Give it in a file by --passphrase-file.",
        ) from error
    try:
        before = termios.tcgetattr(descriptor)
        quiet = [*before]
        quiet[3] &= ~termios.ECHO
        os.write(descriptor, prompt.encode())
        termios.tcsetattr(descriptor, termios.TCSAFLUSH, quiet)
        try:
            line = bytearray(os.read(descriptor, LONGEST))
        finally:
            termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)
            os.write(descriptor, b"\n")
    finally:
        os.close(descriptor)
    while line and line[-1] in b"\r\n":
        del line[-1]
    return line


def passphrase(file: str | None, prompt: str) -> bytearray:
    return from_file(file) if file else from_terminal(prompt)


def new_passphrase(file: str | None, what: str) -> bytearray:
    """Asked for twice, since a typing mistake would lock its owner out."""
    if file:
        return from_file(file)
    first = from_terminal(f"New passphrase for {what}: ")
    if not first:
        raise BadRequest("An empty passphrase protects nothing.")
    second = from_terminal("Again: ")
    if first != second:
        wipe(first)
        wipe(second)
        raise BadRequest("The two passphrases are not the same.", remedy="Try again.")
    wipe(second)
    return first


def with_proof(call: Callable[[list[Any]], T], file: str | None, what: str) -> T:
    """`call` without proof first; where the daemon wants some, with it."""
    if not file:
        try:
            return call([])
        except ProofNeeded as error:
            sys.stderr.write(f"{error.what}\n")
    proof = passphrase(file, f"Passphrase of {what}: ")
    try:
        return call([proof])
    finally:
        wipe(proof)


def wipe(secret: bytearray) -> None:
    secret[:] = bytes(len(secret))


def add_option(parser: Any) -> None:
    parser.add_argument("--passphrase-file", metavar="FILE", help="first line; - for stdin")

"""Files that a user names: read up to a bound, and never written over."""

import os
import sys
from typing import Final

from keyholm.core.errors import AlreadyExists, BadRequest, StoreFailed
from keyholm.daemon import whole_files

LARGEST_TEXT: Final = 64 * 1024
PRIVATE: Final = 0o600
PUBLIC: Final = 0o644


def read(path: str, most: int) -> bytes:
    """All of `path`, or of standard input for `-`."""
    try:
        if path == "-":
            content = sys.stdin.buffer.read(most + 1)
        else:
            with open(path, "rb") as file:
                content = file.read(most + 1)
    except OSError as error:
        raise BadRequest(f"{path} cannot be read: {error.strerror}.") from error
    if len(content) > most:
        raise BadRequest(f"{path} is larger than {most} bytes.")
    return content


def read_text(path: str) -> str:
    try:
        return read(path, LARGEST_TEXT).decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"{path} is not UTF-8.") from error


def write_new(path: str, content: bytes | bytearray, mode: int) -> None:
    """Make `path`, safe on the disk. What is there already is left alone."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(path, flags, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise AlreadyExists(
            f"{path} is there already.", remedy="Move it away, or choose another name."
        ) from None
    except OSError as error:
        raise StoreFailed(f"{path} cannot be written: {error.strerror}.") from error


def replace(path: str, content: str, mode: int) -> None:
    """Put `content` in the place of what `path` held, at once and whole."""
    whole_files.replace(path, content.encode(errors="surrogateescape"), mode)

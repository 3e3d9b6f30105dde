"""One `keyholm serve` a home: the second one fails and names the first."""

import fcntl
import os
from pathlib import Path

from keyholm.core.errors import AlreadyExists, StoreFailed


def take(path: Path) -> int:
    """A descriptor that holds the lock for as long as it is open, here or in the steward.

    Raises `AlreadyExists` and `StoreFailed`.
    """
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StoreFailed(
            f"{path} cannot be opened: {error.strerror}.", remedy="Check the folder's permissions."
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 32, 0).decode(errors="replace").strip()
        os.close(lock)
        whose = f" (process {holder})" if holder.isdigit() else ""
        raise AlreadyExists(
            f"Another keyholm daemon{whose} serves {path.parent}.",
            remedy="Use that one, or end it first; KEYHOLM_HOME gives another its own home.",
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock

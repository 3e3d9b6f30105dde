"""Where keyholm-agent listens when it is not told: as OpenSSH 10.1 does (misc-agent.c).

    ~/.ssh/agent/s.<hash of the host's name>.agent.<random>     the default
    $TMPDIR/ssh-XXXXXXXXXX/agent.<pid>                          with -T

Sockets that nobody listens on any more are cleared away, so that a home shared by several
hosts does not fill up; the hash keeps one host from judging another's.
"""

import errno
import os
import socket
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

LETTERS: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
HASH_LENGTH: Final = 10
RANDOM_LENGTH: Final = 10
BACKLOG: Final = 128
STALE_AFTER: Final = 3600  # seconds


class Listening(Struct, frozen=True):
    """A socket that listens; what of it is ours to remove at the end."""

    socket: socket.socket
    path: str  # empty: the socket was handed to us and stays
    directory: str = ""  # made for the socket alone
    inode: int = 0

    def remove(self) -> None:
        """Unless somebody else tidied up, or listens at the same place by now."""
        with suppress(OSError):
            if self.path and os.lstat(self.path).st_ino == self.inode:
                os.unlink(self.path)
        with suppress(OSError):
            if self.directory:
                os.rmdir(self.directory)


def host_hash(name: str | None = None) -> str:
    import hashlib

    digest = hashlib.sha512((name or socket.gethostname()).encode()).digest()
    return "".join(LETTERS[byte % len(LETTERS)] for byte in digest[:HASH_LENGTH])


def listen_in_home(home: Path) -> Listening:
    """Raises `OSError`."""
    for directory in (home / ".ssh", home / ".ssh" / "agent"):
        # Never the home itself: one that is not there is not ours to make.
        try:
            directory.mkdir(mode=0o700)
        except FileExistsError:
            continue
    prefix = f"{home}/.ssh/agent/s.{host_hash()}.agent."
    while True:
        path = prefix + _random_letters(RANDOM_LENGTH)
        try:
            return listen_at(path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise


def _random_letters(count: int) -> str:
    # Not by `secrets`: its imports take longer than all else that is done here. Numbers
    # beyond the last whole round of letters are left out, so that each is as likely.
    fair = 256 - 256 % len(LETTERS)
    letters = [LETTERS[byte % len(LETTERS)] for byte in os.urandom(4 * count) if byte < fair]
    return "".join(letters[:count])


def listen_in_tmp() -> Listening:
    """Raises `OSError`."""
    import tempfile

    directory = tempfile.mkdtemp(prefix="ssh-", dir=os.environ.get("TMPDIR") or "/tmp")  # noqa: S108
    listening = listen_at(f"{directory}/agent.{os.getpid()}")
    return Listening(listening.socket, listening.path, directory, listening.inode)


def listen_at(path: str) -> Listening:
    """Raises `OSError`. What is at `path` already is never touched."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(path)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(before)
    return Listening(listener, path, inode=os.lstat(path).st_ino)


def remove_stale(home: Path, *, every_host: bool = False, now: float | None = None) -> None:
    """Remove sockets of the default place that are old and refuse connections."""
    prefix = "s." if every_host else f"s.{host_hash()}."
    horizon = (time.time() if now is None else now) - STALE_AFTER
    try:
        entries = list(os.scandir(home / ".ssh" / "agent"))
    except OSError:
        return
    for entry in entries:
        try:
            facts = entry.stat(follow_symlinks=False)
        except OSError:
            continue
        old = stat.S_ISSOCK(facts.st_mode) and facts.st_mtime <= horizon
        if old and (every_host or entry.name.startswith(prefix)) and is_dead(entry.path):
            with suppress(OSError):
                os.unlink(entry.path)


def is_dead(path: str) -> bool:
    """Whether nobody listens at this socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except BlockingIOError:
            return False  # somebody listens, with a full queue
        except OSError:
            return True
    return False

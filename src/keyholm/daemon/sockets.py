"""The sockets of `keyholm serve`: handed over by systemd, or made in the run folder.

systemd names each socket that it hands over (FileDescriptorName=); the names are the doors'.
A socket of ours that a daemon left behind is replaced; who may do so holds the home's lock.
"""

import os
import socket
import stat
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Final

from keyholm.core.errors import BadConfiguration, StoreFailed
from keyholm.daemon.agent_socket import Listening
from keyholm.daemon.places import Places
from keyholm.doors.serving import listen

FIRST: Final = 3  # sd_listen_fds(3)
MOST: Final = 16


def activated(environment: MutableMapping[str, str]) -> dict[str, Listening]:
    """What was handed to this process, by name; it is told once. Raises `BadConfiguration`."""
    pid = environment.pop("LISTEN_PID", "")
    count = environment.pop("LISTEN_FDS", "")
    names = environment.pop("LISTEN_FDNAMES", "")
    if pid != str(os.getpid()) or not (count.isascii() and count.isdigit()):
        return {}
    found: dict[str, Listening] = {}
    given = names.split(":") if names else []
    for index in range(min(int(count), MOST)):
        name = given[index] if index < len(given) else "unknown"
        # `keyholm.socket` is what systemd makes of a unit without FileDescriptorName=.
        name = name.removesuffix(".socket").removeprefix("keyholm-")
        os.set_inheritable(FIRST + index, False)
        found[name] = Listening(socket.socket(fileno=FIRST + index), "")
    return found


def open_all(
    doors: Iterable[str], places: Places, handed: Mapping[str, Listening], mode: int
) -> dict[str, Listening]:
    """A socket for each door. Raises `StoreFailed` and `BadConfiguration`."""
    doors = tuple(doors)
    if strange := set(handed) - set(doors):
        raise BadConfiguration(
            f"systemd handed over a socket called {min(strange)!r}, which is no door.",
            remedy=f"Set FileDescriptorName= to one of {', '.join(doors)}.",
        )
    return {name: handed.get(name) or _make(str(places.socket(name)), mode) for name in doors}


def remove(listening: Mapping[str, Listening]) -> None:
    for each in listening.values():
        each.remove()


def _make(path: str, mode: int) -> Listening:
    _clear(path)
    try:
        listener = listen(path, mode=mode)
        return Listening(listener, path, inode=os.lstat(path).st_ino)
    except OSError as error:
        raise StoreFailed(
            f"No socket can be made at {path}: {error.strerror}.",
            remedy="Check the folder, or set XDG_RUNTIME_DIR or KEYHOLM_HOME.",
        ) from error


def _clear(path: str) -> None:
    """Remove what an earlier daemon of ours left there, and nothing else."""
    try:
        facts = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(facts.st_mode) or facts.st_uid != os.geteuid():
        raise StoreFailed(
            f"{path} is there already, and is no socket of ours.",
            remedy="See what it is, then move it away.",
        )
    os.unlink(path)

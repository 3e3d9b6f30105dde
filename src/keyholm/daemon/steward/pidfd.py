"""A handle on the process that connected, which tells it from a later one of the same number.

Linux 6.5 gives one for a socket's peer (SO_PEERPIDFD), at any time while the connection is
open. Before that the best that can be had is to open one by number as soon as the connection
is accepted: `early`.
"""

import errno
import os
import select
import socket
from typing import Final

SO_PEERPIDFD: Final = 77


class Ended(Exception):
    """The process is gone."""


def of_peer(connection: socket.socket) -> int | None:
    """None where the kernel cannot say. Raises `Ended`."""
    try:
        return connection.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD)
    except OSError as error:
        if error.errno in (errno.ENOPROTOOPT, errno.EOPNOTSUPP):
            return None
        # Until Linux 6.16 there is no handle on a process that nobody waits for any more.
        raise Ended from error


def early(pid: int) -> int | None:
    """By number: good if the process that connected is still there. Raises `Ended`."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError as error:
        raise Ended from error
    except (OSError, ValueError):
        return None


def kernel_gives_them() -> bool:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        handle = of_peer(ours)
    if handle is not None:
        os.close(handle)
    return handle is not None


def has_ended(handle: int) -> bool:
    # poll, since select refuses descriptors of 1024 and above.
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(0))

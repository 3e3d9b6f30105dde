"""Becomes a pcscd that nobody else sees: run by pcsc.py in namespaces of its own.

Arguments: descriptor of the socket to listen at, descriptor of the one to answer through, and
how many unconnected TCP sockets are wanted. Those are of this network namespace, so whoever gets
them can reach the virtual reader here, and nobody else can.
"""

import fcntl
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
LISTEN_FDS_START = 3
BATCH = 32


def main(configuration: str, listener: int, answer: int, wanted: int) -> None:
    loopback_up()
    # No reader but the one of our configuration, and no file of the system's pcscd.
    for folder in ("/usr/lib/pcsc/drivers", "/run"):
        subprocess.run(["mount", "-t", "tmpfs", "room", folder], check=True)
    Path("/run/pcscd").mkdir()
    with socket.socket(fileno=answer) as out:
        for start in range(0, wanted, BATCH):
            give(out, min(BATCH, wanted - start))
    os.dup2(listener, LISTEN_FDS_START)
    activation = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
    words = ["pcscd", "--foreground", "--config", configuration]
    os.execve("/usr/sbin/pcscd", words, {**os.environ, **activation})


def loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sH14x", b"lo", 0)
        _, flags = struct.unpack("16sH14x", fcntl.ioctl(control, SIOCGIFFLAGS, request))
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))


def give(out: socket.socket, count: int) -> None:
    sockets = [socket.socket() for _ in range(count)]
    socket.send_fds(out, [b"+"], [each.fileno() for each in sockets])
    for each in sockets:
        each.close()


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]))

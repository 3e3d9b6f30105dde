"""What code can still do inside the sandbox: `attempt(name)` in a process that closed it.

Run as a program: `python sandboxed.py FOLDER`; it prints one line of JSON.
"""

import ctypes
import json
import mmap
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ed25519
from msgspec.structs import asdict

from keyholm.core.secret import Secret
from keyholm.daemon import hardening

libc = ctypes.CDLL(None, use_errno=True)


def call(number: int, *arguments: int) -> str:
    result = libc.syscall(number, *arguments)
    return "ok" if result >= 0 else os.strerror(ctypes.get_errno())


def attempts(folder: Path, listener: socket.socket, parent: int) -> dict[str, Callable[[], object]]:
    def thread() -> object:
        signed: list[bytes] = []
        key = ed25519.Ed25519PrivateKey.generate()
        other = threading.Thread(target=lambda: signed.append(key.sign(b"x")))
        other.start()
        other.join()
        return len(signed[0])

    def secret() -> object:
        with Secret.of(b"x" * 5000) as kept:
            return len(kept)

    def accept() -> object:
        return listener.getsockname()

    def pair() -> object:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            return ours.send(b"x")

    def connected_datagrams() -> object:
        return socket.socketpair(type=socket.SOCK_DGRAM)

    def new_code() -> object:
        return mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)

    return {
        # What the daemon needs.
        "write its data": lambda: (folder / "data" / "file").write_text("x"),
        "replace its data": lambda: os.replace(folder / "data/file", folder / "data/other"),
        "remove its data": lambda: os.unlink(folder / "data/other"),
        "make a folder": lambda: os.mkdir(folder / "data/folder"),
        "read its configuration": lambda: (folder / "config/config.toml").read_text(),
        "start a thread": thread,
        "keep a secret": secret,
        "use its socket": accept,
        "make a channel": pair,
        "import late": lambda: __import__("sqlite3").sqlite_version,
        "signal itself": lambda: os.kill(os.getpid(), 0),
        "know the time zone": lambda: __import__("time").localtime().tm_year,
        # What nobody inside needs.
        "write elsewhere": lambda: (folder / "elsewhere").write_text("x"),
        "read elsewhere": lambda: (folder / "secret").read_text(),
        "list elsewhere": lambda: os.listdir(folder),
        "write its configuration": lambda: (folder / "config/config.toml").write_text("x"),
        "look at another process": lambda: os.readlink(f"/proc/{parent}/exe"),
        "read another's memory": lambda: open(f"/proc/{parent}/mem", "rb"),
        "start a program": lambda: subprocess.run(["/bin/true"], check=True),
        "fork": os.fork,
        "exec": lambda: os.execv("/bin/true", ["true"]),
        "open a socket": lambda: socket.socket(socket.AF_UNIX),
        "open a network socket": lambda: socket.socket(socket.AF_INET),
        "send datagrams": connected_datagrams,
        "signal another": lambda: os.kill(parent, 0),
        "make new code": new_code,
        "raise its limits": lambda: resource.setrlimit(resource.RLIMIT_CORE, (1, 1)),
        "change owner": lambda: os.chown(folder / "data", 1, 1),
        "become somebody": lambda: os.setuid(os.getuid()),
        "be dumped": lambda: libc.prctl(4, 1, 0, 0, 0) == 0 or raise_errno(),
    }


def raise_errno() -> object:
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


# By number on x86_64: ptrace, process_vm_readv, mount, unshare, bpf, keyctl, perf_event_open,
# userfaultfd, io_uring_setup, init_module, memfd_create, personality, setns, pidfd_getfd,
# pidfd_send_signal, execveat, connect, bind, listen.
NUMBERS = (
    101, 310, 165, 272, 321, 250, 298, 323, 425, 175, 319, 135, 308, 438, 424, 322, 42, 49, 50
)  # fmt: skip


def attempt(what: Callable[[], object]) -> str:
    try:
        return f"ok {what()}"
    except OSError as error:
        return str(error.strerror)
    except ValueError:  # what `resource` makes of EPERM
        return "Operation not permitted"


def main() -> None:
    folder = Path(sys.argv[1])
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))
        found = hardening.apply(writes=[folder / "data"], reads=[folder / "config"])
        done = {
            name: attempt(what) for name, what in attempts(folder, listener, os.getppid()).items()
        }
    numbers = {number: call(number, 0, 0, 0, 0, 0) for number in NUMBERS}
    status = Path("/proc/self/status").read_text()
    signal.alarm(0)
    print(json.dumps({"applied": asdict(found), "done": done, "calls": numbers, "status": status}))


if __name__ == "__main__":
    main()

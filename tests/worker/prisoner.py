"""A service that tries what it is told to: what code in a worker can still do."""

import ctypes
import errno
import json
import mmap
import os
import resource
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from keyholm.worker import frames
from keyholm.worker.host import run
from keyholm.worker.spec import Spec

GIB = 1024**3
libc = ctypes.CDLL(None, use_errno=True)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = (ctypes.c_size_t,)
libc.syscall.restype = ctypes.c_long
# By number on x86_64, each with arguments of 0.
NUMBERS = {
    "vfork": 58, "execveat": 322, "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311,
    "kcmp": 312, "pidfd_getfd": 438, "pidfd_send_signal": 424, "unshare": 272, "setns": 308,
    "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "open_tree": 428,
    "keyctl": 250, "add_key": 248, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323,
    "io_uring_setup": 425, "init_module": 175, "open_by_handle_at": 304, "seccomp": 317,
    "setuid": 105, "setpgid": 109, "setsid": 112, "capset": 126, "mknod": 133, "reboot": 169,
    "personality": 135, "shmget": 29, "tkill": 200, "modify_ldt": 154,
}  # fmt: skip


def raw(number: int, *arguments: int) -> int:
    done: int = libc.syscall(number, *[ctypes.c_long(each) for each in (*arguments, 0, 0, 0)][:6])
    if done < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return done


def read(path: str) -> int:
    with open(path, "rb") as file:
        return len(file.read(16))


def write(path: str) -> int:
    with open(path, "wb") as file:
        return file.write(b"x")


def connect(family: int, address: Any, kind: int = socket.SOCK_STREAM) -> None:
    with socket.socket(family, kind) as client:
        client.settimeout(5)
        client.connect(address)
        client.send(b"x")


def ask(path: str) -> bytes:
    """What a door says to us."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(path)
        client.sendall(b"\0\0\0\1?")
        return client.recv(64)


def thread() -> str:
    told: list[str] = []
    other = threading.Thread(target=told.append, args=("hello",))
    other.start()
    other.join()
    return told[0]


def late() -> str:
    import decimal

    return str(decimal.Decimal(2).sqrt())[:4]


def allocate() -> int:
    if libc.malloc(10 * GIB):
        raise AssertionError("10 GiB were to be had")
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1])


def share() -> None:
    mmap.mmap(-1, 10 * GIB)


def touch() -> int:
    """Memory that is used, and not only asked for, a piece at a time."""
    pieces: list[bytearray] = []
    try:
        while len(pieces) < 10 * 1024:
            pieces += [bytearray(1024 * 1024)]
    except MemoryError:
        return len(pieces)
    raise AssertionError("10 GiB were to be had")


def leak() -> int:
    """How many descriptors there are to be had; they are given back."""
    had: list[int] = []
    try:
        while True:
            had.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        if error.errno != errno.EMFILE:
            raise
    finally:
        for each in had:
            os.close(each)
    return len(had)


def threads() -> int:
    """How many threads there are to be had."""
    over = threading.Event()
    had: list[threading.Thread] = []
    try:
        while len(had) < 5000:
            had.append(threading.Thread(target=over.wait))
            had[-1].start()
    except RuntimeError:
        had.pop()
    finally:
        over.set()
        for each in had:
            each.join()
    return len(had)


def fill(path: str, size: int) -> int:
    """Bytes that can be written to one file."""
    piece = bytes(1024 * 1024)
    done = 0
    with open(path, "wb", buffering=0) as file:
        try:
            while done < size:
                done += file.write(piece)
        except OSError as error:
            if error.errno not in (errno.EFBIG, errno.ENOSPC):
                raise
    os.unlink(path)
    return done


def chatter(size: int) -> int:
    line = b"y" * 99 + b"\n"
    piece = line * 1000
    done = 0
    while done < size:
        done += os.write(2, piece)
    os.write(2, b"that was all\n")
    return done


def fork() -> None:
    if os.fork() == 0:
        time.sleep(600)


WAYS: dict[str, Callable[..., object]] = {
    "read": read,
    "write": write,
    "open": lambda path: os.close(os.open(path, os.O_WRONLY)),  # and harm nothing
    "list": os.listdir,
    "stat": lambda path: os.stat(path).st_size,
    "owner": lambda path: (os.stat(path).st_uid, os.stat(path).st_gid),
    "unlink": os.unlink,
    "connect": lambda path: connect(socket.AF_UNIX, path),
    "ask": ask,
    "connect abstract": lambda name: connect(socket.AF_UNIX, f"\0{name}"),
    "send abstract": lambda name: connect(socket.AF_UNIX, f"\0{name}", socket.SOCK_DGRAM),
    "connect tcp": lambda port: connect(socket.AF_INET, ("127.0.0.1", port)),
    "send udp": lambda port: connect(socket.AF_INET, ("127.0.0.1", port), socket.SOCK_DGRAM),
    "bind tcp": lambda: socket.create_server(("127.0.0.1", 0)),
    "start a thread": thread,
    "import late": late,
    "who am i": lambda: __import__("pwd").getpwuid(os.getuid()).pw_name,
    "time": lambda: time.localtime().tm_year,
    "load": lambda path: ctypes.CDLL(path)._name,
    "environment": lambda name: os.environ[name],
    "number": os.getpid,
    "open files": lambda: sorted(os.listdir("/proc/self/fd"), key=int),
    "processes": lambda: [name for name in os.listdir("/proc") if name.isdigit()],
    "kill": lambda pid: os.kill(pid, 0),
    "look at": lambda pid: os.readlink(f"/proc/{pid}/exe"),
    "memory of": lambda pid: read(f"/proc/{pid}/mem"),
    "fork": fork,
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "system": lambda: os.waitstatus_to_exitcode(os.system("true")),
    "raise limits": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (100000, 100000)),
    "be dumped": lambda: raw(157, 4, 1),
    "type": lambda: raw(16, 0, 0x5412, 0),
    "malloc": allocate,
    "share": share,
    "touch": touch,
    "leak": leak,
    "threads": threads,
    "fill": fill,
    "chatter": chatter,
    "status": lambda: Path("/proc/self/status").read_text(),
}


def attempt(way: str, *arguments: object) -> str:
    try:
        done = raw(NUMBERS[way]) if way in NUMBERS else WAYS[way](*arguments)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    except (ValueError, MemoryError, KeyError, RuntimeError) as error:
        return type(error).__name__
    return f"ok {done}"


class Prisoner:
    def load(self, spec: Spec) -> bytes:
        return b""

    def serve(self, channel: socket.socket) -> None:
        while True:
            frames.send(channel, attempt(*json.loads(frames.receive(channel))).encode())

    def end(self) -> None:
        pass


def main() -> NoReturn:
    run(Prisoner())


if __name__ == "__main__":
    sys.exit("It is a service: started as one.")

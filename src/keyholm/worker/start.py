"""Starts workers and watches over them: in the steward, or in a process that has no steward.

A worker is a Python begun anew (exec), never a copy of this process: it shares no memory, no
descriptor but its master and its standard error, and none of the environment. It leads a
session of its own, so that whatever it leaves behind can be ended with it.
"""

import fcntl
import os
import select
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import msgspec

import keyholm
from keyholm.core.errors import StoreFailed
from keyholm.wire.codec import Malformed
from keyholm.worker.frames import HungUp
from keyholm.worker.spec import MASTER, MOST_PACKET, Isolation, Spec, decode, encode
from keyholm.worker.stderr import Tail

CLOSING_SECONDS: Final = 15.0  # until the sandbox is closed, on a machine that has much to do
ENDING_SECONDS: Final = 2.0  # between the end of its sockets and the end of the process
BOOT: Final = str(Path(__file__).with_name("boot.py"))
CREDENTIALS: Final = struct.Struct("3i")  # struct ucred: pid, uid, gid
ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
PIPE: Final = 1024 * 1024  # of a worker's standard error, if the kernel gives as much
# A worker that fills that faster than it is read has to wait, and takes no time from others.
BREATH: Final = 0.005
LAST_PIECES: Final = 4  # that are read of what a dead worker had written
REMEMBERED: Final = 64  # workers that ended and that nobody has asked about
# What the steward ignores must not be ignored there as well.
USUAL: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGPIPE)


class Started(NamedTuple):
    """`pid` is the process to watch, `inner` the one in which the library is."""

    pid: int
    inner: int
    isolation: Isolation
    master: socket.socket


class Ended(NamedTuple):
    """`status` as waitpid gives it, None while it runs; `lines`: the last it wrote to stderr."""

    status: int | None
    lines: tuple[str, ...]


class Starter(Protocol):
    """Who can start workers. All of this may be called by any thread."""

    def start_worker(self, name: str, path: str = "") -> Started:
        """The worker of the configured module `name`; or, without one, of the library `path`.

        Raises `KeyholmError`.
        """

    def worker_ended(self, pid: int) -> Ended:
        """How a worker ended, or is about to; forgotten once it was told."""

    def end_worker(self, pid: int) -> None:
        """At once, with all that it started."""


class DirectStarter:
    """Starts what `spec_of` says of a name and a path, as children of this process.

    `service` is the module whose `main` runs in the worker; `folders` are where it comes from,
    beside keyholm's own.
    """

    def __init__(
        self,
        spec_of: Callable[[str, str], Spec],
        service: str,
        *,
        folders: Iterable[str] = (),
        log: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._spec_of, self._service, self._log = spec_of, service, log
        self._folders = (*_own_folders(), *folders)
        self._children: dict[int, _Child] = {}
        self._lock = threading.Lock()

    def start_worker(self, name: str, path: str = "") -> Started:
        spec = self._spec_of(name, path)
        ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        try:
            with theirs:
                child = _Child(self._spawn(spec, theirs), self._tail(spec.name))
        except OSError as error:
            ours.close()
            raise StoreFailed(
                f"No process for {spec.name} can be started: {error.strerror}."
            ) from error
        self._remember(child)
        try:
            isolation, inner = _closed_in(ours, spec)
        except (OSError, Malformed) as error:
            ours.close()
            child.end()
            ended = self.worker_ended(child.pid)
            raise StoreFailed(
                f"The process of {spec.name} did not start{_because(ended, error)}.",
                remedy="`keyholm doctor` shows whether workers can be started here.",
            ) from error
        return Started(child.pid, inner, isolation, ours)

    def worker_ended(self, pid: int) -> Ended:
        child = self._children.get(pid)
        if child is None:
            return Ended(None, ())
        ended = child.ended()
        if ended.status is not None:
            self._children.pop(pid, None)
        return ended

    def end_worker(self, pid: int) -> None:
        child = self._children.get(pid)
        if child is not None:
            child.end()

    def _tail(self, name: str) -> Tail:
        return Tail(lambda line: self._log(f"{name}: {line}"))

    def _remember(self, child: "_Child") -> None:
        with self._lock:
            ended = [pid for pid, each in self._children.items() if each.status is not None]
            for pid in ended[:-REMEMBERED]:
                del self._children[pid]
            self._children[child.pid] = child

    def _spawn(self, spec: Spec, master: socket.socket) -> tuple[int, int]:
        """The pid, and where its standard error can be read."""
        command = [sys.executable, "-I", "-S", BOOT, self._service, spec.name]
        reading, writing = os.pipe()
        with suppress(OSError):  # the user has as many large ones as it may
            fcntl.fcntl(reading, fcntl.F_SETPIPE_SZ, PIPE)
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        # Out of the way of the numbers that they are to have.
        high = [
            fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, MASTER + 1)
            for each in (null, writing, master.fileno())
        ]
        try:
            pid = os.posix_spawn(
                sys.executable,
                [*command, *self._folders],
                ENVIRONMENT,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, high[0], 0),
                    (os.POSIX_SPAWN_DUP2, high[1], 1),
                    (os.POSIX_SPAWN_DUP2, high[1], 2),
                    (os.POSIX_SPAWN_DUP2, high[2], MASTER),
                ],
                setsid=True,
                setsigmask=(),
                setsigdef=USUAL,
            )
        except OSError:
            os.close(reading)
            raise
        finally:
            for each in (null, writing, *high):
                os.close(each)
        return pid, reading


class _Child:
    """One worker, with the thread that reads its standard error and waits for its end."""

    def __init__(self, started: tuple[int, int], tail: Tail) -> None:
        self.pid, self._stderr = started
        self.status: int | None = None
        self._tail = tail
        self._much = fcntl.fcntl(self._stderr, fcntl.F_GETPIPE_SZ) // 2
        self._unwanted = False  # it is ended by us
        self._gone = threading.Event()
        self._lock = threading.Lock()  # its pid is its own until it was waited for
        self._handle = os.pidfd_open(self.pid)
        threading.Thread(target=self._watch, name=f"worker {self.pid}", daemon=True).start()

    def end(self) -> None:
        self._unwanted = True
        with self._lock:
            if self.status is None:
                self._kill()

    def ended(self) -> Ended:
        self._gone.wait(ENDING_SECONDS)
        return Ended(self.status, self._tail.lines())

    def _kill(self) -> None:
        """All of its session that did not leave it."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def _watch(self) -> None:
        self._listen()
        os.set_blocking(self._stderr, False)
        with suppress(BlockingIOError):
            for _ in range(LAST_PIECES):
                if not self._read():
                    break
        with self._lock:
            self._kill()
            _, self.status = os.waitpid(self.pid, 0)
        if os.WIFSIGNALED(self.status) and not self._unwanted:
            self._tail.say(f"the worker {how(self.status)}")
        self._tail.close()
        os.close(self._stderr)
        os.close(self._handle)
        self._gone.set()
        # Of its session some may have become our children by its death.
        with suppress(ChildProcessError):
            while True:
                os.waitpid(-self.pid, 0)

    def _listen(self) -> None:
        """Until the process has ended, whoever else may hold its standard error."""
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        poll.register(self._stderr, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            if self._stderr in ready and not self._read():
                poll.unregister(self._stderr)
            if self._handle in ready:
                return

    def _read(self) -> bool:
        data = os.read(self._stderr, PIPE)
        self._tail.take(data)
        if len(data) >= self._much:
            time.sleep(BREATH)
        return bool(data)


def _own_folders() -> tuple[str, ...]:
    """Where keyholm and the one package that a worker needs come from."""
    packages = (keyholm.__path__[0], msgspec.__path__[0])
    return tuple(dict.fromkeys(str(Path(each).parent) for each in packages))


def _closed_in(master: socket.socket, spec: Spec) -> tuple[Isolation, int]:
    """What the worker says of its sandbox, and the kernel of who says it: nothing foreign runs
    in it yet. Raises `OSError` and `Malformed`."""
    master.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    master.settimeout(CLOSING_SECONDS)
    master.send(encode(spec))
    packet, facts, _, _ = master.recvmsg(MOST_PACKET, socket.CMSG_SPACE(CREDENTIALS.size))
    if not packet or not facts:
        raise HungUp("it ended")
    master.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 0)
    master.settimeout(None)
    pid, _, _ = CREDENTIALS.unpack(facts[0][2])
    return decode(packet, Isolation), pid


def how(status: int) -> str:
    """How a process ended, in words."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return f"died of {_name(number)}"
    return f"ended with status {os.waitstatus_to_exitcode(status)}"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def _because(ended: Ended, error: Exception) -> str:
    if ended.lines:
        return f": {ended.lines[-1]}"
    if isinstance(error, TimeoutError):
        return " in time"
    return f": it {how(ended.status)}" if ended.status is not None else f": {error}"

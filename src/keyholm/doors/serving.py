"""The serving loop of the socket doors: accept, one thread a connection, whole frames.

Idle threads wait in accept() themselves, so that a new client costs neither a thread
start nor a hand-over. A frame is received into locked memory that its thread keeps, and
that is wiped after a frame in which a secret may have been.
"""

import contextlib
import errno
import os
import select
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct

from keyholm.core.caller import Peer
from keyholm.core.secret import Secret

PEER: Final = struct.Struct("3i")  # struct ucred: pid, uid, gid
SPARE_THREADS: Final = 4  # that wait in accept()
STACK: Final = 256 * 1024
FIRST_BUFFER: Final = 4096
LENGTH: Final = 4
# When a client's next request came that soon, the following one is looked for that often,
# until it was missed that often.
EAGER_SECONDS: Final = 100e-6
TRIES: Final = 20
MISSES: Final = 4
DONTWAIT, PEEK = int(socket.MSG_DONTWAIT), int(socket.MSG_PEEK)  # enums are slow to combine
FEW: Final = SPARE_THREADS


class Framing(Struct, frozen=True):
    """How long a frame is: told by its first `head` bytes, of which the first `passed` are no
    part of it for whoever reads it."""

    head: int
    passed: int
    rest: Callable[[memoryview], int]  # bytes after the head


LENGTH_FIRST: Final = Framing(LENGTH, LENGTH, int.from_bytes)


class Limits(Struct, frozen=True):
    """What one client may hold. `frame_seconds`: for a frame that was begun, or a reply."""

    frame: int
    connections: int = 4096
    connections_of_uid: int = 2048
    frame_seconds: float = 10.0


class Connection:
    """One accepted client."""

    __slots__ = (
        "_buffer",
        "_deadline",
        "_eager",
        "_filled",
        "_head",
        "_how_many",
        "_is_new",
        "_limits",
        "_passed",
        "_poll",
        "_rest",
        "_taken",
        "_times_out",
        "_unread",
        "peer",
        "socket",
    )

    def __init__(
        self,
        accepted: socket.socket,
        peer: Peer,
        buffer: "Buffer",
        limits: Limits,
        how_many: Callable[[], int] = lambda: 1,
    ) -> None:
        self.socket, self.peer = accepted, peer
        self._buffer, self._limits, self._how_many = buffer, limits, how_many
        self._filled = self._taken = 0
        self._unread = 0  # of the last bytes in the buffer: the kernel still has them
        self._eager = 0
        self._is_new = True
        self._deadline = 0.0  # of a request of which only a part is here
        self._poll: select.poll | None = None
        self._times_out = False
        self.framing = LENGTH_FIRST

    @property
    def alone(self) -> bool:
        """Whether no other client is connected."""
        return self._how_many() == 1

    def is_gone(self) -> bool:
        """Whether the client hung up, or we are to end: for whoever makes it wait long."""
        watch = select.poll()
        watch.register(self.socket, select.POLLRDHUP)
        return bool(watch.poll(0))

    @property
    def framing(self) -> Framing:
        return Framing(self._head, self._passed, self._rest)

    @framing.setter
    def framing(self, framing: Framing) -> None:
        self._head, self._passed, self._rest = framing.head, framing.passed, framing.rest

    def frames(self) -> Iterator[memoryview]:
        """Each whole frame. A view is good until the next one is asked for.

        Ends when the client is gone, says a length that is not allowed, or leaves a frame
        half sent for too long.
        """
        receive = self._receive
        while True:
            while (size := self._whole()) is None:
                self._take()
                room = self._room()
                if room is None or self._is_late():
                    return
                try:
                    count = receive(room)
                except (TimeoutError, BlockingIOError):
                    if self._filled > self._taken:
                        return
                    continue
                except OSError:
                    return
                if not count:
                    return
                self._filled += count
            self._deadline = 0.0
            start = self._taken + self._passed
            self._taken += self._head + size
            yield self._buffer.view[start : self._taken]
            if self._taken == self._filled:
                self._taken = self._filled = 0

    def _is_late(self) -> bool:
        """Whether a frame was begun too long ago: a byte now and then is not enough."""
        if self._filled == self._taken:
            return False
        now = time.monotonic()
        self._deadline = self._deadline or now + self._limits.frame_seconds
        return now >= self._deadline

    def _receive(self, room: memoryview) -> int:
        """As `recv_into`, but for a client that asks again and again, look a few times
        before going to sleep: to be woken costs more than a signature. Only with nobody
        else there who would be kept waiting."""
        crowd = self._how_many()
        # Who asks again and again does not sleep: see `_take`.
        peek = PEEK if crowd <= FEW and not self._filled and self._eager <= 0 else 0
        looks = TRIES if self._eager > 0 and crowd == 1 else self._is_new
        self._is_new = False
        for _ in range(looks):
            try:
                count = self.socket.recv_into(room, 0, DONTWAIT | peek)
            except BlockingIOError:
                continue
            if looks > 1:
                self._eager = MISSES
            break
        else:
            self._eager -= looks > 1
            asleep = time.monotonic()
            # Among many threads, to give the interpreter away once more is dearer than a wake-up.
            if crowd <= FEW:
                self._sleep()
            else:
                self._time_out()
            count = self.socket.recv_into(room, 0, peek)
            if time.monotonic() - asleep < EAGER_SECONDS:
                self._eager = MISSES
        if peek:
            self._unread = count
        return count

    def _take(self) -> None:
        """Take from the kernel what was only looked at, if anything was.

        A client that sleeps in recv() is woken as well when its request is taken, for nothing:
        that costs it, and us, as much as a signature by Ed25519. So a request is taken when
        its answer has been sent.
        """
        if not self._unread:
            return
        place = self._buffer.view[self._filled - self._unread : self._filled]
        self._unread = 0
        with contextlib.suppress(OSError):  # the next receiving says the same
            while place and (count := self.socket.recv_into(place, 0, DONTWAIT)):
                place = place[count:]

    def _sleep(self) -> None:
        """Until there is something to receive. Raises `TimeoutError`.

        Who sleeps in recv() itself is woken as well when the client has read our answer,
        and each needless wake-up takes longer than a signature by Ed25519.
        """
        poll = self._poll
        if poll is None:
            poll = self._poll = select.poll()
            poll.register(self.socket, select.POLLIN)
        if not poll.poll(self._limits.frame_seconds * 1000):
            raise TimeoutError

    def _time_out(self) -> None:
        """From now on the socket itself waits no longer than a frame may take."""
        if not self._times_out:
            self._times_out = True
            time_limit = struct.pack("@ll", *_timeval(self._limits.frame_seconds))
            for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                self.socket.setsockopt(socket.SOL_SOCKET, option, time_limit)

    def _whole(self) -> int | None:
        """The size of the next frame once all of it is here."""
        have, head = self._filled - self._taken, self._head
        if have < head:
            return None
        size = self._rest(self._buffer.view[self._taken : self._taken + head])
        return size if have >= head + size and 0 < size <= self._limits.frame else None

    def _room(self) -> memoryview | None:
        """Where to receive more; None if the frame may not be that long.

        The buffer grows with the bytes that came, not with the length that was announced.
        """
        have = self._filled - self._taken
        if have >= self._head:
            size = self._rest(self._buffer.view[self._taken : self._taken + self._head])
            if not 0 < size <= self._limits.frame:
                return None
        if self._filled == len(self._buffer.view):
            if self._taken:
                self._buffer.move(self._taken, self._filled)
                self._taken, self._filled = 0, have
            else:
                self._buffer.grow(self._filled)
        return self._buffer.view[self._filled :]

    def receive_into(self, target: memoryview) -> bool:
        """Raw bytes that follow a frame. False if the client was gone or too slow for them."""
        self._take()
        early = self._buffer.view[self._taken : min(self._filled, self._taken + len(target))]
        target[: len(early)] = early
        self._buffer.wipe(self._taken, self._taken + len(early))
        self._taken += len(early)
        done = len(early)
        deadline = time.monotonic() + self._limits.frame_seconds
        while done < len(target) and time.monotonic() < deadline:
            try:
                self._sleep()
                count = self.socket.recv_into(target[done:])
            except OSError:
                return False
            if not count:
                return False
            done += count
        return done == len(target)

    def send(self, payload: bytes | bytearray | memoryview) -> None:
        """One frame. Raises `OSError` when the client is gone or does not read."""
        self.send_raw(len(payload).to_bytes(LENGTH) + payload)

    def send_raw(self, payload: bytes | memoryview) -> None:
        try:
            sent = self.socket.send(payload, DONTWAIT)
        except BlockingIOError:
            sent = 0
        if sent < len(payload):
            self._time_out()
            self.socket.sendall(memoryview(payload)[sent:])
        self._take()

    def end(self) -> None:
        """Before it is closed: a client that left something unread behind is told of an error."""
        self._take()

    def wipe(self, frame: memoryview) -> None:
        """Overwrite a frame that held a secret."""
        self._take()
        frame[:] = bytes(len(frame))


class Buffer:
    """Locked memory of one thread, grown as bytes arrive and given back when it grew."""

    __slots__ = ("_secret", "view")

    def __init__(self) -> None:
        self._take(FIRST_BUFFER)

    def _take(self, size: int) -> None:
        self._secret = Secret(size)
        self.view = self._secret.view

    def grow(self, filled: int) -> None:
        before = self._secret
        self._take(2 * before.size)
        self.view[:filled] = before.view[:filled]
        before.close()

    def move(self, start: int, end: int) -> None:
        self.view[: end - start] = bytes(self.view[start:end])

    def wipe(self, start: int, end: int) -> None:
        self.view[start:end] = bytes(end - start)

    def reset(self) -> None:
        if self._secret.size > FIRST_BUFFER:
            self._secret.close()
            self._take(FIRST_BUFFER)

    def close(self) -> None:
        self._secret.close()


class Serving:
    """Accepts clients of `listener` and hands each to `serve`, in a thread of its own."""

    def __init__(
        self,
        listener: socket.socket,
        serve: Callable[[Connection], None],
        *,
        accepts: Callable[[Peer], bool],
        limits: Limits,
        name: str,
    ) -> None:
        self._listener, self._serve, self._accepts = listener, serve, accepts
        self._limits, self._name = limits, name
        self._lock = threading.Lock()
        self._spare = 0
        self._open: dict[int, socket.socket] = {}
        self._of_uid: Counter[int] = Counter()
        self._threads: set[threading.Thread] = set()
        self._stopping = False

    @property
    def connections(self) -> int:
        return len(self._open)

    def start(self) -> None:
        for _ in range(SPARE_THREADS):
            self._add_thread()

    def stop(self, *, grace: float = 1.0) -> None:
        """Take no more clients, let requests end, then cut what is left."""
        with self._lock:
            self._stopping = True
        with contextlib.suppress(OSError):  # wakes every thread in accept()
            self._listener.shutdown(socket.SHUT_RDWR)
        with self._lock:
            waiting = list(self._open.values())
            threads = list(self._threads)
        for connection in waiting:  # reads end; a request in progress still answers
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RD)
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(grace / max(1, len(threads)) if grace else None)
        self._listener.close()

    def _add_thread(self) -> None:
        with self._lock:
            if self._stopping:
                return
            self._spare += 1
            before = threading.stack_size(STACK)
            thread = threading.Thread(target=self._run, name=f"{self._name} door", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no more threads to be had: those that run go on
            with self._lock:
                self._spare -= 1
        finally:
            threading.stack_size(before)

    def _run(self) -> None:
        with self._lock:  # by the thread itself: one that was not started cannot be joined
            self._threads.add(threading.current_thread())
        buffer = Buffer()
        try:
            while self._accept_one(buffer):
                buffer.reset()
        finally:
            buffer.close()
            with self._lock:
                self._threads.discard(threading.current_thread())
                # An error that nobody expected ends its connection and this thread, which
                # must not be the last one that waits.
                lonely = not self._spare and not self._stopping
            if lonely:
                self._add_thread()

    def _accept_one(self, buffer: Buffer) -> bool:
        """Serve the next client. False: this thread is not needed any more."""
        try:
            accepted = _accept(self._listener)
        except OSError as error:
            if not self._stopping and error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS):
                # Out of descriptors: leave clients in the queue until some are free again.
                threading.Event().wait(0.1)
                return True
            if not self._stopping and error.errno in (errno.ECONNABORTED, errno.EINTR):
                return True
            with self._lock:
                self._spare -= 1
            return False
        with self._lock:
            self._spare -= 1
            lonely = self._spare == 0
        if lonely:
            self._add_thread()
        with accepted:
            self._serve_one(accepted, buffer)
        with self._lock:
            if self._stopping or self._spare >= SPARE_THREADS:
                return False
            self._spare += 1
        return True

    def _serve_one(self, accepted: socket.socket, buffer: Buffer) -> None:
        try:
            pid, uid, gid = PEER.unpack(
                accepted.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size)
            )
        except OSError:
            return
        peer = Peer(uid, gid, pid)
        # A connection that is not for us is closed without a word, as ssh-agent does.
        if not self._accepts(peer) or not self._enter(accepted, uid):
            return
        connection = Connection(accepted, peer, buffer, self._limits, self._how_many)
        try:
            with contextlib.suppress(OSError):  # the client is gone
                self._serve(connection)
        finally:
            connection.end()
            self._leave(accepted, uid)

    def _how_many(self) -> int:
        return len(self._open)

    def _enter(self, accepted: socket.socket, uid: int) -> bool:
        with self._lock:
            full = (
                self._stopping
                or len(self._open) >= self._limits.connections
                or self._of_uid[uid] >= self._limits.connections_of_uid
            )
            if full:
                return False
            self._open[accepted.fileno()] = accepted
            self._of_uid[uid] += 1
            return True

    def _leave(self, accepted: socket.socket, uid: int) -> None:
        with self._lock:
            self._open.pop(accepted.fileno(), None)
            self._of_uid[uid] -= 1
            if not self._of_uid[uid]:
                del self._of_uid[uid]


def _accept(listener: socket.socket) -> socket.socket:
    """As `listener.accept()`, which takes as long again to find out what we know."""
    descriptor, _ = listener._accept()  # type: ignore[attr-defined]  # noqa: SLF001
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, descriptor)


def _timeval(seconds: float) -> tuple[int, int]:
    whole = int(seconds)
    return whole, int((seconds - whole) * 1_000_000)


def listen(path: str, *, mode: int = 0o600, backlog: int = 1024) -> socket.socket:
    """A socket at `path`, which nobody else can open before it has `mode`."""
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listener.bind(path)
        if mode != 0o600:
            os.chmod(path, mode)
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(before)
    return listener

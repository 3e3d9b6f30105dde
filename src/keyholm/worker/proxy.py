"""A worker as its user sees it: there when it is wanted, and begun anew when it died.

    channel = worker.channel()                # starts the process if there is none
    answer = channel.call(frame, 60, "C_Sign")

A channel belongs to the process that it was opened to. When that has ended, for whatever
reason, each call on it raises `WorkerDied`, and a new channel goes to the next process, whose
`generation` is another: what the library knew (sessions, logins) is gone.

A worker that dies again and again is left alone for longer and longer, up to a minute; what is
asked of it meanwhile fails at once with `WorkerResting`.
"""

import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Self

from keyholm.core.errors import KeyholmError
from keyholm.wire.codec import Bytes, Malformed
from keyholm.worker import frames
from keyholm.worker.frames import HungUp
from keyholm.worker.spec import MOST_PACKET, Isolation, Loaded, decode
from keyholm.worker.start import Ended, Started, Starter, how

START_SECONDS: Final = 20.0
SENDING_SECONDS: Final = 5  # for a request, or a new channel, that the worker does not take
DEATHS: Final = 3  # within
WINDOW: Final = 60.0  # seconds, after which a worker is left alone
LONGEST_REST: Final = 60.0


class WorkerFailed(Exception):
    """`what` says it in a sentence; `lines` is the last that it wrote to its standard error."""

    unsent = False
    """The worker had ended before it was asked: nothing was done."""

    def __init__(self, what: str, lines: tuple[str, ...] = ()) -> None:
        super().__init__(what)
        self.what, self.lines = what, lines


class WorkerDied(WorkerFailed):
    """It ended, in the middle of `call` or before."""

    def __init__(
        self, what: str, call: str, lines: tuple[str, ...] = (), *, unsent: bool = False
    ) -> None:
        super().__init__(what, lines)
        self.call, self.unsent = call, unsent


class WorkerHung(WorkerFailed):
    """It took too long over `call`, and was ended."""

    def __init__(self, what: str, call: str) -> None:
        super().__init__(what)
        self.call = call


class WorkerResting(WorkerFailed):
    """It died too often; `seconds` until it is started again."""

    def __init__(self, what: str, seconds: float) -> None:
        super().__init__(what)
        self.seconds = seconds


class NotLoaded(WorkerFailed):
    """The process is good, but not the library: `step`, `code` and `text` say why."""

    def __init__(self, name: str, loaded: Loaded, lines: tuple[str, ...]) -> None:
        super().__init__(f"{name} was not loaded ({loaded.step}): {loaded.text}", lines)
        self.step, self.code, self.text = loaded.step, loaded.code, loaded.text


class Worker:
    """Thread-safe. `idle_seconds`: after so long without a call it is ended; 0: never."""

    def __init__(
        self,
        starter: Starter,
        name: str,
        path: str = "",
        *,
        start_seconds: float = START_SECONDS,
        idle_seconds: float = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.generation = 0
        self.crashes = 0  # or starts that failed
        self._starter, self._path = starter, path
        self._start_seconds, self._idle_seconds = start_seconds, idle_seconds
        self._rest = Rest(clock)
        self._running: _Running | None = None
        self._closed = threading.Event()
        self._lock = threading.Lock()

    @property
    def isolation(self) -> Isolation | None:
        """Of the process that runs; None: there is none."""
        running = self._running
        return running.isolation if running is not None and running.fate is None else None

    @property
    def pid(self) -> int | None:
        """The process in which the library is; None: there is none."""
        running = self._running
        return running.inner if running is not None and running.fate is None else None

    @property
    def info(self) -> bytes:
        """What the service told when it was loaded; empty: it does not run."""
        running = self._running
        return running.info if running is not None and running.fate is None else b""

    def channel(self, *, background: bool = False) -> "Channel":
        """A new one. What is called on a `background` one does not keep the worker from being
        idle. Raises `WorkerFailed` and `KeyholmError`."""
        running = self._started()
        return Channel(running, running.open(), background=background)

    def start(self) -> None:
        """See that it runs. Raises `WorkerFailed` and `KeyholmError`."""
        self._started()

    def forgive(self) -> None:
        """Forget how often it died: something was changed."""
        self._rest.forgive()

    def end(self) -> None:
        """End the process, if there is one; the next channel begins another."""
        running = self._running
        if running is not None:
            running.end(f"{self.name} was ended.")

    def close(self) -> None:
        """End it for good."""
        self._closed.set()
        self.end()

    def _started(self) -> "_Running":
        running = self._running
        if running is not None and running.fate is None:
            return running
        with self._lock:
            if self._closed.is_set():
                raise WorkerDied(f"{self.name} was closed.", "")
            if self._running is None or self._running.fate is not None:
                self._rest.check(self.name)
                self._running = self._begin()
            running = self._running
        if self._closed.is_set():  # meanwhile
            self.end()
            raise WorkerDied(f"{self.name} was closed.", "")
        return running

    def _begin(self) -> "_Running":
        try:
            running = _Running(self._starter, self.name, self._path, self._died)
        except KeyholmError as error:
            self._died(error.what)
            raise
        running.load(self._start_seconds)
        self.generation += 1
        running.generation = self.generation
        if self._idle_seconds:
            running.end_when_idle(self._idle_seconds)
        return running

    def _died(self, why: str) -> None:
        self.crashes += 1
        self._rest.died(why)


class Channel:
    """One call at a time."""

    def __init__(self, running: "_Running", opened: socket.socket, *, background: bool) -> None:
        self._running, self._socket, self._background = running, opened, background
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(SENDING_SECONDS))

    @property
    def generation(self) -> int:
        return self._running.generation

    @property
    def alive(self) -> bool:
        """False once somebody has noticed that its worker ended."""
        return self._running.fate is None

    def call(self, frame: Bytes, seconds: float, what: str) -> bytes:
        """The answer to `frame`. `what` names the call for errors; a worker that has no answer
        after `seconds` is ended. Raises `WorkerDied` and `WorkerHung`."""
        running = self._running
        if running.fate is not None:
            raise running.died(what, unsent=True)
        if not self._background:
            running.calling.add(self)
        try:
            self._send(frame, what)
            return frames.receive(self._socket, seconds)
        except (OSError, Malformed) as error:
            self.close()
            raise self._failed(what, seconds, error) from error
        finally:
            if not self._background:
                running.calling.discard(self)
                running.used = time.monotonic()

    def _send(self, frame: Bytes, what: str) -> None:
        try:
            frames.send(self._socket, frame)
        except HungUp as error:
            self.close()
            raise self._running.died(what, unsent=True) from error

    def _failed(self, what: str, seconds: float, error: Exception) -> WorkerFailed:
        match error:
            case TimeoutError():
                return self._running.hung(what, seconds)
            case Malformed():
                return self._running.talked_nonsense(what, str(error))
            case _:
                return self._running.died(what)

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()


class Rest:
    """When a worker that keeps dying may be started again."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self.forgive()

    def forgive(self) -> None:
        self._deaths: list[float] = []
        self._pause = self._until = 0.0
        self._why = ""

    def died(self, why: str) -> None:
        with self._lock:
            now = self._clock()
            if self._pause and now - self._until > WINDOW:
                self.forgive()  # it was good for a while
            self._why = why
            self._deaths = [each for each in self._deaths if now - each <= WINDOW] + [now]
            if self._pause or len(self._deaths) >= DEATHS:
                self._pause = min(2 * self._pause or 1.0, LONGEST_REST)
                self._until = now + self._pause

    def check(self, name: str) -> None:
        """Raises `WorkerResting`."""
        left = self._until - self._clock()
        if left > 0:
            raise WorkerResting(
                f"{name} failed again and again, and is left alone for {left:.0f} s more. "
                f"The last time: {self._why}",
                left,
            )


class _Running:
    """One process, from its start to its end."""

    def __init__(
        self, starter: Starter, name: str, path: str, on_death: Callable[[str], None]
    ) -> None:
        self._starter, self._name, self._on_death = starter, name, on_death
        started: Started = starter.start_worker(name, path)
        self._pid, self._master, self.isolation = started.pid, started.master, started.isolation
        self.inner = started.inner
        self.generation = 0
        self.info = b""
        self.fate: str | None = None  # a sentence, once it has ended or is being ended
        self.calling: set[Channel] = set()
        self.used = time.monotonic()
        self._lines: tuple[str, ...] = ()
        self._lock = threading.Lock()
        self._over = threading.Event()
        timeout = _timeval(SENDING_SECONDS)
        self._master.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)

    # --- what it does -----------------------------------------------------------------

    def load(self, seconds: float) -> None:
        """Wait for the library. Raises `WorkerFailed`."""
        self._master.settimeout(seconds)
        try:
            packet = self._master.recv(MOST_PACKET)
            if not packet:
                raise self.died("the start of its library")
            loaded = decode(packet, Loaded)
        except TimeoutError:
            raise self.hung("the start of its library", seconds) from None
        except OSError as error:
            raise self.died("the start of its library") from error
        except Malformed as error:
            raise self.talked_nonsense("the start of its library", str(error)) from error
        if loaded.step:
            raise self._not_loaded(loaded)
        self._master.settimeout(None)
        self.info = loaded.info

    def open(self) -> socket.socket:
        """A channel to it. Raises `WorkerFailed`."""
        ours, theirs = socket.socketpair()
        try:
            # One byte carries the descriptor: an empty packet means that we are gone.
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", theirs.fileno()))]
            self._master.sendmsg([b"\0"], rights)
        except BlockingIOError:
            ours.close()
            raise self.hung("the opening of a channel", SENDING_SECONDS) from None
        except OSError as error:
            ours.close()
            raise self.died("the opening of a channel") from error
        finally:
            theirs.close()
        return ours

    # --- how it ends ------------------------------------------------------------------

    def died(self, call: str, *, unsent: bool = False) -> WorkerDied:
        """What to raise of a `call` that its end cut short; or that came after (`unsent`)."""
        with self._lock:
            if self.fate is None:
                ended = self._gather()
                status = ended.status
                told = how(status) if status is not None else "closed its connection"
                when = "before" if unsent else "during"
                self._settle(f"{self._name} {told} {when} {call}.", ended)
                self._on_death(str(self.fate))
        return WorkerDied(str(self.fate), call, self._lines, unsent=unsent)

    def hung(self, call: str, seconds: float) -> WorkerHung:
        sentence = f"{self._name} was ended: {call} took longer than {seconds:g} s."
        self._kill(sentence)
        return WorkerHung(sentence, call)

    def talked_nonsense(self, call: str, how_so: str) -> WorkerDied:
        sentence = f"{self._name} was ended: its answer to {call} made no sense ({how_so})."
        self._kill(sentence)
        return WorkerDied(sentence, call)

    def end(self, sentence: str) -> None:
        """In peace: it sees that its master is closed."""
        with self._lock:
            if self.fate is None:
                self._settle(sentence, None)
                self._gather()

    def end_when_idle(self, seconds: float) -> None:
        threading.Thread(
            target=self._watch_idle, args=(seconds,), name=f"idle {self._name}", daemon=True
        ).start()

    def _watch_idle(self, seconds: float) -> None:
        wait = seconds
        while not self._over.wait(wait):
            wait = seconds if self.calling else self.used + seconds - time.monotonic()
            if wait <= 0:
                self.end(f"{self._name} was ended: nobody used it for {seconds:g} s.")

    def _not_loaded(self, loaded: Loaded) -> NotLoaded:
        with self._lock:
            ended = self._gather()
            failed = NotLoaded(self._name, loaded, ended.lines)
            self._settle(f"{failed.what}.", ended)
        self._on_death(failed.what)
        return failed

    def _kill(self, sentence: str) -> None:
        with self._lock:
            if self.fate is not None:
                return
            with suppress(KeyholmError):  # without a steward it ends when the master is closed
                self._starter.end_worker(self._pid)
            self._settle(sentence, None)
            self._gather()
        self._on_death(sentence)

    def _settle(self, fate: str, ended: Ended | None) -> None:
        self.fate = fate
        self._lines = ended.lines if ended else ()
        self._master.close()
        self._over.set()

    def _gather(self) -> Ended:
        """How it ended. One that closed its connections and goes on is ended."""
        try:
            ended = self._starter.worker_ended(self._pid)
            if ended.status is None:
                self._starter.end_worker(self._pid)
        except KeyholmError:
            return Ended(None, ())
        return ended


def _timeval(seconds: int) -> bytes:
    return struct.pack("@ll", seconds, 0)

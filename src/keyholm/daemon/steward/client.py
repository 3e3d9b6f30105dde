"""The keeper's side: one request at a time on each channel, as many channels as needed.

A request waits in the thread that makes it, on a channel of its own; so a prompt that waits
for a human holds up nobody else, and closing the channel takes the question back. A few channels
of quick requests are kept for the next ones; each is a thread over there, so not all that a crowd
once needed.

Should the steward die, the keeper lives on: the keys that it holds were handed over once and
are worth more than a restart. Callers are then unknown and match no rule, and what needs a
human or a program is refused with a sentence.
"""

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, TypeVar

from msgspec.structs import replace

from keyholm.core import errors
from keyholm.core.caller import Executable, Peer, Process
from keyholm.core.prompt import Answer, Question
from keyholm.core.secret import Secret
from keyholm.daemon.steward import messages, pidfd
from keyholm.daemon.steward.channel import (
    HungUp,
    receive,
    receive_plain,
    receive_socket,
    send,
)
from keyholm.daemon.steward.look_up import Gone, LookUp
from keyholm.wire.codec import Malformed
from keyholm.worker.start import CLOSING_SECONDS, Ended, Started

QUICK: Final = 10.0  # seconds after which a steward that does not answer is taken for dead
MOST_IDLE: Final = 8
# Beyond the time that a question itself allows: ending a program, reading its answer.
SLACK: Final = 10.0

Reply = TypeVar("Reply", bound=messages.Message)
GONE: Final = "The helper process that looks up callers and asks people has ended."
FAILED: Final = "The helper process that looks up callers and asks people failed at this."
RESTART: Final = "Restart keyholm; `keyholm status` shows whether it is there."


class StewardClient:
    """Thread-safe. `master` passes one end of each new channel to the steward."""

    def __init__(self, master: socket.socket, pid: int) -> None:
        self.pid = pid
        self.seconds = 60.0  # that a question waits for its answer (prompters.seconds)
        self._master = master
        # Where all places over there are taken, somebody waits for one, but not for ever.
        master.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", int(QUICK), 0))
        self._idle: list[socket.socket] = []
        self._begun: set[socket.socket] = set()
        self._running = 0  # requests that may have started a program
        self._workers: dict[int, Started] = {}  # by each of their numbers
        self._lock = threading.Lock()

    @property
    def alive(self) -> bool:
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:
            return False

    def close(self) -> None:
        """The steward ends when it sees this."""
        self._master.close()
        while self._idle:
            self._idle.pop().close()

    # --- who is it? -------------------------------------------------------------------

    def identify(self, peer: Peer, connection: socket.socket | None = None) -> Process:
        """Who is at the other end of `connection`; see `LookUp.answer`."""
        return self.look_up(peer, connection).answer()

    def look_up(
        self,
        peer: Peer,
        connection: socket.socket | None = None,
        handle: int | None = None,
    ) -> LookUp | Gone:
        """As `identify`, but asked now and waited for later. `handle`: a pidfd of the process,
        taken when it was accepted, where the kernel gives none for a connection."""
        try:
            if handle is None and connection is not None:
                handle = pidfd.of_peer(connection)
            if handle is None:
                handle = pidfd.early(peer.pid)
        except pidfd.Ended:
            return Gone()
        return LookUp(self, peer, handle)

    def started(self, peer: Peer) -> bool:
        """Whether `peer` is a program that the steward started: such a one has no business
        at a door. Costs next to nothing while no program runs."""
        if peer.pid in self._workers:
            return True
        if not self._running:
            return False
        try:
            return self._quick(messages.Identify(peer.pid), messages.Identified).ours
        except errors.DaemonFailed:
            return False

    def look_up_pid(self, pid: int) -> tuple[int | None, Process]:
        """Who `pid` is right now, and whose: for explanations, never for a decision."""
        found = self._quick(messages.Identify(pid, whose=True), messages.Identified)
        return found.uid, found.process

    def resolve(self, path: str) -> Executable | None:
        """The file that an executable rule's `path` names now."""
        return self._quick(messages.Resolve(path), messages.Resolved).executable

    # --- people -----------------------------------------------------------------------

    def ask(self, question: Question) -> Answer:
        question = replace(question, seconds=self.seconds)
        reply, secret = self._slow(
            messages.Ask(question), messages.Answered, seconds=question.seconds + SLACK
        )
        return Answer(reply.granted, reply.prompter, secret, reply.reason)

    def show(self, question: Question) -> "Shown":
        try:
            channel = self._open()
            send(channel, messages.encode(messages.Show(question)))
        except (HungUp, errors.DaemonFailed):
            return Shown(None)
        return Shown(channel)

    def prompters(self) -> tuple[messages.Usable, ...]:
        """For `keyholm doctor`: which could ask now, and why the others cannot."""
        reply, _ = self._slow(messages.Examine(), messages.Examined, seconds=QUICK)
        return reply.prompters

    # --- programs ---------------------------------------------------------------------

    def provider(self, path: str) -> str:
        """The real path of a security key's middleware. Raises `PolicyForbids`."""
        return self._quick(messages.CheckProvider(path), messages.ProviderAllowed).path

    def sign_with_key(
        self, private: bytes, provider: str, data: bytes, pin: Secret | None, seconds: float
    ) -> bytes:
        """An SSH signature made by a FIDO key through `ssh-sk-helper`."""
        request = messages.SignWithKey(private, provider, data, round(seconds))
        reply, _ = self._slow(request, messages.Signed, secret=pin, seconds=seconds + SLACK)
        return reply.signature

    def witness(self, checkpoint: bytes) -> None:
        self._slow(messages.Witness(checkpoint), messages.Done, seconds=60.0)

    def reload(self) -> None:
        self._quick(messages.Reload(), messages.Done)

    # --- workers ----------------------------------------------------------------------

    def start_worker(self, name: str, path: str = "") -> Started:
        """See `Starter`."""
        with self._own_channel(CLOSING_SECONDS + SLACK) as channel:
            send(channel, messages.encode(messages.StartWorker(name, path)))
            body, master = receive_socket(channel)
            reply = expect(messages.decode_reply(body), messages.WorkerStarted)
        if master is None:
            raise errors.DaemonFailed("There is no room for the socket of one more worker.")
        started = Started(reply.pid, reply.inner, reply.isolation, master)
        self._came(started)
        return started

    def worker_ended(self, pid: int) -> Ended:
        """See `Starter`."""
        reply = self._quick(messages.WorkerEnded(pid), messages.Ended)
        if reply.status is not None:
            self._went(pid)
        return Ended(reply.status, reply.lines)

    def end_worker(self, pid: int) -> None:
        """See `Starter`."""
        self._quick(messages.EndWorker(pid), messages.Done)

    def isolation(self) -> str:
        """How well a worker can be closed in here, for people to read."""
        try:
            return str(self._quick(messages.TryWorker(), messages.Tried).isolation)
        except errors.KeyholmError as error:
            return f"unknown ({error.what})"

    def _came(self, worker: Started) -> None:
        self._workers |= {worker.pid: worker, worker.inner: worker}
        if worker.isolation.forks:
            with self._lock:
                self._running += 1

    def _went(self, pid: int) -> None:
        worker = self._workers.pop(pid, None)
        if worker is None:
            return
        self._workers.pop(worker.inner, None)
        if worker.isolation.forks:
            with self._lock:
                self._running -= 1

    # --- requests ---------------------------------------------------------------------

    def _quick(self, request: messages.Message, kind: type[Reply]) -> Reply:
        return expect(self.finish(self.begin(request)), kind)

    def begin(self, request: messages.Message) -> socket.socket:
        """Send a quick request; its answer is for `finish` to read."""
        try:
            channel = self._idle.pop()
        except IndexError:
            channel = self._open()
        try:
            send(channel, messages.encode(request))
        except HungUp as error:
            raise self._gone(channel) from error
        self._begun.add(channel)
        return channel

    @property
    def waiting(self) -> int:
        """Requests that were begun and whose answers nobody has read."""
        return len(self._begun)

    def finish(self, channel: socket.socket) -> messages.Message:
        self._begun.discard(channel)
        try:
            reply = messages.decode_reply(receive_plain(channel, QUICK))
        except (OSError, Malformed) as error:
            raise self._gone(channel) from error
        if len(self._idle) < MOST_IDLE:
            self._idle.append(channel)
        else:
            channel.close()
        return reply

    def forget(self, channel: socket.socket) -> None:
        """The answer to what was begun is not wanted any more."""
        try:
            channel.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except OSError:
            self._begun.discard(channel)
            channel.close()  # it is not there yet: nobody waits for it
            return
        with suppress(errors.DaemonFailed):
            self.finish(channel)

    def _gone(self, channel: socket.socket) -> errors.DaemonFailed:
        channel.close()
        return self._failure()

    def _failure(self) -> errors.DaemonFailed:
        return errors.DaemonFailed(FAILED if self.alive else GONE, remedy=RESTART)

    def _slow(
        self,
        request: messages.Message,
        kind: type[Reply],
        *,
        seconds: float,
        secret: Secret | None = None,
    ) -> tuple[Reply, Secret | None]:
        with self._program_runs(), self._own_channel(seconds) as channel:
            send(channel, messages.encode(request), secret)
            body, answer = receive(channel)
            reply = messages.decode_reply(body)
        return expect(reply, kind), answer

    @contextmanager
    def _own_channel(self, seconds: float) -> Iterator[socket.socket]:
        """For one request that may take long. Raises `DaemonFailed`, also for its user."""
        with self._open() as channel:
            channel.settimeout(seconds)
            try:
                yield channel
            except TimeoutError as error:
                raise errors.DaemonFailed("The helper process did not answer in time.") from error
            except (HungUp, Malformed) as error:
                raise self._failure() from error

    @contextmanager
    def _program_runs(self) -> Iterator[None]:
        with self._lock:
            self._running += 1
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1

    def _open(self) -> socket.socket:
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:  # no descriptor is free
            raise self._failure() from error
        try:
            # One byte carries the descriptor: an empty packet means that we are gone.
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", theirs.fileno()))]
            self._master.sendmsg([b"\0"], rights)
        except OSError as error:
            ours.close()
            raise self._failure() from error
        finally:
            theirs.close()
        return ours


class Shown:
    """A notice on the screen, as long as its channel is open."""

    def __init__(self, channel: socket.socket | None) -> None:
        self._channel = channel

    def withdraw(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None


def expect(reply: object, kind: type[Reply]) -> Reply:
    if isinstance(reply, messages.Failed):
        raise _rebuilt(reply)
    if not isinstance(reply, kind):
        raise errors.DaemonFailed(f"The helper process answered with {type(reply).__name__}.")
    return reply


def _rebuilt(failed: messages.Failed) -> errors.KeyholmError:
    make: Callable[..., errors.KeyholmError] = errors.by_name(failed.name)
    try:
        return make(failed.what, remedy=failed.remedy)
    except TypeError:  # one that wants to know more (`PinIncorrect`)
        return errors.KeyholmError(failed.what, remedy=failed.remedy)

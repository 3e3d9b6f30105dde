"""The steward's side: a thread for each channel, so that none waits for another.

Most requests look up a caller and are answered at once; some wait for a human or a program.
The steward ends, and with it every program that it started, when the keeper is gone.
"""

import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final

from keyholm.core import errors
from keyholm.core.secret import Secret
from keyholm.daemon.steward import messages
from keyholm.daemon.steward.channel import DESCRIPTOR, HungUp, receive, send
from keyholm.daemon.steward.client import StewardClient
from keyholm.daemon.steward.descent import Descent
from keyholm.daemon.steward.identify import identify, owner_of, resolve
from keyholm.sandbox.process import (
    refuse_debuggers,
    refuse_new_privileges,
    take_in_orphans,
)
from keyholm.wire.codec import Malformed

MOST_CHANNELS: Final = 512  # fewer than the descriptors that a process may usually have
FIRST_DESCRIPTOR: Final = 3
# What is answered without a program that comes and goes.
WITHOUT_PROGRAM: Final = (
    messages.Identify,
    messages.Resolve,
    messages.CheckProvider,
    messages.StartWorker,
    messages.WorkerEnded,
    messages.EndWorker,
    messages.TryWorker,
    messages.Reload,
)

Beside = Secret | socket.socket | None
# Takes the request, the secret beside it, and the channel: the keeper hanging up takes the
# request back. Gives the reply and what goes beside that.
Handler = Callable[[Any, Secret | None, socket.socket], tuple[messages.Message, Beside]]
Handlers = Mapping[type[Any], Handler]


def start(
    make_handlers: Callable[[], Handlers],
    *,
    at_end: Callable[[], None] = lambda: None,
    keep: Collection[int] = (),
) -> StewardClient:
    """Fork the steward. Call it before the first thread and before any key is loaded.

    `make_handlers` is called in the new process, which may take its time: requests wait.
    `at_end` is called there when the keeper is gone, however it went; the descriptors `keep`
    stay open in it until then.
    """
    # Packets, so that each new channel's descriptor comes with exactly one byte.
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid:
        theirs.close()
        return StewardClient(ours, pid)
    status = 1
    try:
        _become_steward({theirs.fileno(), *keep})
        Steward(theirs, make_handlers()).serve()
        at_end()
        status = 0
    except Exception:  # noqa: BLE001 - the last stop of this process; said, then it ends
        sys.excepthook(*sys.exc_info())
    finally:
        # Never back into the keeper's code, whatever happened.
        os._exit(status)


def _become_steward(keep: Collection[int]) -> None:
    # A session of its own: what a terminal sends to the keeper's group is not meant for us,
    # and we end when the keeper does, not before.
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # programs would inherit what is blocked
    first = FIRST_DESCRIPTOR
    for kept in sorted(keep):
        os.closerange(first, kept)
        first = kept + 1
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))
    refuse_debuggers()  # PINs pass through here
    refuse_new_privileges()
    take_in_orphans()  # so that each program of ours can be told from a caller


class Steward:
    def __init__(self, master: socket.socket, handlers: Handlers) -> None:
        self._master = master
        self._descent = Descent()
        self._places = threading.BoundedSemaphore(MOST_CHANNELS)
        self._handlers: dict[type[Any], Handler] = {
            messages.Identify: self._identify,
            messages.Resolve: _resolve,
            **handlers,
        }

    def serve(self) -> None:
        """Until the keeper is gone. More channels than there are places for have to wait."""
        self._places.acquire()
        for channel in self._channels():
            threading.Thread(target=self._serve, args=(channel,), daemon=True).start()
            self._places.acquire()

    def _channels(self) -> Iterator[socket.socket]:
        while True:
            data, rights, _, _ = self._master.recvmsg(1, socket.CMSG_SPACE(DESCRIPTOR.size))
            if not data:
                return
            # Without a descriptor there was no room for one: the keeper sees that it is closed.
            if rights:
                (descriptor,) = DESCRIPTOR.unpack(rights[0][2][: DESCRIPTOR.size])
                yield socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, descriptor)

    def _serve(self, channel: socket.socket) -> None:
        try:
            with channel:
                # Sleeping in recv() itself, it would be woken when the answer has been read, too.
                poll = select.poll()
                poll.register(channel, select.POLLIN)
                while True:
                    poll.poll()
                    body, secret = receive(channel)
                    self._answer(channel, messages.decode_request(body), secret)
        except (HungUp, Malformed):
            pass  # The keeper does not want to know any more.
        finally:
            self._places.release()

    def _answer(self, channel: socket.socket, request: Any, secret: Secret | None) -> None:
        beside: Beside = None
        try:
            try:
                reply, beside = self._handle(request, secret, channel)
            except errors.KeyholmError as error:
                reply = messages.Failed(type(error).__name__, error.what, error.remedy)
            send(channel, messages.encode(reply), beside)
        finally:
            for used in (secret, beside):
                if used is not None:
                    used.close()

    def _handle(
        self, request: Any, secret: Secret | None, channel: socket.socket
    ) -> tuple[messages.Message, Beside]:
        handler = self._handlers[type(request)]
        if not isinstance(request, WITHOUT_PROGRAM):
            with self._descent.program():
                return handler(request, secret, channel)
        reply, beside = handler(request, secret, channel)
        match request, reply:
            case _, messages.WorkerStarted():
                self._descent.came(reply)
            case messages.WorkerEnded(pid), messages.Ended(status) if status is not None:
                self._descent.went(pid)
            case _:
                pass
        return reply, beside

    def _identify(
        self, request: messages.Identify, secret: Secret | None, channel: socket.socket
    ) -> tuple[messages.Message, None]:
        ours = self._descent.has(request.pid)
        uid = owner_of(request.pid) if request.whose else None
        return messages.Identified(identify(request.pid), uid, ours), None


def _resolve(
    request: messages.Resolve, secret: Secret | None, channel: socket.socket
) -> tuple[messages.Message, None]:
    return messages.Resolved(resolve(request.path)), None

"""The steward's part in workers: it starts what its own configuration names, and watches it."""

import os
import select
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from keyholm.core.errors import BadConfiguration
from keyholm.core.secret import Secret
from keyholm.daemon import module_files
from keyholm.daemon.steward import messages
from keyholm.daemon.steward.server import Beside, Handlers
from keyholm.worker.spec import Isolation, Spec
from keyholm.worker.start import DirectStarter

# What a module's file and a Spec call by the same name.
SHARED: Final = tuple(
    each for each in Spec.__struct_fields__ if each in module_files.ModuleSettings.__struct_fields__
)
SERVICE: Final = "keyholm.stores.modules.host"
TRIAL: Final = "keyholm.worker.trial"
STDERR: Final = 2


def module_in(modules: Path, name: str) -> Spec:
    """What the file of a configured module says, as it is now. Raises `BadConfiguration`."""
    settings = module_files.read(modules, name)
    if not settings.enabled:
        raise BadConfiguration(
            f"Module {name} is switched off.", remedy=f"Set `enabled` in its file in {modules}."
        )
    return spec_of(name, settings)


def spec_of(name: str, settings: module_files.ModuleSettings) -> Spec:
    """Raises `BadConfiguration` where the library is not to be loaded."""
    library = module_files.check_library(name, settings)
    told = {field: getattr(settings, field) for field in SHARED}
    return Spec(name=name, library=library, **told)


class Workers:
    """`spec_of` says what a module's name, or a provider's path, stands for."""

    def __init__(
        self,
        spec_of: Callable[[str, str], Spec],
        service: str = SERVICE,
        folders: Iterable[str] = (),
    ) -> None:
        self._starter = DirectStarter(spec_of, service, folders=folders, log=_log)
        self._tried: Isolation | None = None  # the kernel does not change its mind

    def handlers(self) -> Handlers:
        return {
            messages.StartWorker: self._start,
            messages.WorkerEnded: self._ended,
            messages.EndWorker: self._end,
            messages.TryWorker: self._try,
        }

    def _start(
        self, request: messages.StartWorker, secret: Secret | None, channel: socket.socket
    ) -> tuple[messages.Message, Beside]:
        started = self._starter.start_worker(request.name, request.path)
        told = messages.WorkerStarted(started.pid, started.inner, started.isolation)
        return told, started.master

    def _ended(
        self, request: messages.WorkerEnded, secret: Secret | None, channel: socket.socket
    ) -> tuple[messages.Message, Beside]:
        ended = self._starter.worker_ended(request.pid)
        return messages.Ended(ended.status, ended.lines), None

    def _end(
        self, request: messages.EndWorker, secret: Secret | None, channel: socket.socket
    ) -> tuple[messages.Message, Beside]:
        self._starter.end_worker(request.pid)
        return messages.Done(), None

    def _try(
        self, request: messages.TryWorker, secret: Secret | None, channel: socket.socket
    ) -> tuple[messages.Message, Beside]:
        if self._tried is None:
            starter = DirectStarter(lambda name, path: Spec("trial", ""), TRIAL, log=_log)
            started = starter.start_worker("trial")
            started.master.close()
            starter.worker_ended(started.pid)
            self._tried = started.isolation
        return messages.Tried(self._tried), None


def _log(line: str) -> None:
    """To the daemon's own log. Where nobody reads it, nobody waits for that."""
    poll = select.poll()
    poll.register(STDERR, select.POLLOUT)
    with suppress(OSError):
        if poll.poll(0) == [(STDERR, select.POLLOUT)]:
            os.write(STDERR, f"keyholm: {line}\n".encode())

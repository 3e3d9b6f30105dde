"""Which processes come from the steward: none of them has any business at a door.

To follow the parents of each caller would cost every login; so it is done only while a program
of ours runs, or has left something behind. A worker runs all the time, but in its sandbox it
starts no process: it is known by its number. One whose sandbox cannot promise that counts as
a program.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keyholm.daemon.steward.identify import descends_from
from keyholm.daemon.steward.messages import WorkerStarted


class Descent:
    """Of the process that makes it."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._programs = 0
        self._strays = False
        self._workers: dict[int, WorkerStarted] = {}

    @contextmanager
    def program(self) -> Iterator[None]:
        """While this lasts, a program may run; it may leave others behind."""
        with self._lock:
            self._programs += 1
        try:
            yield
        finally:
            with self._lock:
                self._programs -= 1
                self._strays = self._has_strays()

    def came(self, worker: WorkerStarted) -> None:
        self._workers[worker.pid] = worker

    def went(self, pid: int) -> None:
        if self._workers.pop(pid, None) is not None:
            self._strays = self._has_strays()

    def has(self, pid: int) -> bool:
        forks = False
        for worker in tuple(self._workers.values()):
            if pid in (worker.pid, worker.inner):
                return True
            forks |= worker.isolation.forks
        if self._strays:
            self._strays = self._has_strays()
        return (forks or self._strays or self._programs > 0) and descends_from(pid, self._pid)

    def _has_strays(self) -> bool:
        """Whether there are children beside the workers."""
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        return not _children() <= self._workers.keys()


def _children() -> set[int]:
    """Of every thread. Where the kernel does not list them: some that nobody knows."""
    found: set[int] = set()
    for task in os.listdir("/proc/self/task"):
        try:
            found.update(map(int, Path(f"/proc/self/task/{task}/children").read_text().split()))
        except ProcessLookupError:  # the thread ended just now
            continue
        except OSError:
            return {0} if os.path.exists(f"/proc/self/task/{task}") else found
    return found

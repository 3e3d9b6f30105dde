"""Who comes from the steward: here this process stands for it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.daemon.steward.test_steward import wait_for

from keyholm.daemon.steward.descent import Descent
from keyholm.daemon.steward.messages import WorkerStarted
from keyholm.worker.spec import Isolation


@contextmanager
def family() -> Iterator[tuple[int, int]]:
    """A child of ours, and a child of that."""
    with subprocess.Popen(["sh", "-c", "sleep 60 & wait"]) as shell:
        children = Path(f"/proc/{shell.pid}/task/{shell.pid}/children")
        wait_for(lambda: bool(children.read_text()))
        child = int(children.read_text().split()[0])
        try:
            yield shell.pid, child
        finally:
            os.kill(child, 9)
            shell.wait()


def test_a_worker_is_known_by_its_numbers() -> None:
    descent = Descent()
    descent.came(WorkerStarted(4711, 4712, Isolation(full=True, forks=False)))
    assert [descent.has(pid) for pid in (4711, 4712, 4713, os.getppid())] == [
        True,
        True,
        False,
        False,
    ]
    descent.went(4711)
    assert not descent.has(4711)


def test_of_a_worker_that_can_fork_all_descendants_are_ours() -> None:
    descent = Descent()
    with family() as (shell, child):
        descent.came(WorkerStarted(shell, shell, Isolation(full=False, forks=False)))
        assert not descent.has(child)  # which cannot be: nobody looks for it
        descent.came(WorkerStarted(shell, shell, Isolation(full=False, forks=True)))
        assert descent.has(child)
        assert not descent.has(os.getppid())


def test_what_a_program_leaves_behind_is_ours_as_long_as_it_is_there() -> None:
    descent = Descent()
    with family() as (shell, child):
        assert not descent.has(child)
        with descent.program():
            assert descent.has(child)
        assert descent.has(child)
        assert descent.has(shell)
    assert not descent.has(shell)


def test_a_worker_is_nothing_that_was_left_behind() -> None:
    descent = Descent()
    with family() as (shell, child):
        descent.came(WorkerStarted(shell, shell, Isolation(full=True, forks=False)))
        with descent.program():
            pass
        assert not descent.has(child)

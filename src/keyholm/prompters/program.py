"""A program that asks: started with nothing of ours but what it is given, ended in time."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from keyholm.core.secret import Secret
from keyholm.prompters.prompter import MOST, CannotAsk, OutOfPatience, Patience, first_line

GRACE: Final = 0.5  # seconds between asking a program to end and ending it


@contextlib.contextmanager
def started(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    talks: bool = False,
    output: bool = True,
) -> Iterator["subprocess.Popen[bytes]"]:
    """Runs for no longer than the block, in a session of its own. Raises `CannotAsk`.

    `talks`: its standard input is a pipe as well.
    """
    try:
        process = subprocess.Popen(
            command,
            env=dict(environment),
            cwd="/",
            stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
            stdout=subprocess.PIPE if output else subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
        )
    except OSError as error:
        raise CannotAsk(f"{command[0]} cannot be started: {error.strerror}") from error
    try:
        yield process
    finally:
        end(process)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def end(process: "subprocess.Popen[bytes]") -> None:
    """The program, and whatever it started and did not wait for."""
    for number, seconds in ((signal.SIGTERM, GRACE), (signal.SIGKILL, None)):
        if process.poll() is None:
            _signal(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
    _signal(process.pid, signal.SIGKILL)


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def answer_of(process: "subprocess.Popen[bytes]", patience: Patience) -> tuple[int, Secret]:
    """Its exit status, and the first line that it wrote. Raises `OutOfPatience`."""
    assert process.stdout is not None  # noqa: S101 - for the type checker
    output = process.stdout.fileno()
    with Secret(MOST) as buffer:
        size = 0
        while size < MOST:
            patience.wait(output)
            count = os.readv(output, [buffer.view[size:]])
            if not count:
                break
            size += count
        answer = first_line(buffer, size)
    # One that has more to say than anybody asked for must not wait for us to read it.
    process.stdout.close()
    try:
        return wait_for(process, patience), answer
    except OutOfPatience:
        answer.close()
        raise


def wait_for(process: "subprocess.Popen[bytes]", patience: Patience) -> int:
    """Raises `OutOfPatience`."""
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return process.wait()
    try:
        patience.wait(handle)
    finally:
        os.close(handle)
    return process.wait()

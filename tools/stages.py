"""Run the stages of `dev.py test` and tell how each went, in a table that fits a terminal."""

import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Stage:
    name: str
    command: tuple[str | Path, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    name: str
    passed: bool
    seconds: float
    summary: str


def run_quietly(stage: Stage) -> Outcome:
    """What it printed is shown only if it failed."""
    start = time.monotonic()
    done = subprocess.run(
        stage.command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    seconds = time.monotonic() - start
    if done.returncode:
        print(f"--- {stage.name} ---\n{done.stdout}", flush=True)
    lines = done.stdout.strip().splitlines() or [""]
    return Outcome(stage.name, done.returncode == 0, seconds, lines[-1])


def run_together(stages: Sequence[Stage], at_once: int) -> list[Outcome]:
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(run_quietly, stages))


def run_openly(stage: Stage) -> Outcome:
    """Show what it prints as it prints it; the last line is its summary."""
    start = time.monotonic()
    summary = ""
    with subprocess.Popen(
        stage.command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            summary = line.strip() or summary
    return Outcome(stage.name, process.returncode == 0, time.monotonic() - start, summary)


def table(outcomes: Sequence[Outcome]) -> str:
    width = max(len(outcome.name) for outcome in outcomes)
    return "\n".join(
        f"  {'ok  ' if outcome.passed else 'FAIL'}  {outcome.name:{width}}  {outcome.seconds:6.1f} s"
        for outcome in outcomes
    )

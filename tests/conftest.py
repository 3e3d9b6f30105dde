"""What holds for every test: it leaves nothing behind, and a skip is said aloud or is a failure."""

import gc
import os
import signal
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# `test` must give the same answer twice; `soak` looks for something new each night.
settings.register_profile(
    "test",
    derandomize=True,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "soak", parent=settings.get_profile("test"), derandomize=False, max_examples=1_000
)
settings.load_profile("test")

# A shell lets what it starts in the background ignore these. Every program that a test starts
# would inherit that, and some tests press Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)

# A skip with this beginning is no gap in what was tested here: the platform does not exist here.
CONTRACT_ONLY = "contract only"
# What a test ended may need a moment to be gone; more than that is a leak.
GRACE = 3.0


def open_files() -> frozenset[str]:
    """Each descriptor of this process with what it refers to, so that a reused number shows."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{number} -> {os.readlink(f'/proc/self/fd/{number}')}")
        except FileNotFoundError:  # the descriptor that listed the folder
            continue
    return frozenset(found)


def children() -> frozenset[str]:
    found: set[str] = set()
    for task in os.listdir("/proc/self/task"):
        try:
            pids = Path(f"/proc/self/task/{task}/children").read_text().split()
        except (FileNotFoundError, ProcessLookupError):  # a thread that ended just now
            continue
        found.update(f"{pid} {_command(pid)}" for pid in pids)
    return frozenset(found)


def _command(pid: str) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
    except (FileNotFoundError, ProcessLookupError):
        words = b""
    # A zombie has no command line: it ended, but nobody waited for it.
    return words.decode(errors="replace").strip() or "(not waited for)"


def everything() -> frozenset[str]:
    return frozenset(
        {f"thread {thread.name} {thread.ident}" for thread in threading.enumerate()}
        | {f"descriptor {item}" for item in open_files()}
        | {f"child process {item}" for item in children()}
    )


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """No thread, descriptor or child process outlives the test that made it.

    Fixtures of a wider scope are set up before this one, so what they keep is not counted.
    """
    before = everything()
    yield
    left = everything() - before
    if left:
        gc.collect()
        deadline = time.monotonic() + GRACE
        while left and time.monotonic() < deadline:
            time.sleep(0.01)
            left = everything() - before
    assert not left, "left behind by this test:\n" + "\n".join(sorted(left))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-skips",
        action="store_true",
        help="a skipped test fails, unless its platform does not exist here",
    )


def _fail_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    # A skip's `longrepr` is a triple (file, line, reason); an xfail has none.
    if not report.skipped or not isinstance(report.longrepr, tuple):
        return
    reason = report.longrepr[2].removeprefix("Skipped: ")
    if not reason.startswith(CONTRACT_ONLY):
        report.outcome = "failed"
        report.longrepr = f"skipped, and skips are not allowed here: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if item.config.getoption("--no-skips"):
        _fail_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if collector.config.getoption("--no-skips"):
        _fail_skip(report)
    return report

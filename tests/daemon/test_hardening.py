"""The sandbox, closed for real in a process of its own, as root and as an ordinary user."""

import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keyholm.daemon.hardening import NOTHING
from keyholm.sandbox import landlock

HERE = Path(__file__).parent
NOBODY = 65534
REFUSED = {"Operation not permitted", "Permission denied"}
NEEDED = 12  # of the attempts: the first ones are what the daemon needs


def run(folder: Path, user: int | None) -> dict[str, Any]:
    for name in ("data", "config"):
        (folder / name).mkdir()
    (folder / "config/config.toml").write_text("# hello\n")
    (folder / "secret").write_text("secret")
    python, path = sys.executable, str(HERE.parents[1] / "src")
    if user is not None:
        for name in (".", "data", "config", "config/config.toml", "secret"):
            os.chown(folder / name, user, user)
        # The environment of the tests may lie where only its owner can look.
        python = shutil.which("python3", path="/usr/bin:/bin") or python
        path = f"{path}:{sysconfig.get_path('purelib')}"
    done = subprocess.run(
        [python, str(HERE / "sandboxed.py"), str(folder)],
        env={"PYTHONPATH": path, "PATH": "/usr/bin:/bin"},
        cwd="/",
        user=user,
        group=user,
        extra_groups=[] if user is not None else None,
        capture_output=True,
        timeout=60,
        check=False,
    )
    unread = (b"No module named", b"can't open file")
    if user is not None and any(words in done.stderr for words in unread):
        pytest.skip("contract only: an ordinary user cannot read this environment")
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(params=["this user", "an ordinary user"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    user = NOBODY if request.param == "an ordinary user" else None
    if user is not None and os.geteuid() != 0:
        pytest.skip("contract only: this is an ordinary user already")
    with tempfile.TemporaryDirectory(prefix="kh") as folder:
        yield run(Path(folder), user)


def test_it_closes_and_says_so(sandbox: dict[str, Any]) -> None:
    applied = sandbox["applied"]
    assert applied.pop("landlock") == landlock.abi()
    assert applied.pop("no_new_code") or platform.release() < "6.3"
    assert all(applied.values()), applied
    status = dict(line.split(":\t", 1) for line in sandbox["status"].splitlines())
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    # Nothing but the right to lock memory, and that for root alone.
    assert int(status["CapEff"], 16) in (0, 1 << 14)
    assert int(status["CapBnd"], 16) & ~(1 << 14) == 0 or int(status["Uid"].split()[0]) != 0


def test_what_the_daemon_needs_works(sandbox: dict[str, Any]) -> None:
    needed = dict(list(sandbox["done"].items())[:NEEDED])
    assert {name for name, result in needed.items() if not result.startswith("ok")} == set()


def test_nothing_else_does(sandbox: dict[str, Any]) -> None:
    if not sandbox["applied"]["landlock"]:
        pytest.skip("contract only: this kernel has no Landlock")
    rest = dict(list(sandbox["done"].items())[NEEDED:])
    assert {name: result for name, result in rest.items() if result not in REFUSED} == {}
    if platform.machine() == "x86_64":
        assert set(sandbox["calls"].values()) == {"Operation not permitted"}


def test_without_anything_each_gap_is_told() -> None:
    assert len(NOTHING.missing()) >= 5

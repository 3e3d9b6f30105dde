"""On a terminal the change is shown and asked for; elsewhere it must have been agreed to."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = (sys.executable, "-m", "keyholm.cli.main", "enable", "ssh")


def environment(home: Path) -> dict[str, str]:
    return {
        "HOME": str(home),
        "KEYHOLM_HOME": str(home / "kh"),
        "PATH": os.environ["PATH"],
        "TERM": "dumb",
    }


def on_a_terminal(home: Path, answer: bytes) -> str:
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(
            COMMAND, env=environment(home), stdin=theirs, stdout=theirs, stderr=theirs
        ) as process:
            os.close(theirs)
            shown = b""
            while not shown.endswith(b"[y/N] "):
                shown += os.read(ours, 4096)
            os.write(ours, answer)
            while True:
                try:
                    part = os.read(ours, 4096)
                except OSError:  # EIO: nobody has the other side any more
                    break
                if not part:
                    break
                shown += part
        assert process.returncode == 0
    finally:
        os.close(ours)
    return shown.decode()


@pytest.mark.parametrize("answer", [b"y\n", b"YES\n"])
def test_yes_does_it(tmp_path: Path, answer: bytes) -> None:
    shown = on_a_terminal(tmp_path, answer)
    assert shown.index("+    IdentityAgent") < shown.index("[y/N]")
    assert "ssh knows keyholm." in shown
    assert (tmp_path / ".ssh/config").exists()


@pytest.mark.parametrize("answer", [b"n\n", b"\n", b"yesterday\n", b"\x04"])
def test_anything_else_does_nothing(tmp_path: Path, answer: bytes) -> None:
    assert "Nothing was done." in on_a_terminal(tmp_path, answer)
    assert os.listdir(tmp_path) == []


def test_without_a_terminal_nobody_can_be_asked(tmp_path: Path) -> None:
    done = subprocess.run(
        COMMAND, env=environment(tmp_path), input="y\n", capture_output=True, text=True, check=False
    )
    assert done.returncode == 64
    assert "--yes" in done.stderr
    assert os.listdir(tmp_path) == []

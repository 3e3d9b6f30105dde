"""dev.py finds a Python that is new enough; conftest finds what a test leaves behind."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def test_an_old_python_looks_for_a_newer_one_and_runs_each_candidate(tmp_path: Path) -> None:
    """A stand-in says that it is Python 3.9; a broken shim comes first on PATH."""
    (tmp_path / "python3").write_text("#!/bin/sh\nexit 127\n")
    (tmp_path / "python3").chmod(0o755)
    (tmp_path / "python3.11").symlink_to(sys.executable)
    pretend = f"""
import runpy, sys
sys.version_info = (3, 9, 18)
sys.argv = [{str(ROOT / "dev.py")!r}, "--help"]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
    environ = {"PATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", pretend], env=environ, text=True, capture_output=True
    )
    assert "usage: dev.py" in done.stdout
    (tmp_path / "python3.11").unlink()
    done = subprocess.run(
        [sys.executable, "-c", pretend], env=environ, text=True, capture_output=True
    )
    assert "KEYHOLM_PYTHON=" in done.stderr
    environ["KEYHOLM_PYTHON"] = sys.executable
    done = subprocess.run(
        [sys.executable, "-c", pretend], env=environ, text=True, capture_output=True
    )
    assert "usage: dev.py" in done.stdout


def test_dev_py_can_be_read_by_python_3_9() -> None:
    source = (ROOT / "dev.py").read_text()
    ast.parse(source, feature_version=(3, 9))


CARELESS = """
import os, subprocess, threading, time
import pytest

kept = []

def test_tidy():
    pass

def test_thread():
    threading.Thread(target=time.sleep, args=(60,), daemon=True, name="forgotten").start()

def test_descriptor():
    kept.append(os.dup(1))

def test_child():
    kept.append(subprocess.Popen(["sleep", "60"]))

def test_skip():
    pytest.skip("no sshd here")

def test_absent_platform():
    pytest.skip("contract only: this is no Mac")

def teardown_module():
    kept[1].kill()
    kept[1].wait()
"""


@pytest.mark.parametrize(
    ("options", "skips"),
    [((), "4 passed, 2 skipped"), (("--no-skips",), "1 failed, 4 passed, 1 skipped")],
)
def test_a_careless_test_and_a_silent_skip_are_named(
    tmp_path: Path, options: tuple[str, ...], skips: str
) -> None:
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    conftest = (ROOT / "tests" / "conftest.py").read_text()
    (tmp_path / "tests" / "conftest.py").write_text(conftest.replace("GRACE = 3.0", "GRACE = 0.1"))
    (tmp_path / "tests" / "test_careless.py").write_text(CARELESS)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
    done = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True)
    assert f"{skips}, 3 errors" in done.stdout
    assert "thread forgotten" in done.stdout
    assert "child process" in done.stdout
    assert "descriptor" in done.stdout
    if options:
        assert "skips are not allowed here: no sshd here" in done.stdout

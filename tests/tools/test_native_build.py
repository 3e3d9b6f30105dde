"""Building the native module: which compiler, into which place, and what the wheel holds."""

import subprocess
import sys
from pathlib import Path

import pytest

from native import build


def test_keyholm_cc_names_the_compiler_with_its_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYHOLM_CC", "ccache gcc-13 -m32")
    assert build.compiler() == ["ccache", "gcc-13", "-m32"]


def test_without_any_compiler_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KEYHOLM_CC", raising=False)
    monkeypatch.setenv("PATH", "")
    if build.zig_compiler():
        assert build.compiler()[-1] == "cc"
    else:
        with pytest.raises(build.NoCompiler):
            build.compiler()


def test_each_system_gets_its_own_platform_file() -> None:
    for target in build.TARGETS:
        words = build.command(Path("out"), ["cc"], system=target.system)
        files = {Path(word).name for word in words}
        assert ("platform_win.c" in files) == (target.system == "windows")
        assert ("platform_unix.c" in files) == (target.system != "windows")


def test_the_version_of_the_project_is_that_of_the_hello() -> None:
    from keyholm.version import VERSION

    major, minor, patch = map(int, VERSION.split("."))
    assert build.version_number() == major << 24 | minor << 16 | patch


def test_the_names_of_wheels_are_those_of_targets_once() -> None:
    assert len({target.wheel for target in build.TARGETS}) == len(build.TARGETS) == 8
    assert {target.system for target in build.TARGETS} == set(build.SUFFIXES)


def test_a_clone_without_a_compiler_is_told_so(tmp_path: Path) -> None:
    environment = {"PATH": "", "HOME": str(tmp_path)}
    code = (
        "from pathlib import Path; from native import build; "
        f"build.PLACE = Path({str(tmp_path)!r}); print(build.in_place())"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-IS",
            "-c",
            f"import sys; sys.path.insert(0, {str(build.ROOT)!r}); {code}",
        ],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "None\n"
    assert not list(tmp_path.iterdir())

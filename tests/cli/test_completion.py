"""The completions know every command and option, and bash completes with them."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from keyholm.cli.completion import all_known
from keyholm.cli.main import every_command, main


@pytest.fixture(scope="module")
def bash(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written("bash", tmp_path_factory)


def written(shell: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / shell
    command = [sys.executable, "-m", "keyholm.cli.main", "completion", shell]
    path.write_bytes(subprocess.run(command, capture_output=True, check=True).stdout)
    return path


def completed(script: Path, line: str) -> list[str]:
    """What bash offers for the last word of `line`."""
    words = " ".join(map(shlex.quote, line.split(" ")))
    typed = (
        f"source {script}; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); "
        '_keyholm; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    environment = {**os.environ, "KEYHOLM_HOME": "/nonexistent"}
    command = ["bash", "-c", typed]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment, cwd=script.parent
    )
    assert not done.stderr
    return sorted(filter(None, done.stdout.split("\n")))


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("keyholm l", ["list", "lock", "log"]),
        ("keyholm ssh", ["ssh-config"]),
        ("keyholm list --p", ["--public"]),
        ("keyholm new name --ty", ["--type"]),
        ("keyholm new name --type ec", ["ecdsa-p256", "ecdsa-p384", "ecdsa-p521"]),
        ("keyholm policy ex", ["explain"]),
        ("keyholm policy explain --p", ["--pid"]),
        ("keyholm completion ", ["bash", "fish", "zsh"]),
        ("keyholm env f", ["fish"]),
        ("keyholm unlock --passphrase-file b", ["bash"]),
        ("keyholm import b", ["bash"]),
        ("keyholm nothing ", []),
    ],
)
def test_bash_completes(bash: Path, line: str, offered: list[str]) -> None:
    assert completed(bash, line) == offered


def test_names_with_spaces_are_offered_whole(bash: Path, tmp_path: Path) -> None:
    """By a stand-in for the daemon's list, in the form that `keyholm list --json` has."""
    keyholm = tmp_path / "keyholm"
    keyholm.write_text('#!/bin/sh\necho \'      "name": "work key",\'\n')
    keyholm.chmod(0o755)
    script = tmp_path / "with-path"
    script.write_text(f"PATH={tmp_path}:$PATH; {bash.read_text()}")
    assert completed(script, "keyholm show wo") == ["work key"]


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_script_is_good_shell(shell: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    # zsh runs bash's completions, so bash reads both.
    subprocess.run(["bash", "-n", written(shell, tmp_path_factory)], check=True)


def test_every_command_and_option_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "fish"]) == 0
    fish = capsys.readouterr().out
    known = list(all_known())
    assert {each.command.split()[0] for each in known} == {name for name, _, _ in every_command()}
    for each in known:
        for option, _ in each.options:
            assert (f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}") in fish

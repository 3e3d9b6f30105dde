"""`keyholm env` prints what a shell reads, whatever the path is."""

import os
import shutil
import subprocess
import sys

import pytest

from keyholm.cli.env import SET, VARIABLE

HOMES = ("/tmp/plain", "/tmp/with space", "/tmp/it's", '/tmp/"quoted"', "/tmp/$HOME", "/tmp/a!b\\c")
# How each shell is told to print the variable; `sh` is there for all of them.
PRINT = {"sh": f'printf %s "${VARIABLE}"', "fish": f"printf %s ${VARIABLE}"}


def line(home: str, *words: str, shell: str = "") -> str:
    environment = {**os.environ, "KEYHOLM_HOME": home, "SHELL": shell}
    command = [sys.executable, "-m", "keyholm.cli.main", "env", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return done.stdout


@pytest.mark.parametrize("home", HOMES)
def test_a_shell_reads_the_path_as_it_is(home: str) -> None:
    script = line(home, "sh") + PRINT["sh"]
    for shell in ("sh", "bash"):
        done = subprocess.run([shell, "-c", script], capture_output=True, text=True, check=True)
        assert done.stdout == f"{home}/run/ssh"


@pytest.mark.parametrize(
    ("shell", "form"),
    [
        ("/bin/bash", "sh"),
        ("/bin/zsh", "sh"),
        ("", "sh"),
        ("/usr/bin/fish", "fish"),
        ("/bin/tcsh", "csh"),
        ("/usr/bin/pwsh", "powershell"),
    ],
)
def test_the_form_follows_the_shell(shell: str, form: str) -> None:
    assert line("/tmp/h", shell=shell) == line("/tmp/h", form)


def test_every_form_has_the_path_and_can_be_taken_back() -> None:
    for form in SET:
        assert "/tmp/h/run/ssh" in line("/tmp/h", form)
        assert VARIABLE in line("/tmp/h", form, "-u")


def test_quotes_of_other_shells() -> None:
    assert line("/tmp/it's", "fish") == "set -gx SSH_AUTH_SOCK '/tmp/it\\'s/run/ssh';\n"
    assert line("/tmp/it's", "powershell") == "$env:SSH_AUTH_SOCK = '/tmp/it''s/run/ssh';\n"
    assert line("/tmp/a!b c", "csh") == "setenv SSH_AUTH_SOCK '/tmp/a\\!b c/run/ssh';\n"


def test_sh_is_there() -> None:
    assert shutil.which("sh")

"""The command `keyholm` as a whole: what it imports, what it lists, what its manual says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from keyholm.cli import reference
from keyholm.cli.exit_status import EXIT_STATUS
from keyholm.cli.main import every_command, main, overview, parser_for
from keyholm.cli.new import TYPES
from keyholm.core.errors import KeyholmError, leaves, name_in
from keyholm.core.model import Algorithm

ROOT = Path(__file__).parents[2]
COMMANDS = [command for command, _, _ in every_command()]
# What a short command must not pay for: together these are most of 200 ms.
HEAVY = ("asyncio", "cryptography", "dataclasses", "inspect", "logging", "msgspec", "pathlib")
FIXED = (
    "init", "serve", "status", "new", "list", "show", "import", "export", "rm", "rename", "lock",
    "unlock", "passwd", "backup", "restore", "policy", "log", "why", "doctor", "env",
    "ssh-config", "completion", "version",
)  # fmt: skip


def test_every_command_that_scripts_rely_on_is_there() -> None:
    assert set(FIXED) <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert told.startswith(f"usage: keyholm {command}")
    assert max(map(len, told.splitlines())) <= 100
    assert f"  {command} " in overview()


@pytest.mark.parametrize("command", [("list",), ("status",), ("unlock",), ("env",), ("version",)])
def test_a_short_command_imports_little(command: tuple[str, ...]) -> None:
    environment = {**os.environ, "KEYHOLM_HOME": "/nonexistent", "PYTHONPROFILEIMPORTTIME": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "keyholm.cli.main", *command],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    imported = {line.rpartition("|")[2].strip() for line in lines}
    assert "keyholm.cli.main" in imported | {"keyholm.cli.main"}
    assert "argparse" in imported
    assert not imported & set(HEAVY)


def test_a_command_imports_no_other() -> None:
    script = "import sys; from keyholm.cli.main import parser_for; parser_for(['list']); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    modules = {module for _, module, _ in every_command()}
    loaded = {name.removeprefix("keyholm.cli.") for name in done.stdout.split()}
    assert loaded & modules == {"list_keys"}


def test_every_error_has_an_exit_status() -> None:
    assert leaves() <= EXIT_STATUS.keys()
    assert all(0 < EXIT_STATUS[kind] < 128 for kind in leaves())
    assert name_in(EXIT_STATUS, KeyholmError("?")) == 70


def test_every_error_has_its_line_in_the_documentation() -> None:
    page = (ROOT / "docs/errors.md").read_text().partition("\n## Refused")[2]
    told = [line.split("|")[1:3] for line in page.splitlines() if line.startswith("| `")]
    statuses = {name.strip(" `"): int(status) for name, status in told}
    assert statuses == {kind.__name__: EXIT_STATUS[kind] for kind in leaves()}


def test_the_manual_is_current() -> None:
    remedy = "python -m keyholm.cli.reference > docs/reference/cli.md"
    assert (ROOT / "docs/reference/cli.md").read_text() == reference.document(), remedy


def test_every_status_of_the_manual_has_a_meaning() -> None:
    assert set(EXIT_STATUS.values()) <= set(reference.MEANINGS)


def test_new_offers_the_algorithms_that_there_are() -> None:
    assert tuple(Algorithm) == TYPES


def test_options_are_not_cut_short(capsys: pytest.CaptureFixture[str]) -> None:
    parser = parser_for(["list"])
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["list", "--pub"])
    assert ended.value.code == 64
    assert "do: keyholm list --help" in capsys.readouterr().err


def test_a_reader_that_has_enough_is_no_failure() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as stdout:
        command = [sys.executable, "-m", "keyholm.cli.main", "schema"]
        done = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")

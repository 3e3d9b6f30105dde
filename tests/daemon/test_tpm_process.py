"""A daemon with a TPM in software: its keys through the agent, and what is said where it fails."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.daemon.conftest import Running
from tests.interop.conftest import Home
from tests.rigs import swtpm

pytestmark = pytest.mark.interop
Start = Callable[..., Running]


@pytest.fixture
def where(tmp_path: Path) -> Iterator[str]:
    with swtpm.on_socket(tmp_path / "tpm") as found:
        yield found


def configure(home: Home, device: str) -> None:
    home.keyholm("init", "--no-passphrase")
    path = home.folder / "kh/config.toml"
    path.write_text(f'[tpm]\ndevice = "{device}"\n')
    path.chmod(0o600)


def test_a_key_of_the_tpm_is_made_and_signs_by_the_agent_also_after_a_restart(
    serve: Start, home: Home, where: str
) -> None:
    configure(home, where)
    running = serve()
    home.keyholm("new", "laptop", "--token", "tpm", "--type", "ecdsa-p256")
    public = running.ssh_add("-L").stdout
    assert "laptop" in public
    (home.folder / "key.pub").write_text(public)
    assert running.ssh_add("-T", "key.pub").returncode == 0
    assert running.end() == 0

    running = serve()
    assert running.ssh_add("-L").stdout == public
    assert running.ssh_add("-T", "key.pub").returncode == 0
    shown = json.loads(home.keyholm("show", "laptop", "--json"))
    assert "tpm" in json.dumps(shown)


def test_a_tpm_that_is_not_there_is_told_and_all_else_works(serve: Start, home: Home) -> None:
    configure(home, "swtpm:/nowhere/tpm.sock")
    running = serve()
    home.keyholm("new", "software")
    assert "software" in running.ssh_add("-L").stdout
    running.end()
    assert running.process.stderr
    assert "There is no TPM at swtpm:/nowhere/tpm.sock." in running.process.stderr.read()


def test_none_is_none(serve: Start, home: Home) -> None:
    configure(home, "none")
    serve()
    status = json.loads(home.keyholm("status", "--json"))
    assert [token for token in status["tokens"] if token["store"] == "tpm"] == []


def test_a_tpm_that_goes_away_takes_nothing_else_with_it(
    serve: Start, home: Home, tmp_path: Path
) -> None:
    with swtpm.on_socket(tmp_path / "tpm") as where:
        configure(home, where)
        running = serve()
        home.keyholm("new", "hardware", "--token", "tpm", "--type", "ecdsa-p256")
        home.keyholm("new", "software")
        for name, line in zip(
            ("hardware", "software"), sorted(running.ssh_add("-L").stdout.splitlines()), strict=True
        ):
            assert line.endswith(name)
            (home.folder / f"{name}.pub").write_text(line + "\n")
    for _ in range(2):
        assert running.ssh_add("-T", "hardware.pub").returncode != 0
        assert running.ssh_add("-T", "software.pub").returncode == 0

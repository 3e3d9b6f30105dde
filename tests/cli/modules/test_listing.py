"""`keyholm module list` beside a daemon: its own words, and files that it does not know yet."""

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tests.cli.modules.test_adding import own_machine
from tests.daemon.vendors.elf_files import write
from tests.doors.control_house import MODULE, House

from keyholm.cli.main import main


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    # A socket's path is short.
    with TemporaryDirectory(prefix="kh-") as folder:
        home = Path(folder)
        (home / "run").mkdir()
        monkeypatch.setenv("KEYHOLM_HOME", folder)
        made = House(home / "run")
        yield made
        made.stop()


@pytest.fixture
def acme(house: House) -> str:
    return write(house.path.parent.parent / "lib/libacme.so", own_machine())


def test_the_daemon_takes_up_what_was_added(
    house: House, acme: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["module", "add", acme])
    main(["module", "pin", "acme"])
    main(["module", "remove", "acme"])
    assert house.reloaded == 3
    main(["module", "add", acme, "--dry-run"])
    assert house.reloaded == 3
    assert capsys.readouterr().err == ""


def test_what_the_daemon_knows_is_shown(
    house: House, acme: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["module", "add", acme])
    main(["module", "add", acme, "--name", "second", "--env", "A=b"])
    capsys.readouterr()
    assert main(["module", "list"]) == 0
    assert capsys.readouterr().out == (
        "NAME    STATE     PROCESS  ISOLATION  CRASHES  TOKENS\n"
        "acme    running   4711     full       2        acme-work-1, main\n"
        "second  not read  -        -          0        -\n"
        "It crashed.\n  do: Ask its maker.\n"
        "The daemon has not read the file of module second yet.\n"
        "  do: Send SIGHUP to `keyholm serve`.\n"
    )
    main(["module", "list", "--json"])
    first, _ = json.loads(capsys.readouterr().out)["modules"]
    assert (first["pid"], first["error"]) == (MODULE.pid, MODULE.error)
    assert first["file"].endswith("/modules/acme.toml")

"""A daemon whose modules come and go while it runs; with SoftHSM 2."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.daemon.conftest import Running, is_gone, until
from tests.interop.conftest import Home
from tests.programs import program

pytestmark = pytest.mark.interop
Start = Callable[..., Running]
LIBRARIES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so")


@pytest.fixture
def conf(home: Home, tmp_path: Path) -> Path:
    """The configuration of a SoftHSM with one token, `work`."""
    tool = program("softhsm2-util")
    (tmp_path / "tokens").mkdir()
    path = tmp_path / "softhsm2.conf"
    path.write_text(f"directories.tokendir = {tmp_path}/tokens\n")
    make = [tool, "--init-token", "--free", "--label", "work", "--pin", "1234", "--so-pin", "1234"]
    environment = {**os.environ, "SOFTHSM2_CONF": str(path)}
    subprocess.run(make, env=environment, check=True, capture_output=True)
    home.keyholm("init", "--no-passphrase")
    return path


def library() -> str:
    found = [path for path in LIBRARIES if os.path.exists(path)]
    if not found:
        pytest.skip("libsofthsm2.so is not installed")
    return found[0]


def add(home: Home, conf: Path, *more: str) -> str:
    words = ("module", "add", library(), "--env", f"SOFTHSM2_CONF={conf}", *more)
    return home.keyholm(*words)


def listed(home: Home) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(home.keyholm("module", "list", "--json"))["modules"]
    return found


def tokens(home: Home) -> list[str]:
    status = json.loads(home.keyholm("status", "--json"))
    return [each["name"] for each in status["tokens"] if each["store"] == "modules"]


def test_a_module_that_is_added_is_there_and_one_that_is_removed_is_gone(
    serve: Start, home: Home, conf: Path
) -> None:
    serve()
    assert tokens(home) == []
    add(home, conf)
    (name,) = tokens(home)
    assert name.startswith("softhsm2-work-")
    (module,) = listed(home)
    assert (module["state"], module["tokens"], module["error"]) == ("running", [name], "")
    home.keyholm("module", "remove", "softhsm2")
    assert tokens(home) == []
    assert listed(home) == []
    until(lambda: is_gone(module["pid"]))


def test_a_module_whose_file_was_not_touched_goes_on(serve: Start, home: Home, conf: Path) -> None:
    serve()
    add(home, conf)
    tokens(home)
    add(home, conf, "--name", "second", "--env", "ANOTHER=1")
    tokens(home)
    before = {each["name"]: each["pid"] for each in listed(home)}
    assert all(before.values())
    file = home.folder / "kh/modules/second.toml"
    file.write_text(file.read_text() + "priority = 5\n")
    home.keyholm("module", "pin", "second")
    tokens(home)
    after = {each["name"]: each["pid"] for each in listed(home)}
    assert list(after) == ["second", "softhsm2"]
    assert after["softhsm2"] == before["softhsm2"]
    assert after["second"] != before["second"]


def test_hup_reads_the_files_and_a_wrong_one_concerns_no_other(
    serve: Start, home: Home, conf: Path
) -> None:
    running = serve()
    add(home, conf)
    tokens(home)
    (home.folder / "kh/modules/wrong.toml").write_text("paht = '/x'\n")
    running.process.send_signal(signal.SIGHUP)
    until(lambda: len(listed(home)) == 2)
    good, wrong = listed(home)
    assert good["state"] == "running"
    assert (wrong["state"], wrong["name"]) == ("wrong", "wrong")
    assert "There is no key `paht`" in wrong["error"]


def test_a_folder_that_others_can_write_to_changes_nothing(
    serve: Start, home: Home, conf: Path
) -> None:
    serve()
    add(home, conf)
    assert tokens(home)
    folder = home.folder / "kh/modules"
    folder.chmod(0o777)
    try:
        said = home.keyholm("module", "remove", "softhsm2")
    finally:
        folder.chmod(0o755)
    assert "The daemon has not taken it up." in said
    assert tokens(home)

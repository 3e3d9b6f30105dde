"""`keyholm module`, as it is typed: what it prints, what it writes, and what it leaves alone."""

import json
import os
from pathlib import Path

import pytest
from tests.cli.modules.test_adding import own_machine
from tests.daemon.vendors.elf_files import library, write

from keyholm.cli.main import main
from keyholm.cli.modules import p11_kit
from keyholm.daemon import module_files


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tmp_path.chmod(0o755)
    monkeypatch.setenv("KEYHOLM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    return tmp_path / "home"


@pytest.fixture
def acme(tmp_path: Path) -> str:
    return write(tmp_path / "lib/libacme.so", own_machine())


def test_a_module_is_shown_written_listed_and_removed(
    home: Path, acme: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["module", "add", acme, "--env", "A=b=c", "--login", "application", "--network"]
    assert main([*words, "--read", "/etc/hostname", "--init-args", "x y"]) == 0
    printed = capsys.readouterr().out
    assert f"acme: {acme}\n" in printed
    assert (
        "  reads    /etc/hostname  you said so\n  network                 you said so\n" in printed
    )
    assert "Its tokens are opened by each application, with the PIN that it has." in printed
    file = home / "modules/acme.toml"
    assert printed.endswith(f"Written to {file}; edit it there.\n")
    assert file.read_text() == (
        "# Written by `keyholm module`; docs/modules.md has all keys.\n"
        f'path = "{acme}"\nenv = {{"A" = "b=c"}}\ninit_args = "x y"\nlogin = "application"\n'
        'reads = ["/etc/hostname"]\nnetwork = true\n'
    )
    assert main(["module", "list"]) == 0
    assert capsys.readouterr().out == f"NAME  STATE      LIBRARY\nacme  no daemon  {acme}\n"
    assert main(["module", "remove", "acme"]) == 0
    assert not file.exists()
    assert capsys.readouterr().out == f"{file} is gone.\n"
    assert main(["module", "list"]) == 0
    assert "There are no modules" in capsys.readouterr().err


def test_a_dry_run_writes_nothing(
    home: Path, acme: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["module", "add", acme, "--dry-run", "--pin-hash"]) == 0
    assert f"Pinned: SHA-256 {module_files.digest(acme)}" in capsys.readouterr().out
    assert not home.exists()


def test_what_is_refused_writes_nothing(
    home: Path, acme: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["module", "add", acme, "--env", "novalue"]) == 64
    assert main(["module", "add", acme, "--env", "PYTHONPATH=/x"]) == 78
    assert main(["module", "add", acme, "--name", "No Name"]) == 78
    assert main(["module", "add", f"{acme}.none"]) == 64
    assert main(["module", "remove", "none"]) == 78
    assert main(["module", "pin", "none"]) == 78
    assert not home.exists()
    assert capsys.readouterr().err.count("keyholm: ") == 6


def test_json_says_the_same(home: Path, acme: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["module", "add", acme, "--ipc", "--json"]) == 0
    added = json.loads(capsys.readouterr().out)
    assert added["name"] == "acme"
    assert added["written"] is True
    assert added["settings"]["ipc"] is True
    assert added["needs"] == [{"kind": "ipc", "value": "", "why": "you said so"}]
    assert main(["module", "list", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)["modules"]
    assert (listed["name"], listed["state"]) == ("acme", "no daemon")


def test_a_package_update_is_seen_and_accepted(
    home: Path, acme: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["module", "add", acme, "--pin-hash"])
    before = module_files.digest(acme)
    write(Path(acme), own_machine("libc.so.6"))
    capsys.readouterr()
    main(["module", "list"])
    assert "accept the new one: `keyholm module pin acme`" in capsys.readouterr().out
    assert main(["module", "pin", "acme"]) == 0
    assert f"(before: {before})" in capsys.readouterr().out
    main(["module", "list"])
    assert capsys.readouterr().out.splitlines()[1].split() == ["acme", "no", "daemon", acme]


def test_what_cannot_be_loaded_is_not_pinned(
    home: Path, acme: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["module", "add", acme])
    write(Path(acme), library(machine=2))
    assert main(["module", "pin", "acme"]) == 78
    assert "is for SPARC of 64 bits" in capsys.readouterr().err
    assert module_files.read(home / "modules", "acme").sha256 == ""


def test_a_wrong_file_and_one_that_is_off_are_listed(
    home: Path, acme: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["module", "add", acme])
    (home / "modules/b.toml").write_text("paht = 1")
    (home / "modules/c.toml").write_text(f"path = '{acme}'\nenabled = false")
    (home / "modules/d.toml").write_text("path = '/none.so'")
    capsys.readouterr()
    main(["module", "list"])
    lines = capsys.readouterr().out.splitlines()
    states = [line.split()[:2] for line in lines[1:5]]
    assert states == [["acme", "no"], ["c", "off"], ["d", "wrong"], ["b", "wrong"]]
    assert "There is no key `paht`." in "".join(lines)
    assert "Module d: /none.so is not there." in lines


def test_import_says_what_it_found(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever there is on this machine: it is only looked at."""
    status = main(["module", "import", "--dry-run", "--json"])
    told = json.loads(capsys.readouterr().out)
    if status:
        assert told["error"]["what"] == "p11-kit has no modules in its configuration."
        return
    found = p11_kit.read(p11_kit.usual(os.environ))
    assert [each["p11_kit"] for each in told["modules"]] == [each.name for each in found.modules]
    assert not home.exists()

"""`keyholm ssh-config`: the lines are what ssh reads, and nothing of the user's is lost."""

import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.programs import program

from keyholm.cli.ssh_config import (
    Entry,
    _blocks_in,
    _write_config,
    _write_public,
    block,
    entries_of,
    file_name,
)
from keyholm.core.errors import BadRequest, KeyNotFound

NAMES = ["laptop", "work"]


def key(name: str, number: int = 0) -> dict[str, Any]:
    return {"name": name, "id": f"{number:064x}", "public": f"ssh-ed25519 AAAA {name}"}


def test_a_host_has_the_keys_that_it_is_given() -> None:
    assert entries_of([], NAMES) == [Entry("*", ())]
    assert entries_of(["a=work", "b", "a=laptop", "a=work"], NAMES) == [
        Entry("a", ("work", "laptop")),
        Entry("b", ("laptop", "work")),
    ]


@pytest.mark.parametrize("given", ["=work", "a b=work", "a\nHost *=work", "a\tb"])
def test_what_is_no_host_is_refused(given: str) -> None:
    with pytest.raises(BadRequest):
        entries_of([given], NAMES)


def test_a_key_that_is_not_there_is_refused() -> None:
    with pytest.raises(KeyNotFound, match="nobody"):
        entries_of(["a=nobody"], NAMES)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("laptop", "laptop"),
        ("me@host.example", "me@host.example"),
        ("work key", "work_key"),
        ("../../etc/passwd", "_.._etc_passwd"),
        (".hidden", "hidden"),
        ("...", "0" * 16),
        ("schlüssel", "schlüssel"),
    ],
)
def test_a_name_becomes_a_file_in_the_folder(name: str, file: str) -> None:
    assert file_name(key(name)) == file


def test_two_keys_of_one_file_name_have_two_files(tmp_path: Path) -> None:
    paths = _write_public(str(tmp_path), [key("a b", 1), key("a_b", 2)])
    assert paths["a b"] != paths["a_b"]
    assert [Path(path).read_text() for path in paths.values()] == [
        "ssh-ed25519 AAAA a b\n",
        "ssh-ed25519 AAAA a_b\n",
    ]


def test_what_is_written_is_what_ssh_reads(tmp_path: Path) -> None:
    folder = tmp_path / "100% of space" / "keyholm"
    paths = _write_public(str(folder), [key("laptop")])
    _write_config(str(folder), {"server": block(Entry("server", ("laptop",)), paths)})
    command = [program("ssh"), "-G", "-F", str(folder.parent / "config"), "server"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    assert told["identitiesonly"] == "yes"
    # ssh -G shows the value before its tokens are expanded.
    assert told["identityfile"] == paths["laptop"].replace("%", "%%")


def test_hosts_that_are_not_given_are_kept_and_every_host_comes_last(tmp_path: Path) -> None:
    folder = str(tmp_path / "keyholm")
    os.mkdir(folder)
    for host in ("*", "a", "b", "a"):
        _write_config(folder, {host: f"Host {host}\n    IdentityAgent none\n"})
    assert list(_blocks_in(os.path.join(folder, "config"))) == ["a", "b", "*"]
    assert (tmp_path / "config").read_text().count("Include") == 1


def test_the_users_configuration_keeps_its_lines_mode_and_place(tmp_path: Path) -> None:
    (tmp_path / "ssh/keyholm").mkdir(parents=True)
    real = tmp_path / "dotfiles"
    real.write_bytes(b"Host own\n  User \xff\n")
    real.chmod(0o644)
    (tmp_path / "ssh/config").symlink_to(real)
    _write_config(str(tmp_path / "ssh/keyholm"), {"a": "Host a\n"})
    assert (tmp_path / "ssh/config").is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o644
    include, _, rest = real.read_bytes().partition(b"\n\n")
    assert include == f"Include {tmp_path}/ssh/keyholm/config".encode()
    assert rest == b"Host own\n  User \xff\n"

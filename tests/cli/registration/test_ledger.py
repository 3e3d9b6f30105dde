"""What was done is undone, byte for byte, whatever happened in between, or it is refused."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cli.registration.house import disable, enable, files_in, wish

from keyholm.cli.registration.ledger import SAVED, Change, Ledger, changes_of, write
from keyholm.cli.registration.ssh import SSH
from keyholm.cli.registration.target import Edit, block, whole
from keyholm.core.errors import BadRequest, StoreFailed

ASKED = "ssh"


def config(home: Path, content: bytes, mode: int = 0o600) -> Path:
    path = home / ".ssh/config"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)
    return path


CONTENTS = [b"", b"Host a\n", b"Host a\n  User b", b"\xff\xfe\0\r\nHost a\r\n", b"\n\n\n"]


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("mode", [0o600, 0o644, 0o640])
def test_what_was_there_comes_back_byte_for_byte(tmp_path: Path, content: bytes, mode: int) -> None:
    path = config(tmp_path, content, mode)
    before = files_in(tmp_path)
    ledger = enable(SSH, wish(tmp_path))
    assert b"IdentityAgent" in path.read_bytes()
    assert path.read_bytes().startswith(content)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    disable(SSH, ledger)
    assert files_in(tmp_path) == before
    assert ledger.names() == []


def test_what_was_not_there_is_gone_again_with_its_folders(tmp_path: Path) -> None:
    ledger = enable(SSH, wish(tmp_path))
    assert stat.S_IMODE((tmp_path / ".ssh/config").stat().st_mode) == 0o600
    disable(SSH, ledger)
    assert not (tmp_path / ".ssh").exists()


def test_a_folder_that_others_use_by_now_stays(tmp_path: Path) -> None:
    ledger = enable(SSH, wish(tmp_path))
    (tmp_path / ".ssh/id").write_text("theirs")
    disable(SSH, ledger)
    assert os.listdir(tmp_path / ".ssh") == ["id"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real = tmp_path / "dotfiles"
    real.write_bytes(b"Host a\n")
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/config").symlink_to(real)
    ledger = enable(SSH, wish(tmp_path))
    assert (tmp_path / ".ssh/config").is_symlink()
    assert b"IdentityAgent" in real.read_bytes()
    disable(SSH, ledger)
    assert real.read_bytes() == b"Host a\n"
    assert (tmp_path / ".ssh/config").is_symlink()


def test_done_twice_it_is_done_once(tmp_path: Path) -> None:
    config(tmp_path, b"Host a\n")
    before = files_in(tmp_path)
    enable(SSH, wish(tmp_path))
    assert changes_of(SSH.edits(wish(tmp_path))) == []
    ledger = enable(SSH, wish(tmp_path))
    disable(SSH, ledger)
    assert files_in(tmp_path) == before


def test_done_otherwise_the_second_time_the_first_state_comes_back(tmp_path: Path) -> None:
    path = config(tmp_path, b"Host a\n")
    before = files_in(tmp_path)
    enable(SSH, wish(tmp_path))
    ledger = enable(SSH, wish(tmp_path)._replace(provider=True))
    assert b"PKCS11Provider" in path.read_bytes()
    assert b"IdentityAgent" not in path.read_bytes()
    disable(SSH, ledger)
    assert files_in(tmp_path) == before


def test_a_file_that_was_changed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    path = config(tmp_path, b"Host a\n")
    ledger = enable(SSH, wish(tmp_path))
    changed = path.read_bytes() + b"Host mine\n"
    path.write_bytes(changed)
    with pytest.raises(BadRequest, match="was changed since"):
        disable(SSH, ledger)
    with pytest.raises(BadRequest, match="was changed since"):
        enable(SSH, wish(tmp_path)._replace(provider=True))
    assert path.read_bytes() == changed
    assert ledger.names() == ["ssh"]

    (kept,) = disable(SSH, ledger, force=True)
    assert path.read_bytes() == b"Host a\n"
    assert kept == f"{path}{SAVED}"
    assert Path(kept).read_bytes() == changed
    assert ledger.names() == []


def test_what_somebody_took_out_already_is_only_forgotten(tmp_path: Path) -> None:
    path = config(tmp_path, b"Host a\n")
    ledger = enable(SSH, wish(tmp_path))
    path.write_bytes(b"Host a\n")
    assert ledger.undoing("ssh", force=False) == []
    disable(SSH, ledger)
    assert ledger.names() == []


def test_what_was_never_done_is_not_undone(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="did not enable"):
        Ledger(tmp_path).undoing("ssh", force=True)


def test_a_change_between_the_question_and_the_deed_stops_it(tmp_path: Path) -> None:
    path = config(tmp_path, b"Host a\n")
    changes = changes_of(SSH.edits(wish(tmp_path)))
    path.write_bytes(b"Host b\n")
    ledger = Ledger(tmp_path / "data")
    with pytest.raises(BadRequest, match="just now"):
        ledger.make("ssh", changes)
    assert path.read_bytes() == b"Host b\n"
    assert ledger.names() == []


def test_after_a_crash_between_memory_and_deed_it_can_be_undone(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"1")
    edits = [Edit(str(first), whole("ours")), Edit(str(second), whole("ours"))]
    ledger = Ledger(tmp_path / "data")
    ledger.make("two", changes_of(edits))
    second.unlink()  # as if it had not been written
    for change in ledger.undoing("two", force=False):
        write(change)
    assert first.read_bytes() == b"1"
    assert not second.exists()


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"files": [{"path": 1}]}', b"\xff"])
def test_a_damaged_memory_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "enabled").mkdir()
    (tmp_path / "enabled/ssh.json").write_bytes(content)
    with pytest.raises(BadRequest, match="does not hold"):
        Ledger(tmp_path).undoing("ssh", force=False)


def test_the_memory_is_for_its_owner(tmp_path: Path) -> None:
    """It holds what files held that others may not read."""
    enable(SSH, wish(tmp_path))
    for folder in ("data", "data/enabled"):
        assert stat.S_IMODE((tmp_path / folder).stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "data/enabled/ssh.json").stat().st_mode) == 0o600


def test_a_file_that_cannot_be_written_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(StoreFailed):
        write(Change("/proc/keyholm", None, b"x", 0o600))
    with pytest.raises(StoreFailed):
        write(Change(str(tmp_path / ("a" * 300)), None, b"x", 0o600))
    assert os.listdir(tmp_path) == []


def test_another_owners_file_stays_theirs(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("contract only: needs root")
    path = config(tmp_path, b"Host a\n")
    os.chown(path, 65534, 65534)
    ledger = enable(SSH, wish(tmp_path))
    assert path.stat().st_uid == 65534
    disable(SSH, ledger)
    assert path.stat().st_uid == 65534


def test_what_root_makes_in_somebodys_home_is_theirs(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("contract only: needs root")
    home = tmp_path / "theirs"
    home.mkdir()
    os.chown(home, 65534, 65534)
    for change in changes_of(SSH.edits(wish(home))):
        write(change)
    for path in (home / ".ssh", home / ".ssh/config"):
        assert path.stat().st_uid == 65534


def test_what_was_laid_in_the_way_is_not_written_to(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    path = config(tmp_path, b"Host a\n")
    os.link(precious, f"{path}.{os.getpid()}.new")
    enable(SSH, wish(tmp_path))
    assert precious.read_text() == "precious"
    assert b"IdentityAgent" in path.read_bytes()


def test_a_block_without_its_end_is_refused() -> None:
    with pytest.raises(BadRequest, match="no line that ends"):
        block("x", ["a"])(b"# >>> keyholm enable x >>>\nrest\n")


@given(st.binary(max_size=200))
def test_a_block_is_put_in_once_and_nothing_else_is_touched(before: bytes) -> None:
    with_ours = block("x", ["a"])
    once = with_ours(before)
    assert once.startswith(before)
    assert with_ours(once) == once
    assert block("x", ["b"])(once).replace(b"\nb\n", b"\na\n") == once

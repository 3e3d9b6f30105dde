"""Whom a file can be changed by: itself, what lies on the way to it, and links."""

import grp
import os
import pwd
from pathlib import Path

import pytest

from keyholm.core.errors import BadConfiguration
from keyholm.daemon.trusted import has_others, real_path

# Only root can give a file away; everybody else asks as that other user would.
SOMEBODY = os.geteuid() + 1


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "one/two"
    folder.mkdir(parents=True)
    for each in (tmp_path / "one", folder):
        each.chmod(0o755)
    path = folder / "lib.so"
    path.write_bytes(b"")
    path.chmod(0o644)
    return path


def test_a_file_of_ours_is_trusted(file: Path) -> None:
    assert real_path(str(file)) == str(file)


@pytest.mark.parametrize("which", ["one", "one/two", "one/two/lib.so"])
def test_what_others_can_write_on_the_way_is_named(tmp_path: Path, file: Path, which: str) -> None:
    (tmp_path / which).chmod(0o757)
    with pytest.raises(BadConfiguration) as caught:
        real_path(str(file))
    assert caught.value.what == (
        f"{tmp_path / which} can be written by others, who could put anything there."
    )


def test_what_belongs_to_another_user_is_named(tmp_path: Path, file: Path) -> None:
    if os.geteuid() == 0:
        os.chown(file, SOMEBODY, -1)
        owner = 0
    else:
        owner = SOMEBODY
    with pytest.raises(BadConfiguration, match=r"belongs to uid \d+, who could put anything there"):
        real_path(str(file), owner=owner)


def test_nobody_takes_anything_out_of_a_sticky_folder(tmp_path: Path, file: Path) -> None:
    (tmp_path / "one").chmod(0o1777)
    assert real_path(str(file)) == str(file)


def test_a_group_that_nobody_else_is_in_does_no_harm() -> None:
    taken = {each.pw_gid for each in pwd.getpwall()}
    empty = next(each for each in grp.getgrall() if not each.gr_mem and each.gr_gid not in taken)
    assert not has_others(empty.gr_gid, {0})
    mine = pwd.getpwuid(os.geteuid()).pw_gid
    everybody_in_mine = {each.pw_uid for each in pwd.getpwall() if each.pw_gid == mine}
    assert not has_others(mine, everybody_in_mine)


def test_a_group_with_others_in_it_is_refused() -> None:
    nobody = pwd.getpwnam("nobody")
    assert has_others(nobody.pw_gid, {0})
    assert has_others(2**31 - 5, {0})  # of which nothing is known


def test_links_are_followed_and_their_way_is_looked_at(tmp_path: Path, file: Path) -> None:
    loose = tmp_path / "loose"
    loose.mkdir()
    (loose / "link").symlink_to(file.parent)
    (tmp_path / "start.so").symlink_to("loose/link/lib.so")
    loose.chmod(0o755)
    assert real_path(f"{tmp_path}/start.so") == str(file)
    loose.chmod(0o777)
    with pytest.raises(BadConfiguration, match=f"{loose} can be written by others"):
        real_path(f"{tmp_path}/start.so")


def test_links_without_end_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(BadConfiguration, match="without end"):
        real_path(f"{tmp_path}/a")


def test_two_dots_lead_to_where_the_kernel_goes(tmp_path: Path, file: Path) -> None:
    (tmp_path / "link").symlink_to("one/two")
    assert real_path(f"{tmp_path}/link/../two/lib.so") == str(file)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match=r"/none/lib\.so is not there"):
        real_path(f"{tmp_path}/none/lib.so")


def test_a_relative_path_is_refused() -> None:
    with pytest.raises(BadConfiguration, match="no absolute path"):
        real_path("lib.so")

"""Where things lie, and whose folders are good enough."""

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyholm.core.errors import BadConfiguration, StoreFailed
from keyholm.daemon import places
from keyholm.daemon.places import SYSTEM, Places, find, for_agent, make_private

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="contract only: needs root")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    return home


def environment(home: Path, **more: str) -> dict[str, str]:
    return {"HOME": str(home), "XDG_RUNTIME_DIR": str(home / "run"), **more}


# --- where ---------------------------------------------------------------------------


def test_a_users_places_are_the_desktops(home: Path) -> None:
    assert find(environment(home)) == Places(
        home / ".config/keyholm/config.toml", home / ".local/share/keyholm", home / "run/keyholm"
    )


def test_the_desktops_variables_count(home: Path) -> None:
    found = find({"XDG_CONFIG_HOME": "/c", "XDG_DATA_HOME": "/d", "XDG_RUNTIME_DIR": "/r"})
    assert found == Places(Path("/c/keyholm/config.toml"), Path("/d/keyholm"), Path("/r/keyholm"))


def test_relative_ones_are_ignored_as_the_standard_wants(home: Path) -> None:
    assert find(environment(home, XDG_DATA_HOME="data")).data == home / ".local/share/keyholm"


def test_one_variable_puts_everything_under_one_folder(home: Path) -> None:
    found = find(environment(home, KEYHOLM_HOME="/k"))
    assert found == Places(Path("/k/config.toml"), Path("/k/data"), Path("/k/run"))
    assert (found.store, found.trail) == (Path("/k/data/store"), Path("/k/data/trail"))
    assert found.socket("ssh") == Path("/k/run/ssh")


def test_the_system_daemon_has_the_systems() -> None:
    assert find({}, system=True) == SYSTEM
    assert find({"KEYHOLM_HOME": "/k"}, system=True).system


def test_without_a_login_folder_sockets_lie_with_the_data(home: Path) -> None:
    found = find({"HOME": str(home)})
    assert found.run in (found.data / "run", Path(f"/run/user/{os.getuid()}/keyholm"))


def test_without_a_home_there_is_no_place() -> None:
    with pytest.raises(BadConfiguration, match="HOME is not set"):
        find({"XDG_RUNTIME_DIR": "/r"})


# --- whose ---------------------------------------------------------------------------


def test_folders_are_made_for_us_alone_whatever_the_umask(home: Path) -> None:
    before = os.umask(0)
    try:
        find(environment(home)).prepare()
    finally:
        os.umask(before)
    for folder in (".local", ".local/share", ".local/share/keyholm", "run", "run/keyholm"):
        assert stat.S_IMODE((home / folder).stat().st_mode) == 0o700


def test_folders_that_are_there_are_taken_and_closed(home: Path) -> None:
    (home / "data").mkdir(mode=0o755)
    make_private(home / "data")
    assert stat.S_IMODE((home / "data").stat().st_mode) == 0o700
    make_private(home / "data")


def test_a_symbolic_link_is_refused(home: Path) -> None:
    (home / "real").mkdir()
    (home / "data").symlink_to("real")
    with pytest.raises(StoreFailed, match=r"is a symbolic link\. Put a folder"):
        make_private(home / "data")


def test_a_file_is_refused(home: Path) -> None:
    (home / "data").touch()
    with pytest.raises(StoreFailed, match="is no folder"):
        make_private(home / "data")


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_folder_that_others_can_write_to_is_refused(home: Path, mode: int) -> None:
    (home / "data").mkdir()
    (home / "data").chmod(mode)
    with pytest.raises(StoreFailed, match="Others can write"):
        make_private(home / "data")


@ROOT_ONLY
def test_somebody_elses_folder_is_refused(home: Path) -> None:
    (home / "data").mkdir(mode=0o700)
    os.chown(home / "data", 65534, 65534)
    with pytest.raises(StoreFailed, match="belongs to uid 65534, and this is uid 0"):
        make_private(home / "data")


def test_a_home_that_is_not_there_is_never_made() -> None:
    with pytest.raises(StoreFailed, match=r"there is no such home|/ is not yours"):
        make_private(Path("/nonexistent/.local/share/keyholm"))
    assert not Path("/nonexistent").exists()


@ROOT_ONLY
def test_nothing_is_made_in_somebody_elses_home(home: Path) -> None:
    os.chown(home, 65534, 65534)
    with pytest.raises(StoreFailed, match="home is not yours"):
        make_private(home / ".local/share/keyholm")
    assert not (home / ".local").exists()


def test_a_path_that_is_too_long_for_a_socket_is_told_at_once(home: Path) -> None:
    deep = home / ("x" * 90)
    deep.mkdir()
    with pytest.raises(StoreFailed, match="too long for a socket"):
        find(environment(home, KEYHOLM_HOME=str(deep))).prepare()


# --- keyholm-agent -------------------------------------------------------------------


@pytest.fixture
def no_login_folder(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A user whose home is not there and who never logged in."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    if places.runtime_folder({}) is not None:
        pytest.skip("contract only: this user has a login folder")
    before, tempfile.tempdir = tempfile.tempdir, str(temporary)
    yield {"HOME": "/nonexistent", "TMPDIR": str(temporary)}
    tempfile.tempdir = before


def test_an_agent_keeps_its_trail_at_home(home: Path) -> None:
    found, note = for_agent(environment(home))
    assert (found.data, note) == (home / ".local/share/keyholm", "")
    assert found.data.is_dir()


def test_without_a_home_it_keeps_it_in_the_login_folder_and_says_so(tmp_path: Path) -> None:
    found, note = for_agent({"HOME": "/nonexistent", "XDG_RUNTIME_DIR": str(tmp_path)})
    assert found.data == tmp_path / "keyholm/agent"
    assert "The trail of this agent is in" in note
    assert stat.S_IMODE(found.data.stat().st_mode) == 0o700


def test_without_that_in_a_private_one_of_its_own(no_login_folder: dict[str, str]) -> None:
    found, note = for_agent(no_login_folder)
    assert found.data == Path(no_login_folder["TMPDIR"]) / f"keyholm-{os.geteuid()}"
    assert stat.S_IMODE(found.data.stat().st_mode) == 0o700
    assert str(found.data) in note
    assert for_agent(no_login_folder)[0].data == found.data


def test_a_folder_that_somebody_put_there_before_is_not_used(
    no_login_folder: dict[str, str],
) -> None:
    usual = Path(no_login_folder["TMPDIR"]) / f"keyholm-{os.geteuid()}"
    usual.symlink_to("/")
    found, _ = for_agent(no_login_folder)
    assert found.data != usual
    assert stat.S_IMODE(found.data.stat().st_mode) == 0o700

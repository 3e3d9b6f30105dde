"""What a prompt's program may know of the user's session."""

import os
import stat
from pathlib import Path

from keyholm.prompters.session import PATH, Session, has_screen, parse

# `systemctl --user show-environment` of systemd 252.
SHOWN = """\
DISPLAY=:1
XAUTHORITY=/run/user/1000/.mutter-Xwaylandauth.ABC123
WAYLAND_DISPLAY=wayland-0
LS_COLORS=$'rs=0:di=01;34'
GREETING=$'hello\\nworld'
EMPTY=
XDG_RUNTIME_DIR=/run/user/1000
"""


def test_the_managers_variables_are_read_and_quoted_ones_left_out() -> None:
    assert parse(SHOWN) == {
        "DISPLAY": ":1",
        "XAUTHORITY": "/run/user/1000/.mutter-Xwaylandauth.ABC123",
        "WAYLAND_DISPLAY": "wayland-0",
        "EMPTY": "",
        "XDG_RUNTIME_DIR": "/run/user/1000",
    }


def test_without_a_manager_it_is_as_at_the_start() -> None:
    start = {"DISPLAY": ":0", "LANG": "C", "LD_PRELOAD": "/x", "XDG_RUNTIME_DIR": "/nonexistent"}
    found = Session(start).environment()
    assert found["DISPLAY"] == ":0"
    assert found["LANG"] == "C"
    assert found["PATH"] == PATH
    assert "LD_PRELOAD" not in found


def test_a_manager_that_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "systemd").mkdir()
    (tmp_path / "systemd/private").touch(stat.S_IRUSR)
    start = {"DISPLAY": ":0", "XDG_RUNTIME_DIR": str(tmp_path)}
    assert Session(start).environment()["DISPLAY"] == ":0"


def test_home_is_the_user_databases() -> None:
    found = Session({"HOME": "/nowhere"}).environment()
    assert os.path.isdir(found["HOME"])


def test_a_screen_is_x_or_wayland() -> None:
    assert has_screen({"DISPLAY": ":0"})
    assert has_screen({"WAYLAND_DISPLAY": "wayland-0"})
    assert not has_screen({"DISPLAY": ""})

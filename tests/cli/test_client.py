"""The Python API finds the daemon where the daemon puts its sockets."""

import os
from pathlib import Path

import pytest

from keyholm.client import SYSTEM, door_path, socket_path
from keyholm.daemon import places

ENVIRONMENTS = [
    {"KEYHOLM_HOME": "/somewhere/home"},
    {"KEYHOLM_HOME": "relative/home", "XDG_RUNTIME_DIR": "/run/user/1"},
    {"XDG_RUNTIME_DIR": "/run/user/4242", "HOME": "/home/me"},
    {"XDG_RUNTIME_DIR": "relative", "HOME": "/home/me"},
    {"HOME": "/home/me"},
    {"HOME": "/home/me", "XDG_DATA_HOME": "/data"},
    {"HOME": "/home/me", "XDG_DATA_HOME": "relative"},
    {"HOME": "/home/me", "KEYHOLM_HOME": ""},
]


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=str)
def test_the_client_looks_where_the_daemon_listens(environment: dict[str, str]) -> None:
    found = places.find(environment)
    if not os.path.exists(SYSTEM):
        assert socket_path(environment) == str(found.socket("control"))
        assert door_path("ssh", environment) == str(found.socket("ssh"))


def test_the_system_daemon_is_where_its_places_say() -> None:
    assert str(places.SYSTEM.socket("control")) == SYSTEM


def test_a_home_of_its_own_never_falls_back(tmp_path: Path) -> None:
    assert socket_path({"KEYHOLM_HOME": str(tmp_path)}) == str(tmp_path / "run/control")

"""What a worker is shown, worked out from its Spec."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keyholm.sandbox.view import May, Shown
from keyholm.worker.confine import what_is_shown
from keyholm.worker.spec import Spec


@pytest.fixture
def listeners(tmp_path: Path) -> Iterator[Path]:
    """A folder with two sockets, and one below it with a socket and a file."""
    (tmp_path / "card").mkdir()
    (tmp_path / "card/pid").touch()
    names = ("one", "two", "card/comm")
    made = [socket.socket(socket.AF_UNIX) for _ in names]
    here = os.open(".", os.O_RDONLY)
    os.chdir(tmp_path)  # a path may be longer than a socket's
    for name, listener in zip(names, made, strict=True):
        listener.bind(name)
    os.fchdir(here)
    os.close(here)
    yield tmp_path
    for listener in made:
        listener.close()


def shown(**spec: Any) -> set[Shown]:
    plain = set(what_is_shown(Spec("x", "/lib/x.so")))
    assert plain >= {Shown("/usr"), Shown("/lib/x.so")}
    return set(what_is_shown(Spec("x", "/lib/x.so", **spec))) - plain


def test_a_socket_alone_in_its_folder_is_shown_with_it(listeners: Path) -> None:
    """So that it is found again when its daemon was restarted."""
    assert shown(sockets=(f"{listeners}/card/comm",)) == {Shown(f"{listeners}/card")}


def test_a_socket_that_is_not_there_yet_will_be_seen(listeners: Path) -> None:
    os.unlink(listeners / "card/comm")
    assert shown(sockets=(f"{listeners}/card/comm",)) == {Shown(f"{listeners}/card")}


def test_of_a_folder_with_more_in_it_the_socket_alone_is_shown(listeners: Path) -> None:
    assert shown(sockets=(f"{listeners}/one",)) == {Shown(f"{listeners}/one")}


def test_devices_are_those_that_are_there(tmp_path: Path) -> None:
    for name in ("hidraw0", "hidraw1", "other"):
        (tmp_path / name).touch()
    assert shown(devices=(f"{tmp_path}/hidraw*", "/dev/tpm0")) == {
        Shown(f"{tmp_path}/hidraw0", May.USE),
        Shown(f"{tmp_path}/hidraw1", May.USE),
        Shown("/dev/tpm0", May.USE),
    }


def test_what_is_plugged_in_later_is_seen_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "001").mkdir()
    assert shown(devices=(f"{tmp_path}/*/*",)) == {Shown(str(tmp_path), May.USE)}
    everything = {each.path for each in shown(devices=("/dev/*",))}
    assert "/dev" not in everything
    assert "/dev/null" in everything


def test_no_folder_is_shown_because_a_package_lies_in_it() -> None:
    """A clone in a home: `keyholm` and no more."""
    import keyholm

    paths = {each.path for each in what_is_shown(Spec("x", "/lib/x.so"))}
    assert keyholm.__path__[0] in paths
    assert os.path.dirname(keyholm.__path__[0]) not in paths
    assert os.path.expanduser("~") not in paths

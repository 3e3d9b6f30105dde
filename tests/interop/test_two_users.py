"""One system daemon, several users: each has tokens of their own, and root manages.

Needs root, to become somebody else. The users are numbers without an account.
"""

import os
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.interop.conftest import Home

from keyholm import client
from keyholm.core.errors import DaemonFailed, DaemonNotRunning, KeyholmError

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else"),
]
ALICE, BOB, EVE = 61_001, 61_002, 61_003


@pytest.fixture
def system(home: Home) -> Iterator[Home]:
    """keyholm serve --system, which takes Alice and Bob."""
    home.folder.chmod(0o755)
    place = home.folder / "kh"
    place.mkdir(mode=0o755)
    (place / "config.toml").write_text(f"uids = [{ALICE}, {BOB}]\n")
    (place / "config.toml").chmod(0o644)
    ready = place / "run/control"
    command = [sys.executable, "-m", "keyholm.cli.main", "serve", "--system"]
    with home.started(command, ready):
        yield home


def as_user(uid: int, act: Callable[[], Any]) -> Any:
    """What `act` gives or raises in a child that is `uid` and nobody else."""
    receive, send = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            try:
                result = (True, act())
            except KeyholmError as error:
                result = (False, (type(error).__name__, str(error)))
            os.write(send, pickle.dumps(result))
        finally:
            os._exit(0)
    os.close(send)
    with os.fdopen(receive, "rb") as pipe:
        raw = pipe.read()
    os.waitpid(pid, 0)
    good, value = pickle.loads(raw)
    return value if good else Refusal(value)


class Refusal:
    def __init__(self, told: tuple[str, str]) -> None:
        self.kind, self.sentence = told

    def __repr__(self) -> str:
        return f"{self.kind}: {self.sentence}"


def call(home: Home, method: str, secrets: tuple[bytes, ...] = (), **params: Any) -> Any:
    with client.connect(str(home.folder / "kh/run/control")) as connected:
        return connected.call(method, params, secrets=secrets)


def of(home: Home, uid: int, method: str, secrets: tuple[bytes, ...] = (), **params: Any) -> Any:
    """What the daemon answers to that user."""
    return as_user(uid, lambda: call(home, method, secrets, **params))


def names(answer: Any) -> list[str]:
    return [key["name"] for key in answer["keys"]]


def test_neither_sees_uses_or_locks_what_is_the_others(system: Home) -> None:
    for uid, name in ((ALICE, "alice"), (BOB, "bob")):
        of(system, uid, "tokens.new", (name.encode(),), name=name)
        made = of(system, uid, "keys.new", name=f"{name}s", token=name)
        assert made["token"] == name
    assert names(of(system, ALICE, "keys.list")) == ["alices"]
    assert names(of(system, BOB, "keys.list")) == ["bobs"]
    tokens = of(system, BOB, "status")["tokens"]
    assert {token["name"] for token in tokens if token["store"] == "disk"} == {"bob"}
    attempts: dict[str, dict[str, Any]] = {
        "keys.show": {"key": "alices"},
        "keys.sign": {"key": "alices", "data": "aGk="},
        "keys.remove": {"key": "alices"},
        "tokens.lock": {"token": "alice"},
    }
    for method, params in attempts.items():
        assert isinstance(of(system, BOB, method, **params), Refusal), method
    assert of(system, ALICE, "keys.sign", key="alices", data="aGk=")["signature"]


def test_root_manages(system: Home) -> None:
    of(system, ALICE, "tokens.new", (b"pw",), name="alice")
    of(system, ALICE, "keys.new", name="alices", token="alice")
    assert "alices" in names(call(system, "keys.list"))
    call(system, "tokens.lock", token="alice")
    refused = of(system, ALICE, "keys.sign", key="alices", data="aGk=")
    assert refused.kind == "TokenLocked"


def test_nobody_makes_a_token_for_somebody_else(system: Home) -> None:
    refused = of(system, BOB, "tokens.new", (b"pw",), name="gift", owner=ALICE)
    assert refused.kind == "NotTheOwner"


def test_a_third_user_gets_nothing_although_the_socket_is_open_to_all(system: Home) -> None:
    path = system.folder / "kh/run/control"
    assert path.stat().st_mode & 0o777 == 0o666
    assert os.stat(Path(path).parent).st_mode & 0o005
    refused = of(system, EVE, "status")
    assert refused.kind in (DaemonFailed.__name__, DaemonNotRunning.__name__)

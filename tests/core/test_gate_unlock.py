"""A key of a locked token: the passphrase is asked for, and then all is decided anew."""

from pathlib import Path

import pytest
from tests.stores.cheap import disk_store

from keyholm.core import actions
from keyholm.core.audit.records import Management, Operation
from keyholm.core.caller import Caller, Door, Peer, Process
from keyholm.core.errors import PassphraseIncorrect, PolicyForbids, TokenLocked
from keyholm.core.mechanisms import EdDsa, Message
from keyholm.core.model import Algorithm, Key, NewKey
from keyholm.core.policy import parse
from keyholm.core.prompt import Kind
from keyholm.core.secret import Secret
from keyholm.core.store import Unlocks
from keyholm.testing.fakes import Clock, ListTrail, ScriptedPrompters, gate_over

OWNER = 1000
MESSAGE = Message(b"hello")
ED = EdDsa()


class House:
    def __init__(self, folder: Path, policy: str) -> None:
        self.trail, self.people, self.clock = ListTrail(), ScriptedPrompters(), Clock()
        self.store = disk_store(folder)
        self.gate = gate_over([self.store], self.trail, self.people, self.clock)
        self.caller = Caller(Door.AGENT, Peer(OWNER, OWNER, 42), lambda: Process(42, start=7))
        with Secret.of(b"pw") as passphrase:
            make = actions.MakeToken(self.store, "main", OWNER, passphrase)
            self.gate.manage(self.caller, make)
        (self.token,) = self.store.tokens()
        new = NewKey("k", Algorithm.ED25519)
        self.gate.manage(self.caller, actions.Generate(self.token, new, parse(policy)))
        assert isinstance(self.token, Unlocks)
        self.gate.manage(self.caller, actions.Lock(self.token))

    @property
    def key(self) -> Key:
        (key,) = self.gate.keys(self.caller)
        return key

    def sign(self) -> bytes:
        return self.gate.sign(self.caller, self.key, ED, MESSAGE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path / "store"


def test_the_passphrase_opens_the_token_and_the_key_signs(folder: Path) -> None:
    house = House(folder, "")
    house.people.script = [b"pw"]
    assert len(house.sign()) == 64
    assert [question.kind for question in house.people.asked] == [Kind.SECRET]
    assert house.trail.of(Management)[-1].action == "unlock"  # type: ignore[attr-defined]
    assert house.trail.of(Operation)[-1].result == "ok"  # type: ignore[attr-defined]
    house.store.close()


def test_consent_is_asked_once_when_the_token_is_open(folder: Path) -> None:
    house = House(folder, 'confirm = "each"\nmax_uses = 1')
    house.people.script = [b"pw", True]
    house.sign()
    assert [question.kind for question in house.people.asked] == [Kind.SECRET, Kind.CONFIRM]
    house.people.script = [True]
    with pytest.raises(PolicyForbids, match="1 use"):
        house.sign()
    house.store.close()


def test_nobody_to_ask_and_a_wrong_passphrase_are_told_apart(folder: Path) -> None:
    house = House(folder, "")
    with pytest.raises(TokenLocked):
        house.sign()
    house.people.script = [b"nope"]
    with pytest.raises(PassphraseIncorrect):
        house.sign()
    assert house.trail.of(Operation)[-1].result == "refused"  # type: ignore[attr-defined]
    house.store.close()


def test_what_is_forbidden_asks_for_no_passphrase(folder: Path) -> None:
    house = House(folder, 'doors = ["dbus"]')
    with pytest.raises(PolicyForbids):
        house.sign()
    assert not house.people.asked
    house.store.close()

"""What goes wrong with cards, with a real pcscd and OpenSC: what is said, and what it costs."""

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.interop.conftest import Home
from tests.rigs import cards
from tests.rigs.pcsc import SECONDS, Pcscd

from keyholm.testing.piv.card import Card
from keyholm.testing.piv.names import INS
from keyholm.wire.apdu import Command

pytestmark = pytest.mark.interop


@dataclass(frozen=True, slots=True)
class Desk:
    home: Home
    card: Card
    pcscd: Pcscd

    def key(self) -> dict[str, Any]:
        """That of slot 9a, which wants the PIN once."""
        listed = json.loads(self.home.keyholm("list", "--json"))["keys"]
        return next(key for key in listed if key["algorithm"] == "ecdsa-p256")

    def wait_until_gone(self) -> None:
        """pcscd looks every 0.4 s."""
        end = time.monotonic() + SECONDS
        look = ["opensc-tool", "-l"]
        while "0    Yes" in self.home.run(*look, env=self.pcscd.environment):
            assert time.monotonic() < end
            time.sleep(0.05)

    def sign(self, *, fails: bool = False) -> str:
        (self.home.folder / "message").write_text("what is signed")
        return self.home.keyholm("sign", self.key()["place"], "message", fails=fails)


@pytest.fixture
def desk(home: Home) -> Iterator[Desk]:
    with contextlib.ExitStack() as stack:
        inserted = stack.enter_context(cards.opensc(home.folder / "opensc"))
        askpass = home.folder / "askpass"
        askpass.write_text(f'#!/bin/sh\necho "$1" >> {home.folder}/asked\necho {cards.PIN}\n')
        askpass.chmod(0o700)
        home.environment |= {"SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force"}
        home.keyholm("init", "--no-passphrase")
        home.keyholm("module", "add", inserted.rig.path, *inserted.rig.options())
        serve = [sys.executable, "-m", "keyholm.cli.main", "serve"]
        stack.enter_context(home.started(serve, home.folder / "kh/run/ssh"))
        yield Desk(home, inserted.card, inserted.pcscd)


def test_a_card_that_is_pulled_while_it_signs_fails_that_and_nothing_else(desk: Desk) -> None:
    desk.sign()

    def pull(command: Command) -> None:
        if command.ins == INS.GENERAL_AUTHENTICATE:
            desk.card.before = lambda _command: None
            desk.pcscd.pull()

    desk.card.before = pull
    assert "C_Sign" in desk.sign(fails=True)
    desk.wait_until_gone()
    desk.pcscd.insert(desk.card)
    desk.sign()


def test_a_locked_pin_is_said_and_not_sent(desk: Desk) -> None:
    desk.card.piv.pin.left = 0
    said = desk.sign(fails=True)
    assert "has locked its PIN, which was wrong too often" in said
    assert "PUK" in said


def test_the_last_try_is_not_used_up_unless_somebody_agrees(desk: Desk) -> None:
    """The askpass knows the PIN, and says neither yes nor no."""
    desk.card.piv.pin.left = 1
    assert "The PIN was not sent: nobody agreed to it" in desk.sign(fails=True)
    assert desk.card.piv.pin.left == 1

"""kill -9 while PINs are tried: nobody gets a try that was not counted."""

import random
import subprocess
import sys
from pathlib import Path

import pytest
from tests.faults.pin_writer import OFFICER, RIGHT, opened

from keyholm.core.errors import PinLocked
from keyholm.core.secret import Secret
from keyholm.core.session import Role

WRITER = Path(__file__).with_name("pin_writer.py")


def test_a_killed_daemon_has_counted_every_try(tmp_path: Path) -> None:
    chance = random.Random(1)
    folder = tmp_path / "store"
    for _ in range(10):
        command = [sys.executable, str(WRITER), str(folder)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            said = b""
            for _ in range(chance.randrange(1, 22)):
                said += writer.stdout.read(1)
            writer.kill()
            said += writer.stdout.read()
        store, token = opened(folder)
        try:
            state = token.pin_state(Role.USER)
            counted = state.tries - state.tries_left
            assert said.count(b"!") <= counted <= said.count(b"?"), said
            assert token.damage() == []
            with Secret.of(RIGHT) as pin, Secret.of(OFFICER) as officer:
                if counted == state.tries:
                    with pytest.raises(PinLocked):
                        token.check_pin(Role.USER, pin)
                    token.check_pin(Role.OFFICER, officer)
                    token.init_pin(pin)
                token.check_pin(Role.USER, pin)
            assert token.damage() == []
        finally:
            store.close()

"""kill -9 at any moment: every change of a key that was acknowledged is there, and no half one."""

import json
import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.faults.store_writer import opened

from keyholm.core.mechanisms import EdDsa, Message
from keyholm.stores.disk.attributes import label_of
from keyholm.testing import samples
from keyholm.testing.store_contract import try_out

WRITER = Path(__file__).with_name("store_writer.py")
MESSAGE = Message(b"message")
MAKING = ("generate", "secret_key", "public_object", "private_object")


@dataclass
class Told:
    """What the writer has acknowledged: the state that must be found."""

    keys: dict[str, tuple[str, int]] = field(default_factory=dict)  # object: label, max_uses
    objects: dict[str, str] = field(default_factory=dict)  # object: label
    passphrase: str = "one"
    second: bool = False

    def take(self, verb: str, name: str, label: str, answer: str) -> None:
        if verb in ("generate", "secret_key"):
            self.keys[answer] = (label, 0)
        elif verb in ("public_object", "private_object"):
            self.objects[answer] = label
        elif verb == "change_object":
            self.objects[name] = label
        elif verb == "remove_object":
            del self.objects[name]
        elif verb == "rename":
            self.keys[name] = (label, self.keys[name][1])
        elif verb == "policy":
            self.keys[name] = (self.keys[name][0], int(answer))
        elif verb == "destroy":
            del self.keys[name]
        elif verb == "change_passphrase":
            self.passphrase = answer
        else:
            self.second = answer == "made"


def run_and_kill(folder: Path, seed: str, seconds: float) -> list[Any]:
    command = [sys.executable, str(WRITER), str(folder), seed]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        first = writer.stdout.readline()
        time.sleep(seconds)
        writer.kill()
        said = first + writer.stdout.read()
    assert writer.returncode == -9
    return [json.loads(line) for line in said.splitlines(keepends=True) if line.endswith(b"\n")]


def found_in(folder: Path) -> Told:
    """The state that the store opens with, in which everything works and nothing is damaged."""
    store, token, passphrase = opened(folder)
    try:
        found = Told(passphrase=passphrase.decode())
        for each in store.tokens():
            assert each.damage() == []
            found.second |= each.name == "second"
        keys = token.keys()
        for key in keys:
            found.keys[key.place.object] = (key.label, token.policy_of(key).max_uses)
            if key.ssh is not None:
                samples.verify(key.ssh, EdDsa(), MESSAGE, token.sign(key, EdDsa(), MESSAGE))
            else:
                try_out(token, key)
        for held in token.objects():
            found.objects[held.place.object] = label_of(held.attributes) or ""
        assert store.damage() == {}
    finally:
        store.close()
    left = [path.name for path in folder.rglob("*") if path.suffix == ".new"]
    assert left == [], "what a crash left is gone after unlock"
    return found


def settle(told: Told, lines: list[Any], found: Told) -> None:
    """Bring `told` to what was acknowledged; one change may have been begun and not."""
    for line in lines:
        if line[0] == "!":
            told.take(*line[1:])
    if lines[-1][0] == "?" and found != told:
        _, verb, name, label = lines[-1]
        told.take(verb, name, label, answer_in(found, verb, label, name))


def answer_in(found: Told, verb: str, label: str, name: str) -> str:
    """What the writer would have said of its last change, had it lived."""
    made = [key for key, (has, _) in found.keys.items() if has == label]
    made += [each for each, has in found.objects.items() if has == label]
    answers = {
        **dict.fromkeys(MAKING, made[0] if made else "never"),
        "policy": str(found.keys[name][1]) if name in found.keys else "0",
        "change_passphrase": found.passphrase,
        "second_token": "made" if found.second else "removed",
    }
    return answers.get(verb, "")


def kill_often(folder: Path, times: int, seed: int) -> int:
    """How many changes were acknowledged in all."""
    chance = random.Random(seed)
    told, acknowledged = Told(), 0
    for turn in range(times):
        lines = run_and_kill(folder, f"{seed}-{turn}", chance.uniform(0, 0.15))
        acknowledged += sum(line[0] == "!" for line in lines)
        found = found_in(folder)
        settle(told, lines, found)
        assert found == told, (turn, lines[-1])
    return acknowledged


def test_no_change_of_a_key_is_lost_or_half_done_by_kill_9(tmp_path: Path) -> None:
    assert kill_often(tmp_path / "store", times=12, seed=1) > 12


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(2, 6))
def test_no_change_of_a_key_is_lost_or_half_done_by_many_kills(tmp_path: Path, seed: int) -> None:
    kill_often(tmp_path / "store", times=50, seed=seed)

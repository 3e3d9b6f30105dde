"""Witnesses: they get checkpoints, never hold a record up, and their failure is recorded."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.core.audit.trails import QUICK, SIZES, operation, stored

from keyholm.core.audit.note import Checkpoint, VerifyingKey, open_note
from keyholm.core.audit.pool import open_trail
from keyholm.core.audit.trail import Settings
from keyholm.core.audit.verify import verify
from keyholm.core.errors import TrailUnavailable


def told(tell: Callable[[bytes], None]) -> Settings:
    return Settings(sizes=SIZES, timing=QUICK.timing, witness=tell)


def test_a_witness_gets_the_newest_checkpoint_also_the_last_one(tmp_path: Path) -> None:
    copies: list[bytes] = []
    with open_trail(tmp_path, "serve", settings=told(copies.append)) as trail:
        trail.append(operation())
        trail.checkpoint()
    vkey = VerifyingKey.parse((tmp_path / "serve-0" / "vkey").read_text().strip())
    last = Checkpoint.parse(open_note(copies[-1], vkey).text)
    assert last.size == verify(tmp_path).records


def test_a_witness_that_hangs_holds_nothing_up(tmp_path: Path) -> None:
    hanging, released = threading.Event(), threading.Event()

    def hang(checkpoint: bytes) -> None:
        hanging.set()
        released.wait(20)

    with open_trail(tmp_path, "serve", settings=told(hang)) as trail:
        trail.append(operation())
        assert hanging.wait(5)
        begun = time.monotonic()
        for _ in range(200):
            trail.append(operation())
        trail.append(operation(), durable=True)
        trail.checkpoint()
        assert trail.status().signed == trail.status().records
        assert time.monotonic() - begun < 5
        released.set()
    assert verify(tmp_path).is_intact


def test_a_failing_witness_is_recorded_once_and_so_is_its_return(tmp_path: Path) -> None:
    calls: list[bytes] = []

    def fail_at_first(checkpoint: bytes) -> None:
        calls.append(checkpoint)
        if len(calls) <= 3:
            raise TrailUnavailable("The disk of the witness is gone.")

    with open_trail(tmp_path, "serve", settings=told(fail_at_first)) as trail:
        for count in range(1, 6):
            trail.append(operation())
            trail.checkpoint()
            end = time.monotonic() + 5
            while len(calls) < count and time.monotonic() < end:
                time.sleep(0.005)
    records = [each for each in stored(tmp_path / "serve-0").facts if each["event"] == "witness"]
    assert [each["result"] for each in records] == ["failed", "ok"]
    assert records[0]["what"] == "The disk of the witness is gone."
    assert verify(tmp_path).is_intact

"""kill -9 at any moment: what was acknowledged is in the trail, and the trail goes on."""

import random
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from keyholm.core.audit.frame import records
from keyholm.core.audit.verify import verify

WRITER = Path(__file__).with_name("trail_writer.py")
AT_ONCE = 100_000  # more than it comes to


def killed_after(home: Path, seconds: float, durability: str) -> list[int]:
    """The numbers that a writer has said before it was killed, `seconds` after its first."""
    command = [sys.executable, str(WRITER), str(home), str(AT_ONCE), durability]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        first = writer.stdout.readline()
        time.sleep(seconds)
        writer.kill()
        said = first + writer.stdout.read()
    assert writer.returncode == -9
    whole = said[: said.rfind(b"\n") + 1]
    return [int(line) for line in whole.split()]


def numbers_kept(home: Path) -> set[int]:
    found = set()
    for segment in (home / "serve-0").glob("*.segment"):
        for _, record in records(segment.read_bytes()):
            found.add(msgspec.json.decode(record)["seq"])
    return found


def kill_often(home: Path, times: int, seed: int) -> None:
    chance = random.Random(seed)
    for turn in range(times):
        durability = chance.choice(("written", "written", "durable"))
        said = killed_after(home, chance.uniform(0, 0.08), durability)
        report = verify(home)
        damage = [each for each in report.findings if "interrupted write" not in each.what]
        assert not damage, (turn, damage)
        kept = numbers_kept(home)
        # What is older than the limit was pruned by the writer itself, which the trail says.
        missing = {number for number in said if number >= report.trails[0].first} - kept
        assert not missing, (turn, durability, missing)
        assert kept == set(range(report.trails[0].first, max(kept) + 1))


def test_nothing_acknowledged_is_lost_to_kill_9(tmp_path: Path) -> None:
    kill_often(tmp_path, times=12, seed=1)
    assert verify(tmp_path).is_intact or "interrupted" in verify(tmp_path).findings[0].what


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(4))
def test_nothing_acknowledged_is_lost_to_many_kills(tmp_path: Path, seed: int) -> None:
    kill_often(tmp_path, times=50, seed=seed)


def test_killed_at_its_very_start_it_starts_again(tmp_path: Path) -> None:
    chance = random.Random(7)
    for _ in range(10):
        command = [sys.executable, str(WRITER), str(tmp_path), str(AT_ONCE), "written"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as writer:
            time.sleep(chance.uniform(0.05, 0.25))
            writer.kill()
    command = [sys.executable, str(WRITER), str(tmp_path), "10", "durable"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=30)
    report = verify(tmp_path)
    assert report.is_intact, report.findings

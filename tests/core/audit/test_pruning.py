"""Keeping under a size: old segments go, a signed record stays, the rest verifies and proves."""

import contextlib
import shutil
import time
from pathlib import Path

import pytest
from tests.core.audit.trails import KIB, QUICK, SESSION, SIZES, operation, stored

from keyholm.core.audit.folder import segment_name
from keyholm.core.audit.note import VerifyingKey
from keyholm.core.audit.pool import open_trail
from keyholm.core.audit.prove import prove, proven
from keyholm.core.audit.recovery import notes
from keyholm.core.audit.search import Search
from keyholm.core.audit.trail import Settings
from keyholm.core.audit.verify import verify

KEEP = 100 * KIB
MOST = KEEP + SIZES.segment + SIZES.step
PRUNING = Settings(sizes=SIZES, timing=QUICK.timing, keep=KEEP)


def held(path: Path) -> int:
    return sum(segment.stat().st_size for segment in path.glob("*.segment"))


@pytest.fixture
def pruned(tmp_path: Path) -> Path:
    with open_trail(tmp_path, "serve", settings=PRUNING) as trail:
        session = trail.append(SESSION)
        for _ in range(8):
            for _ in range(100):
                trail.append(operation(session))
            time.sleep(0.05)  # it may prune several times, or once
        wait_until_pruned(tmp_path / "serve-0")
    return tmp_path


def wait_until_pruned(path: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        # A file may go between the two looks at it.
        with contextlib.suppress(FileNotFoundError):
            if held(path) <= MOST:
                return
        time.sleep(0.01)


def test_old_segments_go_and_the_rest_is_intact(pruned: Path) -> None:
    assert held(pruned / "serve-0") <= MOST
    report = verify(pruned)
    assert report.is_intact, report.findings
    assert report.trails[0].first > 0
    assert not report.trails[0].remarks


def test_what_went_is_recorded(pruned: Path) -> None:
    records = [each for each in stored(pruned / "serve-0").facts if each["event"] == "pruned"]
    assert records
    assert records[-1]["first"] == verify(pruned).trails[0].first
    assert records[-1]["bytes"] > 0


def test_checkpoints_of_what_went_go_too(pruned: Path) -> None:
    folder = pruned / "serve-0"
    sizes = [int(note.split(b"\n")[1]) for note in notes((folder / "checkpoints").read_bytes())]
    assert sizes
    assert min(sizes) > verify(pruned).trails[0].first


def test_the_segment_that_is_written_to_stays_whatever_the_limit(tmp_path: Path) -> None:
    settings = Settings(sizes=SIZES, timing=QUICK.timing, keep=1)
    with open_trail(tmp_path, "serve", settings=settings) as trail:
        for _ in range(200):
            trail.append(operation())
        time.sleep(0.1)
        trail.append(operation())
    assert len(list((tmp_path / "serve-0").glob("*.segment"))) == 1
    assert verify(tmp_path).is_intact


def test_nothing_goes_without_a_limit(tmp_path: Path) -> None:
    with open_trail(tmp_path, "serve", settings=QUICK) as trail:
        for _ in range(400):
            trail.append(operation())
    assert stored(tmp_path / "serve-0").facts[0]["seq"] == 0


def test_records_that_are_kept_can_be_proven(pruned: Path) -> None:
    folder = pruned / "serve-0"
    vkey = VerifyingKey.parse((folder / "vkey").read_text().strip())
    first = verify(pruned).trails[0].first
    kept = stored(folder).raw
    for number in (first, first + 1, first + len(kept) - 1):
        assert proven(prove(folder, number), vkey) == kept[number - first]


def test_a_record_whose_session_was_pruned_is_still_shown(pruned: Path) -> None:
    with Search(pruned) as search:
        assert any(entry.event == "operation" and not entry.session for entry in search.now())


def test_a_trail_that_was_pruned_goes_on(pruned: Path) -> None:
    open_trail(pruned, "serve", settings=PRUNING).close()
    (pruned / "serve-0" / "state").unlink()
    open_trail(pruned, "serve", settings=PRUNING).close()
    assert verify(pruned).is_intact


def test_segments_that_went_without_a_record_are_missed(pruned: Path) -> None:
    names = sorted(path.name for path in (pruned / "serve-0").glob("*.segment"))
    (pruned / "serve-0" / names[0]).unlink()
    (found,) = verify(pruned).findings
    assert "no record says that they were pruned" in found.what


def test_a_crash_between_two_deletions_is_no_damage(tmp_path: Path) -> None:
    with open_trail(tmp_path, "serve", settings=QUICK) as trail:
        for _ in range(400):
            trail.append(operation())
    shutil.copytree(tmp_path / "serve-0", tmp_path / "before")
    with open_trail(tmp_path, "serve", settings=PRUNING) as trail:
        trail.append(operation())
        time.sleep(0.1)
    gone = [
        path.name
        for path in sorted((tmp_path / "before").glob("*.segment"))
        if not (tmp_path / "serve-0" / path.name).exists()
    ]
    assert len(gone) > 2
    shutil.copy(tmp_path / "before" / gone[-1], tmp_path / "serve-0" / gone[-1])
    shutil.rmtree(tmp_path / "before")
    assert verify(tmp_path).is_intact


def test_nothing_is_pruned_over_damage(tmp_path: Path) -> None:
    with open_trail(tmp_path, "serve", settings=QUICK) as trail:
        for _ in range(400):
            trail.append(operation())
    names = sorted(path.name for path in (tmp_path / "serve-0").glob("*.segment"))
    for name in names[1:-1]:
        path = tmp_path / "serve-0" / name
        content = bytearray(path.read_bytes())
        content[20] ^= 1
        path.write_bytes(content)
    with open_trail(tmp_path, "serve", settings=PRUNING) as trail:
        trail.append(operation())
        time.sleep(0.1)
    assert (tmp_path / "serve-0" / segment_name(0)).exists()

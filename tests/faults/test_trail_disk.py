"""A full disk, a quota, a read-only or failing file system: nothing unrecorded happens."""

import contextlib
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.core.audit.trails import SELDOM, Hands, operation, stored

from keyholm.core.audit.background import Timing
from keyholm.core.audit.pool import open_trail
from keyholm.core.audit.records import Management, Record
from keyholm.core.audit.segments import Sizes
from keyholm.core.audit.trail import Settings, Trail
from keyholm.core.audit.verify import verify
from keyholm.core.errors import TrailUnavailable

KIB = 1024
ROOT = pytest.mark.skipif(os.getuid() != 0, reason="mounting needs root")
SMALL = Settings(
    sizes=Sizes(segment=64 * KIB, reserve=64 * KIB, step=16 * KIB),
    timing=Timing(sync_within=3600, checkpoint_records=10**9, checkpoint_within=3600),
)
LOCK = Management(0, "control", "lock", "disk/main")


@contextlib.contextmanager
def mounted(path: Path, options: str) -> Iterator[Path]:
    path.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    try:
        with mounted(tmp_path / "disk", "size=512k") as path:
            yield path
    except subprocess.CalledProcessError:
        pytest.skip("this container must not mount")


def fill(path: Path) -> Path:
    """Somebody else takes all the room there is."""
    ballast = path / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4 * KIB))
    return ballast


def append_until_full(
    trail: Trail, record: Record | None = None, *, essential: bool = False
) -> tuple[int, TrailUnavailable]:
    count = 0
    while count < 5000:
        try:
            trail.append(record or operation(), essential=essential)
        except TrailUnavailable as error:
            return count, error
        count += 1
    raise AssertionError("it never was full")


@ROOT
def test_a_full_disk_refuses_uses_and_still_records_what_is_essential(small_disk: Path) -> None:
    hands = Hands()
    with open_trail(small_disk / "t", "serve", settings=SMALL, clock=hands.clock) as trail:
        trail.append(operation())
        ballast = fill(small_disk)
        written, error = append_until_full(trail)
        assert "no space left on" in error.what
        assert "64 of 64 KiB of its reserve are left" in error.what
        assert "Make room" in error.remedy
        assert trail.status().is_full

        locks = [trail.append(LOCK, essential=True) for _ in range(100)]
        with pytest.raises(TrailUnavailable, match="0 of 64 KiB"):
            trail.append(operation())

        hands.turn(2)
        with pytest.raises(TrailUnavailable):
            trail.append(operation())
        ballast.unlink()
        with pytest.raises(TrailUnavailable):
            trail.append(operation())  # it looks again a second later, not at each request
        hands.turn(2)
        number = trail.append(operation())
        assert not trail.status().is_full
        assert trail.status().reserve == 64 * KIB

    facts = {each["seq"]: each for each in stored(small_disk / "t" / "serve-0").facts}
    assert all(facts[lock]["action"] == "lock" for lock in locks)
    assert facts[number]["event"] == "operation"
    assert sum(each["event"] == "operation" for each in facts.values()) == written + 2
    report = verify(small_disk / "t")
    assert report.is_intact, report.findings


@ROOT
def test_when_the_reserve_is_used_up_even_the_essential_is_refused(small_disk: Path) -> None:
    with open_trail(small_disk / "t", "serve", settings=SMALL) as trail:
        trail.append(operation())
        fill(small_disk)
        append_until_full(trail)
        taken, error = append_until_full(trail, LOCK, essential=True)
        assert "0 of 64 KiB" in error.what
        assert taken > 200
        assert trail.status().failure == ""
    assert stored(small_disk / "t" / "serve-0").events.count("management") == taken
    assert verify(small_disk / "t").findings == ()


@ROOT
def test_a_start_on_a_full_disk_has_the_reserve(small_disk: Path) -> None:
    open_trail(small_disk / "t", "serve", settings=SMALL).close()
    ballast = fill(small_disk)
    with open_trail(small_disk / "t", "serve", settings=SMALL) as trail:
        with pytest.raises(TrailUnavailable, match="0 of 64 KiB"):
            trail.append(operation())
        trail.append(LOCK, essential=True)
    ballast.unlink()
    with open_trail(small_disk / "t", "serve", settings=SMALL) as trail:
        trail.append(operation())
    assert verify(small_disk / "t").is_intact


@ROOT
def test_a_start_on_a_full_disk_without_a_reserve_is_refused(small_disk: Path) -> None:
    open_trail(small_disk / "t", "serve", settings=SMALL).close()
    (small_disk / "t" / "serve-0" / "reserve").unlink()
    before = stored(small_disk / "t" / "serve-0").raw
    ballast = fill(small_disk)
    with pytest.raises(TrailUnavailable, match="no space left"):
        open_trail(small_disk / "t", "serve", settings=SMALL)
    assert stored(small_disk / "t" / "serve-0").raw == before
    ballast.unlink()
    open_trail(small_disk / "t", "serve", settings=SMALL).close()
    assert verify(small_disk / "t").is_intact


@ROOT
def test_checkpoints_wait_for_room_and_come_then(small_disk: Path) -> None:
    hands = Hands()
    with open_trail(small_disk / "t", "serve", settings=SMALL, clock=hands.clock) as trail:
        trail.append(operation())
        ballast = fill(small_disk)
        append_until_full(trail)
        trail.append(LOCK, essential=True)
        trail.checkpoint()
        assert "No checkpoint could be written: No space left" in trail.status().problem
        ballast.unlink()
        trail.checkpoint()
        assert trail.status().problem == ""
        assert trail.status().signed == trail.status().records


@ROOT
def test_a_read_only_file_system_refuses_to_open(tmp_path: Path) -> None:
    try:
        with mounted(tmp_path / "disk", "size=1m") as path:
            open_trail(path / "t", "serve", settings=SMALL).close()
            subprocess.run(["mount", "-o", "remount,ro", path], check=True)
            with pytest.raises(TrailUnavailable, match="Read-only file system"):
                open_trail(path / "t", "serve", settings=SMALL)
            assert verify(path / "t").is_intact
    except subprocess.CalledProcessError:
        pytest.skip("this container must not mount")


LIMITED = """
import resource, sys
from pathlib import Path
from keyholm.core.audit.pool import open_trail
from keyholm.core.audit.segments import Sizes
from keyholm.core.audit.trail import Settings
from keyholm.core.audit.records import Management, Record
from keyholm.core.errors import TrailUnavailable

home, limit = Path(sys.argv[1]), int(sys.argv[2])
sizes = Sizes(segment=1 << 20, reserve=16384, step=16384)
with open_trail(home, "serve", settings=Settings(sizes=sizes)) as trail:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    taken = 0
    try:
        while taken < 10000:
            trail.append(Management(0, "control", "lock", "disk/main"))
            taken += 1
    except TrailUnavailable as error:
        print(error)
    trail.append(Management(0, "control", "lock", "disk/main"), essential=True)
"""


def test_a_limit_on_the_size_of_files_is_a_full_disk(tmp_path: Path) -> None:
    """EFBIG where a full disk says ENOSPC; any user can have it."""
    limit = 100 * KIB
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path), str(limit)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "16 of 16 KiB of its reserve are left" in done.stdout
    assert verify(tmp_path).is_intact
    assert max(path.stat().st_size for path in tmp_path.rglob("*")) <= limit


# --- no descriptor is free, for a moment -----------------------------------------------------------


@contextlib.contextmanager
def no_more_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def fill_segment(trail: Trail, *, essential: bool) -> None:
    for _ in range(1000):
        trail.append(operation(), essential=essential)


def test_without_a_descriptor_for_the_next_file_it_waits_for_one(tmp_path: Path) -> None:
    with open_trail(tmp_path, "serve", settings=SELDOM) as trail:
        with no_more_files():
            for essential in (False, True):
                with pytest.raises(TrailUnavailable, match="cannot begin its next file: Too many"):
                    fill_segment(trail, essential=essential)
        trail.append(operation())
        assert trail.status().failure == ""
    assert verify(tmp_path).is_intact
    assert len(list((tmp_path / "serve-0").glob("*.segment"))) > 1


def test_without_a_descriptor_it_is_signed_later(tmp_path: Path) -> None:
    with open_trail(tmp_path, "serve", settings=SELDOM) as trail:
        trail.append(operation())
        with no_more_files():
            trail.checkpoint()
            assert "No checkpoint could be written: Too many open" in trail.status().problem
        trail.checkpoint()
        assert trail.status().problem == ""
        assert trail.status().signed == trail.status().records


def test_without_a_descriptor_nothing_is_pruned_and_the_trail_goes_on(tmp_path: Path) -> None:
    settings = Settings(sizes=SELDOM.sizes, timing=SELDOM.timing, keep=1)
    with open_trail(tmp_path, "serve", settings=settings) as trail:
        with no_more_files():
            trail._prune()
            assert "Old segments cannot be deleted: Too many open" in trail.status().problem
        trail.append(operation())
        assert trail.status().failure == ""


# --- a disk that fails: the descriptor of the segment becomes one that cannot be written -----------


def break_segment(trail: Trail, device: str) -> None:
    """What the kernel says for /dev/full and for a closed pipe stands for what a disk says."""
    broken = os.open(device, os.O_RDONLY)
    os.dup2(broken, trail._chain._files._fd)
    os.close(broken)


def test_a_failed_write_closes_the_trail_for_good(tmp_path: Path) -> None:
    trail = open_trail(tmp_path, "serve", settings=SELDOM)
    kept = trail.append(operation())
    break_segment(trail, "/dev/null")  # opened for reading: EBADF, as after a disk was pulled
    with pytest.raises(TrailUnavailable, match="takes no more records: it cannot be written"):
        trail.append(operation())
    for essential in (False, True):
        with pytest.raises(TrailUnavailable, match="cannot be written"):
            trail.append(operation(), essential=essential)
    assert "cannot be written" in trail.status().failure
    trail.close()
    with open_trail(tmp_path, "serve", settings=SELDOM) as again:
        assert again.append(operation()) == kept + 2
    assert verify(tmp_path).is_intact


def test_a_failed_sync_closes_the_trail_for_good_and_no_waiter_is_told_otherwise(
    tmp_path: Path,
) -> None:
    trail = open_trail(tmp_path, "serve", settings=SELDOM)
    trail.append(operation())
    # A pipe takes writes and cannot be synced (EINVAL), as little as a disk that failed.
    reading, writing = os.pipe()
    segment = trail._chain._files
    segment._fd, kept = writing, segment._fd
    try:
        with trail._chain.lock, pytest.raises(TrailUnavailable, match="cannot be synced"):
            trail._background.wait_until_synced(trail._chain.size)
        with pytest.raises(TrailUnavailable, match="cannot be synced"):
            trail.append(operation(), essential=True)
    finally:
        os.close(reading)
        os.close(kept)
        trail.close()
    assert verify(tmp_path).is_intact


def test_the_limit_of_files_is_not_left_lowered() -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY

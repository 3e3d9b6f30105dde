"""Opening a trail: which one, how the last process ended, and what stops it."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.core.audit.trails import QUICK, SELDOM, frames, operation, stored

from keyholm.core.audit.folder import segment_name
from keyholm.core.audit.frame import frame
from keyholm.core.audit.pool import open_trail, trails
from keyholm.core.audit.trail import Trail
from keyholm.core.audit.verify import verify
from keyholm.core.errors import TrailDamaged, TrailUnavailable

FIRST = segment_name(0)


def opened(path: Path, boot_id: str = "boot-1") -> Trail:
    return open_trail(path, "serve", settings=SELDOM, boot_id=boot_id)


def killed(home: Path, count: int = 5, boot_id: str = "boot-1") -> Path:
    """A trail whose process was killed: a copy of what was on disk while it ran."""
    running = home / "running"
    trail = opened(running, boot_id)
    trail.append(operation())
    trail.checkpoint()
    for _ in range(count):
        trail.append(operation())
    shutil.copytree(running, home / "killed")
    trail.close()
    return home / "killed"


def last_opened(path: Path) -> dict[str, Any]:
    return [facts for facts in stored(path).facts if facts["event"] == "opened"][-1]


def test_a_trail_goes_on_where_it_was_closed(tmp_path: Path) -> None:
    opened(tmp_path).close()
    with opened(tmp_path) as trail:
        assert trail.append(operation()) == 4
    events = ["segment", "opened", "closed", "opened", "operation", "closed"]
    assert stored(tmp_path / "serve-0").events == events
    assert last_opened(tmp_path / "serve-0")["previous"] == "closed"
    assert verify(tmp_path).is_intact


def test_each_process_of_a_role_has_a_trail_of_its_own(tmp_path: Path) -> None:
    with (
        open_trail(tmp_path, "agent", settings=QUICK) as first,
        open_trail(tmp_path, "agent", settings=QUICK) as second,
        open_trail(tmp_path, "serve", settings=QUICK) as third,
    ):
        assert [path.name for path in trails(tmp_path)] == ["agent-0", "agent-1", "serve-0"]
        assert len({first.origin, second.origin, third.origin}) == 3
    with open_trail(tmp_path, "agent", settings=QUICK) as again:
        assert again.origin == first.origin
    assert verify(tmp_path).is_intact


def test_an_opened_record_has_the_heads_of_the_siblings(tmp_path: Path) -> None:
    with open_trail(tmp_path, "serve", settings=QUICK) as first:
        first.append(operation())
        first.checkpoint()
        open_trail(tmp_path, "agent", settings=QUICK).close()
    (sibling,) = last_opened(tmp_path / "agent-0")["siblings"]
    assert sibling["origin"] == first.origin
    assert sibling["size"] == 3
    assert verify(tmp_path).is_intact


def test_a_killed_process_has_lost_nothing(tmp_path: Path) -> None:
    path = killed(tmp_path)
    with opened(path) as trail:
        assert trail.status().records == 9
    assert last_opened(path / "serve-0")["previous"] == "killed"
    assert verify(path).is_intact


def test_after_a_crash_of_the_machine_the_trail_says_what_may_be_missing(tmp_path: Path) -> None:
    path = killed(tmp_path, boot_id="boot-1")
    opened(path, "boot-2").close()
    assert last_opened(path / "serve-0")["previous"] == "reboot"
    (lost,) = (facts for facts in stored(path / "serve-0").facts if facts["event"] == "tail.lost")
    assert lost["boot_id"] == "boot-1"
    assert lost["last"] == 7
    assert lost["within"] == round(SELDOM.timing.sync_within * 1000)
    opened(path, "boot-3").close()
    assert stored(path / "serve-0").events.count("tail.lost") == 1


def test_reading_on_without_the_state_gives_the_same(tmp_path: Path) -> None:
    with opened(tmp_path) as trail:
        for _ in range(200):
            trail.append(operation())
    (tmp_path / "serve-0" / "state").unlink()
    opened(tmp_path).close()
    assert last_opened(tmp_path / "serve-0")["previous"] == "closed"
    assert verify(tmp_path).is_intact


# --- interrupted writes ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "whole", [True, False], ids=["in allocated room", "at the end of the file"]
)
def test_a_cut_write_is_moved_aside_and_recorded(tmp_path: Path, whole: bool) -> None:
    path = killed(tmp_path)
    segment = path / "serve-0" / FIRST
    (*_, (_, end)) = frames(path / "serve-0")
    cut = frame(b'{"v":1,"seq":8,"prev":"00"}' + b"x" * 400)[:150]
    content = segment.read_bytes()
    segment.write_bytes(content[:end] + cut + (content[end + len(cut) :] if whole else b""))

    opened(path).close()

    (recovered,) = (f for f in stored(path / "serve-0").facts if f["event"] == "recovered")
    assert recovered["segment"] == FIRST
    assert recovered["offset"] == end
    assert recovered["length"] == len(cut)
    assert (path / "serve-0" / recovered["file"]).read_bytes() == cut
    report = verify(path)
    assert report.is_intact, report.findings
    assert f"{recovered['file']}: 150 bytes that were no record" in report.trails[0].remarks


def test_a_start_that_was_killed_while_moving_aside_is_completed(tmp_path: Path) -> None:
    path = killed(tmp_path)
    segment = path / "serve-0" / FIRST
    (*_, (_, end)) = frames(path / "serve-0")
    pending = path / "serve-0" / f"torn-{FIRST}-{end}-0123456789abcdef.pending"
    pending.write_bytes(b"cut")
    opened(path).close()
    (recovered,) = (f for f in stored(path / "serve-0").facts if f["event"] == "recovered")
    assert (recovered["segment"], recovered["offset"]) == (FIRST, end)
    assert not pending.exists()
    assert (path / "serve-0" / recovered["file"]).read_bytes() == b"cut"
    assert segment.exists()
    assert verify(path).is_intact


def test_a_cut_checkpoint_list_is_completed(tmp_path: Path) -> None:
    path = killed(tmp_path)
    listed = path / "serve-0" / "checkpoints"
    whole = listed.read_bytes()
    listed.write_bytes(whole[:-40])
    opened(path).close()
    assert listed.read_bytes().startswith(whole)
    assert verify(path).is_intact


def test_a_newest_checkpoint_that_is_not_listed_yet_is_listed(tmp_path: Path) -> None:
    path = killed(tmp_path)
    listed = path / "serve-0" / "checkpoints"
    whole = listed.read_bytes()
    listed.write_bytes(b"")
    opened(path).close()
    assert listed.read_bytes().startswith(whole)
    assert verify(path).is_intact


def test_a_spoilt_state_is_moved_aside_and_made_again(tmp_path: Path) -> None:
    opened(tmp_path).close()
    state = tmp_path / "serve-0" / "state"
    state.write_bytes(state.read_bytes()[:-20])
    opened(tmp_path).close()
    (recovered,) = (f for f in stored(tmp_path / "serve-0").facts if f["event"] == "recovered")
    assert recovered["segment"] == "state"
    assert verify(tmp_path).is_intact


def test_an_empty_next_segment_is_gone_on_with(tmp_path: Path) -> None:
    path = killed(tmp_path)
    (path / "serve-0" / segment_name(8)).write_bytes(bytes(8192))
    opened(path).close()
    assert verify(path).is_intact
    assert (path / "serve-0" / segment_name(8)).stat().st_size > 0


def test_a_first_start_that_was_killed_early_is_begun_again(tmp_path: Path) -> None:
    folder = tmp_path / "serve-0"
    folder.mkdir()
    (folder / "lock").touch()
    (folder / "key.new").write_text("PRIVATE+KEY+")
    assert trails(tmp_path) == []
    opened(tmp_path).close()
    assert verify(tmp_path).is_intact


# --- what is no interrupted write ---------------------------------------------------------------


def refuses(path: Path, match: str) -> None:
    """It does not open, says where, and changes nothing."""
    before = {each: each.read_bytes() for each in (path / "serve-0").iterdir() if each.is_file()}
    with pytest.raises(TrailDamaged, match=match):
        opened(path)
    after = {each: each.read_bytes() for each in (path / "serve-0").iterdir() if each.is_file()}
    assert after == before
    assert not verify(path).is_intact


def test_bytes_that_are_no_record_before_sound_ones_are_damage(tmp_path: Path) -> None:
    path = killed(tmp_path)
    segment = path / "serve-0" / FIRST
    at, end = list(frames(path / "serve-0"))[-2]
    content = bytearray(segment.read_bytes())
    content[end - 1] ^= 1
    segment.write_bytes(content)
    refuses(path, rf"{FIRST}, byte {at}: .* a sound one follows at byte {end}")


def test_a_cut_below_what_was_signed_is_damage(tmp_path: Path) -> None:
    path = killed(tmp_path, count=0)
    segment = path / "serve-0" / FIRST
    at, _ = list(frames(path / "serve-0"))[-1]
    segment.write_bytes(segment.read_bytes()[: at + 20])
    refuses(path, r"3 records were signed, the trail ends after 2")


def test_a_record_that_does_not_follow_is_damage(tmp_path: Path) -> None:
    path = killed(tmp_path)
    segment = path / "serve-0" / FIRST
    (*_, (before, at), (_, end)) = frames(path / "serve-0")
    content = segment.read_bytes()
    segment.write_bytes(content[:before] + content[at:end] + content[before:at] + content[end:])
    refuses(path, "does not follow")


def test_records_other_than_those_signed_are_damage(tmp_path: Path) -> None:
    path = killed(tmp_path, count=0)
    with opened(tmp_path / "other") as other:
        for _ in range(3):
            other.append(operation())
        shutil.copy(tmp_path / "other" / "serve-0" / FIRST, path / "serve-0" / FIRST)
    refuses(path, "signs others|written with another key")


def test_a_file_shorter_than_the_state_says_is_damage(tmp_path: Path) -> None:
    opened(tmp_path).close()
    segment = tmp_path / "serve-0" / FIRST
    segment.write_bytes(segment.read_bytes()[:-1])
    refuses(tmp_path, "it ends before byte")


def test_bytes_that_are_no_record_at_the_end_of_an_older_segment_are_damage(tmp_path: Path) -> None:
    running = tmp_path / "running"
    opened(running).close()
    with opened(running) as trail:
        for _ in range(200):
            trail.append(operation())
        shutil.copytree(running, tmp_path / "killed")
    segment = tmp_path / "killed" / "serve-0" / FIRST
    size = segment.stat().st_size
    segment.write_bytes(segment.read_bytes() + b"x")
    refuses(tmp_path / "killed", rf"{FIRST}, byte {size}: this is no record")


@pytest.mark.parametrize("name", ["key", "vkey", "checkpoint", FIRST])
def test_a_missing_file_is_damage(tmp_path: Path, name: str) -> None:
    opened(tmp_path).close()
    (tmp_path / "serve-0" / name).unlink()
    refuses(tmp_path, "missing|not the public half|none is there")


@pytest.mark.parametrize("name", ["key", "vkey", "checkpoint"])
def test_an_altered_file_is_damage(tmp_path: Path, name: str) -> None:
    opened(tmp_path).close()
    path = tmp_path / "serve-0" / name
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    refuses(tmp_path, f"{name}: ")


def test_a_trail_of_another_folder_is_damage(tmp_path: Path) -> None:
    opened(tmp_path / "a").close()
    (tmp_path / "b").mkdir()
    shutil.copytree(tmp_path / "a" / "serve-0", tmp_path / "b" / "agent-0")
    assert not verify(tmp_path / "b").is_intact


# --- what it cannot be written to ------------------------------------------------------------


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "trail").write_text("a file")
    with pytest.raises(TrailUnavailable, match=r"cannot be opened: .*File exists"):
        opened(tmp_path / "trail")


def test_a_symbolic_link_in_the_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    opened(tmp_path / "trail").close()
    segment = tmp_path / "trail" / "serve-0" / FIRST
    os.rename(segment, tmp_path / "elsewhere")
    segment.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TrailUnavailable, match="symbolic links"):
        opened(tmp_path / "trail")

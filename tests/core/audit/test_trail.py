"""Appending: what is acknowledged is there, in order, chained, signed, and says nothing it must not."""

import os
import threading
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from tests.core.audit.trails import QUICK, SELDOM, SESSION, Hands, operation, stored

from keyholm.core.audit.note import Checkpoint, VerifyingKey, open_note
from keyholm.core.audit.pool import open_trail
from keyholm.core.audit.records import Closed, Outcome, Refused, Session
from keyholm.core.audit.trail import Trail
from keyholm.core.audit.tree import Tree, leaf_hash
from keyholm.core.audit.verify import verify
from keyholm.core.errors import TrailUnavailable


@pytest.fixture
def trail(tmp_path: Path) -> Iterator[Trail]:
    with open_trail(tmp_path, "serve", settings=QUICK) as opened:
        yield opened


def until(condition: object) -> None:
    end = time.monotonic() + 5
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it never came"
        time.sleep(0.005)


def test_a_record_is_in_the_file_when_append_returns(tmp_path: Path) -> None:
    with open_trail(tmp_path, "serve", settings=SELDOM) as trail:
        number = trail.append(operation())
        facts = stored(tmp_path / "serve-0").facts[number]
    assert facts["seq"] == number
    assert facts["event"] == "operation"
    assert facts["input_length"] == 120


def test_each_record_names_the_hash_of_the_one_before(trail: Trail, tmp_path: Path) -> None:
    for _ in range(50):
        trail.append(operation())
    raw, facts = (found := stored(tmp_path / "serve-0")).raw, found.facts
    assert facts[0]["prev"] == "0" * 64
    for before, after in zip(raw, facts[1:], strict=False):
        assert after["prev"] == sha256(b"\0" + before).hexdigest()
    assert [each["seq"] for each in facts] == list(range(52))


def test_the_first_records_say_whose_trail_it_is(trail: Trail, tmp_path: Path) -> None:
    segment, opened = stored(tmp_path / "serve-0").facts[:2]
    assert segment["event"] == "segment"
    assert segment["peaks"] == []
    assert opened["event"] == "opened"
    assert opened["role"] == "serve"
    assert opened["previous"] == "none"
    assert opened["pid"] == os.getpid()
    vkey = (tmp_path / "serve-0" / "vkey").read_text()
    assert opened["vkey"] == vkey.strip()
    assert opened["origin"] == trail.origin == VerifyingKey.parse(vkey.strip()).name


def test_both_times_are_those_of_the_clock(tmp_path: Path) -> None:
    hands = Hands()
    with open_trail(tmp_path, "serve", settings=SELDOM, clock=hands.clock) as trail:
        hands.turn(5)
        number = trail.append(operation())
        facts = stored(tmp_path / "serve-0").facts[number]
    assert facts["t_wall"] == 1_790_000_005_000_000
    assert facts["t_boot"] == 6_000_000


def test_threads_that_append_at_once_each_get_a_number(trail: Trail, tmp_path: Path) -> None:
    numbers: list[int] = []

    def work(durable: bool) -> None:
        numbers.extend(trail.append(operation(), durable=durable) for _ in range(60))

    threads = [threading.Thread(target=work, args=(place % 2 == 0,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    trail.close()
    facts = stored(tmp_path / "serve-0").facts
    assert sorted(numbers) == [each["seq"] for each in facts if each["event"] == "operation"]
    assert len(numbers) == 480
    assert verify(tmp_path).is_intact


def test_a_durable_record_is_synced_when_append_returns(tmp_path: Path) -> None:
    with open_trail(tmp_path, "serve", settings=SELDOM) as trail:
        trail.append(operation())
        assert trail.status().synced == 0
        number = trail.append(operation(), durable=True)
        assert trail.status().synced == number + 1


def test_what_is_written_is_synced_and_signed_soon_after(trail: Trail, tmp_path: Path) -> None:
    number = trail.append(operation())
    until(lambda: trail.status().signed == number + 1)
    assert trail.status().synced == number + 1


def test_a_checkpoint_signs_the_tree_of_all_records(trail: Trail, tmp_path: Path) -> None:
    for _ in range(300):
        trail.append(operation())
    trail.checkpoint()
    path = tmp_path / "serve-0"
    vkey = VerifyingKey.parse((path / "vkey").read_text().strip())
    checkpoint = Checkpoint.parse(open_note((path / "checkpoint").read_bytes(), vkey).text)
    tree = Tree()
    for record in stored(path).raw:
        tree.add(leaf_hash(record))
    assert (checkpoint.origin, checkpoint.size) == (trail.origin, tree.size)
    assert checkpoint.root == tree.root()


def test_nothing_is_signed_that_is_not_on_the_disk(tmp_path: Path) -> None:
    with open_trail(tmp_path, "serve", settings=SELDOM) as trail:
        trail.append(operation())
        trail.checkpoint()
        status = trail.status()
    assert status.signed == status.synced == 3


def test_a_trail_that_is_left_alone_sleeps(trail: Trail, tmp_path: Path) -> None:
    until(lambda: trail._background.is_idle)
    written = (tmp_path / "serve-0" / "checkpoints").stat().st_size
    time.sleep(0.1)
    assert trail._background.is_idle
    assert (tmp_path / "serve-0" / "checkpoints").stat().st_size == written


def test_closing_is_recorded_and_signed(tmp_path: Path) -> None:
    trail = open_trail(tmp_path, "serve", settings=SELDOM)
    trail.append(operation())
    trail.close("test")
    assert stored(tmp_path / "serve-0").facts[-1]["reason"] == "test"
    report = verify(tmp_path)
    assert report.is_intact
    assert report.trails[0].signed == report.records == 4
    assert not report.trails[0].remarks


def test_a_closed_trail_takes_nothing_and_can_be_closed_again(tmp_path: Path) -> None:
    trail = open_trail(tmp_path, "serve", settings=QUICK)
    trail.close()
    trail.close()
    with pytest.raises(TrailUnavailable, match="was closed"):
        trail.append(operation(), essential=True)
    assert stored(tmp_path / "serve-0").events == ["segment", "opened", "closed"]


def test_a_full_segment_is_followed_by_the_next(trail: Trail, tmp_path: Path) -> None:
    for _ in range(300):
        trail.append(operation())
    trail.close()
    segments = sorted((tmp_path / "serve-0").glob("*.segment"))
    assert len(segments) > 3
    for segment in segments:
        assert segment.stat().st_size <= QUICK.sizes.segment + QUICK.sizes.step
    firsts = [facts["seq"] for facts in stored(tmp_path / "serve-0").facts if "peaks" in facts]
    assert [int(segment.stem) for segment in segments] == firsts
    assert verify(tmp_path).is_intact


def test_files_are_for_their_owner_only(trail: Trail, tmp_path: Path) -> None:
    trail.checkpoint()
    folder = tmp_path / "serve-0"
    assert folder.stat().st_mode & 0o777 == 0o700
    for path in folder.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path.name


def test_a_name_that_is_no_unicode_is_recorded_with_escapes(trail: Trail, tmp_path: Path) -> None:
    odd = os.fsdecode(b"/tmp/\xff\xfe")
    number = trail.append(Session(1, "agent", "direct", 0, 0, 1, exe=odd, parents=(odd,)))
    trail.append(Outcome(number, detail={"label": odd}))
    session, outcome = stored(tmp_path / "serve-0").facts[-2:]
    assert session["exe"] == "/tmp/\\udcff\\udcfe"
    assert session["parents"] == ["/tmp/\\udcff\\udcfe"]
    assert outcome["detail"] == {"label": "/tmp/\\udcff\\udcfe"}


def test_a_record_too_large_for_a_bundle_is_refused_and_nothing_else(trail: Trail) -> None:
    before = trail.status().records
    with pytest.raises(TrailUnavailable, match="bytes long"):
        trail.append(operation(what="x" * 70_000))
    assert trail.status().records == before
    assert trail.append(operation(what="x" * 60_000)) == before


def test_a_record_larger_than_a_step_of_room_finds_it(trail: Trail, tmp_path: Path) -> None:
    trail.append(operation(what="x" * 60_000))
    trail.append(operation())
    trail.close()
    assert verify(tmp_path).is_intact


# --- refusals -----------------------------------------------------------------------------


def test_refusals_beyond_ten_a_second_are_counted(tmp_path: Path) -> None:
    hands = Hands()
    refusal = operation(result="refused", error="PolicyForbids", what="No.")
    with open_trail(tmp_path, "serve", settings=SELDOM, clock=hands.clock) as trail:
        listed = [trail.refuse(refusal, 1000) for _ in range(25)]
        assert [each is not None for each in listed] == [True] * 10 + [False] * 15
        assert trail.refuse(refusal, 1001) is not None, "another caller is not held up"
        hands.turn(1)
        trail.refuse(refusal, 1000)
    refused = [f for f in stored(tmp_path / "serve-0").facts if f.get("result") == "refused"]
    assert len(refused) == 12
    assert refused[-1]["suppressed"] == 15
    assert "suppressed" not in refused[0]


def test_refusals_that_no_other_follows_are_counted_as_well(trail: Trail, tmp_path: Path) -> None:
    refusal = operation(result="refused", error="PolicyForbids", what="No.")
    for _ in range(30):
        trail.refuse(refusal, 1000)

    def counts() -> list[int]:
        facts = stored(tmp_path / "serve-0").facts
        return [each["suppressed"] for each in facts if each["event"] == "refused"]

    until(counts)
    assert counts() == [20]


def test_closing_records_what_was_counted(tmp_path: Path) -> None:
    with open_trail(tmp_path, "serve", settings=SELDOM) as trail:
        for _ in range(12):
            trail.refuse(Refused("agent", "wrong uid", uid=1001), 1001)
    counted, closed = stored(tmp_path / "serve-0").facts[-2:]
    assert counted["suppressed"] == 2
    assert closed["event"] == "closed"


def test_many_callers_share_a_window_rather_than_all_memory(tmp_path: Path) -> None:
    with open_trail(tmp_path, "serve", settings=SELDOM, clock=Hands().clock) as trail:
        for caller in range(1500):
            trail.refuse(Refused("agent", "wrong uid", uid=caller), caller)
        assert len(trail._refusals._windows) <= 1025
    facts = stored(tmp_path / "serve-0").facts
    refused = [each for each in facts if each["event"] == "refused"]
    assert len(refused) == 1024 + 10 + 1
    assert refused[-1]["suppressed"] == 1500 - 1024 - 10


def test_a_record_with_its_defaults_is_small(trail: Trail, tmp_path: Path) -> None:
    trail.append(SESSION)
    trail.append(operation())
    trail.append(Closed("test"))
    assert max(map(len, stored(tmp_path / "serve-0").raw[-3:])) < 600

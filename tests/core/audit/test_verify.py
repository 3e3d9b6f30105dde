"""Verification: what it finds, what it says the trail is worth, and what it cannot find."""

import os
import shutil
import threading
from base64 import b64encode
from pathlib import Path

import pytest
from tests.core.audit.trails import (
    QUICK,
    SELDOM,
    SESSION,
    SIZES,
    frames,
    operation,
    read_with_a_hole,
    stored,
)

from keyholm.core.audit.claims import Copy
from keyholm.core.audit.folder import segment_name
from keyholm.core.audit.frame import frame
from keyholm.core.audit.note import Checkpoint, SigningKey, sign_note
from keyholm.core.audit.pool import open_trail
from keyholm.core.audit.report import Worth
from keyholm.core.audit.trail import Settings
from keyholm.core.audit.tree import Tree, leaf_hash
from keyholm.core.audit.verify import verify

FIRST = segment_name(0)


def write(path: Path, count: int = 20, settings: Settings = SELDOM) -> Path:
    with open_trail(path, "serve", settings=settings) as trail:
        trail.append(SESSION)
        for number in range(count):
            trail.append(operation(latency=number))
            if number % 5 == 4:
                trail.checkpoint()
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return write(tmp_path / "trail")


def findings(home: Path) -> list[str]:
    return [str(each) for each in verify(home).findings]


def segment(home: Path) -> Path:
    return home / "serve-0" / FIRST


# --- changes to records ------------------------------------------------------------------------


def test_a_trail_as_it_was_written_is_intact(home: Path) -> None:
    report = verify(home)
    assert report.is_intact
    assert report.records == report.trails[0].signed == 24
    assert report.trails[0].remarks == []


def test_no_trail_at_all_is_intact_and_empty(tmp_path: Path) -> None:
    assert verify(tmp_path).is_intact
    assert verify(tmp_path / "nowhere").trails == ()


def test_a_changed_record_is_named_with_file_byte_and_number(home: Path) -> None:
    at, _ = list(frames(home / "serve-0"))[7]
    content = segment(home).read_bytes()
    segment(home).write_bytes(content.replace(b'"latency":4', b'"latency":9', 1))
    assert findings(home) == [f"serve-0/{FIRST}, byte {at}, record 7: this is no record"]


def altered(home: Path, old: bytes, new: bytes) -> None:
    """Change a record as somebody does who knows the frames, but has not got the key."""
    records = [record.replace(old, new) for record in stored(home / "serve-0").raw]
    segment(home).write_bytes(b"".join(map(frame, records)))


def test_a_record_changed_with_its_crc_breaks_the_chain(home: Path) -> None:
    altered(home, b'"latency":2', b'"latency":9')
    (found,) = verify(home).findings
    assert (found.record, found.file) == (6, FIRST)
    assert "does not follow record 5 as that one stands" in found.what


def rechained(home: Path, old: bytes, new: bytes) -> bytes:
    """Change a record and mend the chain behind it. Gives the root of the new tree."""
    import hashlib

    mended, last, tree = [], "0" * 64, Tree()
    for record in stored(home / "serve-0").raw:
        head, _, rest = record.replace(old, new).partition(b'"prev":"')
        again = head + b'"prev":"' + last.encode() + rest[64:]
        last = hashlib.sha256(b"\0" + again).hexdigest()
        tree.add(leaf_hash(again))
        mended.append(again)
    segment(home).write_bytes(b"".join(map(frame, mended)))
    return tree.root()


def test_a_chain_that_was_mended_does_not_fit_its_checkpoints(home: Path) -> None:
    rechained(home, b'"latency":4', b'"latency":9')
    (found,) = verify(home).findings
    assert found.record == 7
    assert "not those that a checkpoint signs" in found.what


def test_whoever_has_the_key_can_rewrite_what_is_only_chained(home: Path) -> None:
    """What `chained` is worth, said honestly: nothing against programs of the same user."""
    root = rechained(home, b'"latency":4', b'"latency":9')
    folder = home / "serve-0"
    key = SigningKey.parse((folder / "key").read_text().strip())
    note = sign_note(Checkpoint(key.name, 24, root).text(), key)
    (folder / "checkpoint").write_bytes(note)
    (folder / "checkpoints").write_bytes(note + b"\n")
    (folder / "state").unlink()
    report = verify(home)
    assert report.is_intact
    assert report.trails[0].worth == (Worth.CHAINED,)
    assert not report.is_tamper_evident


def unsigned(home: Path) -> None:
    for name in ("checkpoint", "checkpoints", "state"):
        (home / "serve-0" / name).unlink()


def test_a_number_that_is_not_the_next_is_found_though_all_else_fits(home: Path) -> None:
    rechained(home, b'"seq":9,', b'"seq":8,')
    unsigned(home)
    (found,) = verify(home).findings
    assert (found.record, found.what) == (9, "its number is 8")


def test_a_record_of_another_key_is_found_though_all_else_fits(home: Path) -> None:
    vkey = (home / "serve-0" / "vkey").read_bytes().strip()
    other = str(SigningKey(vkey.split(b"+")[0].decode(), bytes(32)).verifying).encode()
    rechained(home, vkey, other)
    unsigned(home)
    (found,) = verify(home).findings
    assert found.record == 1
    assert "another key" in found.what


def test_a_segment_that_begins_with_another_tree_is_found_though_all_else_fits(
    home: Path,
) -> None:
    rechained(home, b'"peaks":[]', b'"peaks":["00"]')
    unsigned(home)
    (found,) = verify(home).findings
    assert found.record == 0
    assert "the tree it begins with" in found.what


@pytest.mark.parametrize("number", range(24))
def test_a_deleted_record_is_found(home: Path, number: int) -> None:
    records = stored(home / "serve-0").raw
    del records[number]
    segment(home).write_bytes(b"".join(map(frame, records)))
    (found,) = verify(home).findings
    assert (found.file, found.record) == (FIRST, number)


@pytest.mark.parametrize("number", range(23))
def test_swapped_records_are_found(home: Path, number: int) -> None:
    records = stored(home / "serve-0").raw
    records[number], records[number + 1] = records[number + 1], records[number]
    segment(home).write_bytes(b"".join(map(frame, records)))
    (found,) = verify(home).findings
    assert (found.file, found.record) == (FIRST, number)


def test_a_repeated_record_is_found(home: Path) -> None:
    records = stored(home / "serve-0").raw
    records.insert(9, records[8])
    segment(home).write_bytes(b"".join(map(frame, records)))
    (found,) = verify(home).findings
    assert found.record == 9


def test_every_truncation_is_found(home: Path) -> None:
    content = segment(home).read_bytes()
    for length in range(0, len(content), 37):
        segment(home).write_bytes(content[:length])
        found = verify(home).findings
        assert found, length
        assert found[0].file in (FIRST, "segments")
    assert length


def test_zeros_in_the_place_of_the_last_records_are_found(home: Path) -> None:
    at, end = list(frames(home / "serve-0"))[-1]
    content = segment(home).read_bytes()
    segment(home).write_bytes(content[:at] + bytes(end - at))
    (found,) = verify(home).findings
    assert "24 records were signed" in found.what


def test_a_missing_segment_is_found(tmp_path: Path) -> None:
    home = write(tmp_path / "trail", count=400)
    names = sorted(path.name for path in (home / "serve-0").glob("*.segment"))
    assert len(names) > 3
    for name in names:
        copy = tmp_path / name
        shutil.copytree(home, copy)
        (copy / "serve-0" / name).unlink()
        assert findings(copy), name


def test_a_segment_by_another_name_is_found(tmp_path: Path) -> None:
    home = write(tmp_path / "trail", count=120)
    second = sorted((home / "serve-0").glob("*.segment"))[1]
    first = int(second.stem)
    second.rename(second.with_name(segment_name(first + 1)))
    (found,) = verify(home).findings
    assert found.what == f"it should begin with record {first}"


def test_a_segment_that_does_not_begin_as_one_is_found_though_all_else_fits(home: Path) -> None:
    rechained(home, b'"event":"segment"', b'"event":"segment2"')
    unsigned(home)
    assert "does not begin with the tree" in findings(home)[0]


def test_a_record_of_a_newer_format_is_named_as_such(home: Path) -> None:
    altered(home, b'{"v":1,"seq":9,', b'{"v":2,"seq":9,')
    assert "its format is 2; this keyholm knows 1" in findings(home)[0]


# --- changes to what lies beside -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["checkpoint", "checkpoints", "state", "key", "vkey"])
def test_a_changed_file_is_named(home: Path, name: str) -> None:
    path = home / "serve-0" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    assert name in {found.file for found in verify(home).findings}


@pytest.mark.parametrize("name", ["checkpoint", "key", "vkey"])
def test_a_missing_file_is_named(home: Path, name: str) -> None:
    (home / "serve-0" / name).unlink()
    assert (name, "it is missing") in {(f.file, f.what) for f in verify(home).findings}


def test_reordered_checkpoints_are_found(home: Path) -> None:
    path = home / "serve-0" / "checkpoints"
    notes = [note + b"\n\n" for note in path.read_bytes().split(b"=\n\n")]
    assert len(notes) > 3
    listed = path.read_bytes()
    half = listed.index(b"keyholm", 10)
    half = listed.index(b"\n\nkeyholm") + 2
    path.write_bytes(listed[half:] + listed[:half])
    assert "older than the one before it" in findings(home)[0]


def test_an_older_checkpoint_that_was_cut_out_whole_is_not_found(home: Path) -> None:
    """As docs/protocols/trail.md says: all others cover the same records."""
    path = home / "serve-0" / "checkpoints"
    listed = path.read_bytes()
    path.write_bytes(listed[listed.index(b"\n\nkeyholm") + 2 :])
    assert findings(home) == []


def test_an_older_checkpoint_in_the_place_of_the_newest_is_found(home: Path) -> None:
    listed = (home / "serve-0" / "checkpoints").read_bytes()
    first = listed[: listed.index(b"\n\nkeyholm") + 1]
    (home / "serve-0" / "checkpoint").write_bytes(first)
    assert "serve-0/checkpoint: checkpoints has a newer one" in findings(home)


def test_a_state_of_other_records_is_found(home: Path) -> None:
    older = (home / "serve-0" / "state").read_bytes()
    key = SigningKey.parse((home / "serve-0" / "key").read_text().strip())
    text = older.partition(b"\n\n")[0].decode().replace('"ended":true', '"ended":false') + "\n"
    (home / "serve-0" / "state").write_bytes(sign_note(text, key))
    assert verify(home).is_intact
    wrong = text.replace('"offset":', '"offset":1')
    (home / "serve-0" / "state").write_bytes(sign_note(wrong, key))
    assert "serve-0/state, record 24: it does not fit the records" in findings(home)
    (home / "serve-0" / "state").write_bytes(sign_note(text.replace("/state\n", "/other\n"), key))
    assert "serve-0/state: this is not the state of this trail" in findings(home)


def test_a_file_moved_aside_must_stay_as_it_was(home: Path) -> None:
    state = home / "serve-0" / "state"
    state.write_bytes(b"spoilt")
    write(home)
    assert verify(home).is_intact
    (torn,) = (home / "serve-0").glob("torn-*")
    torn.write_bytes(b"other")
    assert "not what was moved aside" in findings(home)[0]
    torn.unlink()
    assert "is missing" in findings(home)[0]


# --- siblings ------------------------------------------------------------------------------------


def pool(tmp_path: Path) -> Path:
    home = write(tmp_path / "trail")
    open_trail(home, "agent", settings=QUICK).close()
    return home


def test_a_trail_that_is_gone_is_missed_by_its_siblings(tmp_path: Path) -> None:
    home = pool(tmp_path)
    shutil.rmtree(home / "serve-0")
    assert "is missing: agent-0 saw 24 records" in findings(home)[0]


def test_a_trail_put_back_contradicts_its_siblings(tmp_path: Path) -> None:
    home = tmp_path / "trail"
    write(home)
    shutil.copytree(home / "serve-0", tmp_path / "old")
    write(home)
    open_trail(home, "agent", settings=QUICK).close()
    assert verify(home).is_intact
    shutil.rmtree(home / "serve-0")
    shutil.copytree(tmp_path / "old", home / "serve-0")
    assert "or the trail was put back: agent-0 saw 47 records" in findings(home)[0]


def test_a_trail_rewritten_with_its_own_key_contradicts_its_siblings(tmp_path: Path) -> None:
    home = pool(tmp_path)
    root = rechained(home, b'"latency":4', b'"latency":9')
    folder = home / "serve-0"
    key = SigningKey.parse((folder / "key").read_text().strip())
    note = sign_note(Checkpoint(key.name, 24, root).text(), key)
    (folder / "checkpoint").write_bytes(note)
    (folder / "checkpoints").write_bytes(note + b"\n")
    (folder / "state").unlink()
    (found,) = findings(home)
    assert "the records are other ones: agent-0 saw 24 records" in found


# --- rollback, and what a witness is worth --------------------------------------------------------


def rolled_back(tmp_path: Path) -> tuple[Path, bytes]:
    """A trail put back whole, and the checkpoints a witness got meanwhile."""
    copies: list[bytes] = []
    settings = Settings(sizes=SIZES, timing=QUICK.timing, witness=copies.append)
    home = write(tmp_path / "trail")
    shutil.copytree(home, tmp_path / "old")
    write(home, settings=settings)
    shutil.rmtree(home)
    shutil.copytree(tmp_path / "old", home)
    return home, b"\n".join(copies)


def test_a_rollback_is_not_found_without_a_witness(tmp_path: Path) -> None:
    """The older trail fits its own older checkpoint. This is why `chained` is called that."""
    home, _ = rolled_back(tmp_path)
    report = verify(home)
    assert report.is_intact
    assert not report.is_tamper_evident


def test_a_rollback_is_found_with_a_witness(tmp_path: Path) -> None:
    home, copies = rolled_back(tmp_path)
    (found,) = verify(home, copies=[Copy("usb", copies)]).findings
    assert "47 records were signed (usb), the trail ends here" in found.what


def test_a_rewritten_trail_is_found_with_a_witness(tmp_path: Path) -> None:
    copies: list[bytes] = []
    settings = Settings(sizes=SIZES, timing=QUICK.timing, witness=copies.append)
    home = write(tmp_path / "trail", settings=settings)
    root = rechained(home, b'"latency":4', b'"latency":9')
    folder = home / "serve-0"
    key = SigningKey.parse((folder / "key").read_text().strip())
    note = sign_note(Checkpoint(key.name, 24, root).text(), key)
    (folder / "checkpoint").write_bytes(note)
    (folder / "checkpoints").write_bytes(note + b"\n")
    (folder / "state").unlink()
    assert verify(home).is_intact
    found = verify(home, copies=[Copy("usb", b"\n".join(copies))]).findings
    assert "not those that a checkpoint signs (usb" in found[0].what


def test_copies_that_agree_make_the_trail_witnessed(tmp_path: Path) -> None:
    copies: list[bytes] = []
    settings = Settings(sizes=SIZES, timing=QUICK.timing, witness=copies.append)
    home = write(tmp_path / "trail", settings=settings)
    text = b"2026-11-24 some log:\n" + b"\n".join(copies) + b"other text\n"
    report = verify(home, copies=[Copy("usb", text)])
    assert report.is_intact
    assert report.trails[0].worth == (Worth.CHAINED, Worth.WITNESSED)
    assert report.trails[0].witnessed == 24
    assert report.is_tamper_evident


def test_a_copy_that_nobody_signed_is_named(home: Path) -> None:
    origin = verify(home).trails[0].origin
    stranger = SigningKey(origin, bytes(32))
    copy = sign_note(Checkpoint(origin, 5, bytes(32)).text(), stranger)
    (found,) = verify(home, copies=[Copy("usb", copy)]).findings
    assert (found.file, found.offset) == ("usb", 0)


def test_a_trail_that_only_a_witness_knows_is_named(home: Path, tmp_path: Path) -> None:
    copy = (home / "serve-0" / "checkpoint").read_bytes()
    report = verify(write(tmp_path / "another"), copies=[Copy("usb", copy)])
    assert "a witness knows this trail, and it is not here" in report.findings[0].what


def test_a_seal_makes_the_trail_sealed(tmp_path: Path) -> None:
    seal = SigningKey("tpm", bytes(32))
    home = write(tmp_path / "trail", settings=Settings(sizes=SIZES, sealers=(seal,)))
    assert verify(home).trails[0].worth == (Worth.CHAINED,)
    report = verify(home, seals=[seal.verifying])
    assert report.trails[0].worth == (Worth.CHAINED, Worth.SEALED)
    assert report.trails[0].sealed == 24


def test_a_seal_that_is_wrong_is_named(tmp_path: Path) -> None:
    seal = SigningKey("tpm", bytes(32))
    home = write(tmp_path / "trail", settings=Settings(sizes=SIZES, sealers=(seal,)))
    path = home / "serve-0" / "checkpoint"
    good = b64encode(seal.sign(path.read_bytes().partition(b"\n\n")[0] + b"\n"))[6:20]
    content = path.read_bytes()
    place = content.rindex(b"tpm ") + 20
    assert good
    changed = content[:place] + (b"A" if content[place : place + 1] != b"A" else b"B")
    path.write_bytes(changed + content[place + 1 :])
    assert "serve-0/checkpoint" in str(verify(home, seals=[seal.verifying]).findings[0])


@pytest.mark.skipif(os.getuid() != 0, reason="contract only: needs root to own a folder as another")
def test_a_folder_of_another_uid_than_the_callers_is_separate(home: Path) -> None:
    os.chown(home / "serve-0", 997, 997)
    assert Worth.SEPARATE_UID in verify(home).trails[0].worth
    os.chown(home / "serve-0", 0, 0)
    assert Worth.SEPARATE_UID not in verify(home).trails[0].worth, "root is a caller"
    os.chown(home / "serve-0", 997, 997)
    os.chmod(home / "serve-0", 0o770)
    assert Worth.SEPARATE_UID not in verify(home).trails[0].worth, "its group may write"


# --- a trail that is being written -----------------------------------------------------------------


PRUNED = Settings(sizes=QUICK.sizes, timing=QUICK.timing, keep=3 * QUICK.sizes.segment)


@pytest.mark.parametrize("settings", [QUICK, PRUNED], ids=["all is kept", "it is pruned"])
def test_a_trail_can_be_verified_while_it_is_written(tmp_path: Path, settings: Settings) -> None:
    done = threading.Event()
    with open_trail(tmp_path, "serve", settings=settings) as trail:

        def work() -> None:
            while not done.is_set():
                trail.append(operation())

        writer = threading.Thread(target=work)
        writer.start()
        try:
            for _ in range(15):
                report = verify(tmp_path)
                assert report.is_intact, report.findings
        finally:
            done.set()
            writer.join()


def test_a_page_that_was_not_there_yet_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_trail(tmp_path, "serve", settings=SELDOM) as trail:
        for _ in range(20):
            trail.append(operation())
        reads = read_with_a_hole(monkeypatch)
        assert verify(tmp_path).findings == ()
        assert reads.count(FIRST) == 2
    reads.clear()
    assert "this is no record" in str(verify(tmp_path).findings[0]), "nobody writes it any more"


def test_what_is_not_signed_yet_is_said(tmp_path: Path) -> None:
    with open_trail(tmp_path, "serve", settings=SELDOM) as trail:
        for _ in range(4):
            trail.append(operation())
        assert verify(tmp_path).trails[0].remarks == ["the last 6 records are not signed yet"]

"""Whatever somebody does to the files: an answer, never a crash, and no change goes unseen."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.core.audit.trails import SELDOM, SESSION, operation, stored

from keyholm.core.audit.folder import segment_name
from keyholm.core.audit.frame import frame
from keyholm.core.audit.pool import open_trail
from keyholm.core.audit.prove import prove
from keyholm.core.audit.records import Management, Outcome
from keyholm.core.audit.recovery import notes
from keyholm.core.audit.search import Search, Wanted
from keyholm.core.audit.verify import verify
from keyholm.core.errors import KeyholmError, TrailDamaged, TrailUnavailable

FILES = (segment_name(0), "checkpoint", "checkpoints", "key", "vkey", "state")
ONE_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def whole() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with open_trail(home, "serve", settings=SELDOM) as trail:
            session = trail.append(SESSION)
            trail.append(operation(session))
            trail.checkpoint()
            trail.append(Outcome(trail.append(Management(session, "control", "lock", "main"))))
        yield home


def use_all(home: Path) -> None:
    """Everything that reads a trail, on one that may hold anything."""
    with Search(home, Wanted(key="a", client="b", host="c", with_life=True)) as search:
        list(search.now())
    with Search(home, Wanted(since=1)) as search:
        for entry in search.now():
            assert isinstance(entry.time, int)
    with contextlib.suppress(KeyholmError):
        prove(home / "serve-0", 3)


def opens_or_refuses(home: Path) -> None:
    with contextlib.suppress(TrailDamaged, TrailUnavailable):
        open_trail(home, "serve", settings=SELDOM).close()


def has_only_lost_whole_ones(content: bytes, changed: bytes) -> bool:
    """An older checkpoint may be gone: the newer ones sign all that it signed."""
    left = list(notes(changed))
    return b"".join(left) == changed and left[-1:] == list(notes(content))[-1:]


@ONE_FOLDER
@given(st.sampled_from(FILES), st.data())
def test_a_piece_cut_out_or_put_in_anywhere_is_seen(
    whole: Path, name: str, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "trail"
        shutil.copytree(whole, home)
        path = home / "serve-0" / name
        content = path.read_bytes()
        start = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(start, min(len(content), start + 300)))
        changed = content[:start] + data.draw(st.binary(max_size=40)) + content[end:]
        path.write_bytes(changed)
        if changed == content or (name.endswith(".segment") and changed.rstrip(b"\0") == content):
            return
        if name != "checkpoints" or not has_only_lost_whole_ones(content, changed):
            assert verify(home).findings
        use_all(home)
        opens_or_refuses(home)


records = st.one_of(
    st.binary(max_size=100),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=8,
    ).map(repr).map(str.encode),
    st.builds(
        lambda event, extra: b'{"v":1,"seq":0,"prev":"%b","t_wall":1,"t_boot":1,"event":"%b",%b}'
        % (b"0" * 64, event.encode(), extra),
        st.sampled_from(["segment", "session", "outcome", "pruned", "recovered", "opened", "new"]),
        st.sampled_from([
            b'"peaks":["zz"]', b'"peaks":3', b'"intent":[1]', b'"session":{}', b'"detail":[]',
            b'"uid":"x"', b'"siblings":[{"origin":1}]', b'"a":' + b"[" * 9000 + b"]" * 9000,
        ]),
    ),
)  # fmt: skip


@ONE_FOLDER
@given(st.lists(records, max_size=4))
def test_sound_frames_around_anything_are_answered(whole: Path, found: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "trail"
        shutil.copytree(whole, home)
        for name in ("checkpoint", "checkpoints", "state"):
            (home / "serve-0" / name).unlink()
        frames = b"".join(map(frame, filter(None, found)))
        (home / "serve-0" / segment_name(0)).write_bytes(frames)
        verify(home)
        use_all(home)
        opens_or_refuses(home)


def test_records_behind_sound_ones_may_be_anything(whole: Path, tmp_path: Path) -> None:
    home = tmp_path / "trail"
    shutil.copytree(whole, home)
    path = home / "serve-0" / segment_name(0)
    path.write_bytes(path.read_bytes() + frame(b'{"v":1,"seq":9}') + frame(b"[]"))
    assert verify(home).findings[0].record == len(stored(home / "serve-0").raw) - 2
    use_all(home)


@pytest.mark.parametrize("name", FILES)
def test_what_cannot_be_read_is_named(whole: Path, tmp_path: Path, name: str) -> None:
    home = tmp_path / "trail"
    shutil.copytree(whole, home)
    path = home / "serve-0" / name
    path.unlink()
    path.mkdir()
    report = verify(home)
    assert name in {finding.file for finding in report.findings}
    assert os.listdir(path) == []
    opens_or_refuses(home)
    if name == FILES[0]:
        with pytest.raises(TrailUnavailable, match="cannot be read"):
            use_all(home)
    else:
        use_all(home)


def test_a_reader_without_permission_is_told(whole: Path, tmp_path: Path) -> None:
    if os.getuid() == 0:
        pytest.skip("contract only: root may read everything")
    home = tmp_path / "trail"
    shutil.copytree(whole, home)
    (home / "serve-0" / segment_name(0)).chmod(0)
    assert "Permission denied" in str(verify(home).findings[0])

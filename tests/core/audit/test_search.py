"""Reading a pool: in order of time, filtered, with the caller of each record."""

from pathlib import Path

import pytest
from tests.core.audit.trails import KEY, SELDOM, Hands, frames, operation, read_with_a_hole

from keyholm.core.audit.folder import segment_name
from keyholm.core.audit.pool import open_trail
from keyholm.core.audit.reading import Entry, Reader
from keyholm.core.audit.records import Destination, Management, Operation, Outcome, Session
from keyholm.core.audit.search import Search, Wanted

OTHER = "ef" * 32
MICRO = 1_000_000


def ssh(pid: int = 100) -> Session:
    return Session(1, "agent", "direct", 1000, 1000, pid, exe="/usr/bin/ssh", command="ssh")


def git() -> Session:
    return Session(2, "agent", "direct", 1000, 1000, 200, exe="/usr/bin/git", unit="ci.service")


def use(session: int, key: str = KEY, **more: object) -> Operation:
    return Operation(session, "agent", "sign", "eddsa", key, "disk", "main", KEY, 10, KEY, **more)  # type: ignore[arg-type]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """serve-0 and agent-0, whose records lie between each other in time."""
    hands = Hands()
    home = tmp_path / "trail"
    with (
        open_trail(home, "serve", settings=SELDOM, clock=hands.clock) as serve,
        open_trail(home, "agent", settings=SELDOM, clock=hands.clock) as agent,
    ):
        hands.turn(1)
        first, second = serve.append(ssh()), agent.append(git())
        made = {"label": "laptop", "algorithm": "ed25519"}
        hands.turn(1)
        intent = serve.append(
            Management(first, "control", "generate", "disk/main", "intent", detail=made)
        )
        serve.append(Outcome(intent, key=KEY))
        hands.turn(1)
        where = Destination("SHA256:host", "host.example")
        serve.append(use(first, purpose="ssh-userauth", user="root", destination=where))
        hands.turn(1)
        agent.append(use(second, OTHER, purpose="sshsig", namespace="git"))
        hands.turn(1)
        serve.append(use(first, result="refused", error="PolicyForbids", what="No."))
        hands.turn(1)
    return home


def found(home: Path, **wanted: object) -> list[Entry]:
    with Search(home, Wanted(**wanted)) as search:  # type: ignore[arg-type]
        return list(search.now())


def said(entries: list[Entry]) -> list[str]:
    return [
        f"{entry.trail} {entry.get('op') or entry.get('action') or entry.event}"
        for entry in entries
    ]


def test_the_pool_reads_as_one_sequence_in_time(home: Path) -> None:
    entries = found(home)
    assert [entry.time for entry in entries] == sorted(entry.time for entry in entries)
    assert said(entries)[2:-2] == [
        "serve-0 generate", "serve-0 generate", "serve-0 sign", "agent-0 sign", "serve-0 sign",
    ]  # fmt: skip


def test_each_use_comes_with_its_caller(home: Path) -> None:
    uses = [entry for entry in found(home) if entry.event == "operation"]
    assert [entry.session["exe"] for entry in uses] == [
        "/usr/bin/ssh", "/usr/bin/git", "/usr/bin/ssh",
    ]  # fmt: skip


def test_an_outcome_comes_with_what_was_announced(home: Path) -> None:
    (outcome,) = (entry for entry in found(home) if entry.event == "outcome")
    assert outcome.get("action") == "generate"
    assert outcome.session["exe"] == "/usr/bin/ssh"


def test_life_is_shown_only_if_asked_for(home: Path) -> None:
    assert not {"session", "segment"} & {entry.event for entry in found(home)}
    assert {"session", "segment"} <= {entry.event for entry in found(home, with_life=True)}


def test_a_key_is_found_by_id_and_by_the_name_it_was_given(home: Path) -> None:
    for key in (KEY, KEY[:8], "laptop"):
        events = [entry.event for entry in found(home, key=key)]
        assert events == ["outcome", "operation", "operation"], key
    assert found(home, key="lap") == []


def test_a_client_is_found_by_program_unit_and_pid(home: Path) -> None:
    assert {entry.trail for entry in found(home, client="git")} == {"agent-0"}
    assert {entry.trail for entry in found(home, client="ci.service")} == {"agent-0"}
    assert {entry.trail for entry in found(home, client="100")} == {"serve-0"}
    assert found(home, client="10") == []


def test_a_destination_is_found_by_name_key_and_user(home: Path) -> None:
    for host in ("host.example", "example", "SHA256:host", "root"):
        (entry,) = found(home, host=host)
        assert entry.get("user") == "root"
    assert found(home, host="SHA256:h") == []


def test_only_refusals(home: Path) -> None:
    (entry,) = found(home, result="refused")
    assert entry.get("what") == "No."


def test_a_time_span_is_cut_out(home: Path) -> None:
    start = found(home)[0].time
    between = found(home, since=start + 3 * MICRO, until=start + 5 * MICRO)
    assert said(between) == ["serve-0 sign", "agent-0 sign"]
    assert between[0].session["exe"] == "/usr/bin/ssh", "its session is older than the span"


def test_what_is_since_a_time_is_found_in_a_long_trail(tmp_path: Path) -> None:
    hands = Hands()
    with open_trail(tmp_path, "serve", settings=SELDOM, clock=hands.clock) as trail:
        session = trail.append(ssh())
        for _ in range(400):
            hands.turn(1)
            trail.append(use(session))
    assert len(list((tmp_path / "serve-0").glob("*.segment"))) > 4
    for ago in (0, 1, 50, 200, 399, 400):
        since = (hands.wall - ago * 10**9) // 1000
        uses = [entry for entry in found(tmp_path, since=since) if entry.event == "operation"]
        assert len(uses) == min(ago + 1, 400)
        assert {entry.session["pid"] for entry in uses} == {100}


def test_a_search_can_be_asked_again_for_what_came_meanwhile(tmp_path: Path) -> None:
    with open_trail(tmp_path, "serve", settings=SELDOM) as trail, Search(tmp_path) as search:
        assert [entry.event for entry in search.now()] == ["opened"]
        assert list(search.now()) == []
        for count in range(150):
            trail.append(operation(latency=count))
        assert [
            entry.get(
                "latency",
            )
            or 0
            for entry in search.now()
        ] == list(range(150))
        open_trail(tmp_path, "agent", settings=SELDOM).close()
        assert said(list(search.now())) == ["agent-0 opened", "agent-0 closed"]


class Enough(Exception):
    pass


def test_following_gives_what_comes_until_the_pause_ends_it(tmp_path: Path) -> None:
    pauses: list[None] = []
    events: list[str] = []
    with open_trail(tmp_path, "serve", settings=SELDOM) as trail, Search(tmp_path) as search:

        def pause() -> None:
            pauses.append(None)
            if len(pauses) > 3:
                raise Enough
            trail.append(operation())

        def follow() -> None:
            for entry in search.follow(pause):
                events.append(entry.event)  # noqa: PERF401 - kept though it ends by an exception

        with pytest.raises(Enough):
            follow()
    assert events == ["opened", "operation", "operation", "operation"]


def test_what_is_no_record_is_counted_and_read_past(home: Path) -> None:
    segment = home / "serve-0" / segment_name(0)
    at, end = list(frames(home / "serve-0"))[3]
    content = bytearray(segment.read_bytes())
    content[at + 30] ^= 1
    segment.write_bytes(content)
    with Search(home) as search:
        entries = list(search.now())
        assert search.unreadable == {"serve-0": end - at}
    assert len([entry for entry in entries if entry.trail == "serve-0"]) == 5


def test_a_record_that_was_not_there_yet_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_trail(tmp_path, "serve", settings=SELDOM) as trail:
        for _ in range(20):
            trail.append(use(trail.append(ssh())))
        read_with_a_hole(monkeypatch)
        reader = Reader(tmp_path / "serve-0")
        count = len(list(frames(tmp_path / "serve-0")))
        assert [entry.seq for entry in reader.read()] == list(range(count))
        assert reader.unreadable == 0
        reader.close()


def test_a_record_is_found_by_its_number(tmp_path: Path) -> None:
    with open_trail(tmp_path, "serve", settings=SELDOM) as trail:
        for _ in range(200):
            trail.append(operation())
    reader = Reader(tmp_path / "serve-0")
    try:
        for number in (0, 1, 57, 58, 59, 150, 204):
            record = reader.record(number)
            assert record is not None
            assert b'"seq":%d,' % number in record
        assert reader.record(10_000) is None
    finally:
        reader.close()

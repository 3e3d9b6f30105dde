"""Is the trail being written, does it hold together, and did the clock jump meanwhile?"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from keyholm.cli.checks.finding import BAD, GOOD, WARNING, Finding, Patient
from keyholm.cli.exit_status import DATA, IO
from keyholm.cli.waiting import waiting

if TYPE_CHECKING:
    from keyholm.core.audit.records import Head

JUMP: Final = 300.0  # seconds; less is what time synchronisation does
RECENT: Final = 20_000  # records that are looked at, of each trail
MICRO: Final = 1e6
SET_CLOCK: Final = "timedatectl set-ntp true"


def trail_is_written(patient: Patient) -> Iterator[Finding]:
    trail = patient.status["trail"] if patient.status else None
    if trail is None:
        return
    if trail["available"]:
        yield Finding(GOOD, "trail", f"It is written; {trail['records']} records so far.")
        return
    what = f"The trail in {trail['directory']} cannot be written."
    why = "What cannot be recorded is refused: no key can be used."
    yield Finding(BAD, "trail", what, why, "keyholm log verify, and see that its disk has room", IO)


def trail_is_whole(patient: Patient) -> Iterator[Finding]:
    if not patient.places.trail.exists():
        return
    from keyholm.core.audit.verify import verify

    with waiting("Verifying the trail"):
        report = verify(patient.places.trail)
    for finding in report.findings:
        why = "A disk failed, or somebody changed it."
        yield Finding(BAD, "trail", str(finding), why, "keyholm log verify", DATA)
    if report.is_intact:
        yield Finding(GOOD, "trail", f"All {report.records} records are as they were written.")


def clock_is_steady(patient: Patient) -> Iterator[Finding]:
    """Each record has the time of day and the time since boot: the two must go alike."""
    for folder in _trails(patient.places.trail):
        newest: Head | None = None
        for head in _recent(folder):
            if newest is not None and (jump := _jump(newest, head)):
                yield _jumped(folder, head, jump)
            newest = head
        if newest is not None and newest.t_wall / MICRO - patient.now > JUMP:
            behind = newest.t_wall / MICRO - patient.now
            what = f"The clock is {behind:.0f} s behind the newest record of {folder.name}."
            why = "Hours, expiry and certificates go by the clock."
            yield Finding(BAD, "clock", what, why, SET_CLOCK, DATA)


def _trails(directory: Path) -> list[Path]:
    try:
        return sorted(path for path in directory.iterdir() if path.is_dir())
    except OSError:
        return []


def _recent(folder: Path) -> "Iterator[Head]":
    """What the newest segment ends with."""
    from collections import deque

    import msgspec

    from keyholm.core.audit.frame import records
    from keyholm.core.audit.records import Head

    segments = sorted(folder.glob("*.segment"))
    if not segments:
        return
    try:
        data = segments[-1].read_bytes()
    except OSError:
        return
    decode = msgspec.json.Decoder(Head).decode
    for _, record in deque(records(data), maxlen=RECENT):
        try:
            yield decode(record)
        except msgspec.DecodeError:  # found and named by `trail_is_whole`
            return


def _jump(before: "Head", after: "Head") -> float:
    """Seconds that the clock gained on the time since boot; 0 across a boot or a small step."""
    if after.t_boot < before.t_boot:
        return 0.0
    gained = ((after.t_wall - before.t_wall) - (after.t_boot - before.t_boot)) / MICRO
    return gained if abs(gained) > JUMP else 0.0


def _jumped(folder: Path, head: "Head", jump: float) -> Finding:
    way = "forward" if jump > 0 else "back"
    return Finding(
        WARNING,
        "clock",
        f"The clock jumped {way} by {abs(jump):.0f} s before record {head.seq} of {folder.name}.",
        "Hours, expiry and certificates go by the clock; lifetimes of ssh-add do not.",
        SET_CLOCK,
        DATA,
    )

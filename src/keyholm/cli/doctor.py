"""The command doctor: each check looks at one thing, and says what, why and what to do."""

import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from keyholm.cli import output
from keyholm.client import connect, socket_path
from keyholm.core.errors import DaemonNotRunning, KeyholmError

MAX_AUTH_TRIES: Final = 6  # sshd's default
NEARLY_FULL: Final = 64 * 1024 * 1024  # bytes left
CLOCK_SLACK: Final = 300.0  # seconds


class Finding(NamedTuple):
    level: str  # good, note, bad
    check: str
    what: str
    why: str = ""
    do: str = ""


class Patient(NamedTuple):
    """What the checks look at; `status` is None where no daemon answers."""

    places: Any
    status: dict[str, Any] | None
    trouble: KeyholmError | None
    prompt: bool


def add_doctor(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "doctor", description="Look for what is wrong. Status 1: something is."
    )
    parser.add_argument("--no-prompt", action="store_true", help="do not test the prompters")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=doctor)


def doctor(options: Any) -> int:
    from keyholm.daemon import places

    found = places.find(os.environ)
    status, trouble = None, None
    try:
        with connect(timeout=10) as client:
            status = client.status()
    except KeyholmError as error:
        trouble = error
    patient = Patient(found, status, trouble, not options.no_prompt)
    findings = [finding for check in CHECKS for finding in check(patient)]
    if options.json:
        output.as_json({"findings": [finding._asdict() for finding in findings]})
    else:
        for finding in findings:
            _print(finding)
    return 1 if any(finding.level == "bad" for finding in findings) else 0


def _print(finding: Finding) -> None:
    colour = {"good": output.GREEN, "note": output.YELLOW, "bad": output.RED}[finding.level]
    mark = {"good": "ok", "note": "note", "bad": "BAD"}[finding.level]
    print(f"{output.painted(f'{mark:4}', colour)}  {finding.check}: {output.shown(finding.what)}")
    if finding.why:
        print(f"      why: {output.shown(finding.why)}")
    if finding.do:
        print(f"       do: {output.shown(finding.do)}")


# --- the daemon and its sockets ------------------------------------------------------


def daemon_answers(patient: Patient) -> Iterator[Finding]:
    if patient.status is not None:
        told = f"version {patient.status['version']}, process {patient.status['pid']}"
        yield Finding("good", "daemon", told)
        return
    path = socket_path()
    trouble = patient.trouble
    if isinstance(trouble, DaemonNotRunning) and os.path.exists(path):
        yield Finding(
            "bad",
            "daemon",
            "it does not answer",
            f"{path} is there, but nobody listens: the daemon ended without removing it",
            "keyholm serve",
        )
        return
    why = trouble.what if trouble else ""
    yield Finding("bad", "daemon", "none is running", why, "keyholm serve")


def sockets_are_private(patient: Patient) -> Iterator[Finding]:
    for path, most in ((patient.places.run, 0o700), (patient.places.data, 0o700)):
        try:
            facts = os.lstat(path)
        except OSError:
            continue
        mode = stat.S_IMODE(facts.st_mode)
        if patient.places.system or (mode & ~most == 0 and facts.st_uid in (0, os.getuid())):
            continue
        yield Finding(
            "bad",
            "permissions",
            f"{path} has mode {mode:04o} and belongs to uid {facts.st_uid}",
            "others could put files of theirs in the place of ours",
            f"chmod 700 {path}",
        )


def agent_is_ours(patient: Patient) -> Iterator[Finding]:
    named = os.environ.get("SSH_AUTH_SOCK", "")
    ours = str(patient.places.socket("ssh"))
    if named and os.path.realpath(named) == os.path.realpath(ours):
        yield Finding("good", "SSH_AUTH_SOCK", "it names keyholm's agent")
    elif not named:
        do = 'eval "$(keyholm env)", or IdentityAgent in ~/.ssh/config (keyholm ssh-config)'
        yield Finding("note", "SSH_AUTH_SOCK", "it is not set", "ssh finds no agent", do)
    else:
        who = _listener(named)
        yield Finding(
            "note" if who else "bad",
            "SSH_AUTH_SOCK",
            f"it names {named}, not keyholm",
            f"{who} answers there" if who else "nobody answers there: a stale socket",
            'eval "$(keyholm env)"',
        )


def _listener(path: str) -> str:
    """Which program answers at a socket, as the kernel knows it."""
    import socket
    import struct

    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(2)
        try:
            probe.connect(path)
            size = struct.calcsize("3i")
            raw = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        except OSError:
            return ""
    pid: int = struct.unpack("3i", raw)[0]
    try:
        with open(f"/proc/{pid}/comm") as file:
            return f"{file.read().strip()} (process {pid})"
    except OSError:
        return f"process {pid}"


# --- keys ----------------------------------------------------------------------------


def few_enough_keys(patient: Patient) -> Iterator[Finding]:
    if patient.status is None:
        return
    with connect(timeout=10) as client:
        count = len(client.keys())
    if count <= MAX_AUTH_TRIES:
        yield Finding("good", "keys", f"{count}, which a server's MaxAuthTries allows")
        return
    yield Finding(
        "note",
        "keys",
        f"{count} keys are offered to every server",
        f"sshd ends after MaxAuthTries {MAX_AUTH_TRIES}: Too many authentication failures",
        "keyholm ssh-config HOST=KEY ... >> ~/.ssh/config",
    )


def tokens_are_whole(patient: Patient) -> Iterator[Finding]:
    for token in (patient.status or {}).get("tokens", ()):
        name = f"{token['store']}/{token['name']}"
        for damage in token["damage"]:
            do = "restore it from a backup: keyholm restore FILE"
            yield Finding("bad", "store", f"{name}: {damage}", "", do)
        if token["store"] == "disk" and not token["guarded"]:
            why = "whoever reads its files has its keys"
            yield Finding("note", "store", f"{name} has no passphrase", why)
        if token["locked"]:
            yield Finding(
                "note", "store", f"{name} is locked", "", f"keyholm unlock {token['name']}"
            )


# --- trail, disk, clock --------------------------------------------------------------


def trail_is_whole(patient: Patient) -> Iterator[Finding]:
    if not patient.places.trail.exists():
        return
    from keyholm.cli.log import damage

    found = damage(patient.places.trail)
    for each in found:
        yield Finding(
            "bad", "trail", each, "it was changed, or a disk failed", "keyholm log verify"
        )
    if not found:
        yield Finding("good", "trail", "every record is where it was written")


def disk_has_room(patient: Patient) -> Iterator[Finding]:
    try:
        facts = os.statvfs(patient.places.data)
    except OSError:
        return
    left = facts.f_bavail * facts.f_frsize
    if left < NEARLY_FULL:
        yield Finding(
            "bad",
            "disk",
            f"{left >> 20} MiB are left in {patient.places.data}",
            "what cannot be recorded is refused",
            "make room",
        )


def clock_is_steady(patient: Patient) -> Iterator[Finding]:
    """Against the newest file of the trail: time that went backwards shows there."""
    try:
        newest = max(
            (path.stat().st_mtime for path in patient.places.trail.rglob("*")), default=0.0
        )
    except OSError:
        return
    ahead = newest - time.time()
    if ahead > CLOCK_SLACK:
        yield Finding(
            "bad",
            "clock",
            f"it is {ahead:.0f} s behind the newest record",
            "expiry, hours and certificates go by it",
            "set the clock, for instance by systemd-timesyncd",
        )


# --- prompters -----------------------------------------------------------------------


def somebody_can_be_asked(patient: Patient) -> Iterator[Finding]:
    if patient.status is None:
        return
    prompters = patient.status["prompters"]
    ready = [name for name, why in prompters.items() if not why]
    for name, why in prompters.items():
        if why:
            yield Finding("note", "prompter", f"{name} cannot ask", why)
    if not ready:
        yield Finding(
            "bad",
            "prompter",
            "nobody can be asked for consent or a passphrase",
            "keys that want it are refused",
            "set SSH_ASKPASS for the daemon, or prompters.pinentry in the configuration",
        )
    elif patient.prompt and sys.stdin.isatty():
        yield _tested()


def _tested() -> Finding:
    with connect(timeout=90) as client:
        try:
            answer = client.call("prompt.test")
        except KeyholmError as error:
            return Finding("bad", "prompter", "the test failed", error.what, error.remedy)
    return Finding("good", "prompter", f"{answer['prompter']} asked, and was answered")


CHECKS: Final[tuple[Callable[[Patient], Iterator[Finding]], ...]] = (
    daemon_answers,
    sockets_are_private,
    agent_is_ours,
    few_enough_keys,
    tokens_are_whole,
    trail_is_whole,
    disk_has_room,
    clock_is_steady,
    somebody_can_be_asked,
)

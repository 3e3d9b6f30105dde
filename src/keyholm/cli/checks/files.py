"""Are the files ours alone, whole, and is there room for more?"""

import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from keyholm.cli.checks.finding import BAD, GOOD, WARNING, Finding, Patient
from keyholm.cli.exit_status import DATA, IO, NOT_ALLOWED

NEARLY_FULL: Final = 64 << 20  # bytes left: the reserve of the trail, and some
NEARLY_FULL_SHARE: Final = 0.02
FEW_INODES: Final = 1000


def files_are_private(patient: Patient) -> Iterator[Finding]:
    places = patient.places
    folders = (places.config.parent, places.data, places.run, places.store, places.trail)
    found = False
    for path in (places.config, *folders):
        for finding in _private(path, patient.places.system):
            found = True
            yield finding
    ssh = Path(patient.environment.get("HOME", "/")) / ".ssh"
    for path in (ssh, ssh / "config"):
        yield from _only_we_write(path, "ssh ignores it, or takes what somebody else put there.")
    if not found and places.data.exists():
        yield Finding(GOOD, "permissions", "Nobody else can read or write keyholm's files.")


def _private(path: Path, system: bool) -> Iterator[Finding]:
    yield from _only_we_write(path, "Others could put files of theirs in the place of ours.")
    facts = _facts(path)
    if facts is None or system or not stat.S_ISDIR(facts.st_mode):
        return
    mode = stat.S_IMODE(facts.st_mode)
    if mode & 0o077 & ~0o022 and path.name in ("store", "trail", "data", "run"):
        what = f"{path} has mode {mode:04o}: others can look into it."
        why = "The names of keys and the records of their use are not for others."
        yield Finding(BAD, "permissions", what, why, f"chmod 700 {_quoted(path)}", NOT_ALLOWED)


def _only_we_write(path: Path, why: str) -> Iterator[Finding]:
    facts = _facts(path)
    if facts is None:
        return
    name = _quoted(path)
    if facts.st_uid not in (0, os.getuid()):
        what = f"{path} belongs to uid {facts.st_uid}."
        yield Finding(
            BAD, "permissions", what, why, f"sudo chown {os.getuid()} {name}", NOT_ALLOWED
        )
    elif facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        what = f"Others can write to {path}."
        yield Finding(BAD, "permissions", what, why, f"chmod go-w {name}", NOT_ALLOWED)


def _facts(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def disk_has_room(patient: Patient) -> Iterator[Finding]:
    try:
        facts = os.statvfs(patient.places.data)
    except OSError:
        return
    left = facts.f_bavail * facts.f_frsize
    size = facts.f_blocks * facts.f_frsize
    why = "What cannot be recorded is refused, and keys cannot be changed."
    remedy = "keyholm log --help (how to keep less), or make room on that disk"
    if facts.f_flag & os.ST_RDONLY:
        what = f"{patient.places.data} is on a file system that is mounted read-only."
        yield Finding(BAD, "disk", what, why, f"mount -o remount,rw {patient.places.data}", IO)
    elif left < min(NEARLY_FULL, size * NEARLY_FULL_SHARE) or left < NEARLY_FULL:
        what = f"{left >> 20} MiB are left for {patient.places.data}."
        yield Finding(BAD, "disk", what, why, remedy, IO)
    elif facts.f_files and facts.f_favail < FEW_INODES:
        what = f"Only {facts.f_favail} more files can be made where {patient.places.data} is."
        yield Finding(BAD, "disk", what, why, remedy, IO)


def store_is_whole(patient: Patient) -> Iterator[Finding]:
    if patient.status is None:
        return
    restore = "keyholm restore FILE makes a new token from your backup"
    bad = False
    for name, reason in patient.status["damage"].items():
        bad = True
        yield Finding(
            BAD, "store", f"The token {name} cannot be opened: {reason}", "", restore, DATA
        )
    for token in patient.status["tokens"]:
        for damage in token["damage"]:
            bad = True
            what = f"{token['store']}/{token['name']}: {damage}"
            why = "A disk failed, or somebody changed the files of the store."
            yield Finding(BAD, "store", what, why, restore, DATA)
    if not bad:
        yield Finding(GOOD, "store", "Every file of every token is as it was written.")


def tokens_are_guarded(patient: Patient) -> Iterator[Finding]:
    for token in patient.status["tokens"] if patient.status else ():
        if token["store"] != "disk":
            continue  # its maker guards it
        name = f"disk/{token['name']}"
        if not token["guarded"]:
            why = "Whoever reads its files, or a backup of your disk, has its keys."
            remedy = "keyholm token new NAME; make new keys there"
            yield Finding(WARNING, "store", f"No passphrase protects {name}.", why, remedy)
        elif not any(slot["kind"] == "recovery" for slot in token["slots"]):
            why = "When its passphrase is forgotten its keys are lost."
            remedy = f"keyholm passwd {token['name']} --recovery"
            yield Finding(WARNING, "store", f"{name} has no recovery code.", why, remedy)

"""Is there a daemon, and is it what it should be?"""

import os
from collections.abc import Iterator
from typing import Final

from keyholm.cli.checks.finding import BAD, GOOD, WARNING, Finding, Patient
from keyholm.cli.exit_status import CONFIGURATION, UNAVAILABLE, exit_status
from keyholm.core.errors import DaemonNotRunning, KeyholmError
from keyholm.version import VERSION

START: Final = "keyholm serve"
# What `keyholm status` says where the kernel gave all that the daemon asked for.
WANTED: Final = {
    "memory": ("closed to other programs", "another program of this user could read its memory"),
    "core dumps": ("off", "a crash would write keys to the disk"),
    "seccomp": ("on", "it could start programs and open connections"),
}


def daemon_answers(patient: Patient) -> Iterator[Finding]:
    if patient.status is not None:
        told = f"version {patient.status['version']}, process {patient.status['pid']}"
        yield Finding(GOOD, "daemon", f"It runs: {told}.")
        return
    path = patient.places.socket("control")
    trouble = patient.trouble
    if trouble is not None and not isinstance(trouble, DaemonNotRunning):
        yield Finding(
            BAD, "daemon", trouble.what, "", trouble.remedy or START, exit_status(trouble)
        )
    elif os.path.exists(path):
        why = f"{path} is there and nobody listens: the daemon ended without removing it."
        yield Finding(BAD, "daemon", "It does not answer.", why, START, UNAVAILABLE)
    elif not patient.places.store.exists():
        why = f"There is no home in {patient.places.data} yet."
        yield Finding(BAD, "daemon", "None is running.", why, "keyholm init", UNAVAILABLE)
    else:
        why = f"There is no socket {path}."
        yield Finding(BAD, "daemon", "None is running.", why, START, UNAVAILABLE)


def versions_agree(patient: Patient) -> Iterator[Finding]:
    if patient.status is None or patient.status["version"] == VERSION:
        return
    yield Finding(
        WARNING,
        "version",
        f"The daemon is version {patient.status['version']}, this command is {VERSION}.",
        "It was started before keyholm was updated.",
        f"kill {patient.status['pid']}; {START}",
        UNAVAILABLE,
    )


def sandbox_is_closed(patient: Patient) -> Iterator[Finding]:
    if patient.status is None:
        return
    missing = [
        (part, why)
        for part, (wanted, why) in WANTED.items()
        if patient.status["sandbox"].get(part, wanted) != wanted
    ]
    if patient.status["sandbox"].get("landlock") == "none":
        missing.append(("landlock", "it could read and write every file of its user"))
    for part, why in missing:
        what = f"The daemon runs without this protection: {part}."
        yield Finding(WARNING, "sandbox", what, f"Without it {why}; the kernel has it not.")
    isolation = patient.status.get("isolation", "full")
    if not isolation.startswith("full"):
        yield Finding(
            WARNING,
            "isolation",
            f"Vendors' modules are kept in less well than they could be: {isolation}.",
            "One that was taken over could connect to sockets and signal programs of this user; "
            "a crash is still its own.",
            "Let keyholm make user namespaces: `sysctl user.max_user_namespaces "
            "kernel.unprivileged_userns_clone kernel.apparmor_restrict_unprivileged_userns` "
            "shows what forbids them.",
        )
    if not patient.status["memory_locked"]:
        yield Finding(
            WARNING,
            "memory",
            "Secrets may be swapped out.",
            "RLIMIT_MEMLOCK is too low for all of them.",
            "ulimit -l unlimited; keyholm serve",
        )
    if not patient.status["steward"]:
        yield Finding(
            BAD,
            "steward",
            "The daemon's steward has ended.",
            "Without it nobody can be asked, and no program is known by its name.",
            f"kill {patient.status['pid']}; {START}",
            UNAVAILABLE,
        )


def configuration_is_good(patient: Patient) -> Iterator[Finding]:
    from keyholm.daemon import configuration

    try:
        configuration.read(patient.places.config)
    except KeyholmError as error:
        yield Finding(BAD, "configuration", error.what, "", error.remedy, CONFIGURATION)

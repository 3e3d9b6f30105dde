"""`keyholm doctor`: looks for what is wrong, and says what, why and what to do."""

import os
import sys
from argparse import Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from keyholm.cli.checks import (
    daemon,
    files,
    module,
    programs,
    prompters,
    sockets,
    ssh,
    tpm,
    trail,
    vendors,
)
from keyholm.cli.checks.finding import BAD, Check, Finding, Patient, shown
from keyholm.cli.output import print_json
from keyholm.cli.parser import add_json
from keyholm.client import connect
from keyholm.core.errors import KeyholmError

if TYPE_CHECKING:
    from keyholm.cli.parser import Subparsers

PATIENCE: Final = 10.0  # seconds for the daemon to answer
CHECKS: Final[tuple[Check, ...]] = (
    daemon.daemon_answers,
    daemon.versions_agree,
    daemon.configuration_is_good,
    daemon.sandbox_is_closed,
    sockets.agent_is_ours,
    sockets.none_is_stale,
    ssh.few_enough_keys,
    module.door_answers,
    module.module_is_good,
    module.other_agents_take_it,
    vendors.modules_work,
    vendors.installed_ones_are_known,
    programs.programs_know_keyholm,
    programs.known_once,
    programs.nss_knows_once,
    programs.root_is_heard,
    files.files_are_private,
    files.store_is_whole,
    files.tokens_are_guarded,
    files.disk_has_room,
    tpm.tpm_may_be_used,
    trail.trail_is_written,
    trail.trail_is_whole,
    trail.clock_is_steady,
    prompters.somebody_can_be_asked,
)


def add_parser(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser(
        "doctor",
        description="Look for what is wrong, and say what, why and what to do. The exit status "
        "is 0 if nothing is bad, else that of the first bad finding.",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--prompt", action="store_true", help="ask a question, to see if that works")
    how.add_argument("--no-prompt", action="store_true", help="ask nothing, even on a terminal")
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: Namespace) -> int:
    findings = list(examine(_patient(asks=_may_ask(arguments))))
    if arguments.json:
        print_json({"findings": [finding._asdict() for finding in findings]})
    else:
        for finding in findings:
            sys.stdout.write(shown(finding))
    bad = [finding.status for finding in findings if finding.level == BAD]
    return bad[0] if bad else 0


def _may_ask(arguments: Namespace) -> bool:
    if arguments.prompt or arguments.no_prompt:
        return bool(arguments.prompt)
    return sys.stdin.isatty() and sys.stdout.isatty()


def _patient(*, asks: bool) -> Patient:
    from time import time

    from keyholm.daemon import places

    found = places.find(os.environ)
    status = trouble = None
    keys: tuple[dict[str, object], ...] = ()
    try:
        with connect(timeout=PATIENCE) as client:
            status = client.status()
            keys = tuple(client.keys())
    except KeyholmError as error:
        trouble = error
    return Patient(found, os.environ, status, keys, trouble, asks, time())


def examine(patient: Patient) -> Iterator[Finding]:
    for check in CHECKS:
        yield from check(patient)

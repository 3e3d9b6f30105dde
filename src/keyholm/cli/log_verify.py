"""`keyholm log verify`: is the trail what was written, and what is that worth?"""

import sys
from argparse import Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from keyholm.cli.exit_status import DATA
from keyholm.cli.log_where import add_directory, directory, read
from keyholm.cli.output import Style, amount, print_json, printable
from keyholm.cli.parser import add_json

if TYPE_CHECKING:
    from keyholm.cli.parser import Subparsers
    from keyholm.core.audit.report import Report, TrailReport


def add_verify(actions: "Subparsers") -> None:
    verify = actions.add_parser(
        "verify",
        description="Check every record, the chain, the tree and the signatures, and say what "
        "the trail is worth. Status 65: it is damaged.",
    )
    verify.add_argument(
        "--witness",
        action="append",
        default=[],
        metavar="FILE",
        help="checkpoints that somebody else kept (- is standard input); may be repeated",
    )
    add_json(verify)
    add_directory(verify)
    verify.set_defaults(run=run_verify)


def run_verify(arguments: Namespace) -> int:
    from keyholm.core.audit.claims import Copy
    from keyholm.core.audit.verify import verify

    copies = [Copy(name, read(name)) for name in arguments.witness]
    report = verify(directory(arguments), copies=copies)
    if arguments.json:
        print_json(_as_json(report))
    else:
        sys.stdout.write(_told(report))
    return 0 if report.is_intact else DATA


def _told(report: "Report") -> str:
    if not report.trails and report.is_intact:
        return "There is no trail yet.\n"
    style = Style(sys.stdout)
    lines = [line for each in report.trails for line in _told_trail(each, style)]
    inside = {finding for each in report.trails for finding in each.findings}
    lines += [
        f"  {style.bad(printable(str(each)))}" for each in report.findings if each not in inside
    ]
    if report.is_intact:
        lines.append(style.good(f"Intact: {amount(report.records, 'record')}."))
        lines += _told_worth(report)
    else:
        found = amount(len(report.findings), "place is", "places are")
        lines.append(style.bad(f"DAMAGED: {found} not as written. Keep the folder as it is."))
    return "\n".join(lines) + "\n"


def _told_trail(trail: "TrailReport", style: Style) -> Iterator[str]:
    held = amount(trail.records - trail.first, "record")
    yield f"{style.strong(trail.name)}  {held}, {trail.signed} signed, {printable(trail.origin)}"
    yield from (f"  {style.bad(printable(str(finding)))}" for finding in trail.findings)
    yield from (f"  {printable(remark)}" for remark in trail.remarks)


def _told_worth(report: "Report") -> Iterator[str]:
    from keyholm.core.audit.report import MEANING

    shared = [worth for worth in MEANING if all(worth in each.worth for each in report.trails)]
    for worth in shared:
        yield f"  {worth}: {MEANING[worth]}"
    if not report.is_tamper_evident:
        yield "  Not evidence against this user's own programs: docs/protocols/trail.md, Worth."


def _as_json(report: "Report") -> dict[str, Any]:
    return {
        "intact": report.is_intact,
        "tamper_evident": report.is_tamper_evident,
        "records": report.records,
        "trails": [
            {
                "name": each.name,
                "origin": each.origin,
                "first": each.first,
                "records": each.records,
                "signed": each.signed,
                "sealed": each.sealed,
                "witnessed": each.witnessed,
                "worth": list(each.worth),
                "remarks": each.remarks,
            }
            for each in report.trails
        ],
        "findings": [
            {
                "trail": each.trail,
                "file": each.file,
                "byte": each.offset,
                "record": each.record,
                "what": each.what,
            }
            for each in report.findings
        ],
    }

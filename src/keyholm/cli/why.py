"""`keyholm why`: the last refusals, told with their reason, whoever it was that was refused.

It reads the trail itself, so it answers also when the daemon does not run.
"""

import os
import sys
from argparse import ArgumentTypeError, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from keyholm.cli.output import Style, print_json, printable, when
from keyholm.cli.parser import add_json

if TYPE_CHECKING:
    from keyholm.cli.parser import Subparsers

MOST: Final = 1000
MICRO: Final = 1e6
# A `keyholm` command that is asked for a passphrase is refused first; that is no news.
NO_NEWS: Final = "ProofNeeded"

Record = dict[str, Any]


def add_parser(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser(
        "why",
        description="Tell the last refusals and failures of every door, the newest last, with "
        "what to do. ssh itself only says 'agent refused operation'.",
    )
    parser.add_argument("-n", type=_count, default=3, metavar="COUNT", help="how many (3)")
    parser.add_argument("--all", action="store_true", help="also commands that asked for proof")
    add_json(parser)
    parser.set_defaults(run=run)


def _count(text: str) -> int:
    if text.isdecimal() and 0 < int(text) <= MOST:
        return int(text)
    raise ArgumentTypeError(f"{text!r} is not a number from 1 to {MOST}")


def run(arguments: Namespace) -> int:
    from keyholm.daemon import places

    found = refusals(places.find(os.environ).trail, arguments.n, proof=arguments.all)
    if arguments.json:
        print_json({"refusals": found})
    elif not found:
        print("Nothing was refused.")
    else:
        sys.stdout.write("\n".join(map(_told, found)))
    return 0


def refusals(directory: Path, count: int, *, proof: bool = False) -> list[Record]:
    """The last `count` of all trails, oldest first, each with its session and its intent."""
    found: list[Record] = []
    for folder in sorted(path for path in directory.glob("*") if path.is_dir()):
        found += _of_trail(folder, count, proof)
    return sorted(found, key=lambda record: int(record["t_wall"]))[-count:]


def _of_trail(folder: Path, count: int, proof: bool) -> list[Record]:
    found: list[Record] = []
    known: dict[int, Record] = {}  # sessions and intents, which others name by their number
    for segment in sorted(folder.glob("*.segment"), reverse=True):
        before = len(found)
        for record in _records(segment):
            if record["event"] == "session" or record.get("result") == "intent":
                known[record["seq"]] = record
            elif record.get("error") and (proof or record["error"] != NO_NEWS):
                found.append({"trail": folder.name, **record})
        # Segments are read backwards, each forwards: what is oldest stands first.
        found = found[before:] + found[:before]
        missing = any(_named(record) not in known for record in found[-count:])
        if len(found) >= count and not missing:
            break
    for record in found[-count:]:
        _complete(record, known)
    return found[-count:]


def _named(record: Record) -> int:
    return int(record.get("intent") or record.get("session") or 0)


def _complete(record: Record, known: dict[int, Record]) -> None:
    intent = known.get(record.get("intent", 0), {})
    for field in ("door", "action", "target", "session"):
        if field in intent:
            record.setdefault(field, intent[field])
    session = known.get(record.get("session", 0), {})
    record["client"] = {
        field: session[field]
        for field in ("uid", "pid", "exe", "command", "via")
        if field in session
    }


def _records(segment: Path) -> Iterator[Record]:
    import json

    from keyholm.core.audit.frame import records

    try:
        data = segment.read_bytes()
    except OSError:
        return
    for _, record in records(data):
        try:
            yield json.loads(record)
        except ValueError:  # `keyholm log verify` names it
            return


def _told(record: Record) -> str:
    style = Style(sys.stdout)
    client = record["client"]
    program = client.get("exe") or client.get("command") or "an unknown program"
    what = record.get("op") or record.get("action") or record.get("reason") or "connect"
    purpose = record.get("namespace") or record.get("user") or ""
    at = when(record["t_wall"] / MICRO)
    head = f"{at}  {what}{f' ({purpose})' if purpose else ''} by {program}"
    if "pid" in client:
        head += f", process {client['pid']}"
    lines = [
        style.strong(printable(head)),
        f"  {style.bad(record['error'])} at the {record.get('door', '?')} door",
        f"  {printable(record.get('what', ''))}",
    ]
    if more := record.get("suppressed"):
        lines.append(f"  and {more} more like it, which were only counted")
    return "\n".join(lines) + "\n"

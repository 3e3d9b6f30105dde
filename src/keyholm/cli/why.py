"""`keyholm why`: the last refusals, told with their reason, whoever it was that was refused.

It reads the trail itself, so it answers also when the daemon does not run.
"""

import os
import sys
from argparse import ArgumentTypeError, Namespace
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from keyholm.cli.output import Style, print_json, printable, when
from keyholm.cli.parser import add_json

if TYPE_CHECKING:
    from keyholm.cli.parser import Subparsers
    from keyholm.core.audit.reading import Entry

MOST: Final = 1000
LOOK_BACK: Final = (3600, 86_400, 30 * 86_400, 0)  # seconds; 0: all there is
ANNOUNCED: Final = ("door", "action", "target", "session")
CLIENT: Final = ("uid", "pid", "exe", "command", "via")
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
    """The last `count`, oldest first, each with its client and the name of its key."""
    from time import time

    now = time()
    found: list[Record] = []
    # A long trail is not read whole for what is mostly near its end.
    for span in LOOK_BACK:
        since = int((now - span) * MICRO) if span else 0
        found = list(deque(_since(directory, since, proof), maxlen=count))
        if len(found) == count:
            break
    return found


def _since(directory: Path, since: int, proof: bool) -> Iterator[Record]:
    from keyholm.core.audit.search import Search, Wanted

    if not directory.is_dir():
        return
    with Search(directory, Wanted(since=since)) as search:
        for entry in search.now():
            error = entry.fields.get("error")
            if error and (proof or error != NO_NEWS):
                name = search.names.of.get(str(entry.get("key") or ""), "")
                yield _completed(entry, name)


def _completed(entry: "Entry", name: str) -> Record:
    """The record, with what stands in the records that it names."""
    announced: Record = {field: entry.intent[field] for field in ANNOUNCED if field in entry.intent}
    client: Record = {field: entry.session[field] for field in CLIENT if field in entry.session}
    return {"trail": entry.trail, **announced, **entry.fields, "name": name, "client": client}


def _told(record: Record) -> str:
    style = Style(sys.stdout)
    client = record["client"]
    program = client.get("exe") or client.get("command") or "an unknown program"
    what = record.get("op") or record.get("action") or record.get("reason") or "connect"
    purpose = record.get("namespace") or record.get("user") or ""
    head = f"{when(record['t_wall'] / MICRO)}  {what}"
    head += f" ({purpose})" if purpose else ""
    head += f" with {record['name']}" if record["name"] else ""
    head += f" by {program}"
    head += f", process {client['pid']}" if "pid" in client else ""
    lines = [
        style.strong(printable(head)),
        f"  {style.bad(record['error'])} at the {record.get('door', '?')} door",
        f"  {printable(record.get('what', ''))}",
    ]
    if more := record.get("suppressed"):
        lines.append(f"  and {more} more before it, which were only counted")
    return "\n".join(lines) + "\n"

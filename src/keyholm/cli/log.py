"""`keyholm log`: what the trail tells; verify it, prove a record, export it.

It reads the trail itself: no daemon is needed, and none can tell it something else.
"""

import sys
import time
from argparse import ArgumentTypeError, Namespace
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from keyholm.cli.log_prove import add_prove
from keyholm.cli.log_verify import add_verify
from keyholm.cli.log_where import add_directory, directory
from keyholm.cli.output import Style, print_json, printable, table
from keyholm.cli.parser import Parser, add_json
from keyholm.core.errors import KeyholmError

if TYPE_CHECKING:
    from keyholm.cli.parser import Subparsers
    from keyholm.core.audit.reading import Entry
    from keyholm.core.audit.search import Search

MICRO: Final = 1_000_000
LOOK: Final = 0.25  # seconds between two looks while following
UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
FORMATS: Final = ("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S")


def add_parser(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser(
        "log",
        description="Show the trail: every use of a key, every act of management, every refusal.",
    )
    _add_filters(parser)
    parser.set_defaults(run=run)
    actions = parser.add_subparsers(prog="keyholm log", metavar="ACTION")
    add_verify(actions)
    add_prove(actions)
    export = actions.add_parser("export", description="Print every record as it is stored.")
    export.add_argument("--format", choices=("jsonl",), default="jsonl")
    add_directory(export)
    export.set_defaults(run=run_export)


def _add_filters(parser: Parser) -> None:
    parser.add_argument("--key", default="", help="its name or the start of its id")
    parser.add_argument("--client", default="", help="a part of the program's path, or its pid")
    parser.add_argument("--host", default="", help="a destination, its key's fingerprint or a user")
    parser.add_argument("--result", default="", choices=("ok", "refused", "failed"))
    parser.add_argument("--since", type=_moment, default=0, metavar="TIME", help="2h, 3d, a date")
    parser.add_argument("--until", type=_moment, default=0, metavar="TIME")
    parser.add_argument("-n", type=_count, default=None, metavar="COUNT", help="only the last ones")
    parser.add_argument("--all", action="store_true", help="also sessions and segments")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes")
    parser.add_argument("--graph", action="store_true", help="draw the use of keys over time")
    add_json(parser)
    add_directory(parser, option=True)


def _count(text: str) -> int:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise ArgumentTypeError(f"{text!r} is no number of records")


def _moment(text: str) -> int:
    """Microseconds since the epoch, of `2h` (ago) or of a local date."""
    if text[:-1].isdecimal() and text[-1:] in UNITS:
        return int((time.time() - int(text[:-1]) * UNITS[text[-1]]) * MICRO)
    for known in FORMATS:
        try:
            return int(time.mktime(time.strptime(text, known)) * MICRO)
        except (ValueError, OverflowError):
            continue
    raise ArgumentTypeError(f"{text!r} is no time: say 30m, 2h, 3d, 2026-11-24 or 2026-11-24 12:00")


def run(arguments: Namespace) -> int:
    from keyholm.core.audit.search import Search, Wanted

    wanted = Wanted(
        key=arguments.key,
        client=arguments.client,
        host=arguments.host,
        result=arguments.result,
        since=arguments.since,
        until=arguments.until,
        with_life=arguments.all,
    )
    with Search(directory(arguments), wanted) as search:
        if arguments.trail is None:
            search.names.of.update(_names_now())
        if arguments.graph:
            _show_graph(search, as_json=arguments.json)
        else:
            _show(search, arguments)
        _tell_unreadable(search)
    return 0


def _names_now() -> dict[str, str]:
    """What the running daemon calls its keys; without one the trail's own names do."""
    from keyholm.client import connect

    try:
        with connect(timeout=1.0) as client:
            return {key["id"]: key["name"] for key in client.keys()}  # noqa: SIM118 - a call
    except (KeyholmError, OSError):
        return {}


def _show(search: "Search", arguments: Namespace) -> None:
    found: Iterator[Entry] | deque[Entry] = search.now()
    if arguments.n is not None:
        found = deque(found, maxlen=arguments.n)
    if arguments.json:
        for entry in found:
            _print_line(entry)
    else:
        _print_table(list(found), search)
    if arguments.follow:
        sys.stdout.flush()
        _follow(search, as_json=arguments.json)


def _print_table(found: "list[Entry]", search: "Search") -> None:
    from keyholm.cli import log_lines

    # What was announced is not news once it has ended; what never did is.
    ended = {(entry.trail, entry.fields["intent"]) for entry in found if entry.intent}
    rows = [
        log_lines.row(entry, search.names.of)
        for entry in found
        if (entry.trail, entry.seq) not in ended
    ]
    if rows:
        sys.stdout.write(table(log_lines.HEADS, rows, colour=log_lines.colour()))
    else:
        print("Nothing was recorded.")


def _follow(search: "Search", *, as_json: bool) -> None:
    from keyholm.cli import log_lines
    from keyholm.cli.output import GAP, cut

    for entry in search.follow(lambda: time.sleep(LOOK)):
        if as_json:
            _print_line(entry)
        else:
            cells = map(printable, log_lines.row(entry, search.names.of))
            widths = zip(cells, log_lines.WIDTHS, strict=True)
            print(GAP.join(cut(cell, width).ljust(width) for cell, width in widths).rstrip())
        sys.stdout.flush()


def _print_line(entry: "Entry") -> None:
    """One JSON object a line, so that it can be followed: the record and its caller."""
    import json

    told = {"trail": entry.trail, **entry.fields, "caller": entry.session}
    print(json.dumps(told, ensure_ascii=False))


def _show_graph(search: "Search", *, as_json: bool) -> None:
    from keyholm.cli import log_graph

    use = log_graph.Use()
    for entry in search.now():
        if entry.event == "operation" and entry.fields.get("result", "ok") != "refused":
            use.add(str(entry.fields.get("key", "")), entry.time)
        elif entry.fields.get("result") == "refused" or entry.event == "refused":
            use.add(log_graph.REFUSED, entry.time)
    if as_json:
        print_json(log_graph.as_json(use, search.names.of))
    else:
        print("\n".join(log_graph.draw(use, search.names.of)))


def _tell_unreadable(search: "Search") -> None:
    for trail, count in search.unreadable.items():
        style = Style(sys.stderr)
        sys.stderr.write(
            f"{style.bad('keyholm:')} {trail} holds {count} bytes that are no record.\n"
            "  do: keyholm log verify\n"
        )


def run_export(arguments: Namespace) -> int:
    """Trail by trail, each in its order, so that every line names the one before by its hash."""
    from keyholm.core.audit.pool import trails
    from keyholm.core.audit.reading import Reader

    for path in trails(directory(arguments)):
        reader = Reader(path)
        try:
            for entry in reader.read():
                sys.stdout.buffer.write(entry.raw + b"\n")
        finally:
            reader.close()
    return 0

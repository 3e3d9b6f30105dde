"""`keyholm status`: the daemon, its doors, its tokens, its trail."""

import sys
from argparse import Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from keyholm.cli.output import amount, fields, print_json, table, when
from keyholm.cli.parser import add_json
from keyholm.cli.tokens import login
from keyholm.client import connect

if TYPE_CHECKING:
    from keyholm.cli.parser import Subparsers


def add_parser(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser(
        "status", description="Show the daemon, its doors, its tokens and its trail."
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: Namespace) -> int:
    with connect() as client:
        status = client.status()
    if arguments.json:
        print_json(status)
        return 0
    sys.stdout.write(fields(tuple(_facts(status))))
    if status["tokens"]:
        sys.stdout.write("\n" + _tokens(status["tokens"]))
    return 0


def _facts(status: dict[str, Any]) -> Iterator[tuple[str, str]]:
    trail = status["trail"]
    since = when(status["started"])
    yield "keyholm", f"{status['version']}, process {status['pid']}, since {since}"
    for door in status["doors"]:
        clients = amount(door["connections"], "client")
        yield f"door {door['name']}", f"{door['path']} ({clients})"
    records = amount(trail["records"], "record")
    state = "" if trail["available"] else ", NOT AVAILABLE: nothing can be used"
    yield "trail", f"{trail['origin']}, {records}, {trail['durability']}{state}"
    for part, value in status["sandbox"].items():
        yield f"sandbox {part}", value
    if "isolation" in status:  # not of a daemon that is older than this command
        yield "isolation", status["isolation"]
    locked = "cannot be swapped out" if status["memory_locked"] else "may be swapped out"
    yield "secrets", locked
    for prompter, reason in status["prompters"].items():
        yield f"prompter {prompter}", reason or "ready"


def _tokens(tokens: list[dict[str, Any]]) -> str:
    rows = [
        (
            f"{token['store']}/{token['name']}",
            "locked" if token["locked"] else "open",
            str(token["keys"]),
            login(token),
            "; ".join(token["damage"]) or "-",
        )
        for token in tokens
    ]
    return table(("TOKEN", "STATE", "KEYS", "LOGIN", "DAMAGE"), rows)

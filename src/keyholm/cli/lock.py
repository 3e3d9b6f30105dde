"""`keyholm lock`: close a token, or all that are yours."""

from argparse import Namespace
from typing import TYPE_CHECKING

from keyholm.cli.output import print_json
from keyholm.cli.parser import add_json
from keyholm.client import connect

if TYPE_CHECKING:
    from keyholm.cli.parser import Subparsers


def add_parser(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser(
        "lock",
        description="Close a token, or all that are yours: their keys cannot be used until "
        "`keyholm unlock`. (`ssh-add -x` closes the agent's door instead.)",
    )
    parser.add_argument("token", nargs="?", default="", help="only this one")
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: Namespace) -> int:
    with connect() as client:
        client.lock(arguments.token)
    if arguments.json:
        print_json({})
    return 0

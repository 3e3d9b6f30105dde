"""`keyholm version`."""

from argparse import Namespace
from typing import TYPE_CHECKING

from keyholm.cli.output import print_json
from keyholm.cli.parser import add_json
from keyholm.version import VERSION

if TYPE_CHECKING:
    from keyholm.cli.parser import Subparsers


def add_parser(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser("version", description="Print the version.")
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: Namespace) -> int:
    if arguments.json:
        print_json({"version": VERSION})
    else:
        print(f"keyholm {VERSION}")
    return 0

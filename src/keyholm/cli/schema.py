"""`keyholm schema`: the shapes of the control protocol, which are those of --json."""

import sys
from argparse import Namespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keyholm.cli.parser import Subparsers


def add_parser(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser(
        "schema",
        description="Print the JSON schema of every method of the control protocol. What --json "
        "prints has the shape of the result.",
    )
    parser.set_defaults(run=run)


def run(arguments: Namespace) -> int:
    from keyholm.doors.control.reference import document

    sys.stdout.write(document())
    return 0

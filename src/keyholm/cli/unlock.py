"""`keyholm unlock`: open a token."""

from argparse import Namespace
from typing import TYPE_CHECKING

from keyholm.cli.output import print_json
from keyholm.cli.parser import add_json, add_passphrase_file
from keyholm.cli.passphrase import passphrase
from keyholm.cli.waiting import waiting
from keyholm.client import connect

if TYPE_CHECKING:
    from keyholm.cli.parser import Subparsers


def add_parser(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser(
        "unlock", description="Open a token with its passphrase or its recovery code."
    )
    parser.add_argument("token", nargs="?", default="", help="if you have several")
    add_passphrase_file(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: Namespace) -> int:
    with connect() as client:
        question = f"Passphrase of {arguments.token or 'your token'}"
        with passphrase(arguments.passphrase_file, question) as secret, waiting("Unlocking"):
            client.unlock(secret.view, arguments.token)
    if arguments.json:
        print_json({})
    return 0

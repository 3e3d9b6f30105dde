"""`keyholm rm`: destroy a key."""

from argparse import Namespace
from typing import TYPE_CHECKING

from keyholm.cli.output import print_json, printable
from keyholm.cli.parser import add_json, add_passphrase_file
from keyholm.cli.passphrase import with_proof
from keyholm.client import connect

if TYPE_CHECKING:
    from keyholm.cli.parser import Subparsers


def add_parser(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser(
        "rm", description="Destroy a key. Nobody has it afterwards, but for a backup."
    )
    parser.add_argument("key", help="its name, place or PKCS#11 URI, or the start of its id")
    add_passphrase_file(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: Namespace) -> int:
    with connect() as client:
        key = client.key(arguments.key)
        with_proof(
            lambda proof: client.call("keys.remove", {"key": key["place"]}, secrets=proof),
            arguments.passphrase_file,
            f"the token {key['token']}",
        )
    if arguments.json:
        print_json(key)
    else:
        print(f"{printable(key['name'])} is destroyed.")
    return 0

"""`keyholm rename`: give a key another name."""

from argparse import Namespace
from typing import TYPE_CHECKING

from keyholm.cli.output import print_json, printable
from keyholm.cli.parser import add_json
from keyholm.client import connect

if TYPE_CHECKING:
    from keyholm.cli.parser import Subparsers


def add_parser(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser("rename", description="Give a key another name.")
    parser.add_argument("key", help="its name, place or PKCS#11 URI, or the start of its id")
    parser.add_argument("name", help="the new name")
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: Namespace) -> int:
    with connect() as client:
        key = client.call("keys.rename", {"key": arguments.key, "name": arguments.name})
    if arguments.json:
        print_json(key)
    else:
        print(f"{printable(key['name'])}: {key['algorithm']} {key['fingerprint']}")
    return 0

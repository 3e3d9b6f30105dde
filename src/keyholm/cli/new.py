"""`keyholm new`: make a key."""

from argparse import Namespace
from typing import TYPE_CHECKING, Final

from keyholm.cli.parser import add_json, add_token
from keyholm.client import connect

if TYPE_CHECKING:
    from keyholm.cli.parser import Parser, Subparsers

# Those of core.model.Algorithm, which would cost an import of 20 ms; a test compares them.
TYPES: Final = (
    "ed25519",
    "ecdsa-p256",
    "ecdsa-p384",
    "ecdsa-p521",
    "rsa-2048",
    "rsa-3072",
    "rsa-4096",
    "mldsa44-ed25519",
)


def add_parser(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser(
        "new",
        description="Make a key. Its private half never leaves keyholm, unless it is made exportable.",
    )
    parser.add_argument("name", help="what you call it")
    parser.add_argument(
        "--type",
        choices=TYPES,
        default="ed25519",
        metavar="TYPE",
        help=f"one of {', '.join(TYPES)} (ed25519)",
    )
    add_to_new(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def add_to_new(parser: "Parser") -> None:
    """What can be said of every key that comes into a token."""
    add_token(parser)
    parser.add_argument(
        "--exportable", action="store_true", help="its private half may be exported, for ever"
    )
    parser.add_argument("--policy", metavar="FILE", help="its policy (TOML)")


def given_to_new(arguments: Namespace) -> dict[str, object]:
    from keyholm.cli.files import read_text

    return {
        "token": arguments.token,
        "exportable": arguments.exportable,
        "policy": read_text(arguments.policy) if arguments.policy else "",
    }


def run(arguments: Namespace) -> int:
    from keyholm.cli.output import print_json, printable
    from keyholm.cli.waiting import waiting

    given = {"name": arguments.name, "type": arguments.type, **given_to_new(arguments)}
    with connect() as client, waiting(f"Making a key of type {arguments.type}"):
        key = client.call("keys.new", given)
    if arguments.json:
        print_json(key)
        return 0
    print(f"{printable(key['name'])}: {key['algorithm']} {key['fingerprint']}")
    print(printable(key["public"]))
    return 0

"""`keyholm sign`: sign a file with any key, as far as its policy allows."""

from argparse import Namespace
from base64 import b64encode
from typing import TYPE_CHECKING, Final

from keyholm.cli import files
from keyholm.cli.output import print_json
from keyholm.cli.parser import add_json
from keyholm.client import connect

if TYPE_CHECKING:
    from keyholm.cli.parser import Subparsers

LARGEST: Final = 512 * 1024  # in base64 it must fit into a frame of the protocol


def add_parser(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser(
        "sign",
        description="Sign a file and print the signature in base64 (ECDSA: r || s). For "
        "signatures that ssh-keygen and git check, use `ssh-keygen -Y sign`.",
    )
    parser.add_argument("key", help="its name, place or PKCS#11 URI, or the start of its id")
    parser.add_argument("file", nargs="?", default="-", help="else standard input")
    parser.add_argument("--mechanism", default="", help="else the usual one of the key")
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: Namespace) -> int:
    data = b64encode(files.read(arguments.file, LARGEST)).decode()
    given = {"key": arguments.key, "data": data, "mechanism": arguments.mechanism}
    with connect() as client:
        signature = client.call("keys.sign", given)
    if arguments.json:
        print_json(signature)
    else:
        print(signature["signature"])
    return 0

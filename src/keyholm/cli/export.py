"""`keyholm export`: a public key, or the private half of a key that was made exportable."""

import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from keyholm.cli import files
from keyholm.cli.output import print_json, printable
from keyholm.cli.parser import add_json, add_passphrase_file
from keyholm.client import connect
from keyholm.core.errors import BadRequest

if TYPE_CHECKING:
    from keyholm.cli.parser import Subparsers


def add_parser(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser(
        "export",
        description="Print a public key. With --private, write the private half to a file, "
        "unencrypted: `ssh-keygen -p -f FILE` encrypts it.",
    )
    parser.add_argument("key", help="its name, place or PKCS#11 URI, or the start of its id")
    parser.add_argument("--private", action="store_true", help="if it was made exportable")
    parser.add_argument("-o", "--output", metavar="FILE", help="write there, not to the terminal")
    add_passphrase_file(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: Namespace) -> int:
    if arguments.private:
        return _private(arguments)
    with connect() as client:
        key = client.key(arguments.key)
    line = f"{key['public']}\n"
    if arguments.output:
        files.write_new(arguments.output, line.encode(), files.PUBLIC)
    if arguments.json:
        print_json({"public": key["public"], "file": arguments.output or ""})
    elif not arguments.output:
        sys.stdout.write(f"{printable(key['public'])}\n")
    return 0


def _private(arguments: Namespace) -> int:
    from keyholm.cli.passphrase import with_proof

    if not arguments.output:
        raise BadRequest(
            "A private key is not printed.", remedy="Name a file for it: --private -o FILE."
        )
    with connect() as client:
        key = client.key(arguments.key)
        _, (private,) = with_proof(
            lambda proof: client.call_attached("keys.export", {"key": key["place"]}, secrets=proof),
            arguments.passphrase_file,
            f"the token {key['token']}",
        )
    try:
        files.write_new(arguments.output, private, files.PRIVATE)
    finally:
        private[:] = bytes(len(private))
    if arguments.json:
        print_json({"public": key["public"], "file": arguments.output})
    return 0

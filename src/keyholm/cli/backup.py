"""`keyholm backup`: a token with all its keys in one encrypted file."""

import os
from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

from keyholm.cli import files
from keyholm.cli.output import print_json, size
from keyholm.cli.parser import add_json, add_passphrase_file, add_token
from keyholm.cli.passphrase import new_passphrase, with_proof
from keyholm.cli.waiting import waiting
from keyholm.client import connect
from keyholm.core.errors import AlreadyExists

if TYPE_CHECKING:
    from keyholm.cli.parser import Subparsers


def add_parser(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser(
        "backup",
        description="Write a token with all its keys to one file, encrypted under a passphrase "
        "of its own. Keys that live in hardware are in no backup.",
    )
    parser.add_argument("file")
    add_token(parser)
    parser.add_argument(
        "--backup-passphrase-file", metavar="FILE", help="read the file's passphrase from here"
    )
    add_passphrase_file(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: Namespace) -> int:
    # Better told before anything is typed; `write_new` looks again.
    if os.path.lexists(arguments.file):
        raise AlreadyExists(f"{arguments.file} is there already.", remedy="Choose another name.")
    what = f"the token {arguments.token or 'main'}"
    given = {"token": arguments.token}
    with (
        connect() as client,
        new_passphrase(arguments.backup_passphrase_file, "the backup") as secret,
    ):

        def taken(proof: Sequence[memoryview]) -> bytearray:
            with waiting("Encrypting the backup"):
                secrets = [secret.view, *proof]
                return client.call_attached("tokens.backup", given, secrets=secrets)[1][0]

        content = with_proof(taken, arguments.passphrase_file, what)
    files.write_new(arguments.file, content, files.PRIVATE)
    if arguments.json:
        print_json({"file": arguments.file, "bytes": len(content)})
    else:
        print(f"{arguments.file} holds {what} ({size(len(content))}).")
    return 0

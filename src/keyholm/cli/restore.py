"""`keyholm restore`: make a token from a backup."""

from argparse import Namespace
from typing import TYPE_CHECKING, Final

from keyholm.cli import files
from keyholm.cli.output import print_json
from keyholm.cli.parser import add_json
from keyholm.cli.passphrase import passphrase
from keyholm.cli.waiting import waiting
from keyholm.client import connect

if TYPE_CHECKING:
    from keyholm.cli.parser import Subparsers

LARGEST: Final = 64 * 1024 * 1024


def add_parser(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser(
        "restore",
        description="Make a new token from a backup. It is opened by the backup's passphrase.",
    )
    parser.add_argument("file")
    parser.add_argument("--name", default="restored", help="of the new token (restored)")
    parser.add_argument(
        "--backup-passphrase-file", metavar="FILE", help="read the file's passphrase from here"
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: Namespace) -> int:
    content = files.read(arguments.file, LARGEST)
    with connect() as client:
        file = arguments.backup_passphrase_file
        with passphrase(file, "Passphrase of the backup") as secret, waiting("Restoring"):
            client.call(
                "tokens.restore",
                {"name": arguments.name},
                secrets=[secret.view],
                blobs=[content],
            )
    if arguments.json:
        print_json({"token": arguments.name})
    else:
        print(f"The token {arguments.name} is there; `keyholm unlock {arguments.name}` opens it.")
    return 0

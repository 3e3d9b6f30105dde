"""`keyholm list`: the keys that this user may see."""

import sys
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from keyholm.cli.output import print_json, printable, table
from keyholm.cli.parser import add_json
from keyholm.client import connect

if TYPE_CHECKING:
    from keyholm.cli.parser import Subparsers


def add_parser(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser("list", description="List the keys of every store.")
    parser.add_argument("-p", "--public", action="store_true", help="as lines for authorized_keys")
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: Namespace) -> int:
    with connect() as client:
        answer = client.call("keys.list")
    keys = answer["keys"]
    if arguments.json:
        print_json(answer)
    elif arguments.public:
        for key in keys:
            print(printable(key["public"]))
    elif keys:
        rows = [
            (
                key["name"],
                key["algorithm"],
                f"{key['store']}/{key['token']}",
                state(key),
                key["fingerprint"],
            )
            for key in keys
        ]
        sys.stdout.write(table(("NAME", "TYPE", "WHERE", "STATE", "FINGERPRINT"), rows))
    else:
        sys.stderr.write("There are no keys yet. `keyholm new NAME` makes one.\n")
    return 0


def state(key: dict[str, Any]) -> str:
    words = ["ready" if key["usable"] else "locked"]
    words += ["policy"] if key["policy"] else []
    words += ["certificate"] if key["certificates"] else []
    words += ["exportable"] if key["exportable"] else []
    return ", ".join(words)

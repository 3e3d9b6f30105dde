"""`keyholm certificate`: certificates that lie beside their keys."""

import os
from argparse import Namespace
from typing import TYPE_CHECKING

from keyholm.cli.files import read_text
from keyholm.cli.output import print_json
from keyholm.cli.parser import add_json
from keyholm.client import connect

if TYPE_CHECKING:
    from keyholm.cli.parser import Subparsers


def add_parser(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser(
        "certificate",
        description="The agent offers an SSH certificate beside its key, and PKCS#11 programs find "
        "one of X.509 there. Adding one under the same name renews it.",
    )
    actions = parser.add_subparsers(prog="keyholm certificate", required=True, metavar="ACTION")
    add = actions.add_parser("add", description="Put a certificate beside its key.")
    add.add_argument("key", help="the key it was made for")
    add.add_argument("file", help="as ssh-keygen writes it, or X.509 as PEM; - is standard input")
    add.add_argument("--name", default="", help="what you call it; else as the file")
    add.set_defaults(run=run_add)
    remove = actions.add_parser("rm", description="Take a certificate away from its key.")
    remove.add_argument("key")
    remove.add_argument("name", help="its name, as `keyholm show` tells")
    remove.set_defaults(run=run_remove)
    for action in (add, remove):
        add_json(action)


def run_add(arguments: Namespace) -> int:
    file = os.path.basename(arguments.file).removesuffix(".pub").removesuffix("-cert")
    file = file.removesuffix(".pem").removesuffix(".crt")
    name = arguments.name or (file if file != "-" else "certificate")
    certificate = read_text(arguments.file)
    with connect() as client:
        given = {"key": arguments.key, "name": name, "certificate": certificate}
        client.call("certificates.add", given)
    return _done(arguments, name)


def run_remove(arguments: Namespace) -> int:
    with connect() as client:
        client.call("certificates.remove", {"key": arguments.key, "name": arguments.name})
    return _done(arguments, arguments.name)


def _done(arguments: Namespace, name: str) -> int:
    if arguments.json:
        print_json({"name": name})
    return 0

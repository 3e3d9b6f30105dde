"""`keyholm token`: make, list and remove tokens."""

import sys
from argparse import Namespace
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from keyholm.cli.output import print_json, table
from keyholm.cli.parser import add_json, add_passphrase_file
from keyholm.cli.passphrase import from_file, new_passphrase, with_proof
from keyholm.cli.passwd import recovery_code, show_recovery_code
from keyholm.cli.waiting import waiting
from keyholm.client import Client, connect
from keyholm.core.errors import BadRequest

if TYPE_CHECKING:
    from keyholm.cli.parser import Subparsers

PIN_WARNING: Final = (
    "A PIN protects against other programs, since wrong ones are counted. It does not protect\n"
    "against who copies the disk: a PIN is short, and a copy counts nothing.\n"
)


def add_parser(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser("token", description="Make, list and remove tokens.")
    actions = parser.add_subparsers(prog="keyholm token", required=True, metavar="ACTION")
    new = actions.add_parser("new", description="Make a token, with a recovery code.")
    new.add_argument("name", metavar="LABEL")
    new.add_argument("--owner", type=int, metavar="UID", help="whose it is; root only")
    new.add_argument("--no-passphrase", action="store_true", help="whoever has its files has it")
    pins = new.add_argument_group("a token with PINs, for PKCS#11")
    pins.add_argument("--so-pin-file", metavar="FILE", help="the security officer's PIN")
    pins.add_argument("--pin-file", metavar="FILE", help="the user's; else the officer gives one")
    pins.add_argument(
        "--login",
        choices=("application", "daemon"),
        help="who asks for the user's PIN: each program, or keyholm (which is usual)",
    )
    pins.add_argument(
        "--legacy", action="store_true", help="triple DES and raw RSA, for old programs"
    )
    new.set_defaults(run=run_new)
    listing = actions.add_parser("list", description="List the tokens.")
    listing.set_defaults(run=run_list)
    remove = actions.add_parser("rm", description="Destroy a token with all its keys.")
    remove.add_argument("name")
    remove.set_defaults(run=run_remove)
    for action in (new, remove):
        add_passphrase_file(action)
    for action in (new, listing, remove):
        add_json(action)


def run_new(arguments: Namespace) -> int:
    if arguments.so_pin_file is not None:
        return run_new_with_pins(arguments)
    if arguments.pin_file is not None or arguments.login or arguments.legacy:
        raise BadRequest(
            "A token with PINs has one of the security officer, too.",
            remedy="Give it by --so-pin-file FILE.",
        )
    with connect() as client:
        code = make_token(client, arguments.name, arguments, owner=arguments.owner)
    if arguments.json:
        print_json({"token": arguments.name, "recovery_code": code})
    elif code:
        show_recovery_code(code)
    return 0


def run_new_with_pins(arguments: Namespace) -> int:
    if arguments.no_passphrase or arguments.passphrase_file is not None:
        raise BadRequest("A token has PINs or a passphrase.", remedy="Leave one of them out.")
    given = {
        "label": arguments.name,
        "owner": arguments.owner,
        "login": arguments.login or "daemon",
        "legacy": arguments.legacy,
    }
    with ExitStack() as stack, connect() as client:
        files = [file for file in (arguments.so_pin_file, arguments.pin_file) if file is not None]
        pins = [stack.enter_context(from_file(file)).view for file in files]
        with waiting("Making the token"):
            made = client.call("tokens.new-with-pins", given, secrets=pins)
    sys.stderr.write(PIN_WARNING)
    if arguments.json:
        print_json({"token": made["name"], "label": arguments.name})
    else:
        print(f"The token {made['name']} is there.")
    return 0


def make_token(client: Client, name: str, arguments: Namespace, *, owner: int | None = None) -> str:
    """Its recovery code, unless it has no passphrase."""
    given = {"name": name, "owner": owner}
    if arguments.no_passphrase:
        client.call("tokens.new", given)
        return ""
    with new_passphrase(arguments.passphrase_file, f"the token {name}") as secret:
        with waiting("Making the token"):
            client.call("tokens.new", given, secrets=[secret.view])
        return recovery_code(client, name, secret)


def run_list(arguments: Namespace) -> int:
    with connect() as client:
        tokens = client.status()["tokens"]
    if arguments.json:
        print_json({"tokens": tokens})
        return 0
    rows = [
        (
            f"{token['store']}/{token['name']}",
            "locked" if token["locked"] else "open",
            str(token["keys"]),
            str(token["owner"]),
            ", ".join(slot["kind"] for slot in token["slots"]) or "nothing",
            login(token),
        )
        for token in tokens
    ]
    sys.stdout.write(table(("TOKEN", "STATE", "KEYS", "OWNER", "OPENED BY", "LOGIN"), rows))
    return 0


def login(token: dict[str, Any]) -> str:
    """Who asks for the PIN of a token, and whether it is one for old programs."""
    return ", ".join([token["login"] or "-"] + ["legacy"] * token["legacy"])


def run_remove(arguments: Namespace) -> int:
    with connect() as client:
        with_proof(
            lambda proof: client.call("tokens.remove", {"token": arguments.name}, secrets=proof),
            arguments.passphrase_file,
            f"the token {arguments.name}",
        )
    if arguments.json:
        print_json({"token": arguments.name})
    else:
        print(f"The token {arguments.name} is destroyed, and all its keys with it.")
    return 0

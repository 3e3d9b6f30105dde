"""`keyholm passwd`: change a passphrase, or make a recovery code."""

from argparse import Namespace
from typing import TYPE_CHECKING

from keyholm.cli.output import print_json
from keyholm.cli.parser import add_json, add_passphrase_file
from keyholm.cli.passphrase import new_passphrase, passphrase
from keyholm.cli.waiting import waiting
from keyholm.client import Client, connect
from keyholm.core.secret import Secret

if TYPE_CHECKING:
    from keyholm.cli.parser import Subparsers


def add_parser(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser(
        "passwd", description="Change the passphrase of a token, or make a new recovery code."
    )
    parser.add_argument("token", nargs="?", default="", help="if you have several")
    parser.add_argument("--new-passphrase-file", metavar="FILE", help="read the new one from here")
    parser.add_argument(
        "--recovery", action="store_true", help="keep the passphrase, make a recovery code"
    )
    add_passphrase_file(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: Namespace) -> int:
    token = arguments.token
    question = f"Passphrase of {token or 'your token'}"
    answer: dict[str, str] = {}
    with connect() as client, passphrase(arguments.passphrase_file, question) as old:
        if arguments.recovery:
            answer["recovery_code"] = recovery_code(client, token, old)
        else:
            file = arguments.new_passphrase_file
            with new_passphrase(file, token or "your token") as new, waiting("Changing it"):
                client.call("tokens.passphrase", {"token": token}, secrets=[old.view, new.view])
    if arguments.json:
        print_json(answer)
    elif arguments.recovery:
        show_recovery_code(answer["recovery_code"])
    return 0


def recovery_code(client: Client, token: str, passphrase: Secret) -> str:
    with waiting("Making a recovery code"):
        given = {"token": token}
        _, (code,) = client.call_attached("tokens.recovery", given, secrets=[passphrase.view])
    return code.decode()


def show_recovery_code(code: str) -> None:
    print("Recovery code: it opens the token when the passphrase is forgotten. It is shown")
    print("this once; write it on paper and keep that away from this machine.")
    print(f"\n    {code}\n")

"""`keyholm agent restore`: offer again what ssh-add withdrew."""

from argparse import Namespace
from typing import TYPE_CHECKING

from keyholm.cli.output import amount, print_json
from keyholm.cli.parser import add_json
from keyholm.client import connect

if TYPE_CHECKING:
    from keyholm.cli.parser import Subparsers


def add_parser(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser("agent", description="The SSH agent door.")
    actions = parser.add_subparsers(prog="keyholm agent", required=True, metavar="ACTION")
    restore = actions.add_parser(
        "restore",
        description="Offer the keys again that `ssh-add -d` or `-D` withdrew from the agent. "
        "They never left their store.",
    )
    add_json(restore)
    restore.set_defaults(run=run)


def run(arguments: Namespace) -> int:
    with connect() as client:
        answer = client.call("agent.restore")
    if arguments.json:
        print_json(answer)
    else:
        print(f"{amount(answer['restored'], 'key is', 'keys are')} offered again.")
    return 0

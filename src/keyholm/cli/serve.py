"""`keyholm serve`: the daemon, in the foreground."""

from argparse import Namespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keyholm.cli.parser import Subparsers


def add_parser(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser(
        "serve",
        description="Run the daemon in the foreground. It prints one line when it is ready. "
        "SIGTERM ends it, SIGHUP reads the configuration again, SIGUSR1 forgets what ssh-add "
        "handed over.",
    )
    parser.add_argument("--system", action="store_true", help="for all users of this machine")
    parser.set_defaults(run=run)


def run(arguments: Namespace) -> int:
    from keyholm.daemon import main

    return main.serve(system=arguments.system)

"""`keyholm config`: where the configuration is, and what is wrong with it."""

import os
from argparse import Namespace
from typing import TYPE_CHECKING

from keyholm.cli.output import print_json
from keyholm.cli.parser import add_json

if TYPE_CHECKING:
    from keyholm.cli.parser import Subparsers


def add_parser(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser("config", description="The configuration file.")
    actions = parser.add_subparsers(prog="keyholm config", required=True, metavar="ACTION")
    check = actions.add_parser(
        "check", description="Read the configuration, and say what is wrong."
    )
    check.set_defaults(run=run_check)
    path = actions.add_parser("path", description="Print where the configuration is.")
    path.set_defaults(run=run_path)
    for action in (check, path):
        add_json(action)


def run_check(arguments: Namespace) -> int:
    from keyholm.daemon import configuration, places

    path = places.find(os.environ).config
    configuration.read(path)
    there = path.exists()
    if arguments.json:
        print_json({"path": str(path), "exists": there})
    else:
        print(f"{path} is good." if there else f"{path} is not there, so the defaults hold.")
    return 0


def run_path(arguments: Namespace) -> int:
    from keyholm.daemon import places

    path = places.find(os.environ).config
    if arguments.json:
        print_json({"path": str(path)})
    else:
        print(path)
    return 0

"""The parser of arguments: argparse, told to import and to work out less.

Options that several subcommands have are added here, so that they read the same everywhere.
"""

import argparse
import os
import sys
from typing import TYPE_CHECKING, Final, NoReturn

from keyholm.cli.exit_status import USAGE

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction["Parser"]  # noqa: SLF001 - it has no other name

WIDEST: Final = 100


def terminal_width() -> int:
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        return int(columns)
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or 80  # type: ignore[union-attr]
    except (OSError, AttributeError, ValueError):
        return 80


class Formatter(argparse.HelpFormatter):
    """argparse makes one at every argument, and would import shutil for the width."""

    def __init__(self, prog: str) -> None:
        width = min(terminal_width(), WIDEST) - 2
        super().__init__(prog, max_help_position=30, width=width)


class Parser(argparse.ArgumentParser):
    def __init__(self, prog: str, add_help: bool = True, **more: object) -> None:
        more.setdefault("formatter_class", Formatter)
        # An option that is cut short could mean another one in the next version.
        super().__init__(prog, add_help=add_help, allow_abbrev=False, **more)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"keyholm: {message}\n  do: {self.prog} --help\n")
        sys.exit(USAGE)


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON (docs/reference/cli.md)")


def add_token(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--token", default="", metavar="TOKEN", help="the token, if you have several"
    )


def add_passphrase_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--passphrase-file",
        metavar="FILE",
        help="read the passphrase from this file (- is standard input) instead of asking",
    )

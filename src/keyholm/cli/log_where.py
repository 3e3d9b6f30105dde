"""Where the subcommands of `keyholm log` find what they read."""

import os
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from keyholm.cli.parser import Parser
from keyholm.core.errors import BadRequest


def add_directory(parser: Parser, *, option: bool = False) -> None:
    name = "--trail" if option else "trail"
    more: dict[str, Any] = {} if option else {"nargs": "?"}
    parser.add_argument(name, default=None, metavar="FOLDER", help="instead of this home's", **more)


def directory(arguments: Namespace) -> Path:
    if arguments.trail is not None:
        directory = Path(arguments.trail)
        if not directory.is_dir():
            raise BadRequest(f"{directory} is no folder.")
        return directory
    from keyholm.daemon import places

    return places.find(os.environ).trail


def read(name: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise BadRequest(f"{name} cannot be read: {error.strerror}.") from error

"""`keyholm init`: a home with its configuration and its first token."""

import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from keyholm.cli.files import PRIVATE, write_new
from keyholm.cli.output import print_json
from keyholm.cli.parser import add_json, add_passphrase_file
from keyholm.cli.passwd import show_recovery_code
from keyholm.cli.tokens import make_token
from keyholm.client import Client, connect
from keyholm.core.errors import AlreadyExists, DaemonFailed, DaemonNotRunning, StoreFailed

if TYPE_CHECKING:
    from keyholm.cli.parser import Subparsers

FIRST_TOKEN: Final = "main"
CONFIGURATION: Final = b"""\
# keyholm's configuration; docs/configuration.md has every key with its default.
# `keyholm config check` reads this file and says what is wrong with it.
"""


def add_parser(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser(
        "init", description="Make a home for keys: its configuration, its trail, a token `main`."
    )
    add_passphrase_file(parser)
    parser.add_argument(
        "--no-passphrase",
        action="store_true",
        help="for a throw-away home: whoever reads its files has its keys",
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: Namespace) -> int:
    from keyholm.daemon import places

    home = places.find(os.environ)
    home.prepare()
    _write_configuration(str(home.config))
    with _daemon() as client:
        for token in client.status()["tokens"]:
            if (token["store"], token["name"]) == ("disk", FIRST_TOKEN):
                raise AlreadyExists(
                    f"There is a home in {home.data} already.",
                    remedy="`keyholm token new NAME` makes another token in it.",
                )
        code = make_token(client, FIRST_TOKEN, arguments)
    if arguments.json:
        print_json({"data": str(home.data), "token": FIRST_TOKEN, "recovery_code": code})
        return 0
    print(f"Keys will live in {home.data}, in the token {FIRST_TOKEN}.")
    if code:
        show_recovery_code(code)
    else:
        print("No passphrase protects it: whoever reads its files has its keys.")
    print("Next: `keyholm serve` in the background, then `keyholm new NAME`.")
    return 0


def _write_configuration(path: str) -> None:
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        write_new(path, CONFIGURATION, PRIVATE)
    except AlreadyExists:
        return
    except OSError as error:
        raise StoreFailed(f"{path} cannot be written: {error.strerror}.") from error


@contextmanager
def _daemon() -> Iterator[Client]:
    """The daemon that runs, or one for the moment: a token is made behind the gate only."""
    try:
        client = connect()
    except DaemonNotRunning:
        with _own_daemon() as client:
            yield client
    else:
        with client:
            yield client


@contextmanager
def _own_daemon() -> Iterator[Client]:
    command = [sys.executable, "-m", "keyholm.cli.main", "serve"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as serving:
        try:
            if serving.stdout is None or not serving.stdout.readline():
                raise DaemonFailed(
                    "The daemon did not start.", remedy="What it said itself stands above."
                )
            with connect() as client:
                yield client
        finally:
            serving.terminate()

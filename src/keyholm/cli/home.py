"""The command init: a home with its configuration and its first token."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Final

from keyholm.cli import output
from keyholm.cli.tokens import make_token
from keyholm.client import Client, connect
from keyholm.core.errors import AlreadyExists, DaemonFailed, DaemonNotRunning, StoreFailed

FIRST_TOKEN: Final = "main"
CONFIGURATION: Final = """\
# keyholm's configuration; every field with its meaning is in docs/configuration.md.
# `keyholm config check` reads this file and says what is wrong with it.
"""


def add_init(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "init",
        description="Make a home for keys: its configuration, its trail, and the token `main`.",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--passphrase-file", metavar="FILE", help="first line; - for stdin")
    how.add_argument(
        "--no-passphrase",
        action="store_true",
        help="for a throw-away home: whoever reads its files has its keys",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=init)


def init(options: Any) -> int:
    from keyholm.daemon import places

    found = places.find(os.environ)
    found.prepare()
    _write_configuration(str(found.config))
    with _daemon() as client:
        tokens = client.status()["tokens"]
        if any(token["store"] == "disk" and token["name"] == FIRST_TOKEN for token in tokens):
            raise AlreadyExists(
                f"There is a home in {found.data} already.",
                remedy="`keyholm token new NAME` makes another token in it.",
            )
        make_token(client, FIRST_TOKEN, options)
    if options.json:
        return output.as_json({"data": str(found.data), "token": FIRST_TOKEN})
    print(f"Keys live in {found.data}, in the token {FIRST_TOKEN}.")
    if options.no_passphrase:
        print("It has no passphrase: whoever reads its files has its keys.")
    print("Next: `keyholm serve`, then `keyholm new NAME`.")
    return 0


def _write_configuration(path: str) -> None:
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    except OSError as error:
        raise StoreFailed(f"{path} cannot be written: {error.strerror}.") from error
    with os.fdopen(descriptor, "w") as file:
        file.write(CONFIGURATION)


@contextlib.contextmanager
def _daemon() -> Iterator[Client]:
    """The daemon that runs, or one for the moment: a token is made behind the gate."""
    try:
        with connect() as client:
            yield client
        return
    except DaemonNotRunning:
        pass
    command = [sys.executable, "-m", "keyholm.cli.main", "serve"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as serve:
        try:
            if serve.stdout is None or not serve.stdout.readline():
                raise DaemonFailed("The daemon did not start; its own words are above.")
            with connect() as client:
                yield client
        finally:
            serve.terminate()

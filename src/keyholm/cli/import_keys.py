"""`keyholm import`: take over private keys from files."""

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from keyholm.cli.exit_status import exit_status
from keyholm.cli.new import add_to_new, given_to_new
from keyholm.cli.parser import add_json, add_passphrase_file
from keyholm.client import Client, connect
from keyholm.core.errors import (
    BadKeyFile,
    BadRequest,
    KeyholmError,
    PassphraseIncorrect,
    ProofNeeded,
)
from keyholm.core.secret import Secret

if TYPE_CHECKING:
    from keyholm.cli.parser import Subparsers

LARGEST: Final = 64 * 1024  # as the protocol takes it
TRIES: Final = 3  # at the terminal


def add_parser(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser(
        "import",
        description="Take over private keys from files, or all that are in a folder such as "
        "~/.ssh. The files stay where they are: delete them once the keys work.",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="a key file or a folder of them")
    parser.add_argument("--name", default="", help="what you call it; else the file's comment")
    add_to_new(parser)
    add_passphrase_file(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: Namespace) -> int:
    from keyholm.cli.output import print_json, printable

    paths = private_files(arguments.files)
    if arguments.name and len(paths) != 1:
        raise BadRequest("--name is for one key, and there are several.")
    given = {"name": arguments.name, **given_to_new(arguments)}
    taken: list[dict[str, Any]] = []
    first_failure: KeyholmError | None = None
    with connect() as client:
        for path in paths:
            try:
                taken.append(_take(client, path, given, arguments.passphrase_file))
            except KeyholmError as error:
                first_failure = first_failure or error
                if len(paths) > 1:
                    sys.stderr.write(f"keyholm: {printable(path)}: {printable(error.what)}\n")
    if arguments.json and taken:
        print_json({"keys": taken})
    elif taken:
        for key in taken:
            print(f"{printable(key['name'])}: {key['algorithm']} {key['fingerprint']}")
    if first_failure is None:
        return 0
    if len(paths) == 1:
        raise first_failure
    return exit_status(first_failure)  # it was told above, with the others


def _take(client: Client, path: str, given: dict[str, object], file: str | None) -> dict[str, Any]:
    with _content(path) as content:
        try:
            return client.call("keys.import", given, secrets=[content.view])
        except ProofNeeded:
            with _opened(content, path, file) as plain:
                return client.call("keys.import", given, secrets=[plain.view])


def _opened(content: Secret, path: str, file: str | None) -> Secret:
    """What an encrypted key file holds."""
    from keyholm.cli.passphrase import passphrase

    tries = 1 if file else TRIES
    while True:
        try:
            with passphrase(file, f"Passphrase of {path}") as secret:
                return _decrypted(content, secret)
        except PassphraseIncorrect as error:
            tries -= 1
            if not tries:
                raise
            sys.stderr.write(f"{error.what}\n")


def _decrypted(content: Secret, passphrase: Secret) -> Secret:
    """Here and not in the daemon: OpenSSH's way from a passphrase to a key takes ten seconds
    of Python, for which the daemon's other clients would wait."""
    from contextlib import ExitStack

    from keyholm.cli.waiting import waiting
    from keyholm.wire.codec import Malformed
    from keyholm.wire.ssh.private_keys import PassphraseWrong, read_file, write_file

    with ExitStack() as stack, waiting("Decrypting the key"):

        def locked(size: int) -> memoryview:
            return stack.enter_context(Secret(size)).view

        try:
            private, comment = read_file(content.view, passphrase.view, allocate=locked)
        except PassphraseWrong as error:
            raise PassphraseIncorrect("The passphrase of the key file is wrong.") from error
        except Malformed as error:
            raise BadKeyFile(f"This is no private key that can be read: {error}.") from error
        return Secret.of(write_file(private, comment, None))


def _content(path: str) -> Secret:
    """The file, read straight into locked memory: it may not be encrypted."""
    try:
        with open(path, "rb", buffering=0) as file, Secret(LARGEST + 1) as buffer:
            size = 0
            while count := file.readinto(buffer.view[size:]):
                size += count
            if size > LARGEST:
                raise BadRequest(f"{path} is larger than {LARGEST} bytes, so it is no key.")
            return Secret.of(buffer.view[:size])
    except OSError as error:
        raise BadRequest(f"{path} cannot be read: {error.strerror}.") from error


def private_files(named: Sequence[str]) -> list[str]:
    """The files, and of each folder those that begin as a private key does."""
    found: list[str] = []
    for path in named:
        if not os.path.isdir(path):
            found.append(path)
            continue
        inside = [os.path.join(path, name) for name in sorted(os.listdir(path))]
        found += [each for each in inside if _looks_private(each)]
    if not found:
        raise BadRequest(f"There is no private key in {', '.join(named)}.")
    return found


def _looks_private(path: str) -> bool:
    if not os.path.isfile(path):
        return False
    try:
        with open(path, "rb") as file:
            first = file.read(64).split(b"\n", 1)[0]
    except OSError:
        return False
    return first.startswith(b"-----BEGIN ") and b"PRIVATE KEY" in first

"""`keyholm ssh-config`: which keys for which host, so that no server is offered them all.

A public key lies as a file in ~/.ssh/keyholm for each key: `IdentityFile` with that file
and `IdentitiesOnly` make ssh offer this key and no other, wherever the private half is.
"""

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from keyholm.cli import files
from keyholm.cli.output import print_json
from keyholm.cli.parser import add_json
from keyholm.client import connect, door_path
from keyholm.core.errors import BadRequest, KeyNotFound, StoreFailed

if TYPE_CHECKING:
    from keyholm.cli.parser import Subparsers
    from keyholm.client import Client

EVERY_HOST: Final = "*"
SCHEME: Final = "pkcs11:"
INCLUDED: Final = "keyholm/config"
HEAD: Final = (
    "# Written by `keyholm ssh-config --write`, which keeps the hosts that it is not given.\n"
)
LARGEST: Final = 1024 * 1024


class Entry(NamedTuple):
    host: str
    keys: tuple[str, ...]  # names; none: whatever the agent has


def add_parser(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser(
        "ssh-config",
        description="Write the public keys as files and print the lines for ~/.ssh/config. "
        "A host that is given without a key gets all of them.",
    )
    parser.add_argument("hosts", nargs="*", metavar="HOST[=KEY]", help="repeat for more keys")
    parser.add_argument(
        "--write",
        action="store_true",
        help="put the lines into ~/.ssh/keyholm/config and include that from ~/.ssh/config",
    )
    parser.add_argument("--folder", default="~/.ssh", metavar="FOLDER", help="else ~/.ssh")
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: Namespace) -> int:
    with connect() as client:
        keys = client.keys()
        given = [_named(client, each) for each in arguments.hosts]
    if not keys:
        raise BadRequest("There are no keys yet.", remedy="`keyholm new NAME` makes one.")
    above = os.path.abspath(os.path.expanduser(arguments.folder))
    folder = os.path.join(above, "keyholm")
    entries = entries_of(given, [key["name"] for key in keys])
    paths = _write_public(folder, keys)
    blocks = {entry.host: block(entry, paths) for entry in entries}
    if arguments.write:
        _write_config(folder, blocks)
    if arguments.json:
        hosts = {entry.host: list(entry.keys) for entry in entries}
        print_json({"agent": door_path("ssh"), "files": paths, "hosts": hosts})
    elif arguments.write:
        print(f"{folder}/config is written; {above}/config includes it.")
    else:
        sys.stdout.write("\n".join(blocks.values()))
    return 0


def _named(client: "Client", given: str) -> str:
    """`HOST=URI` as HOST and the name of the key."""
    host, _, key = given.partition("=")
    return f"{host}={client.key(key)['name']}" if key.lower().startswith(SCHEME) else given


def entries_of(given: Sequence[str], names: Sequence[str]) -> list[Entry]:
    """Raises `BadRequest` and `KeyNotFound`."""
    found: dict[str, list[str]] = {}
    for each in given:
        host, _, name = each.partition("=")
        if not host or not host.isprintable() or any(letter.isspace() for letter in host):
            raise BadRequest(f"{each!r} is not HOST or HOST=KEY.")
        if name and name not in names:
            raise KeyNotFound(f"There is no key {name!r}.", remedy="`keyholm list` shows them.")
        found.setdefault(host, []).extend([name] if name else names)
    if not found:
        return [Entry(EVERY_HOST, ())]
    return [Entry(host, tuple(dict.fromkeys(keys))) for host, keys in found.items()]


def block(entry: Entry, paths: dict[str, str]) -> str:
    lines = [f"Host {entry.host}", f"    IdentityAgent {_quoted(door_path('ssh'))}"]
    lines += [f"    IdentityFile {_quoted(paths[name])}" for name in entry.keys]
    if entry.keys:
        lines.append("    IdentitiesOnly yes")
    return "\n".join(lines) + "\n"


def _quoted(path: str) -> str:
    return _as_one_word(path.replace("%", "%%"))  # ssh expands %-tokens in these values


def _as_one_word(path: str) -> str:
    return f'"{path}"' if any(letter.isspace() for letter in path) else path


def _write_public(folder: str, keys: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Where the public key of each name lies."""
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except OSError as error:
        raise StoreFailed(f"{folder} cannot be made: {error.strerror}.") from error
    paths: dict[str, str] = {}
    for key in keys:
        path = os.path.join(folder, f"{file_name(key)}.pub")
        if path in paths.values() or key["name"] in paths:
            path = os.path.join(folder, f"{file_name(key)}-{key['id'][:8]}.pub")
        files.replace(path, f"{key['public']}\n", files.PUBLIC)
        paths.setdefault(key["name"], path)
    return paths


def file_name(key: dict[str, Any]) -> str:
    """The key's name as far as it can be one of a file; else the start of its id."""
    name = "".join(
        letter if letter.isalnum() or letter in "-_.@+" else "_" for letter in key["name"]
    )
    return name.lstrip(".") or str(key["id"][:16])


def _write_config(folder: str, blocks: dict[str, str]) -> None:
    path = os.path.join(folder, "config")
    kept = {**_blocks_in(path), **blocks}
    # What is said first wins in ssh_config, so the rule for every host comes last.
    ordered = sorted(kept.items(), key=lambda item: item[0] == EVERY_HOST)
    text = HEAD + "".join(f"\n{text}" for _, text in ordered)
    files.replace(path, text, files.PRIVATE)
    above = os.path.dirname(folder)
    # In ~/.ssh a name is enough. Else the whole path, in which old versions expand nothing.
    known = os.path.realpath(above) == os.path.realpath(os.path.expanduser("~/.ssh"))
    named = INCLUDED if known else _as_one_word(path)
    _include(os.path.realpath(os.path.join(above, "config")), f"Include {named}\n")


def _blocks_in(path: str) -> dict[str, str]:
    if not os.path.exists(path):
        return {}
    found: dict[str, str] = {}
    for part in files.read(path, LARGEST).decode(errors="surrogateescape").split("\nHost ")[1:]:
        host, _, rest = part.partition("\n")
        found[host] = f"Host {host}\n{rest.rstrip()}\n"
    return found


def _include(config: str, line: str) -> None:
    """Put the line at the top of the user's configuration: below a `Host` it would be part of it."""
    before = ""
    mode = files.PRIVATE
    if os.path.exists(config):
        before = files.read(config, LARGEST).decode(errors="surrogateescape")
        mode = os.stat(config).st_mode & 0o777
    if line not in before:
        files.replace(config, line + ("\n" if before else "") + before, mode)

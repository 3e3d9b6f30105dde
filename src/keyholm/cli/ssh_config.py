"""The command ssh-config: which key for which host, so that a server is not offered them all."""

import os
import sys
from typing import Any, Final

from keyholm.cli import output
from keyholm.client import connect, socket_path
from keyholm.core.errors import BadRequest

FOLDER: Final = "~/.ssh/keyholm"


def add_ssh_config(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "ssh-config",
        description="Write public keys as files and print the lines for ~/.ssh/config.",
    )
    parser.add_argument("hosts", nargs="*", metavar="HOST=KEY", help="which key for which host")
    parser.add_argument("--folder", default=FOLDER, help=f"of the public keys ({FOLDER})")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=ssh_config)


def ssh_config(options: Any) -> int:
    with connect() as client:
        keys = client.keys()
    if not keys:
        raise BadRequest("There are no keys yet.", remedy="`keyholm new NAME` makes one.")
    folder = os.path.expanduser(options.folder)
    files = {key["name"]: _write(folder, key) for key in keys}
    agent = os.path.join(os.path.dirname(socket_path()), "ssh")
    entries = [_entry(each, files) for each in options.hosts] or [("*", name) for name in files]
    if options.json:
        return output.as_json({"agent": agent, "files": files, "hosts": dict(entries)})
    if options.hosts:
        for host, name in entries:
            print(f"Host {host}\n  IdentityAgent {_quoted(agent)}")
            print(f"  IdentityFile {_quoted(files[name])}\n  IdentitiesOnly yes\n")
    else:
        print(f"Host *\n  IdentityAgent {_quoted(agent)}")
        sys.stderr.write(
            f"The public keys are in {folder}. Give HOST=KEY to bind a key to a host.\n"
        )
    return 0


def _entry(each: str, files: dict[str, str]) -> tuple[str, str]:
    host, equals, name = each.partition("=")
    if not equals or not host or any(c.isspace() for c in host):
        raise BadRequest(f"{each!r} is not HOST=KEY.")
    if name not in files:
        raise BadRequest(f"There is no key {name!r}.", remedy="`keyholm list` shows the keys.")
    return host, name


def _write(folder: str, key: dict[str, Any]) -> str:
    safe = "".join(c if c.isalnum() or c in "-_.@" else "_" for c in key["name"]).lstrip(".")
    path = os.path.join(folder, f"{safe or key['id'][:16]}.pub")
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        temporary = f"{path}.new"
        with open(temporary, "w") as file:
            file.write(f"{key['public']}\n")
        os.replace(temporary, path)
    except OSError as error:
        raise BadRequest(f"{path} cannot be written: {error.strerror}.") from error
    return path


def _quoted(path: str) -> str:
    return f'"{path}"' if any(c.isspace() for c in path) else path

"""A policy as a person writes it: in an editor, and without fingerprints of hosts.

A destination that names a host and no key of it gets the keys that known_hosts has.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from tempfile import mkstemp
from typing import Any, Final

from keyholm.cli.files import read_text
from keyholm.cli.known_hosts import host_keys
from keyholm.core.errors import BadPolicy, BadRequest, Invalid
from keyholm.core.policy import from_table, load, write

HELP: Final = """
# All of these may be left out; docs/policy.md says more. Remarks are not kept.
#
# deny = [{forwarded = true}]
# allow = [{uid = 1000, exe = "/usr/bin/ssh"}, {unit = "backup.service"}]
# doors = ["agent", "pkcs11", "dbus", "control", "api"]
# operations = ["sign"]
# mechanisms = ["eddsa", "rsa-pss-sha256"]
# namespaces = ["git"]
# destinations = [{host = "h1", user = "deploy"}, {host = "h2", through = {host = "h1"}}]
# readable = true
# hours = "Mon-Fri 07:00-20:00 Europe/Berlin"
# expires = 2030-01-01
# max_uses = 100
# rate = {per_minute = 30, burst = 10}
# confirm = "each"
"""


def completed(text: str, known_hosts: str | None) -> str:
    """The canonical text of this policy, with the keys of its hosts. Raises `Invalid`."""
    path = known_hosts or os.path.expanduser("~/.ssh/known_hosts")
    table = load(text)
    for hop in _hops(table):
        if isinstance(hop.get("host"), str) and not {"keys", "ca"} & hop.keys():
            plain, authorities = host_keys(hop["host"], path)
            found = {"keys": plain, "ca": authorities}
            hop.update({name: fingerprints for name, fingerprints in found.items() if fingerprints})
    return write(from_table(table))


def _hops(table: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All that looks like an end of a connection; whether it is one is seen later."""
    for part in (table, *_tables(table.get("also"))):
        for destination in _tables(part.get("destinations")):
            yield destination
            yield from _tables([destination.get("through")])


def _tables(given: object) -> list[dict[str, Any]]:
    return [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []


def edited(before: str, complete: Callable[[str], str]) -> str:
    """What the user makes of `before` in their editor, once it is a policy."""
    number, path = mkstemp(prefix="keyholm-", suffix=".toml")
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(before + HELP)
        while True:
            _edit(path)
            try:
                return complete(read_text(path))
            except Invalid as error:
                if not _again(error):
                    raise
    finally:
        with suppress(FileNotFoundError):
            os.unlink(path)


def _edit(path: str) -> None:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        status = subprocess.run([*shlex.split(editor), path], check=False).returncode
    except (OSError, ValueError) as error:
        raise BadRequest(
            f"The editor {editor!r} cannot be started: {error}.", remedy="Set VISUAL or EDITOR."
        ) from error
    if status != 0:
        raise BadRequest(f"The editor ended with status {status}: nothing was changed.")


def _again(error: Invalid) -> bool:
    if not sys.stdin.isatty():
        return False
    sys.stderr.write(f"{error}\nEdit it again? [Y/n] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("", "y", "yes")


def not_empty(text: str, what: str) -> str:
    """`text`, unless it is no policy at all: emptiness is too easily an accident."""
    if not any(line.strip() and not line.strip().startswith("#") for line in text.splitlines()):
        raise BadPolicy(
            f"{what} says nothing, and that would allow everything.",
            remedy="`keyholm policy set KEY --clear` does that.",
        )
    return text

"""Commands for shells: env, completion, schema, version."""

import os
import shlex
import sys
from typing import Any, Final

from keyholm.client import socket_path


def add_env(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "env", description='Print what points programs to keyholm: eval "$(keyholm env)".'
    )
    parser.add_argument("shell", nargs="?", choices=("sh", "fish", "csh"), help="else by $SHELL")
    parser.add_argument("-u", "--unset", action="store_true", help="take it back")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=env)


SET: Final = {
    "sh": "{name}={value}; export {name};",
    "fish": "set -gx {name} {value};",
    "csh": "setenv {name} {value};",
}
UNSET: Final = {"sh": "unset {name};", "fish": "set -e {name};", "csh": "unsetenv {name};"}


def env(options: Any) -> int:
    name = "SSH_AUTH_SOCK"
    value = os.path.join(os.path.dirname(socket_path()), "ssh")
    if options.json:
        from keyholm.cli.output import as_json

        return as_json({name: value})
    form = (UNSET if options.unset else SET)[options.shell or _shell()]
    print(form.format(name=name, value=shlex.quote(value)))
    return 0


def _shell() -> str:
    name = os.path.basename(os.environ.get("SHELL", ""))
    if name == "fish":
        return "fish"
    return "csh" if name.endswith("csh") else "sh"


def add_completion(subparsers: Any) -> None:
    parser = subparsers.add_parser("completion", description="Print completion for a shell.")
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))
    parser.set_defaults(run=completion)


def completion(options: Any) -> int:
    from keyholm.cli.completion import script

    print(script(options.shell), end="")
    return 0


def add_schema(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "schema", description="Print the JSON schema of the control protocol and of --json."
    )
    parser.set_defaults(run=schema)


def schema(options: Any) -> int:
    from keyholm.doors.control.reference import document

    sys.stdout.write(document())
    return 0


def add_version(subparsers: Any) -> None:
    parser = subparsers.add_parser("version", description="Print the version.")
    parser.set_defaults(run=version)


def version(options: Any) -> int:
    from keyholm.version import VERSION

    print(f"keyholm {VERSION}")
    return 0

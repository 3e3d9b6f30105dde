"""`keyholm env`: what points a shell at the agent."""

import os
from argparse import Namespace
from typing import TYPE_CHECKING, Final

from keyholm.cli.output import print_json
from keyholm.cli.parser import add_json
from keyholm.client import door_path

if TYPE_CHECKING:
    from keyholm.cli.parser import Subparsers

VARIABLE: Final = "SSH_AUTH_SOCK"
SET: Final = {
    "sh": "{name}={value}; export {name};",
    "fish": "set -gx {name} {value};",
    "csh": "setenv {name} {value};",
    "powershell": "$env:{name} = {value};",
}
PLAIN: Final = "/._-+,:@"
UNSET: Final = {
    "sh": "unset {name};",
    "fish": "set -e {name};",
    "csh": "unsetenv {name};",
    "powershell": "Remove-Item Env:{name};",
}


def add_parser(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser(
        "env",
        description="Print the line that points a shell and what it starts at keyholm's agent: "
        'eval "$(keyholm env)", or in fish: keyholm env | source',
    )
    parser.add_argument("shell", nargs="?", choices=tuple(SET), help="else the one in $SHELL")
    parser.add_argument("-u", "--unset", action="store_true", help="take it back")
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: Namespace) -> int:
    path = door_path("ssh")
    if arguments.json:
        print_json({VARIABLE: path})
        return 0
    shell = arguments.shell or _shell()
    line = (UNSET if arguments.unset else SET)[shell]
    print(line.format(name=VARIABLE, value=_quoted(path, shell)))
    return 0


def _shell() -> str:
    name = os.path.basename(os.environ.get("SHELL", ""))
    if name in ("fish", "pwsh"):
        return {"pwsh": "powershell"}.get(name, name)
    return "csh" if name.endswith("csh") else "sh"


def _quoted(path: str, shell: str) -> str:
    """In single quotes, within which each of these shells takes all but a few as it is."""
    if shell != "powershell" and all(letter in PLAIN or letter.isalnum() for letter in path):
        return path
    quote = {"fish": "\\'", "powershell": "''"}.get(shell, "'\\''")
    if shell == "fish":
        path = path.replace("\\", "\\\\")
    path = path.replace("'", quote)
    return "'" + (path.replace("!", "\\!") if shell == "csh" else path) + "'"

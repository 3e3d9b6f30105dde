"""`keyholm`: finds the module of the subcommand, and imports no other.

A subcommand is a line of `COMMANDS` and a module with `add_parser(subparsers)`, which names
the function that runs it by `set_defaults(run=...)`. That function gives the exit status.
"""

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import Final

from keyholm.cli.exit_status import INTERRUPTED, USAGE, exit_status
from keyholm.cli.parser import Parser
from keyholm.core.errors import KeyholmError

# Groups as `keyholm --help` shows them: command, its module, one line about it.
COMMANDS: Final[dict[str, tuple[tuple[str, str, str], ...]]] = {
    "Begin": (
        ("init", "init", "make a home with its first token"),
        ("serve", "serve", "run the daemon in the foreground"),
        ("status", "status", "show the daemon, its doors and its tokens"),
        ("env", "env", "print the line that points a shell at the agent"),
        ("module-path", "module_path", "print where the PKCS#11 module is"),
        ("doctor", "doctor", "look for what is wrong, and say what to do"),
    ),
    "Keys": (
        ("new", "new", "make a key"),
        ("list", "list_keys", "list the keys"),
        ("show", "show", "show one key with all that is known of it"),
        ("import", "import_keys", "take over key files, or all of ~/.ssh"),
        ("export", "export", "print a public key, or write an exportable private one"),
        ("rename", "rename", "give a key another name"),
        ("rm", "remove", "destroy a key"),
        ("sign", "sign", "sign a file"),
        ("certificate", "certificate", "put a certificate beside its key"),
        ("ssh-config", "ssh_config", "print or write what ssh wants in its configuration"),
        ("agent", "agent", "offer keys again that ssh-add -d withdrew"),
    ),
    "Programs": (
        ("enable", "enable", "tell a program of keyholm, or list those that can be told"),
        ("disable", "disable", "undo that"),
    ),
    "Tokens": (
        ("unlock", "unlock", "open a token with its passphrase"),
        ("lock", "lock", "close a token, or all"),
        ("passwd", "passwd", "change a passphrase or make a recovery code"),
        ("backup", "backup", "write a token to one encrypted file"),
        ("restore", "restore", "make a token from a backup"),
        ("token", "tokens", "make or remove a token"),
        ("module", "module", "add or remove a vendor's PKCS#11 module"),
    ),
    "Rules and record": (
        ("policy", "policy", "show, change or explain who may use a key"),
        ("log", "log", "show, verify and export the trail"),
        ("why", "why", "tell why the last requests were refused"),
        ("config", "config", "check the configuration"),
    ),
    "More": (
        ("p11", "p11", "pass PKCS#11 calls on to the daemon, for p11-kit"),
        ("completion", "completion", "print the completions of a shell"),
        ("schema", "schema", "print the shapes of the control protocol and of --json"),
        ("version", "version", "print the version"),
    ),
}
HELP_OPTIONS: Final = ("-h", "--help", "help")


def main(words: Sequence[str] | None = None) -> int:
    """The exit status; docs/reference/cli.md lists them."""
    words = sys.argv[1:] if words is None else words
    arguments = Namespace(json=False)
    try:
        if not words or words[0] in HELP_OPTIONS:
            sys.stdout.write(overview())
            return 0 if words else USAGE
        parser = parser_for(["version" if words[0] == "--version" else words[0]])
        parser.parse_args([words[0].removeprefix("--"), *words[1:]], arguments)
        status: int = arguments.run(arguments)
        sys.stdout.flush()
    except KeyholmError as error:
        return tell(error, as_json=arguments.json)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has enough (`keyholm log | head`). Python would complain
        # once more when it flushes at exit, so there must be somewhere to flush to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


def parser_for(names: Sequence[str]) -> Parser:
    """The parser of these subcommands, or one that refuses a name that is none."""
    from importlib import import_module

    parser = Parser(prog="keyholm", add_help=False)
    # Without `prog` argparse would format a usage to find it out.
    subparsers = parser.add_subparsers(prog="keyholm", required=True)
    modules = {command: module for command, module, _ in every_command()}
    for name in names:
        if name not in modules:
            parser.error(f"there is no command {name!r}{_nearest(name, modules)}")
        import_module(f"keyholm.cli.{modules[name]}").add_parser(subparsers)
    if len(names) == 1:
        parser.prog = f"keyholm {names[0]}"  # what it says of arguments that nobody knows
    return parser


def every_command() -> list[tuple[str, str, str]]:
    return [command for group in COMMANDS.values() for command in group]


def _nearest(name: str, known: dict[str, str]) -> str:
    from difflib import get_close_matches

    nearest = get_close_matches(name, known, n=1)
    return f"; did you mean `keyholm {nearest[0]}`?" if nearest else ""


def overview() -> str:
    lines = ["usage: keyholm COMMAND ...", ""]
    for group, commands in COMMANDS.items():
        lines.append(f"{group}:")
        lines += [f"  {command:<12} {about}" for command, _, about in commands]
        lines.append("")
    lines.append("`keyholm COMMAND --help` tells more. Manual: docs/reference/cli.md")
    return "\n".join(lines) + "\n"


def tell(error: KeyholmError, *, as_json: bool) -> int:
    """Say on stderr what happened and what to do; with --json also on stdout."""
    from keyholm.cli.output import Style, print_json, printable

    if as_json:
        kind = type(error).__name__
        print_json({"error": {"kind": kind, "what": error.what, "remedy": error.remedy}})
        sys.stdout.flush()
    style = Style(sys.stderr)
    sys.stderr.write(f"{style.bad('keyholm:')} {printable(error.what)}\n")
    if error.remedy:
        sys.stderr.write(f"  {style.strong('do:')} {printable(error.remedy)}\n")
    return exit_status(error)


if __name__ == "__main__":
    sys.exit(main())

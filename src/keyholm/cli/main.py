"""The command `keyholm`. Only the command that is asked for is imported.

exit status   0  done                     66  no such key, token or certificate
              1  found something wrong    69  not available now (no daemon, locked, no token)
             64  wrong usage              70  a fault of keyholm itself
             65  bad input                74  a file or device failed
                                          77  refused
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final, NoReturn

from keyholm.cli.errors import exit_status
from keyholm.core.errors import KeyholmError

# Name: module, function that describes it to argparse, one line of help.
COMMANDS: Final[dict[str, tuple[str, str, str]]] = {
    "init": ("home", "add_init", "make a home and its first token"),
    "serve": ("daemon", "add_serve", "run the daemon in the foreground"),
    "status": ("daemon", "add_status", "what the daemon does and where its keys are"),
    "new": ("keys", "add_new", "make a key"),
    "list": ("keys", "add_list", "list the keys"),
    "show": ("keys", "add_show", "everything about one key"),
    "import": ("keys", "add_import", "take over private keys from files"),
    "export": ("keys", "add_export", "write out a public key, or an exportable private one"),
    "rm": ("keys", "add_rm", "destroy a key"),
    "rename": ("keys", "add_rename", "call a key otherwise"),
    "sign": ("keys", "add_sign", "sign a file"),
    "lock": ("tokens", "add_lock", "lock a token, or all"),
    "unlock": ("tokens", "add_unlock", "unlock a token"),
    "passwd": ("tokens", "add_passwd", "change a token's passphrase, or make a recovery code"),
    "backup": ("tokens", "add_backup", "write a token with all its keys to an encrypted file"),
    "restore": ("tokens", "add_restore", "make a token from a backup"),
    "token": ("tokens", "add_token", "make, list and remove tokens"),
    "policy": ("policy", "add_policy", "who may use a key, for what, when and how often"),
    "certificate": ("certificates", "add_certificate", "put SSH certificates beside their keys"),
    "agent": ("daemon", "add_agent", "offer keys again that ssh-add took away"),
    "log": ("log", "add_parser", "the audit trail: show, verify, prove, export"),
    "why": ("why", "add_why", "the last refusals, and what to do about them"),
    "doctor": ("doctor", "add_doctor", "look for what is wrong"),
    "env": ("shell", "add_env", "environment variables for a shell"),
    "ssh-config": ("ssh_config", "add_ssh_config", "lines for ~/.ssh/config"),
    "config": ("daemon", "add_config", "check the configuration"),
    "completion": ("shell", "add_completion", "completion for bash, zsh or fish"),
    "schema": ("shell", "add_schema", "the schema of the control protocol and of --json"),
    "version": ("shell", "add_version", "the version"),
}


class Parser(argparse.ArgumentParser):
    """Wrong usage is 64, as sysexits(3) has it."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        sys.stderr.write(f"{self.prog}: {message}\n")
        sys.exit(os.EX_USAGE)


def parser(only: str | None = None) -> Parser:
    """The parser of one command, or of all."""
    made = Parser(
        prog="keyholm",
        description="Every private key through every door, past one gate.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action="store_true", help="print the version and end")
    subparsers = made.add_subparsers(metavar="COMMAND", parser_class=Parser)
    for name, (module, function, _) in COMMANDS.items():
        if only in (None, name):
            getattr(import_module(f"keyholm.cli.{module}"), function)(subparsers)
    return made


def overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {about}" for name, (_, _, about) in COMMANDS.items()]
    return (
        "usage: keyholm COMMAND [OPTION]...\n\n"
        "Every private key through every door, past one gate.\n\n"
        + "\n".join(lines)
        + "\n\n`keyholm COMMAND --help` tells more. Nearly every command knows --json.\n"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help", "help"):
        sys.stdout.write(overview())
        return 0 if given else os.EX_USAGE
    if given[0] == "--version":
        given[0] = "version"
    if given[0] not in COMMANDS:
        return _unknown(given[0])
    return run(given)


def run(given: Sequence[str]) -> int:
    options = parser(given[0]).parse_args(given)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except KeyholmError as error:
        return tell(error, as_json=getattr(options, "json", False))
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        return 130
    except BrokenPipeError:
        # Whoever read our output has left; Python would complain about it at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return status


def tell(error: KeyholmError, *, as_json: bool) -> int:
    """One line what, one line what to do."""
    if as_json:
        import json

        told = {"kind": type(error).__name__, "what": error.what, "remedy": error.remedy}
        sys.stdout.write(json.dumps({"error": told}, indent=2) + "\n")
    sys.stderr.write(f"keyholm: {error.what}\n")
    if error.remedy:
        sys.stderr.write(f"     do: {error.remedy}\n")
    return exit_status(error)


def _unknown(name: str) -> int:
    import difflib

    near = difflib.get_close_matches(name, COMMANDS, 1)
    hint = f"Did you mean `keyholm {near[0]}`?" if near else "`keyholm help` lists the commands."
    sys.stderr.write(f"keyholm: there is no command {name!r}. {hint}\n")
    return os.EX_USAGE


if __name__ == "__main__":
    sys.exit(main())

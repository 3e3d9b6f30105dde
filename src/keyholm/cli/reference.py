"""The manual of the commands, made from their parsers: docs/reference/cli.md."""

import argparse
from collections.abc import Iterator
from typing import Final

from keyholm.cli import exit_status
from keyholm.cli.exit_status import EXIT_STATUS
from keyholm.cli.main import COMMANDS, parser_for
from keyholm.core.errors import KeyholmError, leaves

HEAD: Final = """\
# The command line

Made from the parsers by `python -m keyholm.cli.reference`; a test says when it is out of date.

Every command takes `--help`. Options are never cut short, and come after the command.

- **Names.** A key is named by its name, its place (`disk/main/3f2a...`), the first six or more
  letters of its id, or any PKCS#11 URI (RFC 7512) that fits it and no other key; a token by its
  name or its place (`disk/main`).
- **Passphrases** are typed at the terminal without an echo, or are the first line of a file
  (`--passphrase-file`; `-` is standard input). They are never arguments or in the environment.
- **`--json`** prints one JSON object on standard output, of the shape that
  [control.json](control.json) gives for the method in question, or as the command's own paragraph
  says. An error is `{"error": {"kind", "what", "remedy"}}`.
- **Errors** are two lines on standard error: what happened, and `do:`, what to do.
  [errors.md](../errors.md) has all of them.
- **Colour** only on a terminal, and not with `NO_COLOR` or `TERM=dumb`. Tables are cut to the
  width of the terminal (`COLUMNS`); in a pipe nothing is cut.
- **`KEYHOLM_HOME=DIR`** puts configuration, data and sockets under one folder.

## Exit status

| | |
|---|---|
| 0 | done |
| 1 | `policy explain`: it would be refused; `log verify`: something was found |
"""
# What the status of sysexits(3) means here.
MEANINGS: Final = {
    exit_status.USAGE: "the command line, or the request that it made, makes no sense",
    exit_status.DATA: "a file holds something else than it should, or is damaged",
    exit_status.NO_INPUT: "there is no such key, token or certificate",
    exit_status.UNAVAILABLE: "it cannot be done right now",
    exit_status.SOFTWARE: "keyholm itself went wrong",
    exit_status.CANNOT_CREATE: "it is there already",
    exit_status.IO: "a device or disk failed, or is full",
    exit_status.TRY_AGAIN: "too busy, or too much at once: try again",
    exit_status.NOT_ALLOWED: "refused",
    exit_status.CONFIGURATION: "the configuration is wrong",
}
# What --json prints where it is not the result of one method.
JSON: Final = {
    "show": "`keys.show`, and `policy_toml`",
    "import": '`{"keys": [...]}`, each as `keys.import`',
    "export": '`{"public", "file"}`',
    "init": '`{"data", "token", "recovery_code"}`',
    "token": '`{"token", "recovery_code"}`; `list`: `{"tokens": [...]}` as in `status`',
    "passwd": '`{"recovery_code"}` with `--recovery`, else `{}`',
    "backup": '`{"file", "bytes"}`',
    "restore": '`{"token"}`',
    "rm": "`keys.show`, of the key that was destroyed",
    "certificate": '`{"name"}`',
    "ssh-config": '`{"agent", "files": {name: path}, "hosts": {host: [name]}}`',
    "env": '`{"SSH_AUTH_SOCK"}`',
    "module-path": '`{"path"}`',
    "version": '`{"version"}`',
    "enable": '`{"program", "done", "changes": [{"path", "diff"}], "try", "kept"}`; without a '
    'program `{"programs": [{"program", "about", "state", "why", "paths"}]}`, where `state` is on, '
    "off, changed (by somebody else since) or not here",
    "disable": "as `enable`",
    "policy": "the result of `policy.get`, with `explain` that of `policy.explain`",
    "config": '`{"path"}`; `check`: also `exists`',
    "module": '`add`: `{"name", "file", "written", "settings", "needs", "warnings"}`; `list`: '
    '`modules.list` with the `file` of each; `import`: `{"modules": [{"p11_kit", "skipped", '
    '"remarks", "module"}]}`; `remove`: `{"name", "file"}`; `pin`: `{"name", "before", '
    '"sha256"}`; `test`: `{"findings", "isolation", "info", "slots", "stderr"}`, findings as of '
    "`doctor`",
    "doctor": '`{"findings": [{"level", "check", "what", "why", "remedy", "status"}]}`, where '
    "`level` is good, warning or bad",
    "why": '`{"refusals": [...]}`, records of the trail with their session',
}
OF_METHOD: Final = {
    "status": "status",
    "list": "keys.list",
    "new": "keys.new",
    "rename": "keys.rename",
    "sign": "keys.sign",
    "agent": "agent.restore",
}


def document() -> str:
    return "\n".join((HEAD + "\n".join(_statuses()), "", *_commands())) + "\n"


def _statuses() -> Iterator[str]:
    for status, meaning in sorted(MEANINGS.items()):
        kinds = sorted(kind.__name__ for kind in leaves() if EXIT_STATUS[kind] == status)
        yield f"| {status} | {meaning}{': ' if kinds else ''}{', '.join(kinds)} |"
    yield f"| {exit_status.INTERRUPTED} | interrupted (Ctrl-C) |"
    yield ""
    yield f"What has no class of its own is {EXIT_STATUS[KeyholmError]}."


def _commands() -> Iterator[str]:
    for group, commands in COMMANDS.items():
        yield f"## {group}\n"
        for command, _, _ in commands:
            yield f"### keyholm {command}\n"
            yield from _described(f"keyholm {command}", _parser_of(command))
            if shape := _shape(command):
                yield f"`--json`: {shape}.\n"


def _shape(command: str) -> str:
    if command in OF_METHOD:
        return f"the result of `{OF_METHOD[command]}`"
    return JSON.get(command, "")


def _parser_of(command: str) -> argparse.ArgumentParser:
    parser = parser_for([command])
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to ask
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            found: argparse.ArgumentParser = action.choices[command]
            return found
    raise LookupError(command)


def _described(name: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    below: dict[str, argparse.ArgumentParser] = {}
    own = []
    for action in parser._actions:  # noqa: SLF001
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            below = action.choices
        elif not isinstance(action, argparse._HelpAction):  # noqa: SLF001
            own.append(action)
    if not below:
        yield f"    {_usage(name, own)}\n"
    if parser.description:
        yield f"{parser.description}\n"
    if own:
        yield "| | |\n|---|---|"
        yield from (f"| `{_form(action)}` | {_about(action)} |" for action in own)
        yield ""
    for action_name, action_parser in below.items():
        yield f"#### {name} {action_name}\n"
        yield from _described(f"{name} {action_name}", action_parser)


def _usage(name: str, actions: list[argparse.Action]) -> str:
    words = [name]
    if any(action.option_strings for action in actions):
        words.append("[OPTION ...]")
    for action in actions:
        if not action.option_strings:
            form = _form(action)
            words.append(f"[{form}]" if action.nargs in ("?", "*") else form)
    return " ".join(words)


def _form(action: argparse.Action) -> str:
    metavar = str(action.metavar or action.dest.upper().replace("_", "-"))
    if action.choices is not None and not action.metavar:
        metavar = "\\|".join(map(str, action.choices)) if action.option_strings else metavar
    if action.nargs in ("+", "*"):
        metavar += " ..."
    if not action.option_strings:
        return metavar
    options = ", ".join(action.option_strings)
    return options if action.nargs == 0 else f"{options} {metavar}"


def _about(action: argparse.Action) -> str:
    about = action.help or ""
    if action.choices is not None and not action.option_strings:
        about = f"{', '.join(map(str, action.choices))}{'; ' if about else ''}{about}"
    return about


if __name__ == "__main__":
    print(document(), end="")

"""`keyholm completion`: what a shell needs to complete our commands, made from the parsers.

The scripts know commands, actions, options and fixed choices; names of keys they ask the
daemon for, when Tab is pressed.
"""

import argparse
import sys
from argparse import Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from keyholm.cli.main import every_command, parser_for

if TYPE_CHECKING:
    from keyholm.cli.parser import Subparsers

FILES: Final = ("FILE", "FOLDER")
NAMES: Final = 'keyholm list --json 2>/dev/null | sed -n \'s/^ *"name": "\\(.*\\)",$/\\1/p\''

BASH: Final = """\
_keyholm() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}}
  local command="${{COMP_WORDS[1]}}" words="" options="" keys="" files=""
  [[ $COMP_CWORD -ge 3 && ${{COMP_WORDS[2]}} != -* ]] && command="$command ${{COMP_WORDS[2]}}"
  [[ $COMP_CWORD -eq 1 ]] && command=""
  case "$command" in
{cases}
  esac
  case "$command $previous" in
{options}
  esac
  [[ $current == -* ]] && words=$options keys="" files=""
  COMPREPLY=()
  local IFS=$'\\n'
  [[ -n $words ]] && COMPREPLY+=($(compgen -W "${{words// /$'\\n'}}" -- "$current"))
  [[ -n $keys ]] && COMPREPLY+=($(compgen -W "$({names})" -- "$current"))
  [[ -n $files ]] && COMPREPLY+=($(compgen -f -- "$current"))
}}
complete -o filenames -F _keyholm keyholm
"""
ZSH: Final = """\
#compdef keyholm
autoload -U +X bashcompinit && bashcompinit
"""


class Known(NamedTuple):
    """What one command, or one action of it, takes."""

    command: str
    options: tuple[tuple[str, argparse.Action], ...]
    words: tuple[str, ...]
    keys: bool  # whether it takes the name of a key
    files: bool


def add_parser(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser(
        "completion",
        description="Print the completions of a shell: `keyholm completion bash` in a file of "
        "/etc/bash_completion.d, or `source <(keyholm completion zsh)`.",
    )
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))
    parser.set_defaults(run=run)


def run(arguments: Namespace) -> int:
    known = list(all_known())
    script = _fish(known) if arguments.shell == "fish" else _bash(known)
    sys.stdout.write(ZSH + script if arguments.shell == "zsh" else script)
    return 0


def all_known() -> Iterator[Known]:
    parser = parser_for([command for command, _, _ in every_command()])
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to ask
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for command, below in action.choices.items():
                yield from _known(command, below)


def _known(command: str, parser: argparse.ArgumentParser) -> Iterator[Known]:
    options: list[tuple[str, argparse.Action]] = []
    words: list[str] = []
    keys = files = False
    for action in parser._actions:  # noqa: SLF001
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            words += action.choices
            for name, below in action.choices.items():
                yield from _known(f"{command} {name}", below)
        elif action.option_strings:
            options += [(option, action) for option in action.option_strings]
        elif action.choices:
            words += map(str, action.choices)
        else:
            keys = keys or action.dest == "key"
            files = files or action.dest in ("file", "files")
    yield Known(command, tuple(options), tuple(words), keys, files)


def _bash(known: list[Known]) -> str:
    commands = " ".join(command for command, _, _ in every_command())
    values = [
        f'    "{each.command}"*" {option}") keys=""; files=""; {found} ;;'
        for each in known
        for option, action in each.options
        if (found := _after_option(action))
    ]
    # `policy show` stands before `policy`: the first pattern that fits is taken.
    cases = [f'    "") words="{commands}" ;;']
    cases += [_case(each) for each in sorted(known, key=lambda each: " " not in each.command)]
    return BASH.format(cases="\n".join(cases), options="\n".join(values), names=NAMES)


def _case(known: Known) -> str:
    pattern = f'"{known.command}"'
    if " " not in known.command:
        # In the place of an action there can be the name of a key, or a file.
        pattern += f'|"{known.command} "*'
    given = [f'words="{" ".join(known.words)}"']
    given.append(f'options="{" ".join(option for option, _ in known.options)}"')
    given += ["keys=1"] if known.keys else []
    given += ["files=1"] if known.files else []
    return f"    {pattern}) {'; '.join(given)} ;;"


def _after_option(action: argparse.Action) -> str:
    """What follows an option that takes a value."""
    if action.nargs == 0:
        return ""
    if action.choices:
        return f'words="{" ".join(map(str, action.choices))}"'
    return 'words=""; files=1' if action.metavar in FILES else 'words=""'


def _fish(known: list[Known]) -> str:
    abouts = {command: about for command, _, about in every_command()}
    lines = ["complete -c keyholm -f"]
    for command, about in abouts.items():
        lines.append(
            f"complete -c keyholm -n __fish_use_subcommand -a {command} -d {_single(about)}"
        )
    for each in known:
        seen = " ".join(
            f"'__fish_seen_subcommand_from {word}'" for word in each.command.split()
        ).replace("' '", "; and ")
        start = f"complete -c keyholm -n {seen}"
        if each.words:
            lines.append(f"{start} -a {_single(' '.join(each.words))}")
        if each.keys:
            lines.append(f"{start} -a {_single(f'({NAMES})')}")
        if each.files:
            lines.append(f"{start} -F")
        lines += [_fish_option(start, option, action) for option, action in each.options]
    return "\n".join(lines) + "\n"


def _fish_option(start: str, option: str, action: argparse.Action) -> str:
    name = f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}"
    about = f" -d {_single(action.help)}" if action.help else ""
    if action.nargs == 0:
        return f"{start} {name}{about}"
    if action.choices:
        return f"{start} {name} -x -a {_single(' '.join(map(str, action.choices)))}{about}"
    return f"{start} {name} {'-rF' if action.metavar in FILES else '-x'}{about}"


def _single(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"

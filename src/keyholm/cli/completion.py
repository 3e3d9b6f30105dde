"""Shell completion, generated from the parsers, so that it knows every option there is."""

import argparse
from typing import Final

from keyholm.cli.main import COMMANDS, parser

BASH: Final = """\
_keyholm() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} words
  if [ "$COMP_CWORD" = 1 ]; then
    words="{commands}"
  else
    case ${{COMP_WORDS[1]}} in
{cases}
    esac
    case $current in
      -*) ;;
      *) case ${{COMP_WORDS[1]}} in
           show|export|rm|rename|sign|policy|certificate)
             words="$words $(keyholm list --json 2>/dev/null | sed -n 's/^ *"name": "\\(.*\\)",$/\\1/p')" ;;
         esac ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  [ ${{#COMPREPLY[@]}} -gt 0 ] || COMPREPLY=($(compgen -f -- "$current"))
}}
complete -F _keyholm keyholm
"""


def script(shell: str) -> str:
    words = {name: _words(name) for name in COMMANDS}
    if shell == "fish":
        return "".join(_fish(words))
    cases = "\n".join(
        f'      {name}) words="{" ".join(found)}" ;;' for name, found in words.items()
    )
    bash = BASH.format(commands=" ".join(COMMANDS), cases=cases)
    # zsh runs bash's completions as they are.
    return f"autoload -U +X bashcompinit && bashcompinit\n{bash}" if shell == "zsh" else bash


def _words(command: str) -> list[str]:
    """Options and choices of a command, those of its own sub-commands included."""
    made = parser(command)
    found: list[str] = []
    todo: list[argparse.ArgumentParser] = [
        sub for action in _sub(made) for sub in action.choices.values()
    ]
    while todo:
        current = todo.pop()
        for action in current._actions:  # noqa: SLF001 - argparse has no other way to ask
            found += action.option_strings
            if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
                found += action.choices
                todo += action.choices.values()
            elif action.choices:
                found += map(str, action.choices)
    return list(dict.fromkeys(found))


def _sub(
    made: argparse.ArgumentParser,
) -> list["argparse._SubParsersAction[argparse.ArgumentParser]"]:
    return [a for a in made._actions if isinstance(a, argparse._SubParsersAction)]  # noqa: SLF001


def _fish(words: dict[str, list[str]]) -> list[str]:
    lines = ["complete -c keyholm -n __fish_use_subcommand -f\n"]
    for name, (_, _, about) in COMMANDS.items():
        told = about.replace("'", "")
        lines.append(f"complete -c keyholm -n __fish_use_subcommand -a {name} -d '{told}'\n")
        for word in words[name]:
            how = f"-l {word[2:]}" if word.startswith("--") else f"-a '{word}'"
            lines.append(f"complete -c keyholm -n '__fish_seen_subcommand_from {name}' {how}\n")
    return lines

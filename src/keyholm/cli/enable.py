"""`keyholm enable` and `keyholm disable`: tell programs of keyholm, and take it back.

Every change is shown before it is made, and asked for; what was there before is remembered.
"""

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from keyholm.cli.output import Style, print_json, printable, table
from keyholm.cli.parser import add_json
from keyholm.core.errors import BadRequest

if TYPE_CHECKING:
    from keyholm.cli.parser import Parser, Subparsers
    from keyholm.cli.registration.ledger import Change, Ledger
    from keyholm.cli.registration.target import Target, Wish


def add_parser(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser(
        "enable",
        description="Tell a program of keyholm's keys. Without a program: list them. The change "
        "is shown before it is made, and `keyholm disable` undoes it exactly. "
        "docs/programs.md says what is written for each.",
    )
    _add_common(parser, "enable")
    parser.add_argument("--module", metavar="FILE", help="else keyholm's own PKCS#11 module")
    parser.add_argument("--key", default="", metavar="KEY", help="that git shall sign with")
    parser.add_argument(
        "--no-native",
        action="store_true",
        help="p11-kit: start `keyholm p11 --stdio` in place of loading the module",
    )
    parser.add_argument(
        "--provider",
        action="store_true",
        help="ssh: load the module (PKCS11Provider) in place of asking the agent",
    )
    parser.set_defaults(run=run)


def add_disable_parser(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser(
        "disable", description="Undo what `keyholm enable` did, byte for byte."
    )
    _add_common(parser, "disable")
    parser.add_argument(
        "--force",
        action="store_true",
        help="also where a file was changed since; as it is now, it is kept beside",
    )
    parser.set_defaults(run=run_disable)


def _add_common(parser: "Parser", verb: str) -> None:
    from keyholm.cli.registration.targets import TARGETS

    parser.add_argument(
        "program",
        nargs="?" if verb == "enable" else None,
        choices=tuple(TARGETS),
        help="what to tell" if verb == "enable" else "what was told",
    )
    parser.add_argument("folder", nargs="?", default="", metavar="DIR", help="of `nss`")
    parser.add_argument("-y", "--yes", action="store_true", help="do it without asking")
    parser.add_argument("-n", "--dry-run", action="store_true", help="show it, and do nothing")
    add_json(parser)


def run(arguments: Namespace) -> int:
    from keyholm.cli.registration.ledger import changes_of

    ledger = ledger_here()
    if arguments.program is None:
        return _list(arguments, ledger)
    target, name = _target(arguments)
    wish = wish_of(arguments)
    changes = changes_of(target.edits(wish))
    agreed = _agreed(arguments, target, wish, changes)
    if agreed and changes:
        ledger.make(name, changes)
    return _tell(arguments, Outcome(name, changes, agreed), target.usage(wish))


def run_disable(arguments: Namespace) -> int:
    ledger = ledger_here()
    target, name = _target(arguments)
    changes = ledger.undoing(name, force=arguments.force)
    agreed = _agreed(arguments, target, wish_of(arguments), changes)
    kept = ledger.forget(name, changes) if agreed else []
    return _tell(arguments, Outcome(name, changes, agreed, True, kept))


# --- what is wished ------------------------------------------------------------------


def ledger_here() -> "Ledger":
    from keyholm.cli.registration.ledger import Ledger
    from keyholm.daemon import places

    return Ledger(places.find(os.environ).data)


def wish_of(arguments: Namespace) -> "Wish":
    from keyholm.cli.module_file import module_file
    from keyholm.cli.registration.here import usual_wish
    from keyholm.client import door_path
    from keyholm.daemon import places

    given = vars(arguments)
    module = _module(given.get("module")) or module_file()
    return usual_wish(os.environ, places.find(os.environ), module)._replace(
        argument=given.get("folder") or "",
        key=_public(given.get("key") or ""),
        native=not given.get("no_native"),
        provider=bool(given.get("provider")),
        agent=door_path("ssh"),
    )


def _module(given: str | None) -> str:
    if not given:
        return ""
    path = os.path.abspath(os.path.expanduser(given))
    if not os.path.isfile(path):
        raise BadRequest(f"{path} is no file.", remedy="Name a PKCS#11 module.")
    return path


def _public(name: str) -> str:
    if not name:
        return ""
    from keyholm.client import connect

    with connect() as client:
        key = client.key(name)
    if not key["public"]:
        raise BadRequest(f"SSH has no words for a key such as {key['name']!r}.")
    return str(key["public"])


def _target(arguments: Namespace) -> tuple["Target", str]:
    """The target, and what the ledger calls it."""
    from keyholm.cli.registration.targets import TARGETS

    target = TARGETS[arguments.program]
    if bool(arguments.folder) != bool(target.argument):
        wants = f"wants {target.argument}" if target.argument else "wants no folder"
        raise BadRequest(f"`keyholm enable {target.name}` {wants}.")
    if not arguments.folder:
        return target, target.name
    folder = os.path.abspath(os.path.expanduser(arguments.folder))
    return target, f"{target.name} {folder}"


# --- shown, asked, told --------------------------------------------------------------


class Outcome(NamedTuple):
    program: str
    changes: "Sequence[Change]"
    agreed: bool
    undone: bool = False
    kept: Sequence[str] = ()  # files that somebody else had changed


def _agreed(
    arguments: Namespace, target: "Target", wish: "Wish", changes: "Sequence[Change]"
) -> bool:
    """Show the changes, and ask whether to make them. Raises `BadRequest`."""
    if not arguments.json:
        sys.stdout.write("".join(_coloured(diff(change)) for change in changes))
        sys.stdout.flush()
    if arguments.dry_run:
        return False
    if not changes:
        return True
    reason = target.in_use(wish)
    if reason:
        raise BadRequest(
            f"{reason} It has read the list of modules, and may write it again.",
            remedy="Close it, and try again.",
        )
    return bool(arguments.yes) or _asked()


def _asked() -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise BadRequest(
            "Nobody is at a terminal to be asked whether this may be done; nothing was done.",
            remedy="--yes does it without asking, --dry-run only shows it.",
        )
    sys.stderr.write("Do this? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def diff(change: "Change") -> str:
    from difflib import unified_diff

    def lines(content: bytes | None) -> list[str]:
        return (content or b"").decode(errors="replace").splitlines(keepends=True)

    def side(content: bytes | None) -> str:
        return change.path if content is not None else os.devnull

    told = unified_diff(
        lines(change.before), lines(change.after), side(change.before), side(change.after)
    )
    return "".join(f"{printable(line.rstrip(chr(10)).expandtabs())}\n" for line in told)


def _coloured(text: str) -> str:
    style = Style(sys.stdout)
    if not style.colour:
        return text
    paint = {"+": style.good, "-": style.bad, "@": style.faint}
    lines = text.splitlines(keepends=True)
    return "".join(paint.get(line[0], str)(line) if line.strip() else line for line in lines)


def _tell(arguments: Namespace, outcome: Outcome, usage: Sequence[str] = ()) -> int:
    is_so = outcome.agreed or not outcome.changes
    usage = usage if is_so else ()
    if arguments.json:
        changes = [{"path": each.path, "diff": diff(each)} for each in outcome.changes]
        told = {"program": outcome.program, "done": outcome.agreed, "changes": changes}
        print_json({**told, "try": list(usage), "kept": list(outcome.kept)})
        return 0
    if not is_so:
        print("Nothing was done.")
    elif outcome.undone:
        print(f"{outcome.program} is as it was before.")
    else:
        knows = "knows keyholm" if outcome.changes else "knew keyholm already"
        print(f"{outcome.program} {knows}.")
    for line in usage:
        print(f"  try: {printable(line)}")
    for path in outcome.kept:
        print(f"What somebody else had changed is kept in {printable(path)}.")
    return 0


# --- the list ------------------------------------------------------------------------


def _list(arguments: Namespace, ledger: "Ledger") -> int:
    from keyholm.cli.registration.here import states

    found = states(ledger, wish_of(arguments))
    if arguments.json:
        print_json({"programs": [each._asdict() for each in found]})
        return 0
    heads = ("PROGRAM", "STATE", "WHAT FOR", "WHERE")
    rows = [
        (each.program, each.state, each.about, each.why or ", ".join(each.paths)) for each in found
    ]
    sys.stdout.write(table(heads, rows))
    return 0

"""`keyholm log prove`: show one record to somebody who has not got the trail."""

import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from keyholm.cli.exit_status import DATA
from keyholm.cli.log_where import add_directory, directory, read
from keyholm.cli.output import printable
from keyholm.core.errors import BadRequest

if TYPE_CHECKING:
    from keyholm.cli.parser import Subparsers

LARGEST_PROOF: Final = 256 * 1024


def add_prove(actions: "Subparsers") -> None:
    prove = actions.add_parser(
        "prove",
        description="Print the proof that a record is in the trail (C2SP tlog-proof), or check one.",
    )
    what = prove.add_mutually_exclusive_group(required=True)
    what.add_argument("record", nargs="?", help="its number, as `keyholm log` shows it: serve-0/12")
    what.add_argument("--check", metavar="FILE", help="a proof; its record is printed if it holds")
    prove.add_argument("--vkey", default="", help="the key of another trail, for --check")
    add_directory(prove, option=True)
    prove.set_defaults(run=run_prove)


def run_prove(arguments: Namespace) -> int:
    from keyholm.core.audit.prove import prove

    folder = directory(arguments)
    if arguments.check:
        return _check_proof(arguments, folder)
    name, _, number = arguments.record.rpartition("/")
    if not number.isdecimal():
        raise BadRequest(f"{arguments.record!r} names no record; they are named like serve-0/12.")
    sys.stdout.write(prove(_one_trail(folder, name), int(number)))
    return 0


def _one_trail(directory: Path, name: str) -> Path:
    from keyholm.core.audit.pool import trails

    found = [path for path in trails(directory) if name in ("", path.name)]
    if len(found) != 1:
        names = ", ".join(path.name for path in trails(directory)) or "none"
        raise BadRequest(
            f"It is not clear which trail is meant; there are: {names}.",
            remedy="Name it with the record: serve-0/12.",
        )
    return found[0]


def _check_proof(arguments: Namespace, directory: Path) -> int:
    from keyholm.core.audit.folder import VKEY
    from keyholm.core.audit.note import BadNote, VerifyingKey
    from keyholm.core.audit.pool import trails
    from keyholm.core.audit.prove import proven

    proof = read(arguments.check)[:LARGEST_PROOF].decode(errors="replace")
    try:
        texts = [arguments.vkey] if arguments.vkey else _vkeys(trails(directory), VKEY)
        record = proven(proof, *map(VerifyingKey.parse, texts))
    except BadNote as error:
        sys.stderr.write(f"keyholm: This proof does not hold: {printable(str(error))}.\n")
        return DATA
    print(printable(record.decode(errors="replace")))
    return 0


def _vkeys(paths: list[Path], name: str) -> list[str]:
    return [read(str(path / name)).decode("ascii", "replace").rstrip("\n") for path in paths]

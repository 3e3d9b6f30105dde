"""What is usual on this machine: where things lie, and what each target's state is."""

import os
import shutil
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from keyholm.cli.registration.ledger import Ledger, changes_of
from keyholm.cli.registration.target import Target, Wish
from keyholm.cli.registration.targets import TARGETS
from keyholm.core.errors import KeyholmError

if TYPE_CHECKING:
    from keyholm.daemon.places import Places

ON: Final = "on"
OFF: Final = "off"
CHANGED: Final = "changed"  # by somebody else, since
UNKNOWN: Final = "not here"
SYSTEM: Final = "/etc/keyholm"


class State(NamedTuple):
    program: str  # and its argument
    about: str
    state: str
    why: str
    paths: list[str]


def usual_wish(environment: Mapping[str, str], places: "Places", module: str) -> Wish:
    root = os.geteuid() == 0
    return Wish(
        environment,
        root,
        module=module,
        folder=SYSTEM if root and "KEYHOLM_HOME" not in environment else str(places.config.parent),
        command=_command(),
        agent=str(places.socket("ssh")),
    )


def _command() -> str:
    """Where `keyholm` is: beside the Python that runs it, or on PATH."""
    beside = os.path.join(os.path.dirname(sys.executable), "keyholm")
    return beside if os.path.exists(beside) else shutil.which("keyholm") or beside


def states(ledger: Ledger, wish: Wish) -> list[State]:
    """Of each target, and of each folder that `nss` was told of."""
    known = [target for target in TARGETS.values() if not target.argument]
    found = [state(ledger, target, target.name, wish) for target in known]
    for name in ledger.names():
        program, _, argument = name.partition(" ")
        if argument and program in TARGETS:
            given = wish._replace(argument=argument)
            found.append(state(ledger, TARGETS[program], name, given))
    return found


def state(ledger: Ledger, target: Target, name: str, wish: Wish) -> State:
    unknown = State(name, target.about, UNKNOWN, "", [])
    try:
        done = ledger.done(name)
        if done is not None:
            found = ON if all(each.stands for each in done) else CHANGED
            return unknown._replace(state=found, paths=[each.path for each in done])
        if target.wants_key and not wish.key:
            return unknown._replace(state=OFF, why=f"keyholm enable {name} --key KEY")
        edits = target.edits(wish)
        found = OFF if changes_of(edits) else ON
        return unknown._replace(state=found, paths=[edit.path for edit in edits])
    except KeyholmError as error:
        return unknown._replace(why=error.what)

"""Tries wrong PINs and says so, until it is killed: `pin_writer.py FOLDER`.

Prints `?` before each try, and `!` after it was refused. The right PIN comes first, so that
the count begins at nothing.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Final

from keyholm.core.errors import PinIncorrect
from keyholm.core.secret import Secret
from keyholm.core.session import Role
from keyholm.core.store import NewPins
from keyholm.stores.disk.cost import Cost
from keyholm.stores.disk.pin_token import PinToken
from keyholm.stores.disk.store import DiskStore

COST: Final = Cost(1, 64, 1)
RIGHT: Final = b"1234"
OFFICER: Final = b"so: 87654321"


def opened(folder: Path) -> tuple[DiskStore, PinToken]:
    store = DiskStore(folder, cost=COST, floor=COST)
    if not store.tokens():
        with Secret.of(OFFICER) as officer, Secret.of(RIGHT) as user:
            store.make_pin_token("main", 1000, NewPins(officer, user, application_login=True))
    (token,) = store.tokens()
    assert isinstance(token, PinToken)
    return store, token


def main() -> None:
    _, token = opened(Path(sys.argv[1]))
    with Secret.of(RIGHT) as right, Secret.of(b"wrong") as wrong:
        token.check_pin(Role.USER, right)
        os.write(1, b".")
        while token.pin_state(Role.USER).tries_left:
            os.write(1, b"?")
            try:
                token.check_pin(Role.USER, wrong)
            except PinIncorrect:
                os.write(1, b"!")
    signal.pause()


if __name__ == "__main__":
    main()

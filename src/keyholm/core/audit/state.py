"""Where the last checkpoint ended: a note that makes opening a long trail quick.

It is derived from the segments and signed by the trail's key. Without it the newest
segment is read from its start; with it only what came after.
"""

import msgspec

from keyholm.core.audit.decoding import decode
from keyholm.core.audit.note import BadNote, SigningKey, VerifyingKey, open_note, sign_note
from keyholm.core.audit.tree import Tree


class State(msgspec.Struct, frozen=True):
    size: int
    segment: int  # first record of the file that the next record goes to
    offset: int  # where in it
    last: str  # leaf hash of the record before
    peaks: tuple[str, ...]
    boot_id: str  # of the process that wrote it
    ended: bool  # after a `closed`

    def tree(self) -> Tree:
        return Tree(self.size, map(bytes.fromhex, self.peaks))

    def note(self, key: SigningKey) -> bytes:
        return sign_note(f"{key.name}/state\n{msgspec.json.encode(self).decode()}\n", key)


def read_state(note: bytes, vkey: VerifyingKey) -> State:
    name, _, body = open_note(note, vkey).text.partition("\n")
    if name != f"{vkey.name}/state":
        raise BadNote("this is not the state of this trail")
    try:
        state = decode(body.encode(), State)
        state.tree()
    except ValueError as error:
        raise BadNote(f"the state is malformed: {error}") from error
    return state

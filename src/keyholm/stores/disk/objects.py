"""Certificates, data and public keys that stand alone: what is on a token beside its keys.

A public one is a line of the journal. A private one is a file of its own, in which even what
it is is encrypted: it is listed while the token is open, and read when first asked for. What
a session made is in memory only, and listed nowhere.
"""

import secrets
from collections.abc import Iterator, Sized
from typing import Final

import msgspec
from msgspec.structs import replace

from keyholm.core.errors import BadRequest, KeyholmError, KeyNotFound, LimitExceeded
from keyholm.core.model import SESSION, Attributes, Kind, NewObject, Object, Origin, Place
from keyholm.core.secret import Secret
from keyholm.stores.disk import attributes
from keyholm.stores.disk.attributes import Kept, kept
from keyholm.stores.disk.entries import Entries
from keyholm.stores.disk.entry import STORE, Facts, Form
from keyholm.stores.disk.journal import Hold
from keyholm.stores.disk.line import read as read_line

MOST_OF_SESSIONS: Final = 65_536
KINDS: Final = (Kind.PUBLIC, Kind.CERTIFICATE, Kind.DATA)


class Hidden(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is encrypted of a private object."""

    kind: Kind
    attributes: Kept


class Objects:
    """Those of one token. Whoever calls holds the token's lock, and it is open for a change."""

    def __init__(self, token: str, entries: Entries) -> None:
        self._token, self._entries = token, entries
        self._public: dict[str, Object] = {}
        self._private: dict[str, Object] | None = None  # None: not read since the unlock
        self._session: dict[str, Object] = {}

    def show(self, *, verified: bool) -> None:
        held = sorted(self._entries.objects.values(), key=lambda each: each.order)
        self._public = {each.object: self._shown(each, verified=verified) for each in held}
        self._private = None

    def forget(self) -> None:
        """What is secret, or only of this session."""
        self._private = None
        self._session.clear()

    def all(self) -> list[Object]:
        public = list(self._public.values())
        private = self._opened()
        return sorted([*public, *private.values()], key=_order) if private else public

    def _opened(self) -> dict[str, Object]:
        if not self._entries.is_unlocked:
            return {}
        if self._private is None:
            self._private = dict(self._read_all())
        return self._private

    def _read_all(self) -> Iterator[tuple[str, Object]]:
        entries = self._entries
        for name, listed in entries.listed.items():
            if listed.facts.form is Form.OBJECT:
                try:
                    yield name, self._read(name, listed.facts)
                except KeyholmError as error:  # the others are there all the same
                    entries.bad[name] = f"{error.what} This private object is not used."

    def _read(self, name: str, facts: Facts) -> Object:
        with self._entries.read(name) as plain:
            hidden = read_line(plain.view, Hidden)
        return self._object(name, hidden.kind, hidden.attributes, facts.order, private=True)

    def _shown(self, held: Hold, *, verified: bool) -> Object:
        return Object(
            Place(STORE, self._token, held.object),
            held.kind,
            attributes.public(held.attributes),
            verified=verified,
            order=held.order,
        )

    def _object(self, name: str, kind: Kind, held: Kept, order: int, *, private: bool) -> Object:
        place = Place(STORE, self._token, name)
        return Object(place, kind, attributes.public(held), private=private, order=order)

    # --- changes -----------------------------------------------------------------------

    def add(self, new: NewObject, order: int, created: float) -> Object:
        if new.kind not in KINDS:
            raise BadRequest(f"A {new.kind} key is no object without a key.")
        held = kept(new.attributes)
        if new.session:
            check_room(self._session)
            name = SESSION + secrets.token_hex(8)
            made = self._object(name, new.kind, held, order, private=new.private)
            self._session[name] = made
            return made
        name = secrets.token_hex(8)
        made = self._object(name, new.kind, held, order, private=new.private)
        if new.private:
            facts = Facts(
                secrets.token_hex(32),
                "",
                b"",
                "",
                Origin.IMPORTED,
                False,
                created,
                order,
                "",
                form=Form.OBJECT,
            )
            self._write(name, facts, Hidden(new.kind, held))
            self._opened()[name] = made
        else:
            self._entries.hold(Hold(name, new.kind, order, held))
            self._public[name] = made
        return made

    def _write(self, name: str, facts: Facts, hidden: Hidden) -> None:
        with Secret.of(msgspec.json.encode(hidden)) as plain:
            self._entries.put(name, facts, plain.view)

    def find(self, which: Object) -> Object:
        """As it is now. Raises `KeyNotFound`."""
        name = which.place.object
        found = self._session.get(name) or self._public.get(name) or self._opened().get(name)
        if found is None:
            raise KeyNotFound("This object is not in the store any more.")
        return found

    def change(self, which: Object, changes: Attributes) -> Object:
        found, held = self.find(which), kept(changes)
        name = found.place.object
        changed = replace(found, attributes=attributes.public(held))
        if found.place.is_session:
            self._session[name] = changed
        elif found.private:
            self._write(name, self._entries.listed[name].facts, Hidden(found.kind, held))
            self._opened()[name] = changed
        else:
            self._entries.hold(Hold(name, found.kind, found.order, held))
            self._public[name] = changed
        return changed

    def remove(self, which: Object) -> Object:
        found = self.find(which)
        name = found.place.object
        if found.place.is_session:
            del self._session[name]
        elif found.private:
            self._entries.remove(name)
            self._opened().pop(name, None)
        else:
            self._entries.release(name)
            del self._public[name]
        return found


def check_room(session: Sized) -> None:
    """Programs that forget what they made must not fill the daemon. Raises `LimitExceeded`."""
    if len(session) >= MOST_OF_SESSIONS:
        raise LimitExceeded(
            f"A token has at most {MOST_OF_SESSIONS} objects of sessions.",
            remedy="Close the sessions of the program that made them.",
        )


def _order(shown: Object) -> int:
    return shown.order

"""A vendor's token: its keys listed, used and described.

What it can do beside depends on the token (`abilities`): logins, making keys, changing objects.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from msgspec.structs import replace

from keyholm.core.errors import (
    AlgorithmUnsupported,
    KeyholmError,
    KeyNotFound,
    MechanismUnsupported,
    StoreFailed,
    TokenLocked,
)
from keyholm.core.mechanisms import Input, Mechanism
from keyholm.core.model import Attributes, Key, Kind, Object
from keyholm.core.policies import Policies
from keyholm.core.policy import OPEN, Policy, policy_hash
from keyholm.core.session import Role
from keyholm.core.store import (
    Change,
    Describes,
    Event,
    MechanismInfo,
    PassesThrough,
    Signs,
    TokenInfo,
)
from keyholm.cryptoki import forms
from keyholm.stores.modules import contents, reading, ways
from keyholm.stores.modules.access import Access
from keyholm.stores.modules.contents import STORE, Entry, Known, Whose
from keyholm.stores.modules.errors import Answered
from keyholm.stores.modules.human import Human
from keyholm.stores.modules.identity import Facts, Identity
from keyholm.stores.modules.line import COUNT, Line
from keyholm.stores.modules.setup import Setup
from keyholm.stores.software import material
from keyholm.stores.software.verifying import verifier
from keyholm.wire.pkcs11.constants import CKA, CKF, CKO, CKR, CKU
from keyholm.wire.ssh import keys

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a token is given by its module."""

    setup: Setup
    lines: Callable[[], Line]
    human: Human
    policies: Policies
    tell: Callable[[Event], None]
    look: Callable[[], None]  # somebody noticed that something is otherwise than it was


class ModuleToken(Signs, Describes, PassesThrough):
    """`owner` and `accepted_uids`: the module is the daemon's user's."""

    store = STORE
    legacy = True  # it keeps what only old programs want, if it has it

    def __init__(
        self, name: str, identity: Identity, facts: Facts, owner: int, around: Surroundings
    ) -> None:
        self.name, self.owner = name, owner
        self.label = identity.label or identity.serial
        self.accepted_uids: frozenset[int] = frozenset()
        self.uuid = "\0".join(identity)  # what a serial number for programs is made of
        self.around = around
        self.access = Access(identity, facts, around.lines, self._opened, around.look)
        self._mechanisms: dict[int, MechanismInfo] = {}
        self._listed: dict[int, frozenset[int]] = {}  # what is for one use, by its flag
        self._entries: dict[str, Entry] = {}
        self._session: dict[str, Entry] = {}
        self._keys: tuple[Key, ...] = ()
        self._handles_hold = False
        self._untold: set[Change] = set()
        self._prepare()

    def _prepare(self) -> None:
        """What its abilities have of their own."""

    # --- what is on it -----------------------------------------------------------------

    @property
    def identity(self) -> Identity:
        return self.access.identity

    @property
    def facts(self) -> Facts:
        return self.access.facts

    @property
    def sees_all(self) -> bool:
        """Whether private objects show."""
        return self.access.role is Role.USER or not self.facts.wants_login

    def keys(self) -> Sequence[Key]:
        return self._keys

    def load(self) -> None:
        """See what is there for the first time."""
        with self.access.lock:
            self.access.do(self._look_for_mechanisms)
            self.access.do(self._list)

    def look_again(self) -> None:
        """Whether another program changed something; of that, everybody is told. A token that is
        busy is looked at the next time: whoever looks has others to look after."""
        if not self.access.lock.acquire(blocking=False):
            return
        try:
            known = {e.handle for e in self._entries.values()}
            known |= {e.public for e in self._entries.values()}
            now = self.access.do(lambda line, session: set(reading.handles(line, session)))
            if self._handles_hold and now - self._of_sessions() == known - {0}:
                return
            self.access.do(self._list)
        finally:
            self.access.lock.release()
        self.tell_what_changed()

    def _of_sessions(self) -> set[int]:
        held = self._session.values()
        return {e.handle for e in held} | {e.public for e in held}

    def relist(self) -> None:
        with self.access.lock:
            self.access.do(self._list)
        self.tell_what_changed()

    def _look_for_mechanisms(self, line: Line, session: int) -> None:
        (listed,) = line.call("GetMechanismList", self.access.slot, COUNT)
        found: dict[int, MechanismInfo] = {}
        for ckm in listed if isinstance(listed, tuple) else ():
            try:
                found[ckm] = MechanismInfo(*line.call("GetMechanismInfo", self.access.slot, ckm))
            except Answered:
                continue
        self._mechanisms, self._listed = found, {}

    def _list(self, line: Line, session: int) -> None:
        own = self._of_sessions()
        there = [each for each in reading.handles(line, session) if each not in own]
        whose = Whose(self.name, self.identity.serial, not self.sees_all)
        found = contents.gather(
            list(reading.seen(line, session, there)),
            whose,
            self.hash_of_policy,
            known=self._known_objects() if self._handles_hold else contents.NOTHING,
        )
        self._take(found)
        self._handles_hold = True

    def _known_objects(self) -> dict[int, Known]:
        return {
            entry.handle: Known(
                entry.name,
                spki_of(entry.held),
                size_of(entry.held),
                entry.proven,
                isinstance(entry.held, Object),
            )
            for entry in self._entries.values()
            if entry.handle
        }

    def _take(self, found: Sequence[Entry]) -> None:
        """What was known stays what and where it is; what is new comes after it."""
        now = {entry.name: entry for entry in found}
        kept = {name: now.pop(name) for name in self._entries if name in now}
        order = max((e.held.order for e in self._entries.values()), default=0)
        for name, entry in kept.items():
            entry.follow(self._entries[name])
        for entry in now.values():
            order += 1
            entry.held = replace(entry.held, order=order)
        if not self.sees_all:
            # Those that only a login shows are there all the same.
            kept |= self._hidden_ones(kept, now)
        keys, objects = self._keys, self.listed_objects()
        self._entries = kept | now
        self.publish()
        if self._keys != keys:
            self._untold.add(Change.KEYS_CHANGED)
        if self.listed_objects() != objects:
            self._untold.add(Change.OBJECTS_CHANGED)

    def _hidden_ones(self, *shown: dict[str, Entry]) -> dict[str, Entry]:
        hidden: dict[str, Entry] = {}
        for name, entry in self._entries.items():
            if entry.private and not any(name in each for each in shown):
                entry.handle = entry.public = 0
                hidden[name] = entry
        return hidden

    def publish(self) -> None:
        entries = sorted(self._entries.values(), key=lambda entry: entry.held.order)
        self._keys = tuple(entry.held for entry in entries if isinstance(entry.held, Key))

    def listed_objects(self) -> list[Object]:
        """All but keys, as long as they may be seen."""
        entries = sorted(self._entries.values(), key=lambda entry: entry.held.order)
        found = [entry.held for entry in entries if isinstance(entry.held, Object)]
        return [each for each in found if self.sees_all or not each.private]

    def _opened(self, line: Line, session: int) -> None:
        """No handle from before is good."""
        self._handles_hold = False
        if self._session:
            self._session.clear()

    def tell_what_changed(self, *more: Change) -> None:
        """Whoever calls holds no lock."""
        changes, self._untold = {*self._untold, *more}, set()
        for change in sorted(changes):
            self.around.tell(Event(STORE, self.name, change))

    def tell_of(self, before: Key | Object | None, after: Key | Object | None) -> None:
        """The same of one key or object."""
        one = before or after
        change = Change.KEYS_CHANGED if isinstance(one, Key) else Change.OBJECTS_CHANGED
        self.around.tell(Event(STORE, self.name, change, before, after))

    # --- finding -----------------------------------------------------------------------

    def entry(self, held: Key | Object) -> Entry:
        """Raises `KeyNotFound`."""
        name = held.place.object
        found = self._entries.get(name) or self._session.get(name)
        if found is None:
            label = held.label if isinstance(held, Key) else "This object"
            raise KeyNotFound(
                f"{label!r} is not on {self.label} any more.",
                remedy="`keyholm list` shows the keys.",
            )
        return found

    def handle(self, line: Line, session: int, held: Key | Object, *, public: bool = False) -> int:
        """Of the object, in this generation of the worker. Raises `KeyNotFound`, `TokenLocked`."""
        if not self._handles_hold:
            self._list(line, session)
        entry = self.entry(held)
        handle = entry.public if public else entry.handle
        if not handle:
            if not self.sees_all:
                raise self.locked_error()
            raise KeyNotFound(f"{self.label} shows no such key, though it is logged in.")
        return handle

    def locked_error(self) -> TokenLocked:
        return TokenLocked(f"{self.label} wants its PIN first.", remedy="`keyholm unlock`")

    def interrupted(self) -> StoreFailed:
        return StoreFailed(
            f"{self.label} was begun anew in the middle of this.", remedy="Try it again, whole."
        )

    # --- signing -----------------------------------------------------------------------

    def sign(self, key: Key, mechanism: Mechanism, data: Input) -> bytes:
        entry = self.entry(key)
        self.check_open(entry)
        shape = entry.shape
        if shape is None:
            shape = entry.shape = ways.shape_of(key, entry.key_type)
        allowed = key.attributes.get(CKA.ALLOWED_MECHANISMS)
        way = ways.way(
            shape,
            mechanism,
            data,
            self.listed(CKF.SIGN),
            allowed if isinstance(allowed, tuple) else (),  # type: ignore[arg-type]
        )
        call = self.sign_with_pin if entry.always_authenticate else self._sign_once
        signature = call(key, way)
        if shape.signature and len(signature) != shape.signature:
            raise StoreFailed(
                f"{self.label} gave a signature of {len(signature)} bytes at C_Sign; "
                f"one by this key has {shape.signature}.",
                remedy="Ask its maker.",
            )
        if not entry.proven:
            self._prove(entry, key, mechanism, data, signature)
        return signature

    def _prove(
        self, entry: Entry, key: Key, mechanism: Mechanism, data: Input, signature: bytes
    ) -> None:
        """That it is the key that the public half with its CKA_ID says: once, since policies,
        certificates and the trail hang on that."""
        try:
            verifier(material.public_of(spki_of(key)), mechanism)(data, signature)
        except (MechanismUnsupported, AlgorithmUnsupported):
            return
        except KeyholmError as error:
            raise StoreFailed(
                f"{key.label!r} on {self.label} did not sign as its public key says.",
                remedy="Its CKA_ID is that of another key: give each pair one of its own.",
            ) from error
        entry.proven = True

    def _sign_once(self, key: Key, way: ways.Way) -> bytes:
        def act(line: Line, session: int) -> bytes:
            handle = self.handle(line, session, key)
            by, data, room = way
            return result(line.call("SignOnce", session, by, handle, data, room))

        return self.use(act)

    def sign_with_pin(self, key: Key, way: ways.Way) -> bytes:
        """CKA_ALWAYS_AUTHENTICATE: the PIN between the init and the use of the key."""

        def act(line: Line, session: int) -> bytes:
            handle = self.handle(line, session, key)
            line.call("SignInit", session, way.mechanism, handle)
            self.log_in_for_one_use(line, session)
            return result(line.call("Sign", session, way.data, way.room))

        return self.use_with_pin(key, act)

    def use(self, act: Callable[[Line, int], Made]) -> Made:
        """What may want a login: by whoever can, without asking anybody here."""
        try:
            return self.access.do(act)
        finally:
            if self._untold:
                self.tell_what_changed()

    def use_with_pin(self, key: Key, act: Callable[[Line, int], Made]) -> Made:
        with self.around.human.notice(f"{self.label} waits for its PIN, to use {key.label!r}."):
            return self.use(act)

    def log_in_for_one_use(self, line: Line, session: int) -> None:
        """Where there is nobody who knows a PIN, the device asks itself."""
        line.call("Login", session, CKU.CONTEXT_SPECIFIC, None)

    def check_open(self, entry: Entry | None = None) -> None:
        """Raises `TokenLocked`. A key that shows is used without a login (PIV's slot 9e): the
        token itself says so where it wants one."""

    def listed(self, flag: int) -> Collection[int]:
        """The mechanisms that are for this use; empty where the module lists none."""
        found = self._listed.get(flag)
        if found is None:
            found = frozenset(ckm for ckm, info in self._mechanisms.items() if info.flags & flag)
            self._listed[flag] = found
        return found

    # --- as it is ----------------------------------------------------------------------

    @property
    def info(self) -> TokenInfo:
        return self.facts.info

    @property
    def mechanisms(self) -> Mapping[int, MechanismInfo]:
        return self._mechanisms

    def attributes_of(
        self, which: Key | Object, object_class: int, types: Sequence[int]
    ) -> Attributes:
        public = isinstance(which, Key) and object_class == CKO.PUBLIC_KEY
        wanted = [cka for cka in types if public or cka not in forms.SECRETS]

        def act(line: Line, session: int) -> Attributes:
            handle = self.handle(line, session, which, public=public)
            return reading.attributes(line, session, handle, wanted)

        return self.use(act)

    # --- names and policies ------------------------------------------------------------

    def policy_of(self, key: Key) -> Policy:
        if key.place.is_session:
            return self.entry(key).policy
        return self.around.policies.of(key.id)

    def hash_of_policy(self, key_id: Any) -> str:
        try:
            policy = self.around.policies.of(key_id)
        except KeyholmError:
            return ""  # whoever uses it is told
        return "" if policy == OPEN else policy_hash(policy)

    def set_policy(self, key: Key, policy: Policy) -> Key:
        self.check_open()
        entry = self.entry(key)
        held = entry.key
        if held is None:
            raise KeyNotFound(f"{key.label!r} is no key.")
        if key.place.is_session:
            entry.policy = policy
        else:
            self.around.policies.set(held.id, policy)
        # A new `Key`: what was decided about the old one must not be looked up again.
        changed = replace(held, policy_hash="" if policy == OPEN else policy_hash(policy))
        self.replace(entry, changed)
        return changed

    def replace(self, entry: Entry, changed: Key | Object) -> None:
        before, entry.held = entry.held, changed
        if not changed.place.is_session:
            self.publish()
            self.tell_of(before, changed)

    def rename(self, key: Key, label: str) -> Key:
        self.check_open()
        entry = self.entry(key)
        template = ((CKA.LABEL, label.encode()),)

        def act(line: Line, session: int) -> None:
            line.call("SetAttributeValue", session, self.handle(line, session, key), template)
            if entry.public:
                line.call("SetAttributeValue", session, entry.public, template)

        self.use(act)
        held = entry.key
        if held is None:
            raise KeyNotFound(f"{key.label!r} is no key.")
        public = held.public_attributes
        changed = replace(
            held,
            label=label,
            attributes={**held.attributes, CKA.LABEL: label.encode()},
            public_attributes=None if public is None else {**public, CKA.LABEL: label.encode()},
        )
        self.replace(entry, changed)
        return changed

    def close(self) -> None:
        with self.access.lock:
            self.access.close()


def spki_of(held: Key | Object) -> bytes:
    if isinstance(held, Key):
        return held.spki or (keys.spki(held.ssh) if held.ssh is not None else None) or b""
    info = held.attributes.get(CKA.PUBLIC_KEY_INFO)
    return info if isinstance(info, bytes) and held.kind is Kind.PUBLIC else b""


def size_of(held: Key | Object) -> int:
    return held.secret.size if isinstance(held, Key) and held.secret is not None else 0


def result(values: Any) -> bytes:
    """Of a call that gives bytes: a length instead means that there was no room."""
    (given,) = values
    if isinstance(given, int):
        raise Answered("Sign", CKR.BUFFER_TOO_SMALL)
    return bytes(given)

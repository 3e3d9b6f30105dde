"""One token on disk: its keys and objects, and what can be done with them."""

import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from keyholm.core.errors import (
    AlgorithmUnsupported,
    AlreadyExists,
    BadRequest,
    KeyholmError,
    KeyNotFound,
    NotExportable,
    PolicyForbids,
)
from keyholm.core.mechanisms import Input, Mechanism
from keyholm.core.model import (
    Algorithm,
    Attributes,
    Key,
    NewKey,
    NewObject,
    Object,
    Origin,
    spelled,
)
from keyholm.core.policy import Policy
from keyholm.core.secret import Secret
from keyholm.core.store import (
    BacksUp,
    Change,
    Describes,
    Destroys,
    Event,
    Exports,
    Generates,
    Handover,
    HoldsObjects,
    Imports,
    Signs,
)
from keyholm.stores.disk import attributes, entry, mending
from keyholm.stores.disk.attributes import Kept, kept
from keyholm.stores.disk.backup import About, Saved
from keyholm.stores.disk.backup import make as make_backup
from keyholm.stores.disk.crypto import Subkeys
from keyholm.stores.disk.entries import Entries
from keyholm.stores.disk.entry import Facts, Form
from keyholm.stores.disk.header import Found
from keyholm.stores.disk.locked import LockedToken, Settings
from keyholm.stores.disk.objects import KINDS, Objects
from keyholm.stores.software import keys as software
from keyholm.stores.software import security_keys
from keyholm.stores.software.plain import plain_form, released, wiped
from keyholm.stores.software.shield import Shielded
from keyholm.wire.codec import Reader
from keyholm.wire.ssh import keys
from keyholm.wire.ssh.keys import Dsa, Rsa, SkEcdsa, SkEd25519
from keyholm.wire.ssh.private_keys import PRIVATE, Private, PrivateWithCertificate, write_file

MAX_LABEL: Final = 1024
RSA_SMALLEST: Final = 2048
_NEW_KEY: Final = "Make a new one, for instance by `keyholm new NAME --type ed25519`."
LOOK_AGAIN: Final = 60.0  # seconds between two readings of every file


@dataclass(slots=True, eq=False)
class _Held:
    """A key as it is known now; its private half is read from its file at its first use."""

    key: Key
    facts: Facts
    by_device: bool
    private: Shielded | None = None


class DiskToken(
    LockedToken, Signs, Generates, Imports, Exports, Destroys, Describes, HoldsObjects, BacksUp
):
    def __init__(
        self, place: Path, found: Found, settings: Settings, tell: Callable[[Event], None]
    ) -> None:
        super().__init__(place, found, settings, tell)
        self._begin_entries()
        self._held: dict[str, _Held] = {}
        # Names and key ids that there are, and how often: PKCS#11 may have one twice.
        self._names: Counter[str] = Counter()
        self._ids: Counter[str] = Counter()
        self._last_order = 0
        self._checked: tuple[float, list[str]] | None = None
        self._list(verified=False)
        self.unlock_unguarded()

    def _begin_entries(self) -> None:
        head = self._header
        self._entries = Entries(self.place, head.store, head.token, former=head.former)
        self._entries.open()
        self._objects = Objects(self.name, self._entries)

    def keys(self) -> Sequence[Key]:
        with self.lock_:
            return [held.key for held in self._held.values()]

    def objects(self) -> Sequence[Object]:
        with self.lock_:
            return self._objects.all()

    def _list(self, *, verified: bool) -> None:
        listed = sorted(self._entries.listed.items(), key=lambda item: item[1].facts.order)
        self._held = {
            name: self._holding(name, each.facts, verified)
            for name, each in listed
            if each.facts.form is not Form.OBJECT
        }
        self._names = Counter(held.facts.label for held in self._held.values())
        self._ids = Counter(held.facts.id for held in self._held.values())
        self._objects.show(verified=verified)
        self._last_order = max(
            listed[-1][1].facts.order if listed else 0,
            max((held.order for held in self._entries.objects.values()), default=0),
        )

    def _next_order(self) -> int:
        self._last_order += 1
        return self._last_order

    def _holding(self, name: str, facts: Facts, verified: bool) -> _Held:
        key = facts.key(self.name, name, verified=verified)
        return _Held(key, facts, isinstance(key.ssh, SkEd25519 | SkEcdsa))

    # --- lock --------------------------------------------------------------------------

    def _unlocked(self, keys: Subkeys) -> None:
        entries = self._entries
        entries.header = self._header.generation
        entries.unlock(keys)
        if self._header.generation < entries.said.header:
            self.header_damage.append(
                f"{self.place / 'token.json'} is older than what the journal says: "
                "a former passphrase may open it."
            )
        mending.mend(entries)
        if self._header.former:
            self._write_header(former="")  # it was emptied, and a crash came between
        if self._header.generation > entries.said.header:
            self._header_written(self._header.generation)  # a crash came between
        self._checked = None
        self._list(verified=True)

    def _locked(self) -> None:
        for held in self._held.values():
            if held.private is not None:
                held.private.close()
                held.private = None
        self._objects.forget()
        self._entries.lock()

    def _header_written(self, generation: int) -> None:
        with suppress(KeyholmError):  # the journal may be behind: it is told at the next unlock
            self._entries.header_is(generation)

    def close(self) -> None:
        with self.lock_:
            self.closed = True
            self._forget()
            self._held.clear()

    def damage(self) -> Sequence[str]:
        """What is wrong with its files, each named. Reads all of them once a minute at most."""
        with self.lock_:
            now = self.settings.clock()
            if self._checked is None or now - self._checked[0] >= LOOK_AGAIN:
                self._checked = (now, mending.check(self._entries))
            entries = self._entries
            found = [
                *self.settings.damage,
                *self.header_damage,
                *entries.damage,
                *entries.bad.values(),
                *self._checked[1],
            ]
            return list(dict.fromkeys(found))

    # --- use ---------------------------------------------------------------------------

    def sign(self, key: Key, mechanism: Mechanism, data: Input) -> bytes:
        held = self._held.get(key.place.object)
        if held is None:
            raise _gone(key)
        if key.policy_hash != held.key.policy_hash:
            raise _decided_by_another_policy(key)
        private = held.private or self._load(held)
        if held.by_device:
            provider, sk_sign = held.facts.provider, self.settings.sk_sign
            return security_keys.sign(private, provider, mechanism, data, sk_sign)
        return private.sign(mechanism, data)

    def _load(self, held: _Held) -> Shielded:
        with self.lock_:
            if held.private is None:
                with self._private(held) as plain:
                    shield = self.settings.shield
                    held.private = Shielded(shield, shield.encrypt(plain.view))
            return held.private

    def _private(self, held: _Held) -> Secret:
        """Raises `TokenLocked`, `StoreDamaged`."""
        self.opened()
        return self._entries.read(held.key.place.object)

    # --- new keys ----------------------------------------------------------------------

    def generate(self, new: NewKey, policy: Policy) -> Key:
        self.opened()
        if not isinstance(new.algorithm, Algorithm):
            raise AlgorithmUnsupported(f"{spelled(new.algorithm)} is not made here.")
        held, public = _attributes_of(new)
        with wiped(software.generate(new.algorithm)) as private:
            facts = self._facts(private, new.label, Origin.GENERATED, new.exportable, policy)
            facts = msgspec.structs.replace(facts, attributes=held, public_attributes=public)
            return self._add(private, facts)

    def import_key(self, private: Private, new: Handover, policy: Policy) -> Key:
        if isinstance(private, PrivateWithCertificate):
            private = private.private
        self.opened()
        _refuse_weak(private)
        software.check(private)
        facts = self._facts(private, new.label, Origin.IMPORTED, new.exportable, policy)
        return self._add(private, msgspec.structs.replace(facts, provider=new.provider))

    def _facts(
        self, private: Private, label: str, origin: Origin, exportable: bool, policy: Policy
    ) -> Facts:
        public = private.public
        return Facts(
            keys.key_id(public),
            keys.type_name(public),
            keys.encode(public),
            label,
            origin,
            exportable,
            round(self.settings.wall(), 3),
            0,
            entry.written_policy(policy),
        )

    def _add(self, private: Private, facts: Facts) -> Key:
        with self.lock_, plain_form(private) as plain:
            if not facts.attributes:  # PKCS#11 takes names as they come
                self._refuse_twin(facts.label, facts.id)
            facts = msgspec.structs.replace(facts, order=self._next_order())
            key = self._put(secrets.token_hex(8), facts, plain.view)
        self._changed(Change.KEYS_CHANGED, after=key)
        return key

    def _refuse_twin(self, label: str, key_id: str = "") -> None:
        if not 0 < len(label) <= MAX_LABEL or not label.isprintable():
            raise BadRequest(f"The name of a key has 1 to {MAX_LABEL} printable characters.")
        if self._ids[key_id]:
            twin = next(each for each in self._held.values() if each.facts.id == key_id)
            raise AlreadyExists(f"This key is in {self.name} already: {twin.facts.label!r}.")
        if self._names[label]:
            raise AlreadyExists(
                f"There is a key {label!r} in {self.name} already.",
                remedy="Choose another name.",
            )

    def _put(self, name: str, facts: Facts, plain: memoryview) -> Key:
        """On the disk when it returns; nothing is changed when it raises."""
        if not facts.is_plain:
            self.use_newest_format()
        self._entries.put(name, facts, plain)
        before = self._held.get(name)
        held = self._holding(name, facts, verified=True)
        if before is not None:
            held.private = before.private
            self._uncount(before)
        self._held[name] = held
        self._names[facts.label] += 1
        self._ids[facts.id] += 1
        return held.key

    def _uncount(self, held: _Held) -> None:
        for counter, what in ((self._names, held.facts.label), (self._ids, held.facts.id)):
            counter[what] -= 1
            if not counter[what]:
                del counter[what]

    # --- changes -----------------------------------------------------------------------

    def rename(self, key: Key, label: str) -> Key:
        with self.lock_:
            held = self._find(key)
            if label == held.facts.label:
                return held.key
            self._refuse_twin(label)
            facts = msgspec.structs.replace(
                held.facts,
                label=label,
                attributes=attributes.labelled(held.facts.attributes, label),
            )
            changed = self._rewrite(held, facts)
        self._changed(Change.KEYS_CHANGED, before=held.key, after=changed)
        return changed

    def policy_of(self, key: Key) -> Policy:
        return entry.parsed_policy(self._find(key).facts.policy)

    def set_policy(self, key: Key, policy: Policy) -> Key:
        with self.lock_:
            held = self._find(key)
            facts = msgspec.structs.replace(held.facts, policy=entry.written_policy(policy))
            changed = self._rewrite(held, facts)
        self._changed(Change.KEYS_CHANGED, before=held.key, after=changed)
        return changed

    def _rewrite(self, held: _Held, facts: Facts) -> Key:
        with self._private(held) as plain:
            return self._put(held.key.place.object, facts, plain.view)

    def destroy(self, key: Key) -> None:
        with self.lock_:
            held = self._find(key)
            self.opened()
            self._entries.remove(key.place.object)
            del self._held[key.place.object]
            self._uncount(held)
            if held.private is not None:
                held.private.close()
        self._changed(Change.KEYS_CHANGED, before=held.key)

    # --- objects -----------------------------------------------------------------------

    def create_object(self, new: NewObject, policy: Policy) -> Key | Object:
        if new.kind not in KINDS:
            raise AlgorithmUnsupported(f"A {new.kind} key is not taken in here.")
        with self.lock_:
            if not new.session:
                self.opened()
                self.use_newest_format()
            made = self._objects.add(new, self._next_order(), round(self.settings.wall(), 3))
        if not new.session:
            self._changed(Change.OBJECTS_CHANGED, after=made)
        return made

    def change_object(
        self, which: Key | Object, changes: Attributes | None, *, public: bool = False
    ) -> Key | Object:
        if isinstance(which, Key):
            return self._change_key(which, changes, public=public)
        with self.lock_:
            if not which.place.is_session:
                self.opened()
            before = self._objects.find(which)
            changed = self._objects.change(which, changes or {})
        if not changed.place.is_session:
            self._changed(Change.OBJECTS_CHANGED, before=before, after=changed)
        return changed

    def _change_key(self, key: Key, changes: Attributes | None, *, public: bool) -> Key:
        given = None if changes is None else kept(changes)
        with self.lock_:
            held = self._find(key)
            if public:
                facts = msgspec.structs.replace(held.facts, public_attributes=given)
            else:
                given = given or {}
                label = attributes.label_of(given)
                facts = msgspec.structs.replace(
                    held.facts,
                    attributes=given,
                    label=held.facts.label if label is None else label,
                )
            changed = self._rewrite(held, facts)
        self._changed(Change.KEYS_CHANGED, before=held.key, after=changed)
        return changed

    def remove_object(self, which: Object) -> None:
        with self.lock_:
            if not which.place.is_session:
                self.opened()
            gone = self._objects.remove(which)
        if not gone.place.is_session:
            self._changed(Change.OBJECTS_CHANGED, before=gone)

    def value_of(self, key: Key) -> Secret:
        raise NotExportable(f"{key.label!r} is a key that SSH made: its value is not told.")

    # --- out of here -------------------------------------------------------------------

    def export(self, key: Key) -> Secret:
        held = self._find(key)
        if not held.facts.exportable:
            raise NotExportable(
                f"{held.facts.label!r} was made so that it cannot be exported.",
                remedy="`keyholm backup` takes it along with its token.",
            )
        with (
            self.lock_,
            self._private(held) as plain,
            released(PRIVATE.read(Reader(plain.view))) as private,
        ):
            return Secret.of(write_file(private, held.facts.label, None))

    def backup(self, passphrase: Secret) -> bytes:
        """Raises `StoreDamaged` where a key cannot be read: a backup has all of them."""
        with self.lock_:
            self.opened()
            entries, wall = self._entries, self.settings.wall()
            about = About(self.uuid, self.name, len(entries.listed), wall, len(entries.objects))
            objects = entries.objects.values()
            return make_backup(about, self._saved(), passphrase, self.settings.cost, objects)

    def _saved(self) -> Iterator[Saved]:
        for name, listed in self._entries.listed.items():
            with self._entries.read(name) as plain:
                yield Saved(name, listed.facts, plain.view)

    def _find(self, key: Key) -> _Held:
        held = self._held.get(key.place.object)
        if held is None:
            raise _gone(key)
        return held


def _attributes_of(new: NewKey) -> tuple[Kept, Kept | None]:
    public = new.public_attributes
    return kept(new.attributes), None if public is None else kept(public)


def _refuse_weak(private: Private) -> None:
    """What an agent may be handed for an hour is not kept for years."""
    public = private.public
    if isinstance(public, Dsa):
        raise AlgorithmUnsupported("A DSA key is not kept.", remedy=_NEW_KEY)
    if isinstance(public, Rsa) and (bits := public.modulus.bit_length()) < RSA_SMALLEST:
        raise AlgorithmUnsupported(f"An RSA key of {bits} bits is not kept.", remedy=_NEW_KEY)


def _decided_by_another_policy(key: Key) -> PolicyForbids:
    """Until unlock, what was shown is what somebody wrote into the journal."""
    return PolicyForbids(
        f"The policy of {key.label!r} is another one than this use was decided by.",
        remedy="Try again; `keyholm doctor` tells if somebody altered the store.",
    )


def _gone(key: Key) -> KeyNotFound:
    return KeyNotFound(
        f"{key.label!r} is not in the store any more.", remedy="`keyholm list` shows the keys."
    )

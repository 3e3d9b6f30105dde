"""The keys of a token on disk: listed, used, changed and removed.

Those of a session are in memory only, sealed like all others, under names that begin with
`model.SESSION`; they are not listed, and forgotten when the token is locked.
"""

import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from keyholm.core.errors import (
    AlreadyExists,
    BadKeyFile,
    BadRequest,
    KeyholmError,
    KeyNotFound,
    MechanismUnsupported,
    NotExportable,
    PolicyForbids,
)
from keyholm.core.mechanisms import (
    Des3Cbc,
    Des3Ecb,
    Input,
    Mechanism,
    Message,
    RsaRaw,
    Verb,
    spelling,
)
from keyholm.core.model import SESSION, Key, Kind, Object
from keyholm.core.policy import Policy
from keyholm.core.secret import Secret
from keyholm.core.store import (
    Change,
    Describes,
    Destroys,
    Event,
    Exports,
    Operates,
    Running,
    Signs,
)
from keyholm.stores.disk import attributes, entry, mending
from keyholm.stores.disk.crypto import Subkeys
from keyholm.stores.disk.entries import Entries
from keyholm.stores.disk.entry import Facts, Form
from keyholm.stores.disk.header import Found
from keyholm.stores.disk.held import Held, Wish, facts_of
from keyholm.stores.disk.locked import LockedToken, Settings
from keyholm.stores.disk.objects import Objects, check_room
from keyholm.stores.software import material, security_keys, using
from keyholm.stores.software.generating import Made
from keyholm.stores.software.material import Material
from keyholm.stores.software.plain import released
from keyholm.stores.software.running import Collected
from keyholm.stores.software.shield import Shielded
from keyholm.wire.codec import Reader
from keyholm.wire.pkcs11.constants import CKA
from keyholm.wire.ssh.private_keys import PRIVATE, write_file

MAX_LABEL: Final = 1024
LOOK_AGAIN: Final = 60.0  # seconds between two readings of every file
_LEGACY: Final = (Des3Cbc, Des3Ecb, RsaRaw)
_PUBLIC: Final = (Verb.VERIFY, Verb.ENCRYPT)


class KeysOnDisk(LockedToken, Signs, Operates, Exports, Destroys, Describes):
    def __init__(
        self, place: Path, found: Found, settings: Settings, tell: Callable[[Event], None]
    ) -> None:
        super().__init__(place, found, settings, tell)
        self._begin_entries()
        self._held: dict[str, Held] = {}
        self._session: dict[str, Held] = {}
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

    def _list(self, *, verified: bool) -> None:
        listed = sorted(self._entries.listed.items(), key=lambda item: item[1].facts.order)
        self._held = {
            name: Held.of(self.name, name, each.facts, verified=verified)
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

    def _find(self, key: Key) -> Held:
        name = key.place.object
        held = self._held.get(name) or self._session.get(name)
        if held is None:
            raise _gone(key)
        return held

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
        for held in (*self._held.values(), *self._session.values()):
            if held.private is not None:
                held.private.close()
                held.private = None
        self._session.clear()
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
        held = self._decided(key)
        if mechanism.__class__ is RsaRaw:
            self.check_legacy(mechanism)
        private = held.private or self._load(held)
        if held.by_device:
            provider, sk_sign = held.facts.provider, self.settings.sk_sign
            return security_keys.sign(private, provider, mechanism, data, sk_sign)
        return private.sign(mechanism, data)

    def begin_use(self, key: Key | Object, verb: Verb, mechanism: Mechanism) -> Running:
        self.check_legacy(mechanism)
        if isinstance(key, Object) or (key.kind is Kind.PRIVATE and verb in _PUBLIC):
            return using.begin(self.public_half(key), verb, mechanism)
        held = self._decided(key)
        if held.by_device:
            return self._begin_by_device(key, verb, mechanism)
        return (held.private or self._load(held)).begin(verb, mechanism)

    def _begin_by_device(self, key: Key, verb: Verb, mechanism: Mechanism) -> Running:
        if verb is not Verb.SIGN:
            raise MechanismUnsupported(f"A FIDO key only signs: it does not {verb}.")
        return Collected(lambda data, _: self.sign(key, mechanism, Message(bytes(data))))

    def public_half(self, key: Key | Object) -> Any:
        """What verifies, encrypts, wraps and encapsulates, of whatever has one.

        Raises `MechanismUnsupported`, `KeyNotFound`."""
        if isinstance(key, Key):
            return self._find(key).public_half()
        info = key.attributes.get(CKA.PUBLIC_KEY_INFO)
        if key.kind is not Kind.PUBLIC or not isinstance(info, bytes) or not info:
            raise MechanismUnsupported("This object is no public key that could be used.")
        try:
            return material.public_of(info)
        except BadKeyFile as error:
            raise MechanismUnsupported(error.what) from error

    def in_use(self, key: Key) -> Any:
        """The key itself, for what is made with it."""
        held = self._decided(key)
        if held.by_device:
            raise MechanismUnsupported("A FIDO key only signs.")
        return (held.private or self._load(held)).in_use()

    def _decided(self, key: Key) -> Held:
        """What the gate has decided about. Raises `KeyNotFound`, `PolicyForbids`."""
        held = self._held.get(key.place.object) or self._find(key)
        if key.policy_hash != held.key.policy_hash:
            raise _decided_by_another_policy(key)
        return held

    def check_legacy(self, mechanism: Mechanism) -> None:
        if isinstance(mechanism, _LEGACY) and not self.legacy:
            raise MechanismUnsupported(
                f"{self.label} does nothing by {spelling(mechanism)}.",
                remedy="`keyholm token new LABEL --legacy` makes one that does.",
            )

    def _load(self, held: Held) -> Shielded:
        with self.lock_:
            if held.private is None:
                with self._private(held) as plain:
                    shield = self.settings.shield
                    held.private = Shielded(shield, shield.encrypt(plain.view), held.shape)
            return held.private

    def _private(self, held: Held) -> Secret:
        """Its private half as it is kept. Raises `TokenLocked`, `StoreDamaged`."""
        if held.key.place.is_session:
            if held.private is None:
                raise _gone(held.key)
            return held.private.with_material(lambda kept: Secret.of(kept.secret.view))
        self.opened()
        return self._entries.read(held.key.place.object)

    # --- new keys ----------------------------------------------------------------------

    def add(self, made: Made, wish: Wish) -> Key:
        """A new key, which is on the disk when this returns, or else nowhere."""
        with self.lock_:
            order, created = self._next_order(), round(self.settings.wall(), 3)
            facts = facts_of(made, wish, created=created, order=order)
            if wish.once:  # the same key first: then its label is no news
                self._check_id(facts.id)
                self._check_name(wish.label)
            if wish.session:
                return self._put_session(facts, made.material)
            self.opened()
            key = self._put(secrets.token_hex(8), facts, made.material.secret.view)
            self._note(Change.KEYS_CHANGED, after=key)
        self._telling.tell()
        return key

    def _put_session(self, facts: Facts, made: Material) -> Key:
        check_room(self._session)
        name = SESSION + secrets.token_hex(8)
        held = Held.of(self.name, name, facts, verified=True)
        held.private = self.settings.shield.seal_material(made)
        self._session[name] = held
        return held.key

    def _check_name(self, label: str) -> None:
        if not 0 < len(label) <= MAX_LABEL or not label.isprintable():
            raise BadRequest(f"The name of a key has 1 to {MAX_LABEL} printable characters.")
        if self._names[label]:
            raise AlreadyExists(
                f"There is a key {label!r} in {self.name} already.", remedy="Choose another name."
            )

    def _check_id(self, key_id: str) -> None:
        if self._ids[key_id]:
            twin = next(each for each in self._held.values() if each.facts.id == key_id)
            raise AlreadyExists(f"This key is in {self.name} already: {twin.facts.label!r}.")

    def _put(self, name: str, facts: Facts, plain: memoryview) -> Key:
        """On the disk when it returns; nothing is changed when it raises."""
        if not facts.is_plain:
            self.use_newest_format()
        self._entries.put(name, facts, plain)
        before = self._held.get(name)
        held = Held.of(self.name, name, facts, verified=True)
        if before is not None:
            held.private, held.loaded_public = before.private, before.loaded_public
            self._uncount(before)
        self._held[name] = held
        self._names[facts.label] += 1
        self._ids[facts.id] += 1
        return held.key

    def _uncount(self, held: Held) -> None:
        for counter, what in ((self._names, held.facts.label), (self._ids, held.facts.id)):
            counter[what] -= 1
            if not counter[what]:
                del counter[what]

    # --- changes -----------------------------------------------------------------------

    def rename(self, key: Key, label: str) -> Key:
        def change(facts: Facts) -> Facts:
            if label != facts.label:
                self._check_name(label)
            given = attributes.labelled(facts.attributes, label)
            return msgspec.structs.replace(facts, label=label, attributes=given)

        return self.rewrite(key, change)

    def policy_of(self, key: Key) -> Policy:
        return entry.parsed_policy(self._find(key).facts.policy)

    def set_policy(self, key: Key, policy: Policy) -> Key:
        text = entry.written_policy(policy)
        return self.rewrite(key, lambda facts: msgspec.structs.replace(facts, policy=text))

    def rewrite(self, key: Key, change: Callable[[Facts], Facts]) -> Key:
        """The key with other facts, of which everybody is told."""
        with self.lock_:
            held = self._find(key)
            facts = change(held.facts)
            if facts == held.facts:
                return held.key
            name = held.key.place.object
            if held.key.place.is_session:
                changed = Held.of(self.name, name, facts, verified=True)
                changed.private = held.private
                self._session[name] = changed
                return changed.key
            with self._private(held) as plain:
                after = self._put(name, facts, plain.view)
            self._note(Change.KEYS_CHANGED, before=held.key, after=after)
        self._telling.tell()
        return after

    def destroy(self, key: Key) -> None:
        with self.lock_:
            held = self._find(key)
            name = key.place.object
            if key.place.is_session:
                del self._session[name]
            else:
                self.opened()
                self._entries.remove(name)
                del self._held[name]
                self._uncount(held)
                self._note(Change.KEYS_CHANGED, before=held.key)
            if held.private is not None:
                held.private.close()
        self._telling.tell()

    # --- out of here -------------------------------------------------------------------

    def export(self, key: Key) -> Secret:
        with self.lock_, self.leaving(key) as kept:
            if kept.shape is not material.Form.SSH:
                raise NotExportable(f"There is no file of SSH for a key such as {key.label!r}.")
            with released(PRIVATE.read(Reader(kept.secret.view))) as private:
                return Secret.of(write_file(private, key.label, None))

    def leaving(self, key: Key) -> Material:
        """A key that may leave, as it is kept. Raises `NotExportable`."""
        held = self._find(key)
        if not held.facts.exportable:
            raise NotExportable(
                f"{held.facts.label!r} was made so that it cannot be exported.",
                remedy="`keyholm backup` takes it along with its token.",
            )
        return Material(held.shape, self._private(held))


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

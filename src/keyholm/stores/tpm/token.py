"""The TPM as a token: its keys are files that nothing but this TPM can use."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from types import MappingProxyType
from typing import Final

from msgspec.structs import replace

from keyholm.core.errors import (
    AbilityMissing,
    AlreadyExists,
    ConstraintUnsupported,
    KeyholmError,
    KeyNotFound,
    NotExportable,
    StoreDamaged,
)
from keyholm.core.mechanisms import Input, Mechanism
from keyholm.core.model import Key, KeyId, NewKey, Origin, Place
from keyholm.core.policies import Policies
from keyholm.core.policy import OPEN, Policy
from keyholm.core.secret import Secret
from keyholm.core.store import (
    Change,
    Describes,
    Destroys,
    Event,
    Generates,
    Handover,
    Imports,
    Signs,
)
from keyholm.stores.tpm import signing, templates
from keyholm.stores.tpm.folder import Entry, Folder, Note
from keyholm.stores.tpm.keys import Keys
from keyholm.wire.ssh import keys as ssh
from keyholm.wire.ssh.private_keys import Private, PrivateWithCertificate
from keyholm.wire.tpm2.key_files import KeyFile

STORE: Final = "tpm"
NAME: Final = "tpm"
_FACTS: Final[Mapping[str, str]] = MappingProxyType({"hardware": "TPM 2.0"})

PinOf = Callable[[Key], Secret | None]


def nobody(key: Key) -> Secret | None:
    """Where nobody can be asked for a PIN."""
    return None


class TpmToken(Signs, Generates, Imports, Destroys, Describes):
    store = STORE
    name = NAME
    label = "the TPM of this machine"

    def __init__(
        self,
        folder: Folder,
        keys: Keys,
        policies: Policies,
        owner: int,
        tell: Callable[[Event], None],
        pin_of: PinOf = nobody,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.owner = owner
        self.accepted_uids: frozenset[int] = frozenset()
        self._folder, self._keys, self._policies = folder, keys, policies
        self._tell, self._pin_of, self._clock = tell, pin_of, clock
        self._lock = threading.Lock()
        self._held: dict[str, tuple[Key, Entry]] = {}
        self.broken: Mapping[str, KeyholmError] = {}
        self._read()

    def _read(self) -> None:
        entries, broken = self._folder.read()
        for entry in entries:
            try:
                self._held[entry.name] = (_described(entry), entry)
            except KeyholmError as error:
                broken[entry.name] = error
        self.broken = broken

    def keys(self) -> Sequence[Key]:
        with self._lock:
            return [key for key, _ in self._held.values()]

    # --- use ---------------------------------------------------------------------------

    def sign(self, key: Key, mechanism: Mechanism, data: Input) -> bytes:
        entry = self._entry(key)
        file, label = entry.file, entry.note.label
        self._check_parent(entry)
        with ExitStack() as stack:
            pin = None if file.empty_auth else self._pin_of(key)
            if pin is not None:
                stack.enter_context(pin)
            return signing.sign(
                file,
                mechanism,
                data,
                lambda scheme, digest: self._keys.sign(file, scheme, digest, pin, label),
                lambda block: self._keys.raw(file, block, pin, label),
            )

    def _check_parent(self, entry: Entry) -> None:
        made_under = entry.note.parent
        if made_under and made_under != self._keys.parent_name.hex():
            raise StoreDamaged(
                f"{entry.note.label} was made in another TPM, or before this one was cleared.",
                remedy="Its private half is gone with that: make a new key.",
            )

    def _entry(self, key: Key) -> Entry:
        held = self._held.get(key.place.object)
        if held is None:
            raise KeyNotFound(f"The TPM's store does not have {key.label!r} any more.")
        return held[1]

    # --- management --------------------------------------------------------------------

    def generate(self, new: NewKey, policy: Policy) -> Key:
        if new.session:
            raise AbilityMissing("The TPM's store keeps no keys of a session.")
        _check_stays(new.label, exportable=new.exportable)
        return self._keep(self._keys.create(new.algorithm), new.label, policy)

    def import_key(self, private: Private, new: Handover, policy: Policy) -> Key:
        if isinstance(private, PrivateWithCertificate):
            private = private.private
        _check_stays(new.label, exportable=new.exportable)
        if new.lifetime is not None:
            raise ConstraintUnsupported("The TPM's store keeps keys until they are destroyed.")
        return self._keep(self._keys.take(private), new.label, policy)

    def _keep(self, file: KeyFile, label: str, policy: Policy) -> Key:
        public = templates.ssh_key(file.public)
        name = ssh.key_id(public)[:32]
        measured = self._keys.measurements()
        with self._lock:
            if name in self._held:
                raise AlreadyExists(f"The TPM's store has this key already: {label!r}.")
            order = max((entry.note.order for _, entry in self._held.values()), default=0) + 1
            note = Note(
                label,
                self._clock(),
                order,
                not templates.was_born_here(file.public),
                self._keys.parent_name.hex(),
                {str(number): value.hex() for number, value in measured.items()},
            )
            entry = Entry(name, file, note)
            key = _described(entry)
            # Before the file: a key is never seen without its policy.
            self._policies.set(key.id, policy)
            try:
                self._folder.write(entry)
            except KeyholmError:
                self._policies.set(key.id, OPEN)
                raise
            self._held[name] = (key, entry)
        self._changed(None, key)
        return key

    def destroy(self, key: Key) -> None:
        with self._lock:
            self._entry(key)
            self._folder.remove(key.place.object)
            before, _ = self._held.pop(key.place.object)
            self._policies.set(before.id, OPEN)
        self._changed(before, None)

    def rename(self, key: Key, label: str) -> Key:
        with self._lock:
            entry = self._entry(key)
            entry = replace(entry, note=replace(entry.note, label=label))
            self._folder.write_note(entry)
            changed = self._replaced(entry)
        self._changed(key, changed)
        return changed

    def policy_of(self, key: Key) -> Policy:
        self._entry(key)
        return self._policies.of(key.id)

    def set_policy(self, key: Key, policy: Policy) -> Key:
        with self._lock:
            entry = self._entry(key)
            self._policies.set(key.id, policy)
            changed = self._replaced(entry)
        self._changed(key, changed)
        return changed

    def _replaced(self, entry: Entry) -> Key:
        # A new `Key`, since what was decided about the old one must not be looked up again.
        key = _described(entry)
        self._held[entry.name] = (key, entry)
        return key

    def _changed(self, before: Key | None, after: Key | None) -> None:
        self._tell(Event(STORE, self.name, Change.KEYS_CHANGED, before, after))


def _described(entry: Entry) -> Key:
    public = templates.ssh_key(entry.file.public)
    was_imported = entry.note.imported or not templates.was_born_here(entry.file.public)
    return Key(
        KeyId(ssh.key_id(public)),
        Place(STORE, NAME, entry.name),
        public,
        ssh.encode(public),
        entry.note.label,
        Origin.IMPORTED if was_imported else Origin.GENERATED,
        created=entry.note.created,
        order=entry.note.order,
        facts=_FACTS,
    )


def _check_stays(label: str, *, exportable: bool) -> None:
    if exportable:
        raise NotExportable(
            f"{label} cannot be exportable: no key leaves a TPM.",
            remedy="Keep it in the disk store if it must be exported.",
        )

"""One token on disk: its lock, its keys, and what is wrong with them.

A write is a file under a new name, renamed, and then a line of the journal; it is
acknowledged when that line is on the disk. What a crash left between the two is undone or
finished when the token is opened, and what cannot be explained by a crash is named.
"""

import hashlib
import os
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from keyholm.core.errors import (
    AlreadyExists,
    BadRequest,
    KeyholmError,
    KeyNotFound,
    NotExportable,
    PassphraseIncorrect,
    StoreDamaged,
    TokenLocked,
)
from keyholm.core.model import Input, Key, KeyId, Mechanism, NewKey, Origin
from keyholm.core.policy import OPEN, Policy
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
    HasSlots,
    Imports,
    Signs,
    Slot,
)
from keyholm.stores.disk import backup as backups
from keyholm.stores.disk import crypto, entry, files, header
from keyholm.stores.disk.entry import Facts
from keyholm.stores.disk.header import KeySlot
from keyholm.stores.disk.journal import Contents, Journal, Listed
from keyholm.stores.software import keys as software
from keyholm.stores.software.plain import plain_form, wiped
from keyholm.stores.software.shield import Shield, Shielded
from keyholm.wire.codec import Reader
from keyholm.wire.ssh import keys
from keyholm.wire.ssh.private_keys import (
    PRIVATE,
    Private,
    PrivateSkEcdsa,
    PrivateSkEd25519,
    PrivateWithCertificate,
    write_file,
)

HEADER: Final = "token.json"
JOURNAL: Final = "journal"
ENTRIES: Final = "entries"
SUFFIX: Final = ".key"
BEFORE: Final = ".prev"


@dataclass(slots=True, eq=False)
class _Held:
    """A key of the token as it is known now."""

    key: Key
    facts: Facts
    file: str
    policy: Policy
    shielded: Shielded | None = None


class DiskToken(Signs, Generates, Imports, Exports, Destroys, Describes, HasSlots, BacksUp):
    store = entry.STORE

    def __init__(
        self,
        folder: Path,
        shield: Shield,
        tell: Callable[[Event], None],
        *,
        cost: crypto.Cost,
        floor: crypto.Cost,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = self.label = folder.name
        self.accepted_uids: frozenset[int] = frozenset()
        self._folder, self._shield, self._tell = folder, shield, tell
        self._cost, self._floor, self._clock = cost, floor, clock
        self._lock = threading.RLock()
        self._journal = Journal(folder / JOURNAL)
        self._kek: Secret | None = None
        self._subkeys: dict[str, Secret] = {}
        self._verifier: tuple[Secret, bytes] | None = None
        self._held: dict[str, _Held] = {}
        self._bad: dict[str, str] = {}  # object: what is wrong with its file
        self._damage: list[str] = []
        self._header = header.read(folder / HEADER, floor)
        self._contents = self._open()
        if not self.guarded:
            self._unlock_with(Secret.of(self._header.slots[0].wrapped))

    # --- what it is --------------------------------------------------------------------

    @property
    def owner(self) -> int:
        return self._header.owner

    @property
    def uuid(self) -> str:
        return self._header.uuid

    @property
    def guarded(self) -> bool:
        return self._header.guarded

    @property
    def locked(self) -> bool:
        return self._kek is None

    def keys(self) -> Sequence[Key]:
        with self._lock:
            return [held.key for held in self._held.values()]

    def damage(self) -> Sequence[str]:
        """What is wrong with its files, each named."""
        with self._lock:
            return [*self._damage, *self._bad.values()]

    def slots(self) -> Sequence[Slot]:
        return [
            Slot(slot.name, slot.kind, "" if slot.kind == "none" else str(slot.cost))
            for slot in self._header.slots
        ]

    # --- opening -----------------------------------------------------------------------

    def _open(self) -> Contents:
        """What the journal says, held against the files that are there. No key is needed."""
        for folder in (self._folder, self._folder / ENTRIES):
            files.check_folder(folder)
        contents = self._journal.read()
        self._damage = [f"{each}." for each in contents.damage]
        if contents.torn:
            self._journal.cut_torn(contents.torn)
        present = self._present(contents)
        for order, listed in enumerate(contents.listed.values()):
            facts = listed.facts
            if facts.object not in present:
                path = self._path(facts.object)
                self._bad[facts.object] = f"{path} ({facts.label}) is missing."
            key = facts.key(self.name, verified=False, order=order)
            self._held[facts.object] = _Held(key, facts, listed.file, facts.parsed_policy())
        return contents

    def _present(self, contents: Contents) -> set[str]:
        """Objects whose file is there; tidies what a crash may have left."""
        found = set()
        for path in sorted((self._folder / ENTRIES).iterdir()):
            name = path.name
            if name.startswith("."):
                path.unlink()  # a file that was never renamed to its own name
            elif name.endswith(SUFFIX):
                found.add(name.removesuffix(SUFFIX))
            elif not name.endswith(f"{SUFFIX}{BEFORE}"):
                self._damage.append(f"{path} does not belong here.")
        for name in found - contents.listed.keys():
            self._tidy(name, contents)
        return found

    def _tidy(self, name: str, contents: Contents) -> None:
        """A file that the journal does not list."""
        path = self._path(name)
        if name in contents.removed:
            # Its removal is in the journal; a crash came before the file was gone.
            files.destroy(path)
            files.destroy(_before(path))
        elif contents.damage:
            self._damage.append(f"{path} is not in the journal, a line of which is damaged.")
        else:
            # Never acknowledged. Kept, since a private key is not ours to throw away.
            aside = path.with_name(f"{name}{SUFFIX}{BEFORE}")
            path.replace(aside)

    def _path(self, name: str) -> Path:
        return self._folder / ENTRIES / f"{name}{SUFFIX}"

    # --- unlocking ---------------------------------------------------------------------

    def unlock(self, passphrase: Secret) -> None:
        with self._lock:
            if self.locked:
                self._unlock_with(self._kek_of(passphrase))
                self._remember(passphrase)
        self._changed(Change.UNLOCKED)

    def _kek_of(self, passphrase: Secret) -> Secret:
        """Try every slot that it may be for. Raises `PassphraseIncorrect`."""
        for slot in self._header.slots:
            secret = passphrase
            if slot.kind == "recovery":
                typed = crypto.recovery_secret(passphrase)
                if typed is None:
                    continue
                secret = typed
            key = crypto.derive(secret, slot.salt, slot.cost)
            bound = header.bound(self.uuid, slot.name, slot.kind)
            with key, suppress(PassphraseIncorrect):
                return crypto.unwrap(key, slot.wrapped, bound)
        raise PassphraseIncorrect(
            f"The passphrase of {self.name} is wrong.",
            remedy="Try again, or use the recovery code.",
        )

    def _unlock_with(self, kek: Secret) -> None:
        if not self._header.is_authentic(kek):
            kek.close()
            raise StoreDamaged(
                f"{self._folder / HEADER} was changed by somebody who does not have its key.",
                remedy=f"Put {HEADER}.prev in its place, or restore a backup.",
            )
        self._kek = kek
        self._subkeys = {name: crypto.subkey(kek, name) for name in ("wrap", "manifest")}
        self._check_all()

    def _check_all(self) -> None:
        """Now that there is a key: is everything as we wrote it?"""
        wrong = self._journal.check(self._contents.lines, self._subkeys["manifest"])
        self._damage += [f"{each}." for each in wrong]
        for name, held in list(self._held.items()):
            if name not in self._bad:
                self._check_one(name, held)
        self._adopt_unlisted()

    def _check_one(self, name: str, held: _Held) -> None:
        path = self._path(name)
        try:
            content = files.read(path)
            if entry.hash_of(content) != held.file:
                content = self._undone(path, held)
            facts, private = entry.decode(content, self._subkeys["wrap"], path)
            private.close()
            if facts != held.facts:
                raise entry.damaged(path, "does not say what the journal says")
        except KeyholmError as error:
            self._bad[name] = error.what
            return
        held.key = replace(held.key, verified=True)

    def _undone(self, path: Path, held: _Held) -> bytes:
        """A newer file that the journal does not know was never acknowledged: go back."""
        before = _before(path)
        try:
            content = before.read_bytes()
        except OSError:
            content = b""
        if entry.hash_of(content) != held.file:
            raise entry.damaged(path)
        with suppress(ValueError):
            newer, _, _ = entry.split(files.read(path))
            if newer.object == held.facts.object and newer.generation > held.facts.generation:
                before.replace(path)
                return content
        raise entry.damaged(path)

    def _adopt_unlisted(self) -> None:
        """Where the journal is damaged, the files speak for themselves: each is sealed."""
        if not self._damage:
            return
        for path in sorted((self._folder / ENTRIES).glob(f"*{SUFFIX}")):
            name = path.name.removesuffix(SUFFIX)
            if name in self._held or name in self._contents.removed:
                continue
            with suppress(KeyholmError):
                content = files.read(path)
                facts, private = entry.decode(content, self._subkeys["wrap"], path)
                private.close()
                key = facts.key(self.name, verified=True, order=len(self._held))
                policy = facts.parsed_policy()
                self._held[name] = _Held(key, facts, entry.hash_of(content), policy)

    def lock(self) -> None:
        with self._lock:
            if not self.guarded:
                raise BadRequest(f"{self.name} has no passphrase, so it cannot be locked.")
            for held in self._held.values():
                if held.shielded is not None:
                    held.shielded.close()
                    held.shielded = None
            self._forget()
        self._changed(Change.LOCKED)

    def _forget(self) -> None:
        secrets_held = [*self._subkeys.values()]
        if self._kek is not None:
            secrets_held.append(self._kek)
        if self._verifier is not None:
            secrets_held.append(self._verifier[0])
        self._kek, self._subkeys, self._verifier = None, {}, None
        for secret in secrets_held:
            secret.close()

    def close(self) -> None:
        with self._lock:
            for held in self._held.values():
                if held.shielded is not None:
                    held.shielded.close()
            self._held.clear()
            self._forget()

    def verify(self, passphrase: Secret) -> None:
        """Against what was typed at unlock, under a key that lives in memory only; argon2id
        is for what an attacker could copy."""
        if not self.guarded:
            return
        if self._verifier is not None:
            key, right = self._verifier
            if secrets.compare_digest(_keyed(key, passphrase), right):
                return
        kek = self._kek_of(passphrase)
        kek.close()
        if self._verifier is None and not self.locked:
            self._remember(passphrase)

    def _remember(self, passphrase: Secret) -> None:
        key = Secret.random(32)
        self._verifier = (key, _keyed(key, passphrase))

    def _wrapping(self) -> Secret:
        """Raises `TokenLocked`."""
        if self._kek is None:
            raise TokenLocked(
                f"The token {self.name} is locked.", remedy=f"`keyholm unlock {self.name}`"
            )
        return self._subkeys["wrap"]

    # --- slots -------------------------------------------------------------------------

    def change_passphrase(self, old: Secret, new: Secret) -> None:
        if not new:
            raise BadRequest("An empty passphrase protects nothing.")
        with self._lock:
            self._prove(old)
            kek = self._unlocked_kek(old)
            slot = make_slot(self.uuid, "passphrase", "passphrase", new, kek, self._cost)
            kept = [s for s in self._header.slots if s.kind not in ("passphrase", "none")]
            self._write_header((slot, *kept), kek)
            self._remember(new)

    def add_recovery_code(self, passphrase: Secret) -> Secret:
        with self._lock:
            if not self.guarded:
                raise BadRequest(f"{self.name} has no passphrase, so there is nothing to recover.")
            self._prove(passphrase)
            kek = self._unlocked_kek(passphrase)
            shown = crypto.new_recovery_code()
            code = crypto.recovery_secret(shown)
            assert code is not None  # noqa: S101 - we just made it
            with code:
                slot = make_slot(self.uuid, "recovery", "recovery", code, kek, self._cost)
            kept = [s for s in self._header.slots if s.kind != "recovery"]
            self._write_header((*kept, slot), kek)
            return shown

    def remove_slot(self, passphrase: Secret, slot: str) -> None:
        with self._lock:
            self._prove(passphrase)
            kept = tuple(s for s in self._header.slots if s.name != slot)
            if len(kept) == len(self._header.slots):
                raise BadRequest(f"{self.name} has no slot {slot!r}.")
            if not any(s.kind == "passphrase" for s in kept):
                raise BadRequest("The last passphrase of a token is changed, not removed.")
            self._write_header(kept, self._unlocked_kek(passphrase))

    def _prove(self, passphrase: Secret) -> None:
        if self.guarded:
            self.verify(passphrase)

    def _unlocked_kek(self, passphrase: Secret) -> Secret:
        if self._kek is None:
            self._unlock_with(self._kek_of(passphrase))
            self._remember(passphrase)
        assert self._kek is not None  # noqa: S101 - unlocked just now
        return self._kek

    def _write_header(self, slots: tuple[KeySlot, ...], kek: Secret) -> None:
        changed = replace(self._header, slots=slots, generation=self._header.generation + 1)
        sealed = changed.sealed(kek)
        path = self._folder / HEADER
        files.write(path, sealed.encoded(), keep=_before(path))
        # The former file opens with the former passphrase: it must not stay.
        files.destroy(_before(path))
        self._header = sealed

    # --- use ---------------------------------------------------------------------------

    def sign(self, key: Key, mechanism: Mechanism, data: Input) -> bytes:
        held = self._held.get(key.place.object)
        if held is None:
            raise _gone(key)
        shielded = held.shielded or self._load(held)
        return shielded.sign(mechanism, data)

    def _load(self, held: _Held) -> Shielded:
        with self._lock:
            if held.shielded is None:
                with self._private(held) as private:
                    held.shielded = Shielded(
                        self._shield, held.key.public, self._shield.encrypt(private.view)
                    )
            return held.shielded

    def _private(self, held: _Held) -> Secret:
        """The private half out of its file. Raises `TokenLocked`, `StoreDamaged`."""
        wrapping = self._wrapping()
        name = held.facts.object
        path = self._path(name)
        if name in self._bad:
            raise StoreDamaged(
                self._bad[name], remedy="`keyholm doctor` shows what is wrong, and what to do."
            )
        content = files.read(path)
        if entry.hash_of(content) != held.file:
            raise entry.damaged(path)
        facts, private = entry.decode(content, wrapping, path)
        if facts != held.facts:
            private.close()
            raise entry.damaged(path)
        return private

    def export(self, key: Key) -> Secret:
        held = self._find(key)
        if not held.facts.exportable:
            raise NotExportable(
                f"{held.facts.label} was made so that it cannot be exported.",
                remedy="Make another key with --exportable, or take a backup of the token.",
            )
        with self._lock, self._private(held) as plain:
            private = PRIVATE.read(Reader(plain.view))
            return Secret.of(write_file(private, held.facts.label, None))

    # --- management --------------------------------------------------------------------

    def generate(self, new: NewKey, policy: Policy) -> Key:
        self._wrapping()
        with wiped(software.generate(new.algorithm)) as private:
            return self._add(private, new.label, Origin.GENERATED, new.exportable, policy)

    def import_key(self, private: Private, new: Handover, policy: Policy) -> Key:
        if isinstance(private, PrivateWithCertificate):
            private = private.private
        if isinstance(private, PrivateSkEd25519 | PrivateSkEcdsa):
            raise BadRequest(
                "A FIDO key lives in its authenticator, not on disk.",
                remedy="`ssh-add` hands it to the agent.",
            )
        software.check(private)
        return self._add(private, new.label, Origin.IMPORTED, new.exportable, policy)

    def _add(
        self, private: Private, label: str, origin: Origin, exportable: bool, policy: Policy
    ) -> Key:
        with self._lock:
            wrapping = self._wrapping()
            key_id = keys.key_id(private.public)
            self._refuse_twin(label, key_id)
            facts = Facts(
                secrets.token_hex(8),
                1,
                self.uuid,
                key_id,
                keys.encode(private.public),
                label,
                origin,
                exportable,
                round(self._clock(), 3),
                entry.canonical(policy),
            )
            with plain_form(private) as plain:
                content = entry.encode(facts, plain.view, wrapping)
            return self._store(facts, content, policy, None)

    def _refuse_twin(self, label: str, key_id: str) -> None:
        for held in self._held.values():
            if held.facts.label == label:
                raise AlreadyExists(
                    f"There is a key {label!r} in {self.name} already.", remedy="Name it otherwise."
                )
            if held.facts.key_id == KeyId(key_id):
                raise AlreadyExists(f"This key is in {self.name} already, as {held.facts.label!r}.")

    def _store(self, facts: Facts, content: bytes, policy: Policy, before: _Held | None) -> Key:
        """File first, then the journal; undone where the journal cannot be written."""
        path = self._path(facts.object)
        files.write(path, content, keep=_before(path) if before else None)
        try:
            self._journal.put(facts, entry.hash_of(content), self._subkeys["manifest"])
        except KeyholmError:
            with suppress(OSError):
                if before:
                    _before(path).replace(path)
                else:
                    path.unlink()
            raise
        order = before.key.order if before else len(self._held)
        key = facts.key(self.name, verified=True, order=order)
        shielded = before.shielded if before else None
        self._held[facts.object] = _Held(key, facts, entry.hash_of(content), policy, shielded)
        self._bad.pop(facts.object, None)
        self._compact()
        self._changed(Change.KEYS_CHANGED)
        return key

    def rename(self, key: Key, label: str) -> Key:
        with self._lock:
            held = self._find(key)
            if label != held.facts.label:
                self._refuse_twin(label, "")
            return self._rewrite(held, replace(held.facts, label=label), held.policy)

    def policy_of(self, key: Key) -> Policy:
        held = self._held.get(key.place.object)
        return held.policy if held else OPEN

    def set_policy(self, key: Key, policy: Policy) -> Key:
        with self._lock:
            held = self._find(key)
            text = entry.canonical(policy)
            return self._rewrite(held, replace(held.facts, policy=text), policy)

    def _rewrite(self, held: _Held, facts: Facts, policy: Policy) -> Key:
        facts = replace(facts, generation=facts.generation + 1)
        with self._private(held) as plain:
            content = entry.encode(facts, plain.view, self._wrapping())
        return self._store(facts, content, policy, held)

    def destroy(self, key: Key) -> None:
        with self._lock:
            held = self._find(key)
            self._wrapping()
            name = held.facts.object
            self._journal.remove(name, self._subkeys["manifest"])
            del self._held[name]
            self._bad.pop(name, None)
            self._contents.removed.add(name)
            if held.shielded is not None:
                held.shielded.close()
            # From here on it is gone; what a crash leaves is removed at the next start.
            for path in (self._path(name), _before(self._path(name))):
                with suppress(KeyholmError):
                    files.destroy(path)
            self._compact()
        self._changed(Change.KEYS_CHANGED)

    def _compact(self) -> None:
        if not self._journal.wants_compaction(len(self._held)) or self._damage:
            return
        listed = (Listed(held.facts, held.file) for held in self._held.values())
        # The journal as it is still holds all of it: what fails here can wait.
        with suppress(KeyholmError):
            self._journal.rewrite(
                self.uuid, listed, self._contents.removed, self._subkeys["manifest"]
            )

    def backup(self, passphrase: Secret) -> bytes:
        with self._lock:
            self._wrapping()
            assert self._kek is not None  # noqa: S101 - `_wrapping` said so
            found = {name: files.read(self._path(name)) for name in self._held}
            return backups.make(self.uuid, self.name, found, self._kek, passphrase, self._cost)

    def _find(self, key: Key) -> _Held:
        held = self._held.get(key.place.object)
        if held is None:
            raise _gone(key)
        return held

    def _changed(self, change: Change) -> None:
        self._tell(Event(self.store, self.name, change))


def make_slot(
    uuid: str, name: str, kind: str, secret: Secret, kek: Secret, cost: crypto.Cost
) -> KeySlot:
    salt = os.urandom(crypto.SALT)
    with crypto.derive(secret, salt, cost) as key:
        wrapped = crypto.wrap(key, kek, header.bound(uuid, name, kind))
    return KeySlot(name, kind, salt, cost, wrapped)


def open_slot(kek: Secret, cost: crypto.Cost) -> KeySlot:
    """A throw-away token: its key is in the clear."""
    return KeySlot("none", "none", b"", cost, bytes(kek.view))


def _before(path: Path) -> Path:
    return path.with_name(f"{path.name}{BEFORE}")


def _keyed(key: Secret, passphrase: Secret) -> bytes:
    return hashlib.blake2b(passphrase.view, key=bytes(key.view)).digest()


def _gone(key: Key) -> KeyNotFound:
    return KeyNotFound(f"{key.label!r} is not in the store any more.", remedy="`keyholm list`")

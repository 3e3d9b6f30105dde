"""One token on disk: what comes into it, is made in it, and is saved of it."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any, Final

import msgspec

from keyholm.core.errors import AlgorithmUnsupported, BadRequest, DataLengthInvalid
from keyholm.core.mechanisms import Mechanism
from keyholm.core.model import (
    Attributes,
    Key,
    Kind,
    NewKey,
    NewObject,
    Object,
    SecretKey,
    SecretType,
)
from keyholm.core.policy import Policy
from keyholm.core.secret import Secret
from keyholm.core.store import (
    BacksUp,
    Change,
    Derives,
    Generates,
    Handover,
    HoldsObjects,
    Imports,
)
from keyholm.stores.disk import attributes
from keyholm.stores.disk.attributes import kept
from keyholm.stores.disk.backup import About, Saved
from keyholm.stores.disk.backup import make as make_backup
from keyholm.stores.disk.entry import Facts
from keyholm.stores.disk.held import Wish
from keyholm.stores.disk.keys_on_disk import KeysOnDisk
from keyholm.stores.disk.objects import KINDS
from keyholm.stores.software import (
    deriving,
    encapsulating,
    generating,
    material,
    wrapping,
)
from keyholm.stores.software import keys as software
from keyholm.stores.software.generating import Made
from keyholm.stores.software.material import Form, Material
from keyholm.stores.software.plain import plain_form, wiped
from keyholm.wire.pkcs11.constants import CKA
from keyholm.wire.ssh.keys import Dsa, PublicKey, Rsa
from keyholm.wire.ssh.private_keys import Private, PrivateWithCertificate

RSA_SMALLEST: Final = 2048
_NEW_KEY: Final = "Make a new one, for instance by `keyholm new NAME --type ed25519`."


class DiskToken(KeysOnDisk, Generates, Imports, Derives, HoldsObjects, BacksUp):
    # --- new keys ----------------------------------------------------------------------

    def generate(self, new: NewKey, policy: Policy) -> Key:
        wish = Wish.by_new_key(new, policy)
        if not new.session:
            self.opened()  # before a minute is spent on a large RSA key
        if isinstance(new.algorithm, SecretKey):
            self._check_type(new.algorithm.type)
        made = generating.generate(new.algorithm)
        with made.material:
            return self.add(made, wish)

    def import_key(self, private: Private, new: Handover, policy: Policy) -> Key:
        if isinstance(private, PrivateWithCertificate):
            private = private.private
        self.opened()
        self._refuse_weak(private.public)
        software.check(private)
        with Material(Form.SSH, plain_form(private)) as made:
            return self.add(Made(made, "", public=private.public), Wish.by_handover(new, policy))

    def _refuse_weak(self, public: PublicKey | None) -> None:
        """What an agent may be handed for an hour is not kept for years."""
        if isinstance(public, Dsa):
            raise AlgorithmUnsupported("A DSA key is not kept.", remedy=_NEW_KEY)
        if isinstance(public, Rsa) and not self.legacy:
            bits = public.modulus.bit_length()
            if bits < RSA_SMALLEST:
                raise AlgorithmUnsupported(
                    f"An RSA key of {bits} bits is not kept.", remedy=_NEW_KEY
                )

    def _check_type(self, type_: SecretType) -> None:
        if type_ is SecretType.DES3 and not self.legacy:
            raise AlgorithmUnsupported(
                f"{self.label} has no keys for triple DES.",
                remedy="`keyholm token new LABEL --legacy` makes one that has.",
            )

    # --- keys that are brought in, or made of others -----------------------------------

    def _take_private(self, pkcs8: memoryview, wish: Wish) -> Key:
        made, described = material.kept(pkcs8)
        private = described.private
        with made, wiped(private) if private is not None else nullcontext():
            public = private.public if private is not None else None
            if not wish.session:
                self._refuse_weak(public)
            return self.add(Made(made, described.algorithm, described.spki, public), wish)

    def _take_secret(self, value: memoryview, type_: SecretKey | None, wish: Wish) -> Key:
        wanted = type_ or SecretKey(SecretType.GENERIC, 0)
        if wanted.size and wanted.size != len(value):
            raise DataLengthInvalid(f"This key has {len(value)} bytes, not {wanted.size}.")
        self._check_type(wanted.type)
        with material.secret_key(wanted.type, value) as made:
            return self.add(Made(made, wanted.type), wish)

    def _made_of(self, secret: Secret, new: NewObject, policy: Policy) -> Key:
        with secret:
            wish = Wish.by_new_object(new, policy)
            if new.kind is Kind.PRIVATE:
                return self._take_private(secret.view, wish)
            return self._take_secret(secret.view, new.type, wish)

    def _can_take(self, new: NewObject, *kinds: Kind) -> None:
        """What can be known before anything is made of a key."""
        if new.kind not in kinds:
            raise BadRequest(f"A {new.kind} object is not made in this way.")
        if not new.session:
            self.opened()

    def derive(self, key: Key, mechanism: Mechanism, new: NewObject, policy: Policy) -> Key:
        self._can_take(new, Kind.SECRET)
        return self._made_of(deriving.derive(self.in_use(key), mechanism, _size(new)), new, policy)

    def wrap(self, wrapping_key: Key, key: Key, mechanism: Mechanism) -> bytes:
        self.check_legacy(mechanism)
        with self.leaving(key) as leaving:
            return wrapping.wrap(self._outward(wrapping_key), leaving, mechanism)

    def _outward(self, key: Key) -> Any:
        """The half of a key that encrypts."""
        return self.in_use(key) if key.kind is Kind.SECRET else self.public_half(key)

    def unwrap(
        self, unwrapping: Key, mechanism: Mechanism, wrapped: bytes, new: NewObject, policy: Policy
    ) -> Key:
        self._can_take(new, Kind.SECRET, Kind.PRIVATE)
        self.check_legacy(mechanism)
        return self._made_of(
            wrapping.unwrap(self.in_use(unwrapping), mechanism, wrapped), new, policy
        )

    def encapsulate(
        self, key: Key | Object, mechanism: Mechanism, new: NewObject, policy: Policy
    ) -> tuple[bytes, Key]:
        self._can_take(new, Kind.SECRET)
        half = self.public_half(key)
        ciphertext, secret = encapsulating.encapsulate(half, mechanism, _size(new))
        return ciphertext, self._made_of(secret, new, policy)

    def decapsulate(
        self, key: Key, mechanism: Mechanism, ciphertext: bytes, new: NewObject, policy: Policy
    ) -> Key:
        self._can_take(new, Kind.SECRET)
        secret = encapsulating.decapsulate(self.in_use(key), mechanism, ciphertext, _size(new))
        return self._made_of(secret, new, policy)

    # --- objects -----------------------------------------------------------------------

    def objects(self) -> Sequence[Object]:
        with self.lock_:
            return self._objects.all()

    def create_object(self, new: NewObject, policy: Policy) -> Key | Object:
        if new.kind not in KINDS:
            return self._create_key(new, policy)
        with self.lock_:
            if not new.session:
                self.opened()
                self.use_newest_format()
            made = self._objects.add(new, self._next_order(), round(self.settings.wall(), 3))
            if not new.session:
                self._note(Change.OBJECTS_CHANGED, after=made)
        self._telling.tell()
        return made

    def _create_key(self, new: NewObject, policy: Policy) -> Key:
        self._can_take(new, Kind.SECRET, Kind.PRIVATE)
        if new.material is None:
            raise BadRequest(f"A {new.kind} key is brought in with its value.")
        return self._made_of(Secret.of(new.material.view), new, policy)

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
                self._note(Change.OBJECTS_CHANGED, before=before, after=changed)
        self._telling.tell()
        return changed

    def _change_key(self, key: Key, changes: Attributes | None, *, public: bool) -> Key:
        given = None if changes is None else kept(changes)

        def change(facts: Facts) -> Facts:
            if public:
                return msgspec.structs.replace(facts, public_attributes=given)
            changed = given or {}
            label = attributes.label_of(changed)
            return msgspec.structs.replace(
                facts,
                attributes=changed,
                label=facts.label if label is None else label,
                # What was told not to leave any more does not leave by another door either.
                exportable=facts.exportable and changed.get(CKA.EXTRACTABLE) is not False,
            )

        return self.rewrite(key, change)

    def remove_object(self, which: Object) -> None:
        with self.lock_:
            if not which.place.is_session:
                self.opened()
            gone = self._objects.remove(which)
            if not gone.place.is_session:
                self._note(Change.OBJECTS_CHANGED, before=gone)
        self._telling.tell()

    def value_of(self, key: Key) -> Secret:
        with self.leaving(key) as leaving:
            return material.value_of(leaving)

    # --- everything --------------------------------------------------------------------

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


def _size(new: NewObject) -> int:
    return new.type.size if new.type is not None else 0

"""What every store must do, as tests: derive from `StoreContract`, say how to open one.

    class TestMyStore(StoreContract):
        def open(self) -> Store: ...

Each ability of a token is tested where the token has it; a store that gains one is held to
it without a line more. Nothing here needs pytest, only something that calls `test_…`.
"""

# ruff: noqa: S101, PT017 - an assertion is how a test speaks, and there is no pytest here
# mypy: disable-error-code="type-abstract"

import hashlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from msgspec.structs import replace

from keyholm.core.errors import (
    AlgorithmUnsupported,
    AlreadyExists,
    BadKeyFile,
    BadRequest,
    DataInvalid,
    KeyholmError,
    KeyNotFound,
    LimitExceeded,
    LoginNeeded,
    MechanismUnsupported,
    NotExportable,
    PassphraseIncorrect,
    PinIncorrect,
    PinLocked,
    PinNotSet,
    PinUnsuitable,
    SignatureInvalid,
    TokenLocked,
)
from keyholm.core.mechanisms import (
    AesCbc,
    AesCmac,
    AesGcm,
    AesKeyWrap,
    ChaCha20Poly1305,
    Des3Ecb,
    Ecdh,
    Ecdsa,
    Hash,
    Hmac,
    Mechanism,
    Message,
    MlDsa,
    MlKem,
    Opaque,
    RsaOaep,
    RsaRaw,
    Verb,
)
from keyholm.core.model import (
    Algorithm,
    Attributes,
    Key,
    KeyType,
    Kind,
    NewKey,
    NewObject,
    Object,
    Origin,
    OtherAlgorithm,
    RsaKey,
    SecretKey,
    SecretType,
    Value,
    spelled,
)
from keyholm.core.policy import OPEN, Confirm, Policy, policy_hash
from keyholm.core.secret import Secret
from keyholm.core.session import Role
from keyholm.core.store import (
    BacksUp,
    Change,
    Derives,
    Describes,
    Destroys,
    Event,
    Exports,
    Generates,
    Handover,
    HasPins,
    HasSlots,
    HoldsObjects,
    Imports,
    MakesTokens,
    NewPins,
    Operates,
    PinState,
    Restores,
    Signs,
    Store,
    Token,
    Unlocks,
)
from keyholm.testing import samples
from keyholm.wire.pkcs11.constants import CKA
from keyholm.wire.ssh import keys
from keyholm.wire.ssh.private_keys import read_file

PASSPHRASE: Final = b"correct horse"
OFFICER_PIN: Final = b"so: 87654321"
USER_PIN: Final = b"1234"
MESSAGE: Final = Message(b"what is signed")
CONFIRMED: Final = Policy(confirm=Confirm(asked=True))
AGREEING: Final[tuple[KeyType, ...]] = (OtherAlgorithm.X25519, Algorithm.ECDSA_P256)
QUICK: Final = tuple(a for a in Algorithm if a not in (Algorithm.RSA_3072, Algorithm.RSA_4096))
OFFERED: Final = (keys.Ed25519, keys.Ecdsa, keys.Rsa, keys.MlDsa44Ed25519)
Ability = TypeVar("Ability")
AES_256: Final = SecretKey(SecretType.AES, 32)
DES3: Final = SecretKey(SecretType.DES3, 24)
EVERY_KIND: Final[tuple[KeyType, ...]] = (
    *QUICK,
    *OtherAlgorithm,
    RsaKey(2048, 3),
    *(SecretKey(SecretType.AES, size) for size in (16, 24, 32)),
    SecretKey(SecretType.CHACHA20, 32),
    SecretKey(SecretType.GENERIC, 1),
    SecretKey(SecretType.GENERIC, 4096),
)
OTHER_USES: Final[dict[OtherAlgorithm, Mechanism]] = {
    OtherAlgorithm.ED448: samples.EDDSA,
    OtherAlgorithm.ECDSA_P224: Ecdsa(Hash.SHA256),
    OtherAlgorithm.SECP256K1: Ecdsa(Hash.SHA256),
    OtherAlgorithm.ML_DSA_44: MlDsa(),
    OtherAlgorithm.ML_DSA_65: MlDsa(),
    OtherAlgorithm.ML_DSA_87: MlDsa(),
}
SECRET_USES: Final[dict[object, tuple[tuple[Verb, Mechanism], ...]]] = {
    SecretType.AES: (
        (Verb.SIGN, AesCmac()),
        (Verb.ENCRYPT, AesCbc(bytes(16), padded=True)),
        (Verb.ENCRYPT, AesGcm(bytes(12), b"with it", 16)),
    ),
    SecretType.CHACHA20: ((Verb.ENCRYPT, ChaCha20Poly1305(bytes(12), b"")),),
    SecretType.GENERIC: ((Verb.SIGN, Hmac(Hash.SHA256, 32)),),
}


class StoreContract(ABC):
    # What a store behind other people's hardware may say of it: it has not all that software has.
    algorithms: Sequence[Algorithm] = tuple(Algorithm)
    kinds: Sequence[KeyType] = EVERY_KIND
    offered: tuple[type, ...] = OFFERED
    usual = Algorithm.ED25519  # what it is tried with where the kind does not matter
    signing: Mechanism = samples.EDDSA  # how such a key signs
    # Its tokens keep the attributes that they are given, and have more of their own.
    has_own_attributes = False

    leaving: Sequence[KeyType] = (Algorithm.ED25519, OtherAlgorithm.ED448)  # private keys
    odd_size = 17  # bytes of a secret that is no whole number of blocks
    oaep: Hash = Hash.SHA256
    bad_wrapping: tuple[type[KeyholmError], ...] = (DataInvalid,)

    def told_of(self, key: Key) -> Attributes:
        """What must be said of a private key that is unwrapped."""
        return {}

    def works(self, mechanism: Mechanism) -> bool:
        """Whether keys sign by it at all."""
        return True

    def objects_to_make(self) -> list[NewObject]:
        return new_objects()

    def says(self, told: Attributes | None, given: Attributes) -> bool:
        if not self.has_own_attributes:
            return told == given
        return told is not None and all(told.get(cka) == value for cka, value in given.items())

    @abstractmethod
    def open(self) -> Store:
        """A store without keys, whose first token, if it is there, is unlocked."""

    @contextmanager
    def opened(self) -> Iterator[Store]:
        store = self.open()
        try:
            yield store
        finally:
            store.close()

    @contextmanager
    def token(self, ability: type[Ability]) -> Iterator[Any]:
        """A token that has `ability`; none where the store's have not."""
        with self.opened() as store:
            token = self.token_of(store)
            if isinstance(token, ability):
                yield token
            else:
                yield None

    def token_of(self, store: Store) -> Token:
        if not store.tokens():
            assert isinstance(store, MakesTokens)
            with Secret.of(PASSPHRASE) as passphrase:
                store.make_token("main", 1000, passphrase)
        return store.tokens()[0]

    # --- listing -----------------------------------------------------------------------

    def test_tokens_and_keys_know_where_they_are(self) -> None:
        with self.opened() as store:
            token = self.token_of(store)
            key = fill(token, self.usual)

            assert token.store == store.name
            assert token in store.tokens()
            assert (key.place.store, key.place.token) == (store.name, token.name)
            assert listed(token) == [key]

    def test_a_key_is_what_its_public_half_says(self) -> None:
        with self.opened() as store:
            token = self.token_of(store)
            for algorithm in self.algorithms:
                key = fill(token, algorithm)
                assert key.id == keys.key_id(key.public)
                assert key.blob == keys.encode(key.public)
                assert key.label == algorithm
                assert key.policy_hash in ("", policy_hash(OPEN))

    def test_keys_are_listed_in_the_order_in_which_they_came(self) -> None:
        with self.opened() as store:
            token = self.token_of(store)
            labels = [f"key {number}" for number in (3, 1, 2)]
            for label in labels:
                fill(token, self.usual, label)

            assert [key.label for key in listed(token)] == labels

    # --- use ---------------------------------------------------------------------------

    def test_every_key_signs_by_every_mechanism_it_has(self) -> None:
        with self.token(Signs) as token:
            for key in one_of_each(token, self.offered) if token else ():
                for mechanism, data in samples.uses(key.public, MESSAGE.data):
                    if not self.works(mechanism):
                        with refused(MechanismUnsupported):
                            token.sign(key, mechanism, data)
                        continue
                    signature = token.sign(key, mechanism, data)
                    samples.verify(key.public, mechanism, data, signature)

    def test_any_length_is_signed(self) -> None:
        with self.token(Signs) as token:
            if token:
                key = fill(token, self.usual)
                for size in (0, 1, 200 * 1024):
                    message = Message(b"m" * size)
                    signature = token.sign(key, self.signing, message)
                    samples.verify(key.public, self.signing, message, signature)

    def test_other_mechanisms_and_inputs_are_refused(self) -> None:
        with self.token(Signs) as token:
            for key in one_of_each(token, self.offered) if token else ():
                for mechanism, data in samples.misuses(key.public, MESSAGE.data):
                    with refused(MechanismUnsupported):
                        token.sign(key, mechanism, data)

    def test_keys_sign_while_others_come_and_go(self) -> None:
        with self.token(Signs) as token:
            if not has(token, Destroys):
                return
            key = fill(token, self.usual)
            failures: list[BaseException] = []

            def work(number: int) -> None:
                try:
                    for turn in range(5):
                        passing = fill(token, self.usual, f"{number}/{turn}")
                        token.sign(key, self.signing, MESSAGE)
                        token.destroy(passing)
                except KeyholmError as error:
                    failures.append(error)

            in_threads(work, 4)
            assert failures == []
            assert listed(token) == [key]

    # --- management --------------------------------------------------------------------

    def test_every_change_is_told_and_nobody_waits_for_who_is_told(self) -> None:
        with self.opened() as store:
            token = self.token_of(store)
            told: list[Event] = []

            def listen(event: Event) -> None:
                # From another thread: it would hang if the store held its lock.
                in_threads(lambda number: token.keys(), 1)
                told.append(event)

            store.listen(listen)
            key = fill(token, self.usual)
            assert told == [Event(store.name, token.name, Change.KEYS_CHANGED)]
            if isinstance(token, Describes):
                token.rename(key, "renamed")
                assert len(told) == 2

    def test_halves_that_do_not_belong_together_are_refused(self) -> None:
        with self.token(Imports) as token:
            for private in samples.mismatched() if token else ():
                with refused(BadKeyFile):
                    token.import_key(private, Handover("bad"), OPEN)
                assert listed(token) == []

    def test_a_destroyed_key_is_gone(self) -> None:
        with self.token(Destroys) as token:
            if token:
                key, other = fill(token, self.usual), fill(token, Algorithm.ECDSA_P256)
                token.destroy(key)
                assert listed(token) == [other]
                with refused(KeyNotFound):
                    token.destroy(key)
                with refused(KeyNotFound):
                    token.sign(key, self.signing, MESSAGE)

    def test_names_and_policies_change_and_the_key_stays(self) -> None:
        with self.token(Describes) as token:
            if not token:
                return
            key, other = fill(token, self.usual), fill(token, Algorithm.ECDSA_P256)
            assert token.policy_of(key) == OPEN

            renamed = token.rename(key, "another name")
            changed = token.set_policy(renamed, CONFIRMED)

            assert (changed.label, changed.id, changed.place) == (
                "another name",
                key.id,
                key.place,
            )
            assert token.policy_of(changed) == CONFIRMED
            assert changed.policy_hash in ("", policy_hash(CONFIRMED))
            assert listed(token) == [changed, other]
            signature = token.sign(changed, self.signing, MESSAGE)
            samples.verify(key.public, self.signing, MESSAGE, signature)

    def test_only_an_exportable_key_is_exported(self) -> None:
        with self.token(Exports) as token:
            if not has(token, Imports):
                return
            for private, exportable in zip(samples.privates(), (True, False), strict=False):
                handover = Handover(f"exportable {exportable}", exportable=exportable)
                key = token.import_key(private, handover, OPEN)
                if exportable:
                    with token.export(key) as exported:
                        found, comment = read_file(bytes(exported.view), None)
                    assert (found, comment) == (private, handover.label)
                else:
                    with refused(NotExportable):
                        token.export(key)

    # --- keys of every kind --------------------------------------------------------------

    def test_keys_of_every_kind_are_made_and_used(self) -> None:
        with self.token(Operates) as token:
            if not has(token, Generates):
                return
            for wanted in self.kinds:
                key = token.generate(new_key(wanted), OPEN)
                assert (key.kind is Kind.SECRET) == isinstance(wanted, SecretKey)
                assert key.secret == (wanted if isinstance(wanted, SecretKey) else None)
                assert len(key.id) == 64
                if key.spki:
                    assert key.id == hashlib.sha256(key.spki).hexdigest()
                assert listed(token)[-1] == key
                try_out(token, key)

    def test_keys_of_every_kind_are_there_after_a_lock(self) -> None:
        with self.token(Operates) as token, secret(PASSPHRASE) as passphrase:
            if not has(token, Generates) or not has(token, Unlocks):
                return
            made = [token.generate(new_key(wanted), OPEN) for wanted in self.kinds]
            token.lock()
            for key in made:
                for verb, mechanism in SECRET_USES.get(kind_of(key), ()):
                    with refused(TokenLocked):
                        token.begin_use(key, verb, mechanism)
            token.unlock(passphrase)
            assert listed(token) == made
            for key in made:
                try_out(token, key)

    def test_a_private_key_that_is_brought_in_is_what_it_is(self) -> None:
        with self.token(HoldsObjects) as token:
            for name, pkcs8 in samples.pkcs8() if token else ():
                with secret(pkcs8) as material:
                    new = NewObject(Kind.PRIVATE, {CKA.LABEL: name.encode()}, material)
                    if name not in self.kinds:
                        with refused(AlgorithmUnsupported):
                            token.create_object(new, OPEN)
                        continue
                    key = token.create_object(new, OPEN)
                    again = token.create_object(new, OPEN)  # PKCS#11 may have one twice
                assert (key.id, key.label, key.origin) == (again.id, name, Origin.IMPORTED)
                assert (key.ssh is not None) == (name in set(Algorithm)), name
                assert key.public_attributes is None
                try_out(token, key)

    def test_bytes_that_are_no_key_are_refused(self) -> None:
        with self.token(HoldsObjects) as token:
            if not token:
                return
            for bad in (b"", b"\0" * 100, b"0" * 40_000):
                with secret(bad) as material, refused(BadKeyFile):
                    token.create_object(NewObject(Kind.PRIVATE, {}, material), OPEN)
            for size in (0, 15, 33):
                with secret(bytes(size)) as material, refused(AlgorithmUnsupported):
                    new = NewObject(Kind.SECRET, {}, material, SecretKey(SecretType.AES, size))
                    token.create_object(new, OPEN)
            with refused(BadRequest):
                token.create_object(NewObject(Kind.SECRET, {}), OPEN)
            assert listed(token) == []

    def test_only_a_key_that_may_leave_tells_its_value(self) -> None:
        with self.token(HoldsObjects) as token:
            if not token:
                return
            value = bytes(range(32))
            for exportable in (True, False):
                new = NewObject(Kind.SECRET, {}, exportable=exportable)
                with secret(value) as material:
                    key = token.create_object(replace(new, material=material), OPEN)
                if exportable:
                    with token.value_of(key) as told:
                        assert bytes(told.view) == value
                else:
                    with refused(NotExportable):
                        token.value_of(key)

    def test_the_keys_of_a_session_work_and_are_listed_nowhere(self) -> None:
        with self.token(Operates) as token, secret(PASSPHRASE) as passphrase:
            if not has(token, Generates) or not has(token, HoldsObjects):
                return
            for wanted in self.kinds:
                key = token.generate(replace(new_key(wanted), session=True), CONFIRMED)
                assert key.place.is_session
                assert listed(token) == []
                assert token.policy_of(key) == CONFIRMED
                try_out(token, key)
                changed = token.change_object(key, {CKA.ID: b"changed"})
                assert self.says(changed.attributes, {CKA.ID: b"changed"})
                try_out(token, changed)
                token.destroy(key)
                with refused(KeyNotFound):
                    token.begin_use(key, Verb.SIGN, self.signing)
            kept = token.generate(replace(new_key(self.usual), session=True), OPEN)
            token.lock()
            token.unlock(passphrase)
            with refused(KeyNotFound):
                token.sign(kept, self.signing, MESSAGE)
            with refused(KeyNotFound):
                token.policy_of(kept)

    def test_the_public_half_needs_no_unlocking(self) -> None:
        with self.token(Operates) as token:
            if not has(token, Unlocks):
                return
            key = fill(token, self.usual)
            signature = token.sign(key, self.signing, MESSAGE)
            token.lock()
            verify(token, key, self.signing, signature)

    def test_keys_are_made_of_keys(self) -> None:
        with self.token(Derives) as token:
            if not has(token, Generates):
                return
            kind = next(each for each in AGREEING if each in self.kinds)
            one, other = (token.generate(new_key(kind), OPEN) for _ in range(2))
            new = NewObject(Kind.SECRET, {CKA.LABEL: b"agreed"}, type=AES_256, exportable=True)
            agreed = [
                token.derive(mine, Ecdh(public_value(theirs)), new, CONFIRMED)
                for mine, theirs in ((one, other), (other, one))
            ]
            assert [key.label for key in agreed] == ["agreed", "agreed"]
            assert all(token.policy_of(key) == CONFIRMED for key in agreed)
            assert value(token, agreed[0]) == value(token, agreed[1])
            if OtherAlgorithm.ML_KEM_768 not in self.kinds:
                return
            pair = token.generate(new_key(OtherAlgorithm.ML_KEM_768), OPEN)
            ciphertext, sent = token.encapsulate(pair, MlKem(), new, OPEN)
            received = token.decapsulate(pair, MlKem(), ciphertext, new, OPEN)
            assert value(token, sent) == value(token, received)

    def test_keys_leave_and_come_encrypted(self) -> None:
        with self.token(Derives) as token:
            if not has(token, Generates):
                return
            by = token.generate(new_key(AES_256), OPEN)
            rsa = token.generate(new_key(RsaKey(2048)), OPEN)
            padded, oaep = AesKeyWrap(padded=True), RsaOaep(self.oaep, self.oaep)
            for wanted, wrapping, mechanism in (
                *((private, by, padded) for private in self.leaving),
                (SecretKey(SecretType.GENERIC, self.odd_size), by, padded),
                (SecretKey(SecretType.AES, 16), rsa, oaep),
            ):
                key = token.generate(replace(new_key(wanted), exportable=True), OPEN)
                wrapped = token.wrap(wrapping, key, mechanism)
                new = NewObject(
                    key.kind, self.told_of(key), type=key.secret, exportable=True, session=True
                )
                back = token.unwrap(wrapping, mechanism, wrapped, new, OPEN)
                assert value(token, back) == value(token, key)
                assert (back.kind, back.origin) == (key.kind, Origin.IMPORTED)
                with refused(*self.bad_wrapping):
                    bad = bytes((wrapped[0] ^ 1,)) + wrapped[1:]
                    token.unwrap(wrapping, mechanism, bad, new, OPEN)
            with refused(NotExportable):
                token.wrap(by, rsa, padded)

    def test_what_only_old_programs_want_is_refused_where_nobody_asked_for_it(self) -> None:
        with self.token(Operates) as token:
            if not has(token, Generates) or getattr(token, "legacy", False):
                return
            with refused(AlgorithmUnsupported):
                token.generate(new_key(DES3), OPEN)
            rsa = token.generate(new_key(RsaKey(2048)), OPEN)
            with refused(MechanismUnsupported):
                token.begin_use(rsa, Verb.SIGN, RsaRaw())
            with refused(MechanismUnsupported):
                token.sign(rsa, RsaRaw(), Opaque(bytes(256)))

    def test_a_token_for_old_programs_takes_it(self) -> None:
        with self.pins(legacy=True) as token:
            if not has(token, Operates):
                return
            check_pin(token, Role.USER, USER_PIN)
            assert token.legacy
            rsa = token.generate(new_key(RsaKey(2048)), OPEN)
            signature = token.sign(rsa, RsaRaw(), Opaque(b"\0" + bytes(255)))
            assert len(signature) == 256
            key = token.generate(new_key(DES3), OPEN)
            ciphertext = crypt(token, key, Verb.ENCRYPT, Des3Ecb(), bytes(16))
            assert crypt(token, key, Verb.DECRYPT, Des3Ecb(), ciphertext) == bytes(16)

    # --- objects -----------------------------------------------------------------------

    def test_objects_are_made_changed_and_removed(self) -> None:
        with self.token(HoldsObjects) as token:
            if not token:
                return
            key = fill(token, self.usual)
            wanted = self.objects_to_make()
            made = [token.create_object(new, OPEN) for new in wanted]

            assert [found.kind for found in made] == [new.kind for new in wanted]
            for found, new in zip(made, wanted, strict=True):
                assert self.says(found.attributes, new.attributes)
            assert list(token.objects()) == made
            assert listed(token) == [key]
            changed = [token.change_object(each, {CKA.LABEL: b"another"}) for each in made]
            assert [found.place for found in changed] == [found.place for found in made]
            assert all(self.says(found.attributes, {CKA.LABEL: b"another"}) for found in changed)
            assert list(token.objects()) == changed
            for each in changed:
                token.remove_object(each)
                with refused(KeyNotFound):
                    token.remove_object(each)
                with refused(KeyNotFound):
                    token.change_object(each, {})
            assert list(token.objects()) == []

    def test_objects_that_come_and_go_are_told_one_by_one(self) -> None:
        with self.opened() as store:
            token = self.token_of(store)
            if not isinstance(token, HoldsObjects):
                return
            told: list[tuple[object, ...]] = []
            store.listen(lambda event: told.append((event.change, event.before, event.after)))
            new = self.objects_to_make()[0]
            made = token.create_object(new, OPEN)
            changed = token.change_object(made, {})
            assert isinstance(changed, Object)
            token.remove_object(changed)
            token.create_object(replace(new, session=True), OPEN)
            assert told == [
                (Change.OBJECTS_CHANGED, None, made),
                (Change.OBJECTS_CHANGED, made, changed),
                (Change.OBJECTS_CHANGED, changed, None),
            ]

    def test_what_a_session_makes_is_listed_nowhere(self) -> None:
        with self.token(HoldsObjects) as token:
            for new in self.objects_to_make() if token else ():
                made = token.create_object(replace(new, session=True), OPEN)
                assert made.place.is_session
                assert list(token.objects()) == []
                changed = token.change_object(made, {CKA.LABEL: b"another"})
                assert self.says(changed.attributes, {CKA.LABEL: b"another"})
                token.remove_object(changed)
                with refused(KeyNotFound):
                    token.remove_object(changed)

    def test_private_objects_are_listed_while_the_token_is_open(self) -> None:
        with self.token(HoldsObjects) as token, Secret.of(PASSPHRASE) as passphrase:
            if not has(token, Unlocks):
                return
            made = [token.create_object(new, OPEN) for new in self.objects_to_make()]
            token.lock()
            assert [found.place for found in token.objects()] == [
                found.place for found in made if not found.private
            ]
            with refused(TokenLocked):
                token.create_object(self.objects_to_make()[0], OPEN)
            with refused(TokenLocked):
                token.change_object(made[0], {})
            with refused(TokenLocked):
                token.remove_object(made[0])
            token.unlock(passphrase)
            assert list(token.objects()) == made

    def test_attributes_of_both_halves_are_kept(self) -> None:
        with self.token(HoldsObjects) as token:
            if not has(token, Generates):
                return
            private: Attributes = {CKA.ID: b"\1", CKA.LABEL: b"same", CKA.SIGN: True}
            public: Attributes = {CKA.ID: b"\1", CKA.VERIFY: True}
            new = NewKey("same", self.usual, attributes=private, public_attributes=public)
            one, other = token.generate(new, OPEN), token.generate(new, OPEN)
            assert (one.label, other.label) == ("same", "same")
            assert self.says(one.attributes, private)
            assert self.says(one.public_attributes, public)
            changed = token.change_object(one, {**private, CKA.LABEL: b""})
            changed = token.change_object(changed, {CKA.ID: b"\2"}, public=True)
            assert changed.label == ""
            assert self.says(changed.public_attributes, {CKA.ID: b"\2"})
            hidden = token.change_object(changed, None, public=True)
            assert hidden.public_attributes is None
            assert listed(token) == [hidden, other]
            signature = token.sign(hidden, self.signing, MESSAGE)
            samples.verify(one.public, self.signing, MESSAGE, signature)

    def test_what_cannot_be_kept_is_refused(self) -> None:
        with self.token(HoldsObjects) as token:
            if not token:
                return
            (new, *_) = self.objects_to_make()
            with refused(LimitExceeded):
                token.create_object(replace(new, attributes={CKA.VALUE: bytes(1 << 20)}), OPEN)
            odd: Any = {CKA.VALUE: 1.5}
            with refused(BadRequest):
                token.create_object(replace(new, attributes=odd), OPEN)
            with refused(BadRequest):
                token.create_object(replace(new, attributes={CKA.LABEL: too_deep()}), OPEN)
            assert list(token.objects()) == []

    # --- locks -------------------------------------------------------------------------

    def test_a_locked_token_lists_its_keys_and_does_nothing_else(self) -> None:
        with self.token(Unlocks) as token, Secret.of(PASSPHRASE) as passphrase:
            if not token:
                return
            key = fill(token, self.usual)
            token.sign(key, self.signing, MESSAGE)
            token.lock()

            assert token.locked
            assert [found.id for found in listed(token)] == [key.id]
            for use in uses_of_private_half(token, key):
                with refused(TokenLocked):
                    use()
            token.unlock(passphrase)
            assert not token.locked
            assert all(found.verified for found in listed(token))
            token.sign(key, self.signing, MESSAGE)

    def test_a_wrong_passphrase_changes_nothing(self) -> None:
        with self.token(Unlocks) as token:
            if not token:
                return
            for wrong in (b"", b"Correct horse", b"x" * 5000):
                with Secret.of(wrong) as passphrase:
                    with refused(PassphraseIncorrect, PinIncorrect):
                        token.verify(passphrase)
                    token.lock()
                    with refused(PassphraseIncorrect, PinIncorrect):
                        token.unlock(passphrase)
                    assert token.locked
                with Secret.of(PASSPHRASE) as passphrase:
                    token.unlock(passphrase)
                    token.verify(passphrase)

    def test_a_changed_passphrase_opens_and_the_former_does_not(self) -> None:
        with self.token(HasSlots) as token:
            if not token:
                return
            key = fill(token, self.usual)
            with Secret.of(PASSPHRASE) as old, Secret.of(b"battery staple") as new:
                for bad in (b"", b"x" * 5000):
                    with refused(BadRequest), Secret.of(bad) as refused_one:
                        token.change_passphrase(old, refused_one)
                with refused(PassphraseIncorrect):
                    token.change_passphrase(new, new)
                token.change_passphrase(old, new)
                token.lock()
                with refused(PassphraseIncorrect):
                    token.unlock(old)
                token.unlock(new)
                token.verify(new)
            token.sign(key, self.signing, MESSAGE)

    def test_a_recovery_code_opens_until_another_is_made(self) -> None:
        with self.token(HasSlots) as token, Secret.of(PASSPHRASE) as passphrase:
            if not token:
                return
            with token.add_recovery_code(passphrase) as code:
                token.lock()
                token.unlock(code)
                assert sorted(slot.kind for slot in token.slots()) == ["passphrase", "recovery"]
                token.add_recovery_code(passphrase).close()
                token.lock()
                with refused(PassphraseIncorrect):
                    token.unlock(code)
            token.unlock(passphrase)
            recovery = next(slot.name for slot in token.slots() if slot.kind == "recovery")
            token.remove_slot(passphrase, recovery)
            assert [slot.kind for slot in token.slots()] == ["passphrase"]
            with refused(BadRequest):
                token.remove_slot(passphrase, token.slots()[0].name)

    # --- PINs --------------------------------------------------------------------------

    @contextmanager
    def pins(self, *, legacy: bool = False) -> Iterator[Any]:
        """A token with PINs; none where the store makes no such tokens."""
        with self.opened() as store:
            if not isinstance(store, MakesTokens):
                yield None
                return
            with secret(OFFICER_PIN) as officer, secret(USER_PIN) as user:
                pins = NewPins(officer, user, application_login=True, legacy=legacy)
                yield store.make_pin_token("ein Token mit Übung", 1000, pins)

    def test_the_users_pin_opens_and_the_officers_does_not(self) -> None:
        with self.pins() as token:
            if not token:
                return
            assert (token.locked, token.label) == (True, "ein Token mit Übung")
            assert (token.application_login, token.legacy) == (True, False)
            check_pin(token, Role.OFFICER, OFFICER_PIN)
            assert token.locked
            for _ in range(2):
                check_pin(token, Role.USER, USER_PIN)
                assert not token.locked
            token.generate(NewKey("a key", self.usual), OPEN)
            token.lock()
            for role, pin in ((Role.USER, OFFICER_PIN), (Role.OFFICER, USER_PIN)):
                with refused(PinIncorrect):
                    check_pin(token, role, pin)
            assert token.locked

    def test_wrong_pins_are_counted_whether_it_is_open_or_not(self) -> None:
        with self.pins() as token:
            if not token:
                return
            for is_open in (False, True):
                for role, right in ((Role.OFFICER, OFFICER_PIN), (Role.USER, USER_PIN)):
                    if is_open:
                        check_pin(token, role, right)
                    tries = token.pin_state(role).tries
                    assert token.pin_state(role) == PinState(True, tries, tries)
                    for left, wrong in ((tries - 1, b""), (tries - 2, b"x" * 300)):
                        with refused(PinIncorrect):
                            check_pin(token, role, wrong)
                        assert token.pin_state(role) == PinState(True, left, tries)
                    check_pin(token, role, right)
                    assert token.pin_state(role) == PinState(True, tries, tries)

    def test_a_locked_pin_is_locked_for_the_right_one_until_the_officer_gives_another(
        self,
    ) -> None:
        with self.pins() as token:
            if not token:
                return
            for _ in range(token.pin_state(Role.USER).tries):
                with refused(PinIncorrect):
                    check_pin(token, Role.USER, b"wrong")
            for pin in (USER_PIN, b"wrong"):
                with refused(PinLocked):
                    check_pin(token, Role.USER, pin)
                with refused(PinLocked), secret(pin) as typed:
                    token.unlock(typed)
            assert token.locked
            with refused(LoginNeeded), secret(b"brand new") as new:
                token.init_pin(new)
            check_pin(token, Role.OFFICER, OFFICER_PIN)
            with secret(b"brand new") as new:
                token.init_pin(new)
            with refused(PinIncorrect):
                check_pin(token, Role.USER, USER_PIN)
            check_pin(token, Role.USER, b"brand new")
            assert not token.locked

    def test_pins_are_changed_by_those_who_know_them(self) -> None:
        with self.pins() as token:
            if not token:
                return
            for is_open in (False, True):
                for role, old in ((Role.USER, USER_PIN), (Role.OFFICER, OFFICER_PIN)):
                    if is_open:
                        check_pin(token, role, old)
                    with secret(b"another") as new, secret(b"wrong") as wrong, secret(old) as right:
                        with refused(PinIncorrect):
                            token.set_pin(role, wrong, new)
                        token.set_pin(role, right, new)
                        with refused(PinIncorrect):
                            check_pin(token, role, old)
                        check_pin(token, role, b"another")
                        token.set_pin(role, new, right)
                        token.lock()
                        check_pin(token, role, old)
                        token.lock()

    def test_a_pin_that_is_too_short_or_too_long_is_not_taken(self) -> None:
        with self.pins() as token:
            if not token:
                return
            check_pin(token, Role.OFFICER, OFFICER_PIN)
            for bad in (b"", b"123", b"x" * 256):
                with secret(bad) as new, secret(USER_PIN) as old:
                    with refused(PinUnsuitable):
                        token.set_pin(Role.USER, old, new)
                    with refused(PinUnsuitable):
                        token.init_pin(new)
            check_pin(token, Role.USER, USER_PIN)

    def test_an_emptied_token_has_its_officer_and_nothing_else(self) -> None:
        with self.pins() as token:
            if not token:
                return
            check_pin(token, Role.USER, USER_PIN)
            fill(token, self.usual)
            for new in self.objects_to_make():
                token.create_object(new, OPEN)
            with secret(b"wrong") as pin, refused(PinIncorrect):
                token.init_token(pin, "new")
            with secret(OFFICER_PIN) as pin:
                with refused(BadRequest):
                    token.init_token(pin, "x" * 33)
                assert len(listed(token)) == 1
                token.init_token(pin, "new")
            assert (token.label, token.locked) == ("new", True)
            assert (listed(token), list(token.objects())) == ([], [])
            assert not token.pin_state(Role.USER).is_set
            with refused(PinNotSet):
                check_pin(token, Role.USER, USER_PIN)
            check_pin(token, Role.OFFICER, OFFICER_PIN)
            with secret(b"brand new") as pin:
                token.init_pin(pin)
            check_pin(token, Role.USER, b"brand new")
            fill(token, self.usual)
            assert len(listed(token)) == 1

    # --- tokens ------------------------------------------------------------------------

    def test_a_backup_brings_everything_back(self) -> None:
        with self.opened() as store, Secret.of(b"of the backup") as passphrase:
            token = self.token_of(store)
            if not isinstance(store, Restores) or not isinstance(token, BacksUp):
                return
            for algorithm in QUICK:
                fill(token, algorithm)
            backup = token.backup(passphrase)
            with refused(PassphraseIncorrect), Secret.of(b"wrong") as wrong:
                store.restore(backup, wrong, "again", 1000)
            restored = store.restore(backup, passphrase, "again", 1000)
            with refused(AlreadyExists):
                store.restore(backup, passphrase, "again", 1000)

            assert restored.owner == 1000
            assert [described(key) for key in listed(restored)] == [
                described(key) for key in listed(token)
            ]
            assert isinstance(restored, Signs)
            for key in listed(restored):
                mechanism, data = next(iter(samples.uses(key.public, MESSAGE.data)))
                signature = restored.sign(key, mechanism, data)
                samples.verify(key.public, mechanism, data, signature)

    def test_tokens_are_made_and_removed(self) -> None:
        with self.opened() as store, Secret.of(PASSPHRASE) as passphrase:
            if not isinstance(store, MakesTokens):
                return
            made = store.make_token("other", 1234, passphrase)
            assert (made.owner, made.name) == (1234, "other")
            with refused(AlreadyExists):
                store.make_token("other", 1234, passphrase)
            for name in ("", ".", "..", "a/b", ".hidden", "x" * 65, "new\nline", "null\0"):
                with refused(BadRequest):
                    store.make_token(name, 1234, passphrase)
            with refused(BadRequest), Secret.of(b"") as empty:
                store.make_token("empty", 1234, empty)
            store.remove_token(made)
            assert made.name not in [token.name for token in store.tokens()]

    # --- secrets -----------------------------------------------------------------------

    def test_nothing_that_is_shown_holds_a_secret(self) -> None:
        with self.token(Imports) as token:
            if not token:
                return
            shown = []
            for private in (*samples.privates(), *samples.mismatched()):
                try:
                    key = token.import_key(private, Handover(repr(private)[:80]), OPEN)
                    shown += [repr(key), repr(token), repr(vars(token))]
                    for mechanism, data in samples.misuses(key.public, MESSAGE.data):
                        token.sign(key, mechanism, data)
                except KeyholmError as error:
                    shown += [repr(error), str(error), repr(error.__cause__)]
            for secret in samples.spellings_of_secrets():
                assert not any(secret in text for text in shown)

    def test_a_closed_store_has_forgotten_its_keys(self) -> None:
        with self.opened() as store:
            token = self.token_of(store)
            if not isinstance(token, Signs):
                return
            key = fill(token, self.usual)
            token.sign(key, self.signing, MESSAGE)
            store.close()
            with refused(KeyholmError):
                token.sign(key, self.signing, MESSAGE)


# --- what the tests are made of ------------------------------------------------------


def fill(token: Token, algorithm: Algorithm, label: str = "") -> Key:
    """A key in `token`, made there or brought in."""
    if isinstance(token, Generates):
        return token.generate(NewKey(label or algorithm, algorithm), OPEN)
    assert isinstance(token, Imports), "a token that can neither make nor take a key"
    return token.import_key(samples.new(algorithm), Handover(label or algorithm), OPEN)


def one_of_each(token: Token, offered: tuple[type, ...] = OFFERED) -> Iterator[Key]:
    """Every kind of key that the token can have."""
    if isinstance(token, Imports):
        for number, private in enumerate(samples.privates()):
            try:
                yield token.import_key(private, Handover(f"imported {number}"), OPEN)
            except AlgorithmUnsupported:
                assert not isinstance(private.public, offered), "a kind that every store takes"
    else:
        yield from (fill(token, algorithm) for algorithm in QUICK)


def secret(data: bytes) -> Secret:
    return Secret.of(data)


def new_key(wanted: KeyType) -> NewKey:
    """As PKCS#11 makes one: it has attributes."""
    return NewKey(spelled(wanted), wanted, attributes={CKA.ID: b"1"})


def kind_of(key: Key) -> object:
    return key.secret.type if key.secret else "private"


def try_out(token: Any, key: Key) -> None:
    """Whatever it can do, it does."""
    if key.ssh is not None:
        mechanism, data = next(iter(samples.uses(key.ssh, MESSAGE.data)))
        samples.verify(key.ssh, mechanism, data, token.sign(key, mechanism, data))
        if not isinstance(key.ssh, keys.MlDsa44Ed25519):
            signing = samples.streamed(key.ssh)
            verify(token, key, signing, in_parts(token, key, Verb.SIGN, signing))
    elif key.secret is not None:
        for verb, mechanism in SECRET_USES[key.secret.type]:
            if verb is Verb.SIGN:
                verify(token, key, mechanism, in_parts(token, key, verb, mechanism))
            else:
                ciphertext = crypt(token, key, Verb.ENCRYPT, mechanism, MESSAGE.data)
                assert crypt(token, key, Verb.DECRYPT, mechanism, ciphertext) == MESSAGE.data
    elif (by := OTHER_USES.get(OtherAlgorithm(key.label))) is not None:
        verify(token, key, by, in_parts(token, key, Verb.SIGN, by))


def in_parts(token: Operates, key: Key, verb: Verb, mechanism: Mechanism) -> bytes:
    running = token.begin_use(key, verb, mechanism)
    begun = running.update(MESSAGE.data[:5]) + running.update(MESSAGE.data[5:])
    return begun + running.finish()


def verify(token: Operates, key: Key, mechanism: Mechanism, signature: bytes) -> None:
    running = token.begin_use(key, Verb.VERIFY, mechanism)
    running.update(MESSAGE.data)
    running.finish(signature)
    running = token.begin_use(key, Verb.VERIFY, mechanism)
    running.update(b"another" + MESSAGE.data)
    with refused(SignatureInvalid):
        running.finish(signature)


def crypt(token: Operates, key: Key, verb: Verb, mechanism: Mechanism, data: bytes) -> bytes:
    running = token.begin_use(key, verb, mechanism)
    return running.update(data) + running.finish()


def public_value(key: Key) -> bytes:
    """As ECDH takes it."""
    return key.ssh.point if isinstance(key.ssh, keys.Ecdsa) else key.spki[-32:]


def value(token: HoldsObjects, key: Key) -> bytes:
    with token.value_of(key) as told:
        return bytes(told.view)


def check_pin(token: HasPins, role: Role, pin: bytes) -> None:
    with secret(pin) as typed:
        token.check_pin(role, typed)


def new_objects() -> list[NewObject]:
    """One of each kind, public and private, with every kind of value."""
    attributes: Attributes = {
        CKA.LABEL: "Etikett für ein Ding".encode(),
        CKA.VALUE: bytes(range(256)),
        CKA.TRUSTED: False,
        CKA.CERTIFICATE_TYPE: 0,
        CKA.ALLOWED_MECHANISMS: (1, 2**64 - 1),
        CKA.WRAP_TEMPLATE: ((CKA.LABEL, b"inside"), (CKA.UNWRAP_TEMPLATE, ((CKA.SIGN, True),))),
        CKA.VENDOR_DEFINED + 7: b"",
    }
    return [
        NewObject(kind, attributes, private=private)
        for kind in (Kind.CERTIFICATE, Kind.DATA, Kind.PUBLIC)
        for private in (False, True)
    ]


def too_deep() -> Value:
    value: Value = ()
    for _ in range(50):
        value = ((int(CKA.WRAP_TEMPLATE), value),)
    return value


def has(token: object, ability: type) -> bool:
    return isinstance(token, ability)


def listed(token: Token) -> list[Key]:
    return list(token.keys())


def described(key: Key) -> tuple[object, ...]:
    facts = (key.label, key.origin, key.exportable, key.created, key.policy_hash, key.order)
    return (key.id, key.blob, *facts)


def uses_of_private_half(token: Token, key: Key) -> Iterator[Callable[[], object]]:
    if isinstance(token, Signs):
        yield lambda: token.sign(key, samples.EDDSA, MESSAGE)
    if isinstance(token, Generates):
        yield lambda: token.generate(NewKey("new", Algorithm.ED25519), OPEN)
    if isinstance(token, Imports):
        yield lambda: token.import_key(samples.privates()[0], Handover("new"), OPEN)
    if isinstance(token, Describes):
        yield lambda: token.rename(key, "renamed")
        yield lambda: token.set_policy(key, CONFIRMED)
    if isinstance(token, Destroys):
        yield lambda: token.destroy(key)


@contextmanager
def refused(*kinds: type[KeyholmError]) -> Iterator[None]:
    try:
        yield
    except kinds as error:
        assert error.what.endswith((".", "?")), f"not a sentence: {error.what!r}"
        return
    raise AssertionError(f"{' or '.join(kind.__name__ for kind in kinds)} was not raised")


def in_threads(work: Callable[[int], object], count: int) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
        assert not thread.is_alive(), "it hangs"

"""Unlock slots, as LUKS has them: each holds the token's KEK, wrapped in its own way.

passphrase   argon2id of it
pin          argon2id of it; its tries are counted (`pin_token`)
recovery     HKDF of a printed code of 128 bits, which nobody can guess
none         the KEK in the clear: a throw-away token, which protects nothing
"""

import os
from collections.abc import Sequence
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag

from keyholm.core.errors import BadRequest, PassphraseIncorrect
from keyholm.core.secret import Secret
from keyholm.core.store import Slot
from keyholm.stores.disk import cost as costs
from keyholm.stores.disk import crypto, recovery
from keyholm.stores.disk.cost import Cost
from keyholm.wire.codec import STRING

PASSPHRASE: Final = "passphrase"
RECOVERY: Final = "recovery"
NONE: Final = "none"
PIN: Final = "pin"
MAX_PASSPHRASE: Final = 4096


class Argon2id(msgspec.Struct, frozen=True, tag_field="kdf", tag="argon2id"):
    salt: bytes
    passes: int
    memory: int  # KiB
    lanes: int

    @property
    def cost(self) -> Cost:
        return Cost(self.passes, self.memory, self.lanes)


class Hkdf(msgspec.Struct, frozen=True, tag_field="kdf", tag="hkdf-sha256"):
    salt: bytes


class Clear(msgspec.Struct, frozen=True, tag_field="kdf", tag="none"):
    pass


_BY: Final = {PASSPHRASE: Argon2id, PIN: Argon2id, RECOVERY: Hkdf, NONE: Clear}


class KeySlot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    kind: str
    by: Argon2id | Hkdf | Clear
    wrapped: bytes

    def check(self) -> None:
        """Raises `ValueError` where no KEK can come of it."""
        if not isinstance(self.by, _BY.get(self.kind, Clear | Hkdf | Argon2id)):
            raise ValueError(f"the slot {self.name!r} is none of kind {self.kind!r}")
        is_clear = isinstance(self.by, Clear)
        if len(self.wrapped) != (crypto.KEY if is_clear else crypto.WRAPPED):
            raise ValueError(f"the slot {self.name!r} has {len(self.wrapped)} bytes")
        if not isinstance(self.by, Clear) and len(self.by.salt) != crypto.SALT:
            raise ValueError(f"the slot {self.name!r} has a salt of {len(self.by.salt)} bytes")

    def described(self) -> Slot:
        if isinstance(self.by, Argon2id):
            cost = str(self.by.cost)
        elif isinstance(self.by, Hkdf):
            cost = "a code of 128 bits"
        else:
            cost = "NO PROTECTION: the key lies beside the lock"
        return Slot(self.name, self.kind, cost)


class Slots:
    """Makes and opens the slots of one token, known by the uuids of its store and itself."""

    def __init__(self, store: str, token: str, *, cost: Cost, floor: Cost) -> None:
        self._store, self._token, self._cost, self._floor = store, token, cost, floor

    def for_passphrase(self, passphrase: Secret, kek: Secret) -> KeySlot:
        check_passphrase(passphrase)
        return self._stretched(PASSPHRASE, PASSPHRASE, passphrase, kek)

    def for_pin(self, name: str, pin: Secret, kek: Secret) -> KeySlot:
        return self._stretched(name, PIN, pin, kek)

    def _stretched(self, name: str, kind: str, typed: Secret, kek: Secret) -> KeySlot:
        cost = self._cost
        by = Argon2id(os.urandom(crypto.SALT), cost.passes, cost.memory, cost.lanes)
        with crypto.stretch(typed, by.salt, cost) as key:
            return self._made(name, kind, by, key, kek)

    def for_code(self, code: Secret, kek: Secret) -> KeySlot:
        by = Hkdf(os.urandom(crypto.SALT))
        with crypto.subkey(code, by.salt, RECOVERY) as key:
            return self._made(RECOVERY, RECOVERY, by, key, kek)

    def in_the_clear(self, kek: Secret) -> KeySlot:
        return KeySlot(NONE, NONE, Clear(), bytes(kek.view))

    def _made(self, name: str, kind: str, by: Argon2id | Hkdf, key: Secret, kek: Secret) -> KeySlot:
        return KeySlot(name, kind, by, crypto.wrap(key, kek, self._bound(name, kind, by)))

    def open(self, slots: Sequence[KeySlot], typed: Secret) -> Secret:
        """The KEK. A recovery code is tried first, since that costs nothing.

        Raises `PassphraseIncorrect`, `TokenBusy`, `StoreDamaged`.
        """
        if kek := self.open_by_code(slots, typed):
            return kek
        if 0 < len(typed) <= MAX_PASSPHRASE and (kek := self._try(slots, PASSPHRASE, typed)):
            return kek
        raise PassphraseIncorrect(
            "The passphrase is wrong.", remedy="Try again, or use the recovery code."
        )

    def open_by_code(self, slots: Sequence[KeySlot], typed: Secret) -> Secret | None:
        """The KEK, where `typed` is a recovery code that opens one of them."""
        code = recovery.typed(typed)
        if code is None:
            return None
        with code:
            return self._try(slots, RECOVERY, code)

    def open_by_pin(self, slot: KeySlot, pin: Secret) -> Secret | None:
        """The KEK, where it is the PIN of this slot. Raises `TokenBusy`, `StoreDamaged`."""
        return self._try((slot,), PIN, pin)

    def _try(self, slots: Sequence[KeySlot], kind: str, secret: Secret) -> Secret | None:
        for slot in slots:
            if slot.kind != kind:
                continue
            try:
                with self._slot_key(slot, secret) as key:
                    bound = self._bound(slot.name, slot.kind, slot.by)
                    return crypto.unwrap(key, slot.wrapped, bound)
            except InvalidTag:
                continue
        return None

    def _slot_key(self, slot: KeySlot, secret: Secret) -> Secret:
        if isinstance(slot.by, Argon2id):
            costs.check(slot.by.cost, self._floor, f"The slot {slot.name!r}")
            return crypto.stretch(secret, slot.by.salt, slot.by.cost)
        assert isinstance(slot.by, Hkdf)  # noqa: S101 - `check` looked
        return crypto.subkey(secret, slot.by.salt, RECOVERY)

    def _bound(self, name: str, kind: str, by: Argon2id | Hkdf | Clear) -> bytes:
        """What the wrapping belongs to."""
        return b"".join(
            STRING.write(part)
            for part in (
                b"keyholm-disk-1 slot",
                self._store.encode(),
                self._token.encode(),
                name.encode(),
                kind.encode(),
                msgspec.json.encode(by),
            )
        )


def clear_kek(slots: Sequence[KeySlot]) -> Secret | None:
    """The KEK of a throw-away token."""
    for slot in slots:
        if isinstance(slot.by, Clear):
            return Secret.of(slot.wrapped)
    return None


def check_passphrase(passphrase: Secret) -> None:
    if not len(passphrase):
        raise BadRequest("An empty passphrase protects nothing.", remedy="Choose another one.")
    if len(passphrase) > MAX_PASSPHRASE:
        raise BadRequest(f"A passphrase has at most {MAX_PASSPHRASE} bytes.")

"""What a store is, and what the tokens in it may be able to do.

A store is where keys live; a token is one container in it, with an owner and a lock of
its own. Every token lists its keys. All else is an *ability*: a small interface that a
token has or has not, so that no method exists only to raise "unsupported". Only
`core.gate` calls an ability.

Code of stores is plain and blocking. A token that is a piece of hardware serves one
request at a time and holds its own lock; it raises the errors of `core.errors`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Protocol

from keyholm.core.mechanisms import Input, Mechanism
from keyholm.core.model import Key, NewKey
from keyholm.core.policy import Policy
from keyholm.core.secret import Secret
from keyholm.wire.ssh.private_keys import Private


@unique
class Change(StrEnum):
    TOKEN_CAME = "token-came"
    TOKEN_WENT = "token-went"
    LOCKED = "locked"
    UNLOCKED = "unlocked"
    KEYS_CHANGED = "keys-changed"


@dataclass(frozen=True, slots=True)
class Event:
    store: str
    token: str
    change: Change


Listener = Callable[[Event], None]


class Token(Protocol):
    """One container of keys. `accepted_uids` are who may see it at all; root always may."""

    @property
    def store(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def owner(self) -> int: ...
    @property
    def accepted_uids(self) -> frozenset[int]: ...
    def keys(self) -> Sequence[Key]:
        """Its keys, oldest first. Never blocks on hardware; tells what is known now."""
        ...


class Store(Protocol):
    @property
    def name(self) -> str: ...
    def tokens(self) -> Sequence[Token]:
        """Its tokens as they are now. Asked before every listing and use, so it must be
        cheap; a store whose keys have a lifetime drops what has expired here."""
        ...

    def listen(self, listener: Listener) -> None:
        """Call `listener` on every change from now on, from any thread, holding no lock."""
        ...

    def close(self) -> None:
        """Forget every secret; further calls raise `StoreFailed`."""
        ...


# --- abilities -----------------------------------------------------------------------


class Signs(ABC):
    @abstractmethod
    def sign(self, key: Key, mechanism: Mechanism, data: Input) -> bytes:
        """The signature in PKCS#11 form (see the mechanism).

        Raises `MechanismUnsupported`, `TokenLocked`, `TokenNotPresent`, `StoreFailed`, ...
        """


class Generates(ABC):
    @abstractmethod
    def generate(self, new: NewKey, policy: Policy) -> Key: ...


class Imports(ABC):
    @abstractmethod
    def import_key(self, private: Private, new: "Handover", policy: Policy) -> Key:
        """Take over `private`, whose views are wiped by the caller right after this."""


@dataclass(frozen=True, slots=True)
class Handover:
    """What is told with a key that is imported or handed over."""

    label: str
    exportable: bool = False
    provider: str = ""  # of a FIDO key: the middleware that drives it
    lifetime: float | None = None  # seconds
    certificate: bytes = b""  # an agent identity of its own (blob)


class Exports(ABC):
    @abstractmethod
    def export(self, key: Key) -> Secret:
        """The private half as an unencrypted `openssh-key-v1` body. Raises `NotExportable`."""


class Destroys(ABC):
    @abstractmethod
    def destroy(self, key: Key) -> None: ...


class Describes(ABC):
    """Facts of a key that can change."""

    @abstractmethod
    def rename(self, key: Key, label: str) -> Key: ...
    @abstractmethod
    def policy_of(self, key: Key) -> Policy: ...
    @abstractmethod
    def set_policy(self, key: Key, policy: Policy) -> Key: ...


class Unlocks(ABC):
    @property
    @abstractmethod
    def locked(self) -> bool: ...
    @property
    @abstractmethod
    def guarded(self) -> bool:
        """Whether it has a passphrase at all: a throw-away token has none to prove."""

    @abstractmethod
    def unlock(self, passphrase: Secret) -> None:
        """Raises `PassphraseIncorrect`, `StoreDamaged`."""

    @abstractmethod
    def lock(self) -> None: ...
    @abstractmethod
    def verify(self, passphrase: Secret) -> None:
        """Fresh proof that the owner is there. Raises `PassphraseIncorrect`."""


class HasSlots(Unlocks):
    """Unlock slots, as LUKS has them."""

    @abstractmethod
    def slots(self) -> Sequence["Slot"]: ...
    @abstractmethod
    def change_passphrase(self, old: Secret, new: Secret) -> None: ...
    @abstractmethod
    def add_recovery_code(self, passphrase: Secret) -> Secret: ...
    @abstractmethod
    def remove_slot(self, passphrase: Secret, slot: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Slot:
    name: str
    kind: str  # passphrase, recovery, tpm, keychain
    cost: str  # "argon2id t=3 m=256 MiB p=4"


class BacksUp(ABC):
    @abstractmethod
    def backup(self, passphrase: Secret) -> bytes:
        """Everything of the token, encrypted under `passphrase`, as one file."""


class Restores(ABC):
    """An ability of a store: make a token from a backup."""

    @abstractmethod
    def restore(self, backup: bytes, passphrase: Secret, name: str, owner: int) -> Token: ...


class MakesTokens(ABC):
    """An ability of a store: make and remove tokens."""

    @abstractmethod
    def make_token(self, name: str, owner: int, passphrase: Secret | None) -> Token: ...
    @abstractmethod
    def remove_token(self, token: Token) -> None: ...

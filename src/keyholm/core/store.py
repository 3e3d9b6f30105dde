"""What a store is, and what the tokens in it may be able to do.

A store is where keys live; a token is one container in it, with an owner and a lock of
its own. Every token lists its keys. All else is an *ability*: a small interface that a
token has or has not, so that no method exists only to raise "unsupported". Only
`core.gate` calls an ability.

Code of stores is plain and blocking. A token that is a piece of hardware serves one
request at a time and holds its own lock; it raises the errors of `core.errors`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import NamedTuple, Protocol

from msgspec import Struct

from keyholm.core.mechanisms import Input, Mechanism, Verb
from keyholm.core.model import Attributes, Key, NewKey, NewObject, Object
from keyholm.core.policy import Policy
from keyholm.core.secret import Secret
from keyholm.core.session import Role
from keyholm.wire.ssh.keys import PublicKey
from keyholm.wire.ssh.private_keys import Private


@unique
class Change(StrEnum):
    TOKEN_CAME = "token-came"
    TOKEN_WENT = "token-went"
    LOCKED = "locked"
    UNLOCKED = "unlocked"
    KEYS_CHANGED = "keys-changed"
    OBJECTS_CHANGED = "objects-changed"  # all that is no key


@dataclass(frozen=True, slots=True)
class Event:
    """`before` and `after` are told where one key or object came, changed or went, so that
    who keeps an index need not look at all of them again. A token that tells them tells its
    changes in their order; what is told may have been seen in a listing already."""

    store: str
    token: str
    change: Change
    before: Key | Object | None = field(default=None, compare=False)
    after: Key | Object | None = field(default=None, compare=False)


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


class Running(Protocol):
    """A use of a key that is under way: data goes in by parts, and so may the result come.

    `finish` gives the rest: the signature, the last of a ciphertext. To verify, it takes the
    signature instead. What cannot be told before the end, such as whether a tag fits, gives
    nothing until then. Errors are those of `Operates.begin_use`, `DataInvalid`,
    `DataLengthInvalid`, and `SignatureInvalid`; after one, it has ended.
    """

    def update(self, data: bytes) -> bytes: ...
    def finish(self, signature: bytes = b"") -> bytes: ...


class Operates(ABC):
    """Every use of a key but the making of other keys.

    The public half of a key pair verifies and encrypts: that uses nothing secret."""

    @abstractmethod
    def begin_use(self, key: Key | Object, verb: Verb, mechanism: Mechanism) -> Running:
        """Raises `MechanismUnsupported`, `TokenLocked`, `TokenNotPresent`, `StoreFailed`, ..."""


class Derives(ABC):
    """Keys out of keys."""

    @abstractmethod
    def derive(self, key: Key, mechanism: Mechanism, new: NewObject, policy: Policy) -> Key: ...
    @abstractmethod
    def wrap(self, wrapping: Key, key: Key, mechanism: Mechanism) -> bytes:
        """`key` encrypted: a secret key as it is, a private one as PKCS#8.

        Raises `NotExportable`."""

    @abstractmethod
    def unwrap(
        self, unwrapping: Key, mechanism: Mechanism, wrapped: bytes, new: NewObject, policy: Policy
    ) -> Key: ...
    @abstractmethod
    def encapsulate(
        self, key: Key | Object, mechanism: Mechanism, new: NewObject, policy: Policy
    ) -> tuple[bytes, Key]:
        """The ciphertext, and the key that whoever decapsulates it gets too."""

    @abstractmethod
    def decapsulate(
        self, key: Key, mechanism: Mechanism, ciphertext: bytes, new: NewObject, policy: Policy
    ) -> Key: ...


class HoldsObjects(ABC):
    """What PKCS#11 calls an object: beside key pairs, secret keys, certificates, data.

    What is made with `session` is held in memory and listed nowhere: whoever made it holds
    the only name of it, and destroys it."""

    @abstractmethod
    def objects(self) -> Sequence[Object]:
        """All but keys, oldest first; private ones only while the token is open."""

    @abstractmethod
    def create_object(self, new: NewObject, policy: Policy) -> Key | Object: ...
    @abstractmethod
    def change_object(
        self, which: Key | Object, attributes: Attributes | None, *, public: bool = False
    ) -> Key | Object:
        """Give it these attributes instead of those that it has; `public`: the public half,
        which is not shown any more with None."""

    @abstractmethod
    def remove_object(self, which: Object) -> None: ...
    @abstractmethod
    def value_of(self, key: Key) -> Secret:
        """A secret key as it is, a private key as PKCS#8 (DER). Raises `NotExportable`."""


class PinState(Struct, frozen=True):
    """What may be known of a PIN without knowing it."""

    is_set: bool
    tries_left: int
    tries: int  # after a success


class HasPins(ABC):
    """PINs as PKCS#11 has them: the officer's, who gives a user a new one, and the user's."""

    @property
    @abstractmethod
    def application_login(self) -> bool:
        """Whether programs ask for the PIN themselves, as they always did."""

    @property
    @abstractmethod
    def legacy(self) -> bool:
        """Whether it takes what only old programs want: triple DES and raw RSA."""

    @abstractmethod
    def pin_state(self, role: Role) -> PinState: ...
    @abstractmethod
    def check_pin(self, role: Role, pin: Secret) -> None:
        """Counted before it is compared. The user's opens the token where it is locked.

        Raises `PinIncorrect`, `PinLocked`, `PinNotSet`."""

    @abstractmethod
    def set_pin(self, role: Role, old: Secret, new: Secret) -> None: ...
    @abstractmethod
    def init_pin(self, new: Secret) -> None:
        """The officer, whose login the gate asked for, gives the user a PIN; that also opens
        one that was locked. Raises `PinUnsuitable`, `LoginNeeded`."""

    @abstractmethod
    def init_token(self, officer_pin: Secret, label: str) -> None:
        """Everything on it is destroyed; the user has no PIN then."""


class MechanismInfo(NamedTuple):
    """What a token says of a mechanism (CK_MECHANISM_INFO)."""

    smallest: int  # key, in bits or bytes, as the mechanism counts
    largest: int
    flags: int


class TokenInfo(Struct, frozen=True):
    """What a token says of itself (CK_TOKEN_INFO)."""

    manufacturer: str
    model: str
    serial: str
    flags: int
    pin_lengths: tuple[int, int]  # longest, shortest
    memory: tuple[int, int, int, int]  # public, in all and free; private, in all and free
    hardware: tuple[int, int]
    firmware: tuple[int, int]
    time: str  # YYYYMMDDhhmmssxx, of a token with a clock


class PassesThrough(ABC):
    """A token of a vendor's PKCS#11 module: the PKCS#11 door shows it as it shows itself.

    `Key.attributes`, `Key.public_attributes` and `Object.attributes` are then what the token
    said, those of `CKA` that name an object and its uses at least; none is a secret."""

    @property
    @abstractmethod
    def info(self) -> TokenInfo:
        """As it was seen last. Never waits."""

    @property
    @abstractmethod
    def mechanisms(self) -> Mapping[int, MechanismInfo]:
        """By CKM. Never waits."""

    @abstractmethod
    def attributes_of(
        self, which: Key | Object, object_class: int, types: Sequence[int]
    ) -> Attributes:
        """Those of `types` that the token tells: of the object of that class (CKO) that `which`
        is, or is half of. Asked where they are not known already, so never for a secret."""


class Generates(ABC):
    @abstractmethod
    def generate(self, new: NewKey, policy: Policy) -> Key: ...


class Imports(ABC):
    @abstractmethod
    def import_key(self, private: Private, new: "Handover", policy: Policy) -> Key:
        """Take over `private`, whose views are wiped by the caller right after this."""


class Handover(Struct, frozen=True):
    """What is told with a key that is imported or handed over."""

    label: str
    exportable: bool = False
    provider: str = ""  # of a FIDO key: the middleware that drives it
    lifetime: float | None = None  # seconds
    certificate: bytes = b""  # an agent identity of its own (blob)


class Provided(Struct, frozen=True):
    """A key of a PKCS#11 module that was loaded for one client's sake (`ssh-add -s`)."""

    public: PublicKey
    label: str
    sign: Callable[[Mechanism, Input], bytes]  # as `Signs.sign`
    release: Callable[[], None]  # it is not offered any more; with its last key a module goes


ModuleLoader = Callable[[str, Secret], Sequence[Provided]]
"""Loads the module at a path and logs in with a PIN, which may be empty; gives its keys.

Raises `PolicyForbids`, `PinIncorrect`, `StoreFailed`, ..."""


class Terms(Struct, frozen=True):
    """On what terms the keys of a module are offered."""

    lifetime: float | None = None  # seconds
    certificates: tuple[bytes, ...] = ()  # blobs; each goes with the key that it was made for
    certificates_only: bool = False


class Offers(ABC):
    """Keys that are held elsewhere, offered among those that were handed over."""

    @abstractmethod
    def offer(self, module: str, provided: Sequence[Provided], terms: Terms, policy: Policy) -> int:
        """How many were not there before; those that were stay as they are, terms and all."""

    @abstractmethod
    def stop_offering(self, module: str) -> int:
        """How many keys of that module were offered."""


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


class Slot(Struct, frozen=True):
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
    def make_pin_token(self, label: str, owner: int, pins: "NewPins") -> Token:
        """Its name is made of its label."""

    @abstractmethod
    def remove_token(self, token: Token) -> None: ...


class NewPins(Struct, frozen=True):
    """The PINs of a token that is to be made."""

    officer: Secret
    user: Secret | None  # else the officer gives one later
    application_login: bool
    legacy: bool = False

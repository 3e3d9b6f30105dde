"""Every act of management, as a value: what is done, to what.

`Gate.manage` decides, records and performs them; its table says what each one needs.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from keyholm.core.model import Attributes, Key, NewKey, NewObject, Object
from keyholm.core.policy import Policy
from keyholm.core.secret import Secret
from keyholm.core.session import Role
from keyholm.core.store import Handover, ModuleLoader, NewPins, Store, Terms, Token
from keyholm.wire.ssh.private_keys import Private


class Lockable(Protocol):
    """A door that can be closed with a password (`ssh-add -x`)."""

    @property
    def name(self) -> str: ...
    def close_with(self, password: Secret) -> None: ...
    def open_with(self, password: Secret) -> None: ...


class Withdraws(Protocol):
    """A door that can stop offering a key of which it is not the store."""

    @property
    def name(self) -> str: ...
    def withdraw(self, key: Key) -> None: ...
    def restore_withdrawn(self, keys: Collection[Key]) -> int: ...


@dataclass(frozen=True, slots=True)
class Generate:
    token: Token
    new: NewKey
    policy: Policy


@dataclass(frozen=True, slots=True)
class ImportKey:
    token: Token
    private: Private
    handover: Handover
    policy: Policy


@dataclass(frozen=True, slots=True)
class Export:
    key: Key


@dataclass(frozen=True, slots=True)
class Destroy:
    key: Key


@dataclass(frozen=True, slots=True)
class Create:
    """An object that a program brings along."""

    token: Token
    new: NewObject
    policy: Policy


@dataclass(frozen=True, slots=True)
class Change:
    """Other attributes for an object; `public`: for the public half of a key pair."""

    key: Key | Object
    attributes: Attributes | None
    public: bool = False


@dataclass(frozen=True, slots=True)
class Remove:
    key: Object


@dataclass(frozen=True, slots=True)
class LogIn:
    token: Token
    role: Role
    pin: Secret


@dataclass(frozen=True, slots=True)
class SetPin:
    token: Token
    role: Role
    old: Secret
    new: Secret


@dataclass(frozen=True, slots=True)
class InitPin:
    """The officer, who is logged in, gives the user a PIN."""

    token: Token
    new: Secret


@dataclass(frozen=True, slots=True)
class InitToken:
    """Destroys everything on the token; the officer's PIN is the proof."""

    token: Token
    officer_pin: Secret
    label: str


@dataclass(frozen=True, slots=True)
class Rename:
    key: Key
    label: str


@dataclass(frozen=True, slots=True)
class SetPolicy:
    key: Key
    policy: Policy


@dataclass(frozen=True, slots=True)
class Unlock:
    token: Token
    passphrase: Secret


@dataclass(frozen=True, slots=True)
class Lock:
    token: Token


@dataclass(frozen=True, slots=True)
class MakeToken:
    store: Store
    name: str
    owner: int
    passphrase: Secret | None


@dataclass(frozen=True, slots=True)
class MakePinToken:
    """A token with PINs, as PKCS#11 has them; its name is made of its label."""

    store: Store
    label: str
    owner: int
    pins: NewPins


@dataclass(frozen=True, slots=True)
class RemoveToken:
    token: Token


@dataclass(frozen=True, slots=True)
class ChangePassphrase:
    token: Token
    old: Secret
    new: Secret


@dataclass(frozen=True, slots=True)
class AddRecoveryCode:
    token: Token
    passphrase: Secret


@dataclass(frozen=True, slots=True)
class RemoveSlot:
    token: Token
    passphrase: Secret
    slot: str


@dataclass(frozen=True, slots=True)
class Backup:
    token: Token
    passphrase: Secret  # of the file


@dataclass(frozen=True, slots=True)
class Restore:
    store: Store
    backup: bytes
    passphrase: Secret
    name: str
    owner: int


@dataclass(frozen=True, slots=True)
class CloseDoor:
    door: Lockable
    password: Secret


@dataclass(frozen=True, slots=True)
class OpenDoor:
    door: Lockable
    password: Secret


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Stop offering `key` at `door` until a restart or `keyholm agent restore`."""

    door: Withdraws
    key: Key


@dataclass(frozen=True, slots=True)
class RestoreWithdrawn:
    """Offer those of `keys` again that were withdrawn: what the caller may see, no more."""

    door: Withdraws
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class LoadModule:
    """Offer the keys of a PKCS#11 module that a client of the agent named."""

    token: Token  # that offers them
    load: ModuleLoader
    module: str  # its path
    pin: Secret
    terms: Terms
    policy: Policy  # of each of its keys
    remotely: bool = False  # whether the agent was told to do it for far clients too


@dataclass(frozen=True, slots=True)
class UnloadModule:
    token: Token
    module: str


@dataclass(frozen=True, slots=True)
class AddCertificate:
    key: Key
    blob: bytes
    name: str


@dataclass(frozen=True, slots=True)
class RemoveCertificate:
    key: Key
    name: str


Action = (
    Generate
    | Create
    | Change
    | Remove
    | LogIn
    | SetPin
    | InitPin
    | InitToken
    | ImportKey
    | Export
    | Destroy
    | Rename
    | SetPolicy
    | Unlock
    | Lock
    | MakeToken
    | MakePinToken
    | RemoveToken
    | ChangePassphrase
    | AddRecoveryCode
    | RemoveSlot
    | Backup
    | Restore
    | CloseDoor
    | OpenDoor
    | Withdraw
    | RestoreWithdrawn
    | LoadModule
    | UnloadModule
    | AddCertificate
    | RemoveCertificate
)

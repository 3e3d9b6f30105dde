"""Every act of management, as a value: what is done, to what.

`Gate.manage` decides, records and performs them; its table says what each one needs.
"""

from collections.abc import Callable, Collection
from typing import Protocol

from msgspec import Struct

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


class Generate(Struct, frozen=True):
    token: Token
    new: NewKey
    policy: Policy


class ImportKey(Struct, frozen=True):
    token: Token
    private: Private
    handover: Handover
    policy: Policy


class Export(Struct, frozen=True):
    key: Key


class Destroy(Struct, frozen=True):
    key: Key


class Create(Struct, frozen=True):
    """An object that a program brings along."""

    token: Token
    new: NewObject
    policy: Policy


class Change(Struct, frozen=True):
    """Other attributes for an object; `public`: for the public half of a key pair."""

    key: Key | Object
    attributes: Attributes | None
    public: bool = False


class Remove(Struct, frozen=True):
    key: Object


class LogIn(Struct, frozen=True):
    token: Token
    role: Role
    pin: Secret


class SetPin(Struct, frozen=True):
    token: Token
    role: Role
    old: Secret
    new: Secret


class InitPin(Struct, frozen=True):
    """The officer, who is logged in, gives the user a PIN."""

    token: Token
    new: Secret


class InitToken(Struct, frozen=True):
    """Destroys everything on the token; the officer's PIN is the proof."""

    token: Token
    officer_pin: Secret
    label: str


class Rename(Struct, frozen=True):
    key: Key
    label: str


class SetPolicy(Struct, frozen=True):
    key: Key
    policy: Policy


class Unlock(Struct, frozen=True):
    token: Token
    passphrase: Secret


class Lock(Struct, frozen=True):
    token: Token


class MakeToken(Struct, frozen=True):
    store: Store
    name: str
    owner: int
    passphrase: Secret | None


class MakePinToken(Struct, frozen=True):
    """A token with PINs, as PKCS#11 has them; its name is made of its label."""

    store: Store
    label: str
    owner: int
    pins: NewPins


class RemoveToken(Struct, frozen=True):
    token: Token


class ChangePassphrase(Struct, frozen=True):
    token: Token
    old: Secret
    new: Secret


class AddRecoveryCode(Struct, frozen=True):
    token: Token
    passphrase: Secret


class RemoveSlot(Struct, frozen=True):
    token: Token
    passphrase: Secret
    slot: str


class Backup(Struct, frozen=True):
    token: Token
    passphrase: Secret  # of the file


class Restore(Struct, frozen=True):
    store: Store
    backup: bytes
    passphrase: Secret
    name: str
    owner: int


class CloseDoor(Struct, frozen=True):
    door: Lockable
    password: Secret


class OpenDoor(Struct, frozen=True):
    door: Lockable
    password: Secret


class Withdraw(Struct, frozen=True):
    """Stop offering `key` at `door` until a restart or `keyholm agent restore`."""

    door: Withdraws
    key: Key


class RestoreWithdrawn(Struct, frozen=True):
    """Offer those of `keys` again that were withdrawn: what the caller may see, no more."""

    door: Withdraws
    keys: tuple[Key, ...]


class Reload(Struct, frozen=True):
    """Read the configuration again, as SIGHUP does."""

    owner: int  # the daemon's user
    reload: Callable[[], None]  # raises `KeyholmError`: then nothing has changed


class LoadModule(Struct, frozen=True):
    """Offer the keys of a PKCS#11 module that a client of the agent named."""

    token: Token  # that offers them
    load: ModuleLoader
    module: str  # its path
    pin: Secret
    terms: Terms
    policy: Policy  # of each of its keys
    remotely: bool = False  # whether the agent was told to do it for far clients too


class UnloadModule(Struct, frozen=True):
    token: Token
    module: str


class AddCertificate(Struct, frozen=True):
    key: Key
    blob: bytes
    name: str


class RemoveCertificate(Struct, frozen=True):
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
    | Reload
    | LoadModule
    | UnloadModule
    | AddCertificate
    | RemoveCertificate
)

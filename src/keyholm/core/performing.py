"""What each act of management does, once the gate has agreed to it.

With `core.gate` these are the only lines that call an ability of a token. Each performs one
action, and gives what `Gate.manage` gives for it.
"""

# An ability is abstract on purpose: that a token has it is all that is asked.
# mypy: disable-error-code="type-abstract"

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from keyholm.core import actions
from keyholm.core.errors import AbilityMissing, KeyNotFound
from keyholm.core.model import Key, Object
from keyholm.core.secret import Secret
from keyholm.core.session import Role
from keyholm.core.store import (
    BacksUp,
    Describes,
    Destroys,
    Exports,
    Generates,
    HasPins,
    HasSlots,
    HoldsObjects,
    Imports,
    MakesTokens,
    Offers,
    Restores,
    Token,
    Unlocks,
)

if TYPE_CHECKING:
    from keyholm.core.gate import Gate

Ability = TypeVar("Ability")


def label_of(owner: object) -> str:
    return getattr(owner, "label", "") or getattr(owner, "name", "") or "This store"


def ability(owner: object, kind: type[Ability]) -> Ability:
    """`owner`, which has this ability. Raises `AbilityMissing`."""
    if isinstance(owner, kind):
        return owner
    raise AbilityMissing(
        f"{label_of(owner)} cannot do this: it has no {kind.__name__.lower()} ability."
    )


def _generate(gate: "Gate", action: actions.Generate) -> Key:
    return ability(action.token, Generates).generate(action.new, action.policy)


def _import(gate: "Gate", action: actions.ImportKey) -> Key:
    token = ability(action.token, Imports)
    gate.forget_uses(action)
    return token.import_key(action.private, action.handover, action.policy)


def _export(gate: "Gate", action: actions.Export) -> Secret:
    return ability(gate.inventory.token_of(action.key), Exports).export(action.key)


def _destroy(gate: "Gate", action: actions.Destroy) -> None:
    ability(gate.inventory.token_of(action.key), Destroys).destroy(action.key)


def _create(gate: "Gate", action: actions.Create) -> Key | Object:
    return ability(action.token, HoldsObjects).create_object(action.new, action.policy)


def _change(gate: "Gate", action: actions.Change) -> Key | Object:
    token = ability(gate.inventory.token_of(action.key), HoldsObjects)
    return token.change_object(action.key, action.attributes, public=action.public)


def _remove(gate: "Gate", action: actions.Remove) -> None:
    ability(gate.inventory.token_of(action.key), HoldsObjects).remove_object(action.key)


def _log_in(gate: "Gate", action: actions.LogIn) -> None:
    token = action.token
    if isinstance(token, HasPins):
        token.check_pin(action.role, action.pin)
    elif action.role is Role.USER:  # its passphrase is its PIN
        unlocks = ability(token, Unlocks)
        (unlocks.unlock if unlocks.locked else unlocks.verify)(action.pin)
    else:
        raise AbilityMissing(f"{label_of(token)} has no security officer.")


def _set_pin(gate: "Gate", action: actions.SetPin) -> None:
    ability(action.token, HasPins).set_pin(action.role, action.old, action.new)


def _init_pin(gate: "Gate", action: actions.InitPin) -> None:
    ability(action.token, HasPins).init_pin(action.new)


def _init_token(gate: "Gate", action: actions.InitToken) -> None:
    ability(action.token, HasPins).init_token(action.officer_pin, action.label)


def _rename(gate: "Gate", action: actions.Rename) -> Key:
    token = ability(gate.inventory.token_of(action.key), Describes)
    return token.rename(action.key, action.label)


def _set_policy(gate: "Gate", action: actions.SetPolicy) -> Key:
    token = ability(gate.inventory.token_of(action.key), Describes)
    return token.set_policy(action.key, action.policy)


def _unlock(gate: "Gate", action: actions.Unlock) -> None:
    ability(action.token, Unlocks).unlock(action.passphrase)


def _lock(gate: "Gate", action: actions.Lock) -> None:
    ability(action.token, Unlocks).lock()


def _make_token(gate: "Gate", action: actions.MakeToken) -> Token:
    store = ability(action.store, MakesTokens)
    return store.make_token(action.name, action.owner, action.passphrase)


def _make_pin_token(gate: "Gate", action: actions.MakePinToken) -> Token:
    store = ability(action.store, MakesTokens)
    return store.make_pin_token(action.label, action.owner, action.pins)


def _remove_token(gate: "Gate", action: actions.RemoveToken) -> None:
    store = gate.inventory.store(action.token.store)
    ability(store, MakesTokens).remove_token(action.token)


def _change_passphrase(gate: "Gate", action: actions.ChangePassphrase) -> None:
    ability(action.token, HasSlots).change_passphrase(action.old, action.new)


def _add_recovery_code(gate: "Gate", action: actions.AddRecoveryCode) -> Secret:
    return ability(action.token, HasSlots).add_recovery_code(action.passphrase)


def _remove_slot(gate: "Gate", action: actions.RemoveSlot) -> None:
    ability(action.token, HasSlots).remove_slot(action.passphrase, action.slot)


def _backup(gate: "Gate", action: actions.Backup) -> bytes:
    return ability(action.token, BacksUp).backup(action.passphrase)


def _restore(gate: "Gate", action: actions.Restore) -> Token:
    store = ability(action.store, Restores)
    return store.restore(action.backup, action.passphrase, action.name, action.owner)


def _close_door(gate: "Gate", action: actions.CloseDoor) -> None:
    action.door.close_with(action.password)


def _open_door(gate: "Gate", action: actions.OpenDoor) -> None:
    action.door.open_with(action.password)


def _withdraw(gate: "Gate", action: actions.Withdraw) -> None:
    action.door.withdraw(action.key)


def _restore_withdrawn(gate: "Gate", action: actions.RestoreWithdrawn) -> int:
    return action.door.restore_withdrawn(action.keys)


def _reload(gate: "Gate", action: actions.Reload) -> None:
    action.reload()


def _load_module(gate: "Gate", action: actions.LoadModule) -> int:
    token = ability(action.token, Offers)
    provided = action.load(action.module, action.pin)
    offered = token.offer(action.module, provided, action.terms, action.policy)
    if not offered:
        raise KeyNotFound(
            f"{action.module} has no key that SSH can use and the agent does not have already.",
            remedy=f"`keyholm module test {action.module}` shows what is in it.",
        )
    return offered


def _unload_module(gate: "Gate", action: actions.UnloadModule) -> int:
    return ability(action.token, Offers).stop_offering(action.module)


def _add_certificate(gate: "Gate", action: actions.AddCertificate) -> None:
    gate.certificates.add(action.key, action.blob, action.name)


def _remove_certificate(gate: "Gate", action: actions.RemoveCertificate) -> None:
    gate.certificates.remove(action.key, action.name)


PERFORM: Final[dict[type, Callable[["Gate", Any], object]]] = {
    actions.Generate: _generate,
    actions.ImportKey: _import,
    actions.Export: _export,
    actions.Destroy: _destroy,
    actions.Create: _create,
    actions.Change: _change,
    actions.Remove: _remove,
    actions.LogIn: _log_in,
    actions.SetPin: _set_pin,
    actions.InitPin: _init_pin,
    actions.InitToken: _init_token,
    actions.Rename: _rename,
    actions.SetPolicy: _set_policy,
    actions.Unlock: _unlock,
    actions.Lock: _lock,
    actions.MakeToken: _make_token,
    actions.MakePinToken: _make_pin_token,
    actions.RemoveToken: _remove_token,
    actions.ChangePassphrase: _change_passphrase,
    actions.AddRecoveryCode: _add_recovery_code,
    actions.RemoveSlot: _remove_slot,
    actions.Backup: _backup,
    actions.Restore: _restore,
    actions.CloseDoor: _close_door,
    actions.OpenDoor: _open_door,
    actions.Withdraw: _withdraw,
    actions.RestoreWithdrawn: _restore_withdrawn,
    actions.Reload: _reload,
    actions.LoadModule: _load_module,
    actions.UnloadModule: _unload_module,
    actions.AddCertificate: _add_certificate,
    actions.RemoveCertificate: _remove_certificate,
}

"""The methods about tokens: unlock, lock, new, remove, passphrases, backups."""

from typing import Final, cast

from keyholm.core import actions
from keyholm.core.errors import BadRequest, TokenNotFound
from keyholm.core.secret import Secret
from keyholm.core.store import HasSlots, NewPins, Token, Unlocks
from keyholm.doors.control import schema
from keyholm.doors.control.exchange import Request, Result

STORE: Final = "disk"  # where tokens are made
USUAL: Final = "main"  # the token that is meant when none is named


def token_named(request: Request, name: str) -> Token:
    """The token called `name`, or else the caller's usual one."""
    tokens = request.gate.tokens(request.caller)
    if name:
        found = [t for t in tokens if name in (t.name, f"{t.store}/{t.name}")]
        found = found or [t for t in tokens if name == t.label]
    else:
        found = [t for t in tokens if isinstance(t, HasSlots) and t.owner == request.caller.uid]
        found = [t for t in found if t.name == USUAL] or found
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(f"{token.store}/{token.name}" for token in found)
        raise TokenNotFound(f"Several tokens fit: {names}.", remedy="Name one of them.")
    if name:
        raise TokenNotFound(f"There is no token {name!r}.", remedy="`keyholm status` lists them.")
    raise TokenNotFound("You have no token yet.", remedy="`keyholm init` makes one.")


def unlock(request: Request) -> schema.Done:
    token = token_named(request, request.params.token)
    request.manage(actions.Unlock(token, request.needed("the passphrase")), type(None))
    return schema.Done()


def lock(request: Request) -> schema.Done:
    if request.params.token:
        chosen = [token_named(request, request.params.token)]
    else:
        chosen = [
            token
            for token in request.gate.tokens(request.caller)
            if isinstance(token, Unlocks) and request.caller.uid in (0, token.owner)
        ]
    for token in chosen:
        request.manage(actions.Lock(token), type(None))
    return schema.Done()


def new(request: Request) -> schema.Done:
    params: schema.NewToken = request.params
    store = request.gate.inventory.store(STORE)
    action = actions.MakeToken(store, params.name, _owner(request), request.secret())
    request.gate.manage(request.caller, action)
    return schema.Done()


def new_with_pins(request: Request) -> schema.MadeToken:
    params: schema.NewPinToken = request.params
    store = request.gate.inventory.store(STORE)
    pins = NewPins(
        request.needed("the officer's PIN"),
        request.secret(1),
        params.login == "application",
        params.legacy,
    )
    action = actions.MakePinToken(store, params.label, _owner(request), pins)
    made = cast(Token, request.gate.manage(request.caller, action))
    return schema.MadeToken(name=made.name)


def _owner(request: Request) -> int:
    owner: int | None = request.params.owner
    return request.caller.uid if owner is None else owner


def remove(request: Request) -> schema.Done:
    action = actions.RemoveToken(token_named(request, request.params.token))
    request.manage(action, type(None), request.secret())
    return schema.Done()


def change_passphrase(request: Request) -> schema.Done:
    old, new = request.needed("the old passphrase"), request.needed("the new passphrase", 1)
    token = token_named(request, request.params.token)
    request.manage(actions.ChangePassphrase(token, old, new), type(None))
    return schema.Done()


def add_recovery_code(request: Request) -> Result:
    token = token_named(request, request.params.token)
    action = actions.AddRecoveryCode(token, request.needed("the passphrase"))
    code = request.manage(action, Secret)
    return Result(schema.Done(), (request.stack.enter_context(code),))


def remove_slot(request: Request) -> schema.Done:
    params: schema.SlotName = request.params
    token = token_named(request, params.token)
    action = actions.RemoveSlot(token, request.needed("the passphrase"), params.slot)
    request.manage(action, type(None))
    return schema.Done()


def backup(request: Request) -> Result:
    token = token_named(request, request.params.token)
    action = actions.Backup(token, request.needed("a passphrase for the file"))
    made = request.manage(action, bytes, request.secret(1))
    return Result(schema.Done(), blobs=(made,))


def restore(request: Request) -> schema.Done:
    if not request.given.blobs:
        raise BadRequest("This method needs the backup, which follows the request as a blob.")
    store = request.gate.inventory.store(STORE)
    passphrase = request.needed("the passphrase of the backup")
    (content,) = request.given.blobs
    owner = _owner(request)
    action = actions.Restore(store, content, passphrase, request.params.name, owner)
    request.gate.manage(request.caller, action)
    return schema.Done()

"""How acts of management are named in the trail, and which of them are harmless.

Only facts and digests: no secret of an action is looked at here.
"""

import re
from typing import Final

from keyholm.core import actions
from keyholm.core.model import Key, Object, spelled
from keyholm.core.policy import policy_hash
from keyholm.core.store import Token

MEMORY: Final = "memory"


def name(action: actions.Action) -> str:
    """`ChangePassphrase` is `change-passphrase`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", type(action).__name__).lower()


def place(token: Token) -> str:
    return f"{token.store}/{token.name}"


def target(action: actions.Action) -> str:
    """What it is done to."""
    if isinstance(action, actions.LoadModule | actions.UnloadModule):
        return action.module[:256]
    for attribute in ("key", "token", "door", "store"):
        found = getattr(action, attribute, None)
        if isinstance(found, Key | Object):
            return str(found.place)
        if attribute == "token" and found is not None:
            return place(found)
        if found is not None:
            return str(found.name)
    return ""


def key_id(action: actions.Action) -> str:
    found = getattr(action, "key", None)
    return found.id if isinstance(found, Key) else ""


def detail(action: actions.Action) -> dict[str, str]:
    match action:
        case actions.Generate(_, new, policy):
            return {
                "label": new.label,
                "algorithm": spelled(new.algorithm),
                "exportable": str(new.exportable).lower(),
                "policy": policy_hash(policy),
            }
        case actions.Create(_, new, policy):
            return {"kind": new.kind, "policy": policy_hash(policy)}
        case actions.LogIn(_, role) | actions.SetPin(_, role):
            return {"role": role}
        case actions.InitToken(_, _, label):
            return {"label": label}
        case actions.ImportKey(_, _, handover, policy):
            return {"label": handover.label, "policy": policy_hash(policy)}
        case actions.Rename(_, label):
            return {"label": label}
        case actions.SetPolicy(_, policy):
            return {"policy": policy_hash(policy)}
        case actions.MakeToken(_, token, owner):
            return {"token": token, "owner": str(owner)}
        case actions.MakePinToken(_, token, owner, pins):
            login = "application" if pins.application_login else "daemon"
            return {"token": token, "owner": str(owner), "login": login}
        case actions.Restore(_, _, _, token, owner):
            return {"token": token, "owner": str(owner)}
        case actions.RemoveSlot(_, _, slot):
            return {"slot": slot}
        case actions.LoadModule(policy=policy):
            return {"policy": policy_hash(policy)}
        case actions.AddCertificate(_, _, certificate) | actions.RemoveCertificate(_, certificate):
            return {"certificate": certificate}
        case _:
            return {}


def reaches_memory_only(action: actions.Action) -> bool:
    """Whether nothing that lasts can change: what an agent's client may do, whoever it is."""
    match action:
        case actions.ImportKey(token) | actions.UnloadModule(token):
            return token.store == MEMORY
        case actions.Destroy(key):
            return key.place.store == MEMORY
        case _:
            return False

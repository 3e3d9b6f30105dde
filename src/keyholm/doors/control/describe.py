"""What the core knows, in the shapes that cross the socket."""

from typing import Final

from keyholm.core import model
from keyholm.core.algorithms import algorithm_of
from keyholm.core.certificates import Held
from keyholm.core.naming import uri_of
from keyholm.core.policy import OPEN, policy_hash
from keyholm.core.store import HasPins, HasSlots, Token, Unlocks
from keyholm.doors.control import schema
from keyholm.doors.control.exchange import Request
from keyholm.wire.ssh import certificates, keys

OPEN_HASH: Final = policy_hash(OPEN)


def key(request: Request, found: model.Key) -> schema.Key:
    token = request.gate.inventory.token_of(found)
    return schema.Key(
        name=found.label,
        id=found.id,
        place=str(found.place),
        uri=uri_of(token, found),
        store=found.place.store,
        token=found.place.token,
        algorithm=algorithm_of(found),
        type=keys.type_name(found.ssh) if found.ssh else "",
        fingerprint=keys.fingerprint(known) if (known := found.blob or found.spki) else "",
        public=keys.format_line(found.identity, found.label) if found.ssh else "",
        origin=found.origin,
        exportable=found.exportable,
        created=found.created,
        usable=not (isinstance(token, Unlocks) and token.locked),
        verified=found.verified,
        policy="" if found.policy_hash == OPEN_HASH else found.policy_hash,
        certificates=[certificate(held) for held in request.gate.certificates.of(found)],
    )


def certificate(held: Held) -> schema.Certificate:
    found = certificates.decode(held.blob)
    return schema.Certificate(
        name=held.name,
        public=keys.format_line(held.blob, held.name),
        key_id=found.key_id,
        principals=list(found.principals),
        valid_after=found.valid_after,
        valid_before=found.valid_before,
    )


def token(found: Token) -> schema.Token:
    slots = found.slots() if isinstance(found, HasSlots) else ()
    damage = getattr(found, "damage", None)
    return schema.Token(
        name=found.name,
        store=found.store,
        label=found.label,
        owner=found.owner,
        locked=isinstance(found, Unlocks) and found.locked,
        guarded=isinstance(found, Unlocks) and found.guarded,
        keys=len(found.keys()),
        slots=[schema.Slot(name=slot.name, kind=slot.kind, cost=slot.cost) for slot in slots],
        damage=list(damage()) if damage is not None else [],
        login=_login(found),
        legacy=isinstance(found, HasPins) and found.legacy,
    )


def _login(found: Token) -> str:
    if not isinstance(found, HasPins):
        return ""
    return "application" if found.application_login else "daemon"

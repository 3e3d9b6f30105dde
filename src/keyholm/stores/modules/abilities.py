"""What a token can do is what it says: of that its class is made."""

from functools import cache

from keyholm.stores.modules.deriving import WithDerivation
from keyholm.stores.modules.identity import Facts, Identity
from keyholm.stores.modules.logins import WithPad, WithPin
from keyholm.stores.modules.making import WithGeneration, WithImports
from keyholm.stores.modules.token import ModuleToken, Surroundings
from keyholm.stores.modules.using import WithUses
from keyholm.wire.pkcs11.constants import CKF

Part = type[ModuleToken]


def token_of(
    name: str, identity: Identity, facts: Facts, owner: int, around: Surroundings
) -> ModuleToken:
    """Raises what reading it raises."""
    token = _class_of(_parts(facts))(name, identity, facts, owner, around)
    token.load()
    return token


def _parts(facts: Facts) -> tuple[Part, ...]:
    parts: list[Part] = []
    if facts.wants_login:
        parts.append(WithPad if facts.has_pad else WithPin)
    if not facts.has(CKF.WRITE_PROTECTED):
        parts += (WithGeneration, WithImports, WithDerivation)
    return (*parts, WithUses)


@cache
def _class_of(parts: tuple[Part, ...]) -> Part:
    return type("VendorToken", parts, {})

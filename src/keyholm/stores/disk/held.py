"""Keys as a token has them in hand, and what is to be known of a new one."""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any, Self

from keyholm.core.errors import MechanismUnsupported
from keyholm.core.model import Key, NewKey, NewObject, Origin, SecretType
from keyholm.core.policy import Policy
from keyholm.core.store import Handover
from keyholm.stores.disk import attributes, entry
from keyholm.stores.disk.attributes import Kept, kept
from keyholm.stores.disk.entry import Facts, Form
from keyholm.stores.software import material
from keyholm.stores.software.generating import Made
from keyholm.stores.software.material import Shape
from keyholm.stores.software.shield import Shielded
from keyholm.wire.ssh import keys
from keyholm.wire.ssh.keys import SkEcdsa, SkEd25519


@dataclass(slots=True, eq=False)
class Held:
    """A key as it is known now; its private half is read from its file at its first use."""

    key: Key
    facts: Facts
    by_device: bool
    private: Shielded | None = None
    loaded_public: Any = None

    @classmethod
    def of(cls, token: str, name: str, facts: Facts, *, verified: bool) -> Self:
        key = facts.key(token, name, verified=verified)
        return cls(key, facts, isinstance(key.ssh, SkEd25519 | SkEcdsa))

    @property
    def shape(self) -> Shape:
        form = self.facts.form
        if form is Form.SECRET:
            return SecretType(self.facts.type)
        return material.Form(form.value)

    def public_half(self) -> Any:
        """What verifies and encrypts; nothing is read for it. Raises `MechanismUnsupported`."""
        if self.loaded_public is None:
            ssh = self.key.ssh
            spki = self.key.spki or (keys.spki(ssh) if ssh is not None else None)
            if spki is None:
                raise MechanismUnsupported(f"{self.key.label!r} only signs, and as SSH has it.")
            self.loaded_public = material.public_of(spki)
        return self.loaded_public


@dataclass(frozen=True, slots=True)
class Wish:
    """What a new key shall be, beside the key that it is."""

    label: str
    origin: Origin
    exportable: bool
    policy: Policy
    attributes: Kept
    public_attributes: Kept | None
    session: bool = False
    once: bool = False  # no other may have its label, or be the same key
    provider: str = ""

    @classmethod
    def by_new_key(cls, new: NewKey, policy: Policy) -> Self:
        """PKCS#11, whose keys have attributes, takes labels as they come."""
        given, public = kept(new.attributes), new.public_attributes
        return cls(
            new.label,
            Origin.GENERATED,
            new.exportable,
            policy,
            given,
            None if public is None else kept(public),
            new.session,
            once=not given and not new.session,
        )

    @classmethod
    def by_new_object(cls, new: NewObject, policy: Policy) -> Self:
        """Whatever it is made of, somebody else may have it too."""
        given, public = kept(new.attributes), new.public_attributes
        return cls(
            attributes.label_of(given) or "",
            Origin.IMPORTED,
            new.exportable,
            policy,
            given,
            None if public is None else kept(public),
            new.session,
        )

    @classmethod
    def by_handover(cls, new: Handover, policy: Policy) -> Self:
        return cls(
            new.label,
            Origin.IMPORTED,
            new.exportable,
            policy,
            {},
            {},
            once=True,
            provider=new.provider,
        )


def facts_of(made: Made, wish: Wish, *, created: float, order: int) -> Facts:
    kept, public, spki, size = made.material, made.public, made.spki, 0
    if public is not None:
        form = Form.SSH
        who = (keys.key_id(public), keys.type_name(public), keys.encode(public))
    elif isinstance(kept.shape, SecretType):
        form, size = Form.SECRET, len(kept.secret)
        who = (secrets.token_hex(32), kept.shape.value, b"")
    else:
        form = Form.PKCS8
        who = (hashlib.sha256(spki).hexdigest(), made.algorithm, spki)
    return Facts(
        *who,
        wish.label,
        wish.origin,
        wish.exportable,
        created,
        order,
        entry.written_policy(wish.policy),
        wish.provider,
        form,
        size,
        wish.attributes,
        wish.public_attributes,
    )

"""What a key is: its identity, where it lives, what can be done with it.

Everything here is a value. A key's *id* is the SHA-256 of its SubjectPublicKeyInfo
(`wire.ssh.keys.key_id`), so that one key seen through two stores is one key: policy,
certificates and trail hang on the id. Its *place* says which object of which token in
which store answers for it; names are aliases of a place.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import NewType

from keyholm.wire.ssh.keys import PublicKey

KeyId = NewType("KeyId", str)
"""64 lower-case hexadecimal digits."""


@unique
class Algorithm(StrEnum):
    """What can be generated or imported, as `keyholm new --type` spells it."""

    ED25519 = "ed25519"
    ECDSA_P256 = "ecdsa-p256"
    ECDSA_P384 = "ecdsa-p384"
    ECDSA_P521 = "ecdsa-p521"
    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"
    MLDSA44_ED25519 = "mldsa44-ed25519"


@unique
class Origin(StrEnum):
    GENERATED = "generated"  # in this store; it was never anywhere else
    IMPORTED = "imported"  # marked so for ever
    HANDED_OVER = "handed-over"  # by ssh-add, until the daemon ends


@dataclass(frozen=True, slots=True)
class Place:
    """Which object of which token in which store: `disk/main/3f2a`."""

    store: str
    token: str
    object: str

    def __str__(self) -> str:
        return f"{self.store}/{self.token}/{self.object}"


@dataclass(frozen=True, slots=True)
class Key:
    """The public side of a key and the facts about it; the private half stays in its store."""

    id: KeyId
    place: Place
    public: PublicKey
    blob: bytes  # `public` as SSH writes it
    label: str
    origin: Origin
    exportable: bool = False
    created: float | None = None  # seconds since the epoch
    certificate: bytes = b""  # an identity of its own beside the plain key (agent, blob)
    application: str = ""  # of a FIDO key
    policy_hash: str = ""  # of the policy that is bound to the key's file
    verified: bool = True  # False: shown before unlock, checked at unlock
    order: int = 0  # keys are listed in the order in which they came
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def identity(self) -> bytes:
        """What the agent lists: the certificate, if this is one, else the public key."""
        return self.certificate or self.blob

    def __hash__(self) -> int:
        return hash((self.place, self.id))


@dataclass(frozen=True, slots=True)
class NewKey:
    """What a key that is to be generated shall be."""

    label: str
    algorithm: Algorithm
    exportable: bool = False

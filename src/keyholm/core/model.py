"""What a key is: its identity, where it lives, what can be done with it.

Everything here is a value. A key's *id* is the SHA-256 of its SubjectPublicKeyInfo
(`wire.ssh.keys.key_id`), so that one key seen through two stores is one key: policy,
certificates and trail hang on the id. Its *place* says which object of which token in
which store answers for it; names are aliases of a place.

Attributes are PKCS#11's, since nothing else has words for them: by the number of their CKA,
as `wire.pkcs11.attributes` reads them. Those that follow from the key itself are not kept.
"""

from collections.abc import Mapping
from enum import StrEnum, unique
from typing import TYPE_CHECKING, Final, NewType

import msgspec
from msgspec import Struct, field

from keyholm.core.errors import AlgorithmUnsupported
from keyholm.wire.ssh.keys import PublicKey

if TYPE_CHECKING:
    from keyholm.core.secret import Secret

KeyId = NewType("KeyId", str)
"""64 lower-case hexadecimal digits."""

Value = bool | int | bytes | tuple["int | tuple[int, Value]", ...]
"""Of an attribute: a tuple holds mechanisms, or the attributes of a template."""

Attributes = Mapping[int, Value]
NO_ATTRIBUTES: Final[Attributes] = {}


def _none() -> Attributes:
    return NO_ATTRIBUTES


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
class OtherAlgorithm(StrEnum):
    """Key pairs that SSH has no words for: PKCS#11 and the API make them."""

    ED448 = "ed448"
    X25519 = "x25519"
    X448 = "x448"
    ECDSA_P224 = "ecdsa-p224"
    SECP256K1 = "secp256k1"
    ML_DSA_44 = "ml-dsa-44"
    ML_DSA_65 = "ml-dsa-65"
    ML_DSA_87 = "ml-dsa-87"
    ML_KEM_768 = "ml-kem-768"
    ML_KEM_1024 = "ml-kem-1024"


@unique
class Origin(StrEnum):
    GENERATED = "generated"  # in this store; it was never anywhere else
    IMPORTED = "imported"  # marked so for ever
    HANDED_OVER = "handed-over"  # by ssh-add, until the daemon ends


# What a session made begins so; nobody else can name it.
SESSION: Final = "session-"


class Place(Struct, frozen=True):
    """Which object of which token in which store: `disk/main/3f2a`."""

    store: str
    token: str
    object: str

    @property
    def is_session(self) -> bool:
        return self.object.startswith(SESSION)

    def __str__(self) -> str:
        return f"{self.store}/{self.token}/{self.object}"


@unique
class Kind(StrEnum):
    """What an object of a token is."""

    PRIVATE = "private"  # with its public half
    PUBLIC = "public"  # alone
    SECRET = "secret"
    CERTIFICATE = "certificate"
    DATA = "data"
    OTHER = "other"  # of a class that only its token knows; CKA_CLASS tells it


class Key(Struct, frozen=True):
    """A key pair, or a secret key: what is public of it. The secret stays in its store.

    `ssh` and `blob` are how SSH says it: None and empty for a secret key and for those that
    SSH has no words for, which have their `spki` only.
    """

    id: KeyId
    place: Place
    ssh: PublicKey | None
    blob: bytes
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
    kind: Kind = Kind.PRIVATE
    spki: bytes = b""  # SubjectPublicKeyInfo, where `ssh` does not say it
    attributes: Attributes = field(default_factory=_none)  # of the private or secret key
    public_attributes: Attributes | None = field(
        default_factory=_none
    )  # of the public half; None: not shown
    secret: "SecretKey | None" = None  # of a secret key: what it is for, and how long

    @property
    def public(self) -> PublicKey:
        """As SSH says it. Raises `AlgorithmUnsupported` where it cannot."""
        if self.ssh is None:
            raise AlgorithmUnsupported(f"SSH has no words for a key such as {self.label!r}.")
        return self.ssh

    @property
    def identity(self) -> bytes:
        """What the agent lists: the certificate, if this is one, else the public key."""
        return self.certificate or self.blob

    def __hash__(self) -> int:
        return hash((self.place, self.id))


class Object(Struct, frozen=True):
    """Something on a token that is no key of its own: a certificate, data, a public key."""

    place: Place
    kind: Kind
    attributes: Attributes
    private: bool = False  # not shown, and its attributes not known, before the token is open
    verified: bool = True
    order: int = 0

    def __hash__(self) -> int:
        return hash(self.place)


class RsaKey(msgspec.Struct, frozen=True):
    """An RSA key of any size that is to be made."""

    bits: int
    exponent: int = 65537


@unique
class SecretType(StrEnum):
    AES = "aes"
    CHACHA20 = "chacha20"
    DES3 = "des3"
    GENERIC = "generic"  # for HMAC, and what is derived


class SecretKey(msgspec.Struct, frozen=True):
    """A secret key that is to be made, of `size` bytes."""

    type: SecretType
    size: int


KeyType = Algorithm | OtherAlgorithm | RsaKey | SecretKey


def spelled(wanted: KeyType) -> str:
    match wanted:
        case RsaKey(bits):
            return f"rsa-{bits}"
        case SecretKey(type_, size):
            return f"{type_}-{size * 8}"
        case _:
            return wanted


class NewKey(Struct, frozen=True):
    """What a key that is to be generated shall be."""

    label: str
    algorithm: KeyType
    exportable: bool = False
    attributes: Attributes = field(default_factory=_none)
    public_attributes: Attributes | None = field(default_factory=_none)
    session: bool = False  # kept in memory, listed nowhere, until it is destroyed


class NewObject(Struct, frozen=True):
    """An object that is brought in, or that is made of another key.

    `material` is a private key as PKCS#8 (DER), a secret key as it is, and empty for all
    else. Of a key that is derived or unwrapped it is not known yet: `type` says what it
    shall be, and how long.
    """

    kind: Kind
    attributes: Attributes
    material: "Secret | None" = None
    type: SecretKey | None = None
    public_attributes: Attributes | None = None
    exportable: bool = False
    private: bool = False
    session: bool = False

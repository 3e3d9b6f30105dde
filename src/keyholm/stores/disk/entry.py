"""One file a key: what is known of it in the clear, and its private half encrypted.

A private object is kept the same way: of it only that it exists is in the clear.

    {"magic": "keyholm-key", "format": 1, "store": …, "token": …, "object": …,
     "generation": …, "key": {…, "policy": …}}\\n
    wrapped data key (60) | nonce (12) | ciphertext with its tag

Both encryptions are bound to where the file belongs and to all of its first line: no fact
of a key, its policy least of all, can be changed or taken from another file.
"""

import hashlib
import re
from collections.abc import Mapping
from enum import StrEnum, unique
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag

from keyholm.core.errors import BadPolicy, StoreDamaged
from keyholm.core.model import (
    Key,
    KeyId,
    Kind,
    Origin,
    OtherAlgorithm,
    Place,
    SecretKey,
    SecretType,
    spelled,
)
from keyholm.core.policy import Policy, parse, write
from keyholm.core.secret import Secret
from keyholm.stores.disk import attributes, crypto
from keyholm.stores.disk.attributes import Kept
from keyholm.stores.disk.line import read as read_line
from keyholm.wire.codec import STRING, UINT64
from keyholm.wire.ssh import keys

STORE: Final = "disk"
MAGIC: Final = "keyholm-key"
FORMAT: Final = 1
# A policy has at most 64 KiB, RSA with 16384 bits 10 KiB; JSON can double that. Then there are
# the attributes of both halves.
MAX_FILE: Final = 256 * 1024 + 2 * attributes.MOST
_NO_FACTS: Final[Mapping[str, str]] = MappingProxyType({})  # one for all: 10,000 keys are many
_ID: Final = re.compile(r"[0-9a-f]{64}")


@unique
class Form(StrEnum):
    """What is encrypted in a file."""

    SSH = "ssh"  # a private key as the agent protocol writes it
    PKCS8 = "pkcs8"  # one that SSH has no words for
    SECRET = "secret"  # a secret key as it is
    OBJECT = "object"  # all of a private object


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """What a file, and the journal, say of one key, or of a private object: that it exists."""

    id: str  # of a key pair that of its public half, else random
    type: str  # of a key pair as SSH names it, else as we do; of a secret key what it is for
    public: bytes  # blob, or the SubjectPublicKeyInfo where SSH has no words
    label: str
    origin: Origin
    exportable: bool
    created: float
    order: int
    policy: str  # TOML
    provider: str = ""  # of a FIDO key
    form: Form = Form.SSH
    size: int = 0  # bytes of a secret key
    attributes: Kept = {}
    public_attributes: Kept | None = {}

    @property
    def policy_hash(self) -> str:
        return hashlib.sha256(self.policy.encode()).hexdigest()

    @property
    def is_plain(self) -> bool:
        """Whether keyholm could keep it when the format was 1."""
        return self.form is Form.SSH and not self.attributes and self.public_attributes == {}

    def check(self) -> None:
        """Raises `ValueError` where they do not fit each other."""
        if not _FITS[self.form](self):
            raise ValueError("the facts of the key do not fit each other")
        parsed_policy(self.policy)

    def key(self, token: str, name: str, *, verified: bool) -> Key:
        ssh = keys.decode(self.public) if self.form is Form.SSH else None
        application = getattr(ssh, "application", b"")
        is_secret = self.form is Form.SECRET
        secret = SecretKey(SecretType(self.type), self.size) if is_secret else None
        algorithm = self.type if secret is None else spelled(secret)
        return Key(
            KeyId(self.id),
            Place(STORE, token, name),
            ssh,
            self.public if ssh is not None else b"",
            self.label,
            self.origin,
            exportable=self.exportable,
            created=self.created,
            application=application.decode("utf-8", "replace"),
            policy_hash=self.policy_hash,
            verified=verified,
            order=self.order,
            kind=Kind.SECRET if is_secret else Kind.PRIVATE,
            spki=self.public if self.form is Form.PKCS8 else b"",
            attributes=attributes.public(self.attributes),
            public_attributes=None
            if self.public_attributes is None or is_secret
            else attributes.public(self.public_attributes),
            secret=secret,
            facts=_NO_FACTS if ssh is not None else {"algorithm": algorithm},
        )


def _fits_ssh(facts: Facts) -> bool:
    public = keys.decode(facts.public)
    return (keys.key_id(public), keys.type_name(public)) == (facts.id, facts.type)


def _fits_pkcs8(facts: Facts) -> bool:
    OtherAlgorithm(facts.type)
    return hashlib.sha256(facts.public).hexdigest() == facts.id


def _fits_secret(facts: Facts) -> bool:
    SecretType(facts.type)
    return not facts.public and facts.size > 0 and _ID.fullmatch(facts.id) is not None


def _fits_object(facts: Facts) -> bool:
    return not (facts.type or facts.public or facts.label or facts.attributes or facts.policy)


_FITS: Final = {
    Form.SSH: _fits_ssh,
    Form.PKCS8: _fits_pkcs8,
    Form.SECRET: _fits_secret,
    Form.OBJECT: _fits_object,
}


class Head(msgspec.Struct, frozen=True, tag_field="magic", tag=MAGIC, forbid_unknown_fields=True):
    """The first line of a file."""

    store: str  # uuid
    token: str  # uuid
    object: str
    generation: int
    key: Facts
    format: int = FORMAT


# Most keys have one of a few policies, and reading one takes longer than all else of listing.
@lru_cache(maxsize=256)
def parsed_policy(text: str) -> Policy:
    try:
        return parse(text)
    except BadPolicy as error:
        raise ValueError(error.what) from error


def written_policy(policy: Policy) -> str:
    """The text that is kept. Raises `BadPolicy` where it could not be read again."""
    text = write(policy)
    try:
        if parsed_policy(text) == policy:
            return text
        why = "it reads as another one"
    except ValueError as error:
        why = str(error)
    raise BadPolicy(f"This policy cannot be kept: {why}", remedy="Write it in fewer rules.")


def hash_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _bound(head: Head, line: bytes) -> bytes:
    return b"".join(
        STRING.write(part)
        for part in (
            b"keyholm-disk-1 key",
            head.store.encode(),
            head.token.encode(),
            head.object.encode(),
            UINT64.write(head.generation),
            head.key.id.encode(),
            head.key.type.encode(),
            hashlib.sha256(head.key.public).digest(),
            head.key.policy_hash.encode(),
            hashlib.sha256(line).digest(),
        )
    )


def encode(head: Head, private: memoryview, wrapping: Secret) -> bytes:
    line = msgspec.json.encode(head) + b"\n"
    return line + crypto.seal(wrapping, private, _bound(head, line))


def head_of(content: bytes) -> Head:
    """What it says of itself, not verified. Raises `ValueError`."""
    line, end, _ = content.partition(b"\n")
    if not end:
        raise ValueError("it is cut off")
    head = read_line(line, Head)
    if head.format != FORMAT:
        raise ValueError(f"it has format {head.format}")
    if head.generation < 1:
        raise ValueError("it has no generation")
    head.key.check()
    return head


def decode(content: bytes, wrapping: Secret, path: Path) -> tuple[Head, Secret]:
    """Its head and private half. Raises `StoreDamaged`, which names the file."""
    try:
        head = head_of(content)
        line, sealed = content[: (end := content.index(b"\n") + 1)], content[end:]
        return head, crypto.unseal(wrapping, sealed, _bound(head, line))
    except InvalidTag as error:
        raise damaged(path, "was altered") from error
    except ValueError as error:
        raise damaged(path, f"was altered: {error}") from error


def damaged(path: Path, how: str) -> StoreDamaged:
    return StoreDamaged(
        f"{path} {how}.", remedy="Restore the token from a backup; its other keys work."
    )

"""One file a key: what is known of it in the clear, and its private half encrypted.

    {"magic": "keyholm-key", "format": 1, "store": …, "token": …, "object": …,
     "generation": …, "key": {…, "policy": …}}\\n
    wrapped data key (60) | nonce (12) | ciphertext with its tag

Both encryptions are bound to where the file belongs and to all of its first line: no fact
of a key, its policy least of all, can be changed or taken from another file.
"""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag

from keyholm.core.errors import BadPolicy, StoreDamaged
from keyholm.core.model import Key, KeyId, Origin, Place
from keyholm.core.policy import Policy, parse, write
from keyholm.core.secret import Secret
from keyholm.stores.disk import crypto
from keyholm.stores.disk.line import read as read_line
from keyholm.wire.codec import STRING, UINT64
from keyholm.wire.ssh import keys

STORE: Final = "disk"
MAGIC: Final = "keyholm-key"
FORMAT: Final = 1
# A policy has at most 64 KiB, RSA with 16384 bits 10 KiB; JSON can double that.
MAX_FILE: Final = 256 * 1024


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a file, and the journal, say of one key."""

    id: str
    type: str  # as SSH names it
    public: bytes  # blob
    label: str
    origin: Origin
    exportable: bool
    created: float
    order: int
    policy: str  # TOML
    provider: str = ""  # of a FIDO key

    @property
    def policy_hash(self) -> str:
        return hashlib.sha256(self.policy.encode()).hexdigest()

    def check(self) -> None:
        """Raises `ValueError` where they do not fit each other."""
        public = keys.decode(self.public)
        if keys.key_id(public) != self.id or keys.type_name(public) != self.type:
            raise ValueError("the facts of the key do not fit each other")
        parsed_policy(self.policy)

    def key(self, token: str, name: str, *, verified: bool) -> Key:
        public = keys.decode(self.public)
        application = getattr(public, "application", b"")
        return Key(
            KeyId(self.id),
            Place(STORE, token, name),
            public,
            self.public,
            self.label,
            self.origin,
            exportable=self.exportable,
            created=self.created,
            application=application.decode("utf-8", "replace"),
            policy_hash=self.policy_hash,
            verified=verified,
            order=self.order,
        )


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

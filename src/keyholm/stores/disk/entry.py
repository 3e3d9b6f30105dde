"""One file a key: what is known of it in the clear, and its private half encrypted.

    keyholm entry 1\\n
    {"object": …, "token": …, "key_id": …, "public": …, "label": …, "policy": …, …}\\n
    wrapped data key (60) | nonce (12) | ciphertext with its tag

The first two lines are the associated data of both encryptions: no fact of a key, its
policy least of all, can be changed or taken from another file.
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag

from keyholm.core.errors import BadPolicy, StoreDamaged
from keyholm.core.model import Key, KeyId, Origin, Place
from keyholm.core.policy import Policy, parse, policy_hash, write
from keyholm.core.secret import Secret
from keyholm.stores.disk import crypto
from keyholm.wire.codec import Malformed
from keyholm.wire.ssh import keys

MAGIC: Final = b"keyholm entry 1\n"
STORE: Final = "disk"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a file, and the journal, say of one key."""

    object: str
    generation: int
    token: str  # uuid
    key_id: str
    public: bytes  # blob
    label: str
    origin: Origin
    exportable: bool
    created: float
    policy: str  # TOML

    def told(self) -> dict[str, Any]:
        return {
            "object": self.object,
            "generation": self.generation,
            "token": self.token,
            "key_id": self.key_id,
            "public": base64.b64encode(self.public).decode(),
            "label": self.label,
            "origin": self.origin.value,
            "exportable": self.exportable,
            "created": self.created,
            "policy": self.policy,
        }

    def head(self) -> bytes:
        return MAGIC + json.dumps(self.told(), sort_keys=True).encode() + b"\n"

    def parsed_policy(self) -> Policy:
        return parse(self.policy)

    def key(self, token: str, *, verified: bool, order: int) -> Key:
        """`token` is its name, which may change where the token is restored."""
        return Key(
            KeyId(self.key_id),
            Place(STORE, token, self.object),
            keys.decode(self.public),
            self.public,
            self.label,
            self.origin,
            exportable=self.exportable,
            created=self.created,
            policy_hash=policy_hash(self.parsed_policy()) if self.policy else "",
            verified=verified,
            order=order,
        )


def facts_of(told: dict[str, Any]) -> Facts:
    """Raises `ValueError` where it does not hold together."""
    try:
        facts = Facts(
            str(told["object"]),
            int(told["generation"]),
            str(told["token"]),
            str(told["key_id"]),
            base64.b64decode(told["public"], validate=True),
            str(told["label"]),
            Origin(told["origin"]),
            bool(told["exportable"]),
            float(told["created"]),
            str(told["policy"]),
        )
        right_id = keys.key_id(keys.decode(facts.public)) == facts.key_id
        facts.parsed_policy()
    except (KeyError, TypeError, Malformed, BadPolicy) as error:
        raise ValueError(str(error)) from error
    if not right_id or not facts.object.isalnum() or len(facts.object) > 64:
        raise ValueError("the facts of the key do not fit each other")
    return facts


def hash_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def canonical(policy: Policy) -> str:
    return write(policy)


def encode(facts: Facts, private: bytearray | memoryview, wrapping: Secret) -> bytes:
    head = facts.head()
    return head + crypto.seal(wrapping, private, head)


def split(content: bytes) -> tuple[Facts, bytes, bytes]:
    """The facts, the head that they are bound by, and what is sealed. Raises `ValueError`."""
    if not content.startswith(MAGIC):
        raise ValueError("it is not an entry")
    end = content.find(b"\n", len(MAGIC)) + 1
    if not end:
        raise ValueError("it is cut off")
    facts = facts_of(json.loads(content[len(MAGIC) : end]))
    if facts.head() != content[:end]:
        raise ValueError("its facts are not written as we write them")
    return facts, content[:end], content[end:]


def decode(content: bytes, wrapping: Secret, path: Path) -> tuple[Facts, Secret]:
    """Raises `StoreDamaged`, which names the file."""
    try:
        facts, head, sealed = split(content)
        return facts, crypto.unseal(wrapping, sealed, head)
    except (ValueError, InvalidTag, RecursionError) as error:
        raise damaged(path) from error


def damaged(path: Path, how: str = "was changed") -> StoreDamaged:
    return StoreDamaged(
        f"{path} {how}; its key is not used.",
        remedy=f"Put {path.name}.prev in its place if it is there, or restore a backup.",
    )

"""A token in one encrypted file.

    keyholm backup 1\\n
    {"salt": …, "passes": …, "memory": …, "lanes": …}\\n
    nonce (12) | AES-256-GCM of {"uuid", "name", "kek", "entries": {object: file}}

The files of the entries are as they lie on the disk, so no private key is opened for it.
"""

import base64
import binascii
import json
import os
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keyholm.core.errors import BadRequest, PassphraseIncorrect
from keyholm.core.secret import Secret
from keyholm.stores.disk import crypto

MAGIC: Final = b"keyholm backup 1\n"
FAMILY: Final = b"keyholm backup "
MAX_HEAD: Final = 1024


@dataclass(frozen=True, slots=True)
class Opened:
    uuid: str
    name: str
    kek: Secret
    entries: dict[str, bytes]


def make(
    uuid: str,
    name: str,
    entries: dict[str, bytes],
    kek: Secret,
    passphrase: Secret,
    cost: crypto.Cost,
) -> bytes:
    if not passphrase:
        raise BadRequest("A backup without a passphrase would give its keys to anybody.")
    salt = os.urandom(crypto.SALT)
    told = {"salt": _text(salt), "passes": cost.passes, "memory": cost.memory, "lanes": cost.lanes}
    head = MAGIC + json.dumps(told, sort_keys=True).encode() + b"\n"
    content = json.dumps(
        {
            "uuid": uuid,
            "name": name,
            "kek": _text(kek.view),
            "entries": {object_: _text(file) for object_, file in entries.items()},
        }
    ).encode()
    nonce = os.urandom(crypto.NONCE)
    with crypto.derive(passphrase, salt, cost) as key:
        return head + nonce + AESGCM(key.view).encrypt(nonce, content, head)


def open_backup(data: bytes, passphrase: Secret, floor: crypto.Cost) -> Opened:
    """Raises `BadRequest` where it is no backup, `PassphraseIncorrect` where it does not open."""
    head, cost, salt = _head(data)
    crypto.check_cost(cost, floor, "The backup")
    start = len(head) + crypto.NONCE
    with crypto.derive(passphrase, salt, cost) as key:
        try:
            content = AESGCM(key.view).decrypt(data[len(head) : start], data[start:], head)
        except (InvalidTag, ValueError) as error:
            raise PassphraseIncorrect(
                "The backup does not open: the passphrase is wrong, or the file was changed."
            ) from error
    told: dict[str, Any] = json.loads(content)
    return Opened(
        told["uuid"],
        told["name"],
        Secret.of(base64.b64decode(told["kek"])),
        {name: base64.b64decode(file) for name, file in told["entries"].items()},
    )


def _head(data: bytes) -> tuple[bytes, crypto.Cost, bytes]:
    if not data.startswith(MAGIC):
        if data.startswith(FAMILY):
            raise BadRequest(
                "This backup was made by a newer keyholm.", remedy="Use the version that made it."
            )
        raise BadRequest("This is not a backup of keyholm.")
    end = data.find(b"\n", len(MAGIC), MAX_HEAD) + 1
    try:
        told = json.loads(data[len(MAGIC) : end])
        cost = crypto.Cost(int(told["passes"]), int(told["memory"]), int(told["lanes"]))
        salt = base64.b64decode(told["salt"], validate=True)
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise BadRequest("The head of this backup cannot be read.") from error
    if len(salt) != crypto.SALT:
        raise BadRequest("The head of this backup cannot be read.")
    return data[:end], cost, salt


def _text(data: bytes | memoryview) -> str:
    return base64.b64encode(data).decode()

"""token.json: whose a token is and which slots open it.

    {"format": 1, "uuid": …, "owner": uid, "generation": n, "slots": […], "mac": …, "sum": …}

`sum` (SHA-256 of all the rest) finds what a disk did, before there is a key; `mac` (under
a key that the KEK gives) finds what somebody did, at unlock.
"""

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from keyholm.core.errors import StoreDamaged, StoreFailed
from keyholm.core.secret import Secret
from keyholm.stores.disk import crypto, files

FORMAT: Final = 1
MAX_SLOTS: Final = 16


@dataclass(frozen=True, slots=True)
class KeySlot:
    """One way to the KEK. Kind `none` has it in the clear: there is no passphrase."""

    name: str
    kind: str  # passphrase, recovery, none
    salt: bytes
    cost: crypto.Cost
    wrapped: bytes


@dataclass(frozen=True, slots=True)
class Header:
    uuid: str
    owner: int
    generation: int
    slots: tuple[KeySlot, ...]
    mac: bytes = b""

    @property
    def guarded(self) -> bool:
        return all(slot.kind != "none" for slot in self.slots)

    def _body(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "uuid": self.uuid,
            "owner": self.owner,
            "generation": self.generation,
            "slots": [_slot_told(slot) for slot in self.slots],
        }

    def sealed(self, kek: Secret) -> "Header":
        return replace(self, mac=self._mac(kek))

    def _mac(self, kek: Secret) -> bytes:
        with crypto.subkey(kek, "header") as key:
            return hmac.digest(key.view, _canonical(self._body()), "sha256")

    def is_authentic(self, kek: Secret) -> bool:
        return hmac.compare_digest(self.mac, self._mac(kek))

    def encoded(self) -> bytes:
        body = {**self._body(), "mac": _base64(self.mac)}
        return _canonical({**body, "sum": hashlib.sha256(_canonical(body)).hexdigest()}) + b"\n"


def bound(uuid: str, slot: str, kind: str) -> bytes:
    """What the wrapping of a slot belongs to."""
    return f"keyholm disk slot v1|{uuid}|{kind}|{slot}".encode()


def read(path: Path, floor: crypto.Cost) -> Header:
    """Raises `StoreDamaged`, which names the file."""
    content = files.read(path)
    try:
        told = json.loads(content)
        claimed = told.pop("sum")
        right = hashlib.sha256(_canonical(told)).hexdigest() == claimed
        # The bytes as well: JSON can say the same in other ways.
        right = right and content == _canonical({**told, "sum": claimed}) + b"\n"
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise _damaged(path, "it cannot be read") from error
    if not right:
        raise _damaged(path, "its checksum does not fit")
    if told.get("format") != FORMAT:
        raise StoreFailed(
            f"{path} has the format {told.get('format')!r}; this keyholm knows {FORMAT}.",
            remedy="Use the version of keyholm that wrote it.",
        )
    try:
        slots = tuple(_slot(slot, path, floor) for slot in told["slots"])
        header = Header(
            str(told["uuid"]),
            int(told["owner"]),
            int(told["generation"]),
            slots,
            _bytes(told["mac"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, "a field of it is missing or wrong") from error
    if not 0 < len(slots) <= MAX_SLOTS:
        raise _damaged(path, f"it has {len(slots)} slots")
    return header


def _slot(told: dict[str, Any], path: Path, floor: crypto.Cost) -> KeySlot:
    cost = crypto.Cost(int(told["passes"]), int(told["memory"]), int(told["lanes"]))
    slot = KeySlot(
        str(told["name"]), str(told["kind"]), _bytes(told["salt"]), cost, _bytes(told["wrapped"])
    )
    if slot.kind != "none":
        crypto.check_cost(cost, floor, f"The slot {slot.name} of {path}")
    return slot


def _slot_told(slot: KeySlot) -> dict[str, Any]:
    return {
        "name": slot.name,
        "kind": slot.kind,
        "salt": _base64(slot.salt),
        "passes": slot.cost.passes,
        "memory": slot.cost.memory,
        "lanes": slot.cost.lanes,
        "wrapped": _base64(slot.wrapped),
    }


def _damaged(path: Path, how: str) -> StoreDamaged:
    return StoreDamaged(
        f"{path} is damaged: {how}.", remedy=f"Put {path.name}.prev in its place, or a backup."
    )


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError) as error:
        raise ValueError("not base64") from error

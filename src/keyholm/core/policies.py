"""Policies of keys whose token has no place for them: a file of the home, with a MAC.

    {"format": 1, "policies": {"<key id>": "<the policy, as TOML>"}}\n
    HMAC-SHA256 of the first line, in hexadecimal\n

A key on a vendor's token is the vendor's file, in which nothing of ours can be bound. The MAC's
key lies beside this file, so it proves no more than that keyholm wrote it (accidents, another
program's editor, one file restored without the other); whoever has the uid can do without
keyholm. A file that does not verify closes every key that it could have spoken of.
"""

import hmac
import json
import os
import secrets
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from keyholm.core.errors import BadPolicy, KeyholmError, StoreDamaged, StoreFailed
from keyholm.core.model import KeyId
from keyholm.core.policy import OPEN, Policy, parse, write

NAME: Final = "policies.json"
KEY_NAME: Final = "policies.key"
FORMAT: Final = 1
KEY: Final = 32  # bytes
MOST: Final = 16 * 1024 * 1024


class Policies:
    """Thread-safe. Without a folder nothing lasts. Raises `StoreFailed`, `StoreDamaged`."""

    def __init__(self, folder: Path | None) -> None:
        self._lock = threading.Lock()
        self._policies: Mapping[KeyId, Policy] = {}
        self._damage: KeyholmError | None = None
        self._key = b""
        self._path = None if folder is None else folder / NAME
        if folder is None:
            return
        try:
            self._key = _key(folder / KEY_NAME)
            self._policies = self._read(folder / NAME)
        except KeyholmError as error:
            self._damage = error

    @property
    def damage(self) -> KeyholmError | None:
        return self._damage

    def of(self, key: KeyId) -> Policy:
        if self._damage is not None:
            raise self._damage
        return self._policies.get(key, OPEN)

    def set(self, key: KeyId, policy: Policy) -> None:
        with self._lock:
            if self._damage is not None:
                raise self._damage
            changed = {**self._policies, key: policy}
            if policy == OPEN:
                del changed[key]
            if self._path is not None:
                _replace(self._path, self._sealed(changed))
            self._policies = changed

    def _read(self, path: Path) -> dict[KeyId, Policy]:
        try:
            content = _content(path)
        except FileNotFoundError:
            if self._key:
                raise _damaged(path, "it is missing") from None
            self._begin(path)
            return {}
        line, _, mac = content.partition(b"\n")
        if not self._key or not hmac.compare_digest(self._mac(line) + b"\n", mac):
            raise _damaged(path, "something else than keyholm changed it")
        try:
            said = json.loads(line)
            if said["format"] > FORMAT:
                raise StoreFailed(
                    f"{path} has format {said['format']}; this keyholm knows up to {FORMAT}.",
                    remedy="Use the version of keyholm that wrote it, or a newer one.",
                )
            return {KeyId(key): parse(text) for key, text in said["policies"].items()}
        except (ValueError, KeyError, TypeError, AttributeError, BadPolicy) as error:
            raise _damaged(path, "it cannot be read") from error

    def _begin(self, path: Path) -> None:
        """The file comes before its key: a key without a file means that one was taken away."""
        key = secrets.token_bytes(KEY)
        self._key = key
        _replace(path, self._sealed({}))
        _replace(path.with_name(KEY_NAME), key)

    def _sealed(self, policies: Mapping[KeyId, Policy]) -> bytes:
        texts = {key: write(policy) for key, policy in sorted(policies.items())}
        line = json.dumps({"format": FORMAT, "policies": texts}).encode()
        return line + b"\n" + self._mac(line) + b"\n"

    def _mac(self, line: bytes) -> bytes:
        return hmac.digest(self._key, line, "sha256").hex().encode()


def _key(path: Path) -> bytes:
    try:
        key = _content(path)
    except FileNotFoundError:
        return b""
    if len(key) != KEY:
        raise _damaged(path, "it is no key")
    return key


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MOST)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreFailed(f"{path} cannot be read: {error.strerror}.") from error


def _damaged(path: Path, why: str) -> StoreDamaged:
    return StoreDamaged(
        f"{path} holds the policies of keys on vendors' tokens, and {why}.",
        remedy=f"Restore it and {KEY_NAME} from one backup; or remove both, and set the policies "
        "anew: until then these keys are not used.",
    )


def _replace(path: Path, content: bytes) -> None:
    new = path.with_name(path.name + ".new")
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        raise StoreFailed(
            f"The policy cannot be written to {path}: {error.strerror}.",
            remedy="Make room or make the folder writable, then try again.",
        ) from error

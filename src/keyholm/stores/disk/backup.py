"""A token in one encrypted file.

    {"magic": "keyholm-backup", "format": 1, "kdf": …, "nonce": …, "check": …}\\n
    chunks of AES-256-GCM

What is encrypted is a string with the token's facts, then two strings a key: its facts and
its private half, and one string a public object (strings as SSH has them). It is cut into chunks of 64 KiB; the nonce of a
chunk is the file's 7 random bytes, its number (4 bytes) and whether it is the last one, so
that no chunk can be left out, moved or added (Hoang and others, "Online authenticated
encryption", STREAM).
"""

import hashlib
import hmac
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keyholm.core.errors import (
    BadRequest,
    KeyholmError,
    LimitExceeded,
    PassphraseIncorrect,
    StoreDamaged,
)
from keyholm.core.model import SecretType
from keyholm.core.secret import Secret
from keyholm.stores.disk import cost as costs
from keyholm.stores.disk import crypto, folder, slots
from keyholm.stores.disk.cost import Cost
from keyholm.stores.disk.entry import Facts, Form
from keyholm.stores.disk.journal import Hold
from keyholm.stores.disk.line import read as read_line
from keyholm.stores.disk.objects import Hidden
from keyholm.stores.software.material import describe
from keyholm.stores.software.plain import released
from keyholm.stores.software.secret_keys import check_size
from keyholm.wire.codec import UINT32, Reader
from keyholm.wire.ssh import keys
from keyholm.wire.ssh.private_keys import PRIVATE, halves_match

MAGIC: Final = "keyholm-backup"
FORMAT: Final = 1
CHUNK: Final = 64 * 1024
PREFIX: Final = 7
MAX_HEAD: Final = 1024
MAX_FILE: Final = 64 * 1024 * 1024


class Head(msgspec.Struct, frozen=True, tag_field="magic", tag=MAGIC, forbid_unknown_fields=True):
    salt: bytes
    passes: int
    memory: int
    lanes: int
    nonce: bytes
    check: str  # MAC of the other fields: a wrong passphrase is told from a damaged file
    kdf: str = "argon2id"
    format: int = FORMAT

    @property
    def cost(self) -> Cost:
        return Cost(self.passes, self.memory, self.lanes)


class About(msgspec.Struct, frozen=True):
    """The token that was backed up."""

    token: str
    name: str
    keys: int  # and private objects
    made: float
    objects: int = 0  # public ones


@dataclass(frozen=True, slots=True)
class Saved:
    """One key in a backup. `private` is good until the next one is asked for."""

    object: str
    facts: Facts
    private: memoryview


class _SavedFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    object: str
    key: Facts


# --- writing -------------------------------------------------------------------------


def make(
    about: About,
    keys: Iterable[Saved],
    passphrase: Secret,
    cost: Cost,
    objects: Iterable[Hold] = (),
) -> bytes:
    slots.check_passphrase(passphrase)
    salt, nonce = os.urandom(crypto.SALT), os.urandom(PREFIX)
    with crypto.stretch(passphrase, salt, cost) as stretched:
        head = Head(salt, cost.passes, cost.memory, cost.lanes, nonce, "")
        head = msgspec.structs.replace(head, check=_mac(head, stretched))
        line = msgspec.json.encode(head) + b"\n"
        with crypto.subkey(stretched, salt, "backup") as key, _Writer(key, nonce, line) as writer:
            writer.string(msgspec.json.encode(about))
            for saved in keys:
                writer.string(msgspec.json.encode(_SavedFacts(saved.object, saved.facts)))
                writer.string(saved.private)
            for held in objects:
                writer.string(msgspec.json.encode(held))
            return writer.finish()


class _Writer:
    """Plain text is held for one chunk at a time, in locked memory."""

    def __init__(self, key: Secret, prefix: bytes, line: bytes) -> None:
        self._cipher, self._prefix = AESGCM(key.view), prefix
        self._bound = hashlib.sha256(line).digest()
        self._plain = Secret(CHUNK)
        self._used = self._number = 0
        self._made = bytearray(line)

    def string(self, data: bytes | memoryview) -> None:
        self._write(UINT32.write(len(data)))
        self._write(data)

    def _write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            if self._used == CHUNK:
                self._seal(last=False)
            size = min(len(view), CHUNK - self._used)
            self._plain.view[self._used : self._used + size] = view[:size]
            self._used += size
            view = view[size:]

    def _seal(self, *, last: bool) -> None:
        plain = self._plain.view[: self._used]
        nonce = _nonce(self._prefix, self._number, last=last)
        self._made += self._cipher.encrypt(nonce, plain, self._bound)
        if len(self._made) > MAX_FILE:  # nobody could restore it
            raise LimitExceeded(
                f"A backup has at most {MAX_FILE >> 20} MiB, and this token has more.",
                remedy="Copy its folder in the store while the daemon is stopped.",
            )
        self._number, self._used = self._number + 1, 0

    def finish(self) -> bytes:
        self._seal(last=True)
        return bytes(self._made)

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, *raised: object) -> None:
        self._plain.close()


# --- reading -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Opened:
    about: About
    plain: Secret
    reader: Reader

    def keys(self) -> Iterator[Saved]:
        """Raises `StoreDamaged`."""
        for _ in range(self.about.keys):
            try:
                facts = read_line(_string(self.reader), _SavedFacts)
                facts.key.check()
                private = _string(self.reader)
                _check(facts, private)
            except (ValueError, KeyholmError) as error:
                raise _damaged(str(error)) from error
            yield Saved(facts.object, facts.key, private)
            private.release()

    def objects(self) -> Iterator[Hold]:
        """After the keys. Raises `StoreDamaged`."""
        for _ in range(self.about.objects):
            try:
                held = read_line(_string(self.reader), Hold)
                if not (folder.is_object(held.object) and held.is_public):
                    raise ValueError("an object in it is none")
            except ValueError as error:
                raise _damaged(str(error)) from error
            yield held

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *raised: object) -> None:
        self.plain.close()


def open_backup(data: bytes, passphrase: Secret, floor: Cost) -> Opened:
    """Raises `BadRequest`, `PassphraseIncorrect`, `StoreDamaged`, `TokenBusy`."""
    if len(data) > MAX_FILE:
        raise BadRequest(f"A backup has at most {MAX_FILE >> 20} MiB.")
    line, head = _head(data)
    costs.check(head.cost, floor, "This backup")
    with crypto.stretch(passphrase, head.salt, head.cost) as stretched:
        if not hmac.compare_digest(_mac(head, stretched), head.check):
            raise PassphraseIncorrect("The passphrase of the backup is wrong.")
        with crypto.subkey(stretched, head.salt, "backup") as key:
            plain = _decrypted(data[len(line) :], key, head.nonce, line)
    reader = Reader(plain.view)
    try:
        return Opened(read_line(_string(reader), About), plain, reader)
    except ValueError as error:
        plain.close()
        raise _damaged(str(error)) from error


def _head(data: bytes) -> tuple[bytes, Head]:
    line = data[: data.find(b"\n", 0, MAX_HEAD) + 1]
    try:
        found = read_line(line, _Kind).format
        if found > FORMAT:
            raise BadRequest(
                f"This backup has format {found}; this keyholm knows up to {FORMAT}.",
                remedy="Use the version of keyholm that made it, or a newer one.",
            )
        head = read_line(line, Head)
    except ValueError as error:
        raise BadRequest("This is not a backup of keyholm.") from error
    if head.kdf != "argon2id" or len(head.salt) != crypto.SALT or len(head.nonce) != PREFIX:
        raise BadRequest("The head of this backup cannot be understood.")
    return line, head


class _Kind(msgspec.Struct, frozen=True, tag_field="magic", tag=MAGIC):
    format: int


def _decrypted(chunks: bytes, key: Secret, prefix: bytes, line: bytes) -> Secret:
    sealed = CHUNK + crypto.TAG
    count = -(-len(chunks) // sealed)
    if not count or len(chunks) - (count - 1) * sealed < crypto.TAG:
        raise _damaged("it is cut off")
    plain = Secret(len(chunks) - count * crypto.TAG)
    cipher, bound = AESGCM(key.view), hashlib.sha256(line).digest()
    try:
        for number in range(count):
            chunk = memoryview(chunks)[number * sealed : (number + 1) * sealed]
            room = plain.view[number * CHUNK : number * CHUNK + len(chunk) - crypto.TAG]
            nonce = _nonce(prefix, number, last=number == count - 1)
            cipher.decrypt_into(nonce, chunk, bound, room)
    except InvalidTag as error:
        plain.close()
        raise _damaged("it was altered or cut off") from error
    return plain


def _nonce(prefix: bytes, number: int, *, last: bool) -> bytes:
    return prefix + UINT32.write(number) + bytes((last,))


def _mac(head: Head, stretched: Secret) -> str:
    fields = msgspec.json.encode(msgspec.structs.replace(head, check=""))
    with crypto.subkey(stretched, head.salt, "backup head") as key:
        return crypto.mac(key, fields).hex()


def _check(saved: _SavedFacts, private: memoryview) -> None:
    """Whoever made a backup knows its passphrase: nothing in it is believed unseen.

    Raises `ValueError`.
    """
    if not folder.is_object(saved.object):
        raise ValueError("a key in it has no name that a key can have")
    _FITS[saved.key.form](saved.key, private)


def _object(facts: Facts, private: memoryview) -> None:
    read_line(private, Hidden)


def _secret(facts: Facts, private: memoryview) -> None:
    if len(private) != facts.size:
        raise ValueError(f"the key {facts.label!r} is as long as another one")
    check_size(SecretType(facts.type), facts.size)


def _pkcs8(facts: Facts, private: memoryview) -> None:
    if describe(private).spki != facts.public:
        raise ValueError(f"the private half of {facts.label!r} is that of another key")


def _ssh(facts: Facts, private: memoryview) -> None:
    reader = Reader(private)
    with released(PRIVATE.read(reader)) as key:
        reader.end()
        # RSA is not validated here as at an import, which would take minutes for a large token.
        if keys.encode(key.public) != facts.public or not halves_match(key):
            raise ValueError(f"the private half of {facts.label!r} is that of another key")


_FITS: Final[dict[Form, Callable[[Facts, memoryview], None]]] = {
    Form.SSH: _ssh,
    Form.PKCS8: _pkcs8,
    Form.SECRET: _secret,
    Form.OBJECT: _object,
}


def _string(reader: Reader) -> memoryview:
    return reader.view(UINT32.read(reader))


def _damaged(how: str) -> StoreDamaged:
    return StoreDamaged(f"The backup is damaged: {how}.", remedy="Use another copy of it.")

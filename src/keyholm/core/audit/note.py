"""Signed notes and checkpoints as C2SP specifies them (signed-note, tlog-checkpoint).

A note is text, an empty line, and signature lines:

    keyholm.github.io/trail/serve-0/6c1d...      the origin: which trail
    1234                                         how many records
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=  the root of their tree

    — keyholm.github.io/trail/serve-0/6c1d... Az3grl...

Whatever tool verifies C2SP notes can verify these. We read them strictly: text that is
not exactly what we would have written is refused, so that no bit can change unseen.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

ED25519: Final = b"\x01"
MAX_NOTE: Final = 64 * 1024
_NAME = re.compile(r"[^\s+]{1,256}")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")


class BadNote(ValueError):
    """The text is no note, or not one of this key."""


class NoteSigner(Protocol):
    """What can sign notes: the trail's own key, or a key in a TPM or card."""

    @property
    def name(self) -> str: ...

    @property
    def key_id(self) -> bytes: ...

    def sign(self, text: bytes) -> bytes: ...


class NoteVerifier(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def key_id(self) -> bytes: ...

    def is_signed(self, text: bytes, signature: bytes) -> bool: ...


# --- keys ------------------------------------------------------------------------------


class VerifyingKey(Struct, frozen=True):
    """An Ed25519 key by the name of its trail; its text is what is published."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64_of(ED25519 + self.public)}"

    @classmethod
    def parse(cls, text: str) -> "VerifyingKey":
        parts = text.split("+", 2)
        blob = from_base64(parts[-1])
        if len(parts) != 3 or len(blob) != 33 or blob[:1] != ED25519:
            raise BadNote("this is no Ed25519 note key")
        key = cls(parts[0], blob[1:])
        if not _NAME.fullmatch(key.name) or str(key) != text:
            raise BadNote("the note key does not fit its name")
        return key

    def is_signed(self, text: bytes, signature: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except InvalidSignature:
            return False
        return True


class SigningKey:
    """The trail's own key, from its seed."""

    _PREFIX = "PRIVATE+KEY+"

    def __init__(self, name: str, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self._seed = seed
        self.verifying = VerifyingKey(name, self._key.public_key().public_bytes_raw())
        self.name, self.key_id = name, self.verifying.key_id

    def sign(self, text: bytes) -> bytes:
        return self._key.sign(text)

    def private_text(self) -> str:
        """As Go's sumdb/note writes a signing key."""
        return f"{self._PREFIX}{self.name}+{self.key_id.hex()}+{base64_of(ED25519 + self._seed)}"

    @classmethod
    def parse(cls, text: str) -> "SigningKey":
        name, _, rest = text.removeprefix(cls._PREFIX).partition("+")
        blob = from_base64(rest.partition("+")[2])
        if len(blob) != 33 or not _NAME.fullmatch(name):
            raise BadNote("this is no Ed25519 note signing key")
        key = cls(name, blob[1:])
        if key.private_text() != text:
            raise BadNote("the note signing key does not fit its name")
        return key

    def __repr__(self) -> str:
        return f"<SigningKey {self.name}>"


# --- notes -----------------------------------------------------------------------------


def sign_note(text: str, *signers: NoteSigner) -> bytes:
    """`text` ends in a newline and holds no empty line."""
    body = text.encode()
    lines = (
        f"\u2014 {signer.name} {base64_of(signer.key_id + signer.sign(body))}\n"
        for signer in signers
    )
    return body + b"\n" + "".join(lines).encode()


class OpenedNote(Struct, frozen=True):
    text: str
    signed_by: tuple[str, ...]  # names of the verifiers whose signature is good
    unknown: tuple[str, ...]  # names on signature lines for which no key was given


def open_note(note: bytes, *verifiers: NoteVerifier) -> OpenedNote:
    """`note`, if each signature by one of `verifiers` is good and the first one's is there."""
    if len(note) > MAX_NOTE:
        raise BadNote("the note is longer than 64 KiB")
    try:
        text, separator, tail = note.decode().rpartition("\n\n")
    except UnicodeDecodeError:
        raise BadNote("the note is no UTF-8 text") from None
    if not separator or not text or not tail.endswith("\n"):
        raise BadNote("the note has no signature lines")
    text += "\n"
    keys: Mapping[tuple[str, bytes], NoteVerifier] = {(v.name, v.key_id): v for v in verifiers}
    good, unknown = [], []
    for line in tail[:-1].split("\n"):
        name, blob = _signature_line(line)
        verifier = keys.get((name, blob[:4]))
        if verifier is None:
            unknown.append(name)
        elif not verifier.is_signed(text.encode(), blob[4:]):
            raise BadNote(f"the signature of {name} is wrong")
        else:
            good.append(name)
    if verifiers[0].name not in good:
        raise BadNote(f"{verifiers[0].name} has not signed it")
    return OpenedNote(text, tuple(good), tuple(unknown))


def _signature_line(line: str) -> tuple[str, bytes]:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    blob = from_base64(encoded)
    if dash != "\u2014" or not _NAME.fullmatch(name) or len(blob) < 5:
        raise BadNote("a signature line is malformed")
    return name, blob


# --- checkpoints -----------------------------------------------------------------------


class Checkpoint(Struct, frozen=True):
    """How large a trail was, and the root of its tree then."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64_of(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        lines = text.split("\n")
        if len(lines) != 4 or lines[3] or not _NUMBER.fullmatch(lines[1]):
            raise BadNote("this is no checkpoint")
        checkpoint = cls(lines[0], int(lines[1]), from_base64(lines[2]))
        if len(checkpoint.root) != 32:
            raise BadNote("the checkpoint's root is not 32 bytes long")
        return checkpoint


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def from_base64(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadNote("this is no base64") from None
    # Unused bits of the last character may be anything to Python; not to us.
    if base64_of(data) != text:
        raise BadNote("this is no canonical base64")
    return data

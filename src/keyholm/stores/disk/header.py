"""token.json: whose a token is, and which slots open it.

    {"magic": …, "format": 2, "store": …, "token": …, "name": …, "owner": …, "slots": […]}\\n
    MAC, in hexadecimal\\n
    SHA-256 of both lines, in hexadecimal\\n

Format 1 had SSH keys without attributes and nothing else. A token of format 1 stays so until
it gets something more, which an older keyholm could not read.

The sum finds what a disk did, before there is a key; the MAC, under a key that the KEK
gives, finds what somebody did, at unlock. The file is there twice, since a flipped bit in
a salt would cost every key of the token.
"""

import hashlib
import hmac
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from keyholm.core.errors import KeyholmError, StoreDamaged, StoreFailed
from keyholm.core.secret import Secret
from keyholm.stores.disk import crypto, files
from keyholm.stores.disk.line import read as read_line
from keyholm.stores.disk.slots import KeySlot

NAME: Final = "token.json"
COPY: Final = "token.json.copy"
MAGIC: Final = "keyholm-token"
FORMAT: Final = 2
MAX_FILE: Final = 64 * 1024
MAX_SLOTS: Final = 16
HEX: Final = 64
APPLICATION: Final = "application"
DAEMON: Final = "daemon"


class Header(
    msgspec.Struct,
    frozen=True,
    tag_field="magic",
    tag=MAGIC,
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    store: str  # uuid
    token: str  # uuid
    name: str
    generation: int
    owner: int
    created: float
    slots: tuple[KeySlot, ...]
    format: int
    label: str = ""  # where it is another than the name
    login: str = ""  # of a token with PINs: who asks for them, "application" or "daemon"
    legacy: bool = False  # takes triple DES and raw RSA
    former: str = ""  # uuid of what was here before, whose files are to be removed yet

    @property
    def guarded(self) -> bool:
        return all(slot.kind != "none" for slot in self.slots)

    @property
    def has_pins(self) -> bool:
        return bool(self.login)


@dataclass(frozen=True, slots=True)
class Written:
    """A header as it lies in its file."""

    header: Header
    line: bytes
    mac: bytes

    def is_authentic(self, key: Secret) -> bool:
        return hmac.compare_digest(self.mac, _mac(key, self.line))

    def encoded(self) -> bytes:
        lines = self.line + b"\n" + self.mac + b"\n"
        return lines + hashlib.sha256(lines).hexdigest().encode() + b"\n"


def sealed(header: Header, key: Secret) -> Written:
    line = msgspec.json.encode(header)
    return Written(header, line, _mac(key, line))


def _mac(key: Secret, line: bytes) -> bytes:
    return crypto.mac(key, line).hex().encode()


def write(folder: Path, written: Written) -> None:
    """Both copies, or neither where there is no room."""
    files.replace(written.encoded(), folder / NAME, folder / COPY)


@dataclass(frozen=True, slots=True)
class Found:
    """What of the two copies is good, the newer one first, and what is wrong."""

    copies: tuple[Written, ...]
    damage: tuple[str, ...]

    @property
    def newest(self) -> Written | None:
        return self.copies[0] if self.copies else None

    @property
    def want_healing(self) -> bool:
        """A crash came between the two writes, or one of them is damaged."""
        return len(self.copies) < 2 or self.copies[0] != self.copies[1]


def find(folder: Path) -> Found:
    copies: list[Written] = []
    damage: list[str] = []
    for path in (folder / NAME, folder / COPY):
        try:
            copies.append(parse(files.read(path, MAX_FILE), path))
        except KeyholmError as error:
            damage.append(error.what)
    copies.sort(key=lambda copy: -copy.header.generation)
    return Found(tuple(copies), tuple(damage))


def parse(content: bytes, path: Path) -> Written:
    """Raises `StoreDamaged`, which names the file, and `StoreFailed` for a newer format."""
    line, _, rest = content.partition(b"\n")
    written = Written(_EMPTY, line, rest[:HEX])
    if written.encoded() != content:
        raise _damaged(path, "its checksum does not fit")
    try:
        found = read_line(line, _Kind).format
        if found > FORMAT:
            raise StoreFailed(
                f"{path} has format {found}; this keyholm knows up to {FORMAT}.",
                remedy="Use the version of keyholm that wrote it, or a newer one.",
            )
        header = read_line(line, Header)
        for slot in header.slots:
            slot.check()
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    if header.login not in ("", APPLICATION, DAEMON):
        raise _damaged(path, "nobody knows who asks for its PIN")
    if not 0 < len(header.slots) <= MAX_SLOTS:
        raise _damaged(path, f"it has {len(header.slots)} slots")
    return replace(written, header=header)


class _Kind(msgspec.Struct, frozen=True, tag_field="magic", tag=MAGIC):
    format: int


_EMPTY: Final = Header("", "", "", 0, 0, 0.0, (), FORMAT)


def _damaged(path: Path, how: str) -> StoreDamaged:
    return StoreDamaged(f"{path} is damaged: {how}.", remedy="Restore the token from a backup.")

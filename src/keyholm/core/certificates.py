"""Certificates that lie beside the keys of every store.

`certificates/<key id>/<name>.pub` holds one SSH certificate as ssh-keygen writes it, and
`<name>.der` one of X.509, which the PKCS#11 door shows beside the key. The files are looked at
again when their folder changes, so that a certificate is renewed by replacing its file (write,
then rename).
"""

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from msgspec import Struct

from keyholm.core.errors import BadCertificate, CertificateNotFound, StoreFailed
from keyholm.core.model import Key, KeyId
from keyholm.wire import x509
from keyholm.wire.codec import Malformed
from keyholm.wire.ssh import certificates, keys

MAX_FILE: Final = 64 * 1024
MAX_FILES: Final = 64
LOOK_AGAIN: Final = 1.0  # seconds between two looks at one folder
LOOK_SHARE: Final = 50  # times what looking at all of them takes, at least


class Held(Struct, frozen=True):
    name: str
    blob: bytes


@dataclass(slots=True)
class _Folder:
    looked: float
    stamp: int
    held: tuple[Held, ...]
    x509: tuple[Held, ...]


class Certificates:
    """All certificates of a home."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._folders: dict[KeyId, _Folder] = {}
        self._stamps: dict[str, int] = {}  # folders, with their stamps
        self._with: frozenset[str] = frozenset()
        self._look_again = 0.0
        self.epoch = 0  # grows with every change seen

    def of(self, key: Key) -> tuple[Held, ...]:
        """The SSH certificates of `key`, by name; a file that does not belong is left out."""
        folder = self._folder(key)
        return folder.held if folder is not None else ()

    def x509_of(self, key: Key) -> tuple[Held, ...]:
        """The same of X.509 (DER)."""
        folder = self._folder(key)
        return folder.x509 if folder is not None else ()

    def _folder(self, key: Key) -> _Folder | None:
        if self._directory is None:
            return None
        known = self._folders.get(key.id)
        now = time.monotonic()
        if known is not None and now - known.looked < LOOK_AGAIN:
            return known
        folder = self._directory / key.id
        stamp = _stamp(folder)
        if known is not None and known.stamp == stamp:
            known.looked = now
            return known
        found = _Folder(now, stamp, (), ())
        if stamp:
            found.held, found.x509 = tuple(_read_all(folder, key)), tuple(_read_x509(folder, key))
        self._folders[key.id] = found
        if known is None or (known.held, known.x509) != (found.held, found.x509):
            self.epoch += 1
        return found

    def folders(self) -> frozenset[str]:
        """The ids of all keys with a folder for certificates; the same object until one of the
        folders changes, which is seen within about a second."""
        now = time.monotonic()
        if self._directory is not None and now >= self._look_again:
            stamps = _stamps(self._directory)
            # However many there are, looking takes no more than a part of the time.
            self._look_again = now + max(LOOK_AGAIN, LOOK_SHARE * (time.monotonic() - now))
            if stamps != self._stamps:
                self._stamps, self._with = stamps, frozenset(stamps)
                self._folders.clear()
                self.epoch += 1
        return self._with

    def add(self, key: Key, blob: bytes, name: str) -> None:
        """Raises `BadCertificate` where it is not one of `key`."""
        if self._directory is None:
            raise StoreFailed("This daemon keeps no certificates.")
        folder = self._directory / key.id
        if is_x509(blob):
            check_x509(key, blob)
            path, content = folder / f"{_safe(name)}.der", blob
        else:
            check(key, blob)
            path = folder / f"{_safe(name)}.pub"
            content = (keys.format_line(blob, key.label) + "\n").encode()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary = folder / f".{path.name}.new"
            temporary.write_bytes(content)
            temporary.replace(path)
        except OSError as error:
            raise StoreFailed(f"The certificate cannot be written: {error.strerror}.") from error
        self._changed(key)

    def remove(self, key: Key, name: str) -> None:
        removed = 0
        if self._directory is not None:
            for suffix in ("pub", "der"):
                with suppress(FileNotFoundError):
                    (self._directory / key.id / f"{_safe(name)}.{suffix}").unlink()
                    removed += 1
        if not removed:
            raise CertificateNotFound(f"{key.label} has no certificate {name!r}.")
        self._changed(key)

    def _changed(self, key: Key) -> None:
        self._folders.pop(key.id, None)
        self._look_again = 0.0
        self.epoch += 1


def check(key: Key, blob: bytes) -> certificates.Certificate:
    try:
        certificate = certificates.decode(blob)
    except Malformed as error:
        raise BadCertificate(f"This is not an SSH certificate: {error}.") from error
    if keys.key_id(certificate.public) != key.id:
        raise BadCertificate(
            f"This certificate is for another key than {key.label}.",
            remedy="`ssh-keygen -L -f FILE` shows which public key it was made for.",
        )
    return certificate


def is_x509(blob: bytes) -> bool:
    """An SSH certificate begins with the length of its type's name, which no SEQUENCE does."""
    return blob[:1] == b"\x30"


def check_x509(key: Key, blob: bytes) -> x509.Certificate:
    try:
        certificate = x509.read(blob)
    except Malformed as error:
        raise BadCertificate(f"This is not an X.509 certificate: {error}.") from error
    own = key.spki or (keys.spki(key.ssh) if key.ssh is not None else None)
    if certificate.spki != own:
        raise BadCertificate(
            f"This certificate is for another key than {key.label}.",
            remedy="`openssl x509 -pubkey -noout -in FILE` shows which public key it is for.",
        )
    return certificate


def _safe(name: str) -> str:
    if not name or name.startswith(".") or "/" in name or len(name) > 64 or not name.isprintable():
        raise BadCertificate(f"{name!r} cannot be the name of a certificate.")
    return name


def _stamp(folder: Path) -> int:
    """Changes with the folder or any file in it; 0: there is none."""
    try:
        stamp = folder.stat().st_mtime_ns
        with os.scandir(folder) as entries:
            for _, entry in zip(range(MAX_FILES), entries, strict=False):
                facts = entry.stat()
                stamp = hash((stamp, entry.name, facts.st_mtime_ns, facts.st_size))
    except OSError:
        return 0
    return stamp or 1


def _stamps(directory: Path) -> dict[str, int]:
    """Of every folder in which there is something."""
    try:
        names = os.listdir(directory)
    except OSError:
        return {}
    stamps = {name: _stamp(directory / name) for name in names}
    return {name: stamp for name, stamp in stamps.items() if stamp}


def _read_x509(folder: Path, key: Key) -> list[Held]:
    found = []
    for path in sorted(folder.glob("*.der"))[:MAX_FILES]:
        try:
            if path.stat().st_size > MAX_FILE:
                continue
            blob = path.read_bytes()
            check_x509(key, blob)
        except (OSError, BadCertificate):
            continue
        found.append(Held(path.stem, blob))
    return found


def _read_all(folder: Path, key: Key) -> list[Held]:
    found = []
    for path in sorted(folder.glob("*.pub"))[:MAX_FILES]:
        try:
            if path.stat().st_size > MAX_FILE:
                continue
            blob, _ = keys.parse_line(path.read_text())
            check(key, blob)
        except (OSError, ValueError, BadCertificate):
            continue
        found.append(Held(path.stem, blob))
    return found

"""SSH certificates that lie beside the keys of every store.

`certificates/<key id>/<name>.pub` holds one certificate as ssh-keygen writes it. The
files are looked at again when their folder changes, so that a certificate is renewed by
replacing its file (write, then rename).
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keyholm.core.errors import BadCertificate, CertificateNotFound, StoreFailed
from keyholm.core.model import Key, KeyId
from keyholm.wire.codec import Malformed
from keyholm.wire.ssh import certificates, keys

MAX_FILE: Final = 64 * 1024
MAX_FILES: Final = 64
LOOK_AGAIN: Final = 1.0  # seconds between two looks at one folder


@dataclass(frozen=True, slots=True)
class Held:
    name: str
    blob: bytes


@dataclass(slots=True)
class _Folder:
    looked: float
    stamp: int
    held: tuple[Held, ...]


class Certificates:
    """All certificates of a home."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._folders: dict[KeyId, _Folder] = {}
        self.epoch = 0  # grows with every change seen

    def of(self, key: Key) -> tuple[Held, ...]:
        """The certificates of `key`, by name; a file that does not belong is left out."""
        if self._directory is None:
            return ()
        known = self._folders.get(key.id)
        now = time.monotonic()
        if known is not None and now - known.looked < LOOK_AGAIN:
            return known.held
        folder = self._directory / key.id
        stamp = _stamp(folder)
        if known is not None and known.stamp == stamp:
            known.looked = now
            return known.held
        held = tuple(_read_all(folder, key)) if stamp else ()
        self._folders[key.id] = _Folder(now, stamp, held)
        if known is None or known.held != held:
            self.epoch += 1
        return held

    def add(self, key: Key, blob: bytes, name: str) -> None:
        """Raises `BadCertificate` where it is not one of `key`."""
        if self._directory is None:
            raise StoreFailed("This daemon keeps no certificates.")
        check(key, blob)
        folder = self._directory / key.id
        path = folder / f"{_safe(name)}.pub"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary = folder / f".{path.name}.new"
            temporary.write_text(keys.format_line(blob, key.label) + "\n")
            temporary.replace(path)
        except OSError as error:
            raise StoreFailed(f"The certificate cannot be written: {error.strerror}.") from error
        self._folders.pop(key.id, None)
        self.epoch += 1

    def remove(self, key: Key, name: str) -> None:
        if self._directory is None:
            raise CertificateNotFound(f"{key.label} has no certificate {name!r}.")
        try:
            (self._directory / key.id / f"{_safe(name)}.pub").unlink()
        except FileNotFoundError:
            raise CertificateNotFound(f"{key.label} has no certificate {name!r}.") from None
        self._folders.pop(key.id, None)
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

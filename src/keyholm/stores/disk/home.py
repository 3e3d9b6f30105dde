"""The folder of a disk store: who may write in it, and which store it is."""

import fcntl
import hashlib
import os
import uuid
from pathlib import Path
from typing import Final

import msgspec

from keyholm.core.errors import KeyholmError, StoreDamaged, StoreFailed
from keyholm.stores.disk import files
from keyholm.stores.disk.line import read as read_line

NAME: Final = "store.json"
LOCK: Final = "lock"
MAGIC: Final = "keyholm-disk-store"
FORMAT: Final = 1
MAX_FILE: Final = 4096


class _Said(msgspec.Struct, frozen=True, tag_field="magic", tag=MAGIC):
    uuid: str
    format: int = FORMAT


class Home:
    """Raises `StoreFailed` where another process has it, or others can look into it."""

    def __init__(self, place: Path) -> None:
        files.make_folder(place)
        files.check_folder(place)
        self._descriptor = _locked(place / LOCK)
        self._damage: KeyholmError | None = None
        try:
            self._uuid = self._identify(place)
        except StoreDamaged as error:
            # Tokens know of which store they are: they open all the same.
            self._uuid, self._damage = "", error
        except BaseException:
            self.close()
            raise

    @property
    def uuid(self) -> str:
        """Of the store, for a new token. Raises `StoreDamaged`."""
        if self._damage is not None:
            raise self._damage
        return self._uuid

    @property
    def damage(self) -> tuple[str, ...]:
        return (self._damage.what,) if self._damage else ()

    def _identify(self, place: Path) -> str:
        path = place / NAME
        if path.exists() or any(place.glob("tokens/[!.]*")):
            return _parse(files.read(path, MAX_FILE), path)
        said = _Said(str(uuid.uuid4()))
        files.replace(_encoded(msgspec.json.encode(said)), path)
        return said.uuid

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _locked(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | files.FLAGS, 0o600)
    except OSError:
        try:  # on a disk that only reads it can be locked all the same
            descriptor = os.open(path, os.O_RDONLY | files.FLAGS)
        except OSError as error:
            raise files.failed(path, "opened", error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StoreFailed(
            f"Another process has the store in {path.parent}.",
            remedy="`keyholm status` shows the daemon that runs.",
        ) from error
    return descriptor


def _encoded(line: bytes) -> bytes:
    return line + b"\n" + hashlib.sha256(line).hexdigest().encode() + b"\n"


def _parse(content: bytes, path: Path) -> str:
    line, _, _ = content.partition(b"\n")
    try:
        if _encoded(line) != content:
            raise ValueError("its checksum does not fit")
        said = read_line(line, _Said)
    except ValueError as error:
        raise StoreDamaged(
            f"{path} is damaged: {error}.", remedy="Make a new store, and restore its tokens."
        ) from error
    if said.format > FORMAT:
        raise StoreFailed(
            f"{path} has format {said.format}; this keyholm knows up to {FORMAT}.",
            remedy="Use the version of keyholm that wrote it, or a newer one.",
        )
    return said.uuid

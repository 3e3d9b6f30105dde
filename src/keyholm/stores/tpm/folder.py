"""The files of the TPM store: `NAME.tss`, which any program of TPM keys reads, and beside it
`NAME.json` with what a person wants to know, and what explains a failure later.

The note is written first and removed last: a note without a key is nothing, a key without a
note is one that somebody laid there.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from keyholm.core.errors import KeyholmError, StoreDamaged, StoreFailed, StoreFull
from keyholm.wire.codec import Malformed
from keyholm.wire.tpm2 import key_files
from keyholm.wire.tpm2.key_files import KeyFile

KEY: Final = ".tss"
NOTE: Final = ".json"
MOST_KEYS: Final = 10_000
_FULL: Final = "Make room or make the folder writable, then try again."


class Note(Struct, frozen=True):
    """`parent` is the name of the TPM's own key, `pcrs` what was measured when it was made."""

    label: str
    created: float | None = None
    order: int = 0
    imported: bool = False
    parent: str = ""
    pcrs: Mapping[str, str] = msgspec.field(default_factory=dict)


class Entry(Struct, frozen=True):
    name: str
    file: KeyFile
    note: Note


class Folder:
    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreFailed(f"{path} cannot be made: {error.strerror}.", remedy=_FULL) from error

    def read(self) -> tuple[list[Entry], dict[str, KeyholmError]]:
        """The keys, oldest first, and what is wrong with the files that are none."""
        found, broken = [], {}
        for path in sorted(self._path.glob(f"*{KEY}"))[:MOST_KEYS]:
            try:
                found.append(self._entry(path))
            except KeyholmError as error:
                broken[path.name] = error
        return sorted(found, key=lambda entry: (entry.note.order, entry.name)), broken

    def _entry(self, path: Path) -> Entry:
        try:
            file = key_files.read_pem(_content(path))
        except Malformed as error:
            raise StoreDamaged(f"{path} is no key file of a TPM: {error}.") from error
        note_path = path.with_suffix(NOTE)
        try:
            note = msgspec.json.decode(_content(note_path), type=Note)
        except FileNotFoundError:
            note = Note(file.description or path.stem)
        except msgspec.MsgspecError as error:
            raise StoreDamaged(
                f"{note_path} cannot be read: {error}.",
                remedy="Remove it: the key works without it, and loses its name.",
            ) from error
        return Entry(path.stem, file, note)

    def write(self, entry: Entry) -> None:
        self.write_note(entry)
        try:
            _replace(self._path / f"{entry.name}{KEY}", key_files.write_pem(entry.file))
        except KeyholmError:
            with suppress(OSError):
                (self._path / f"{entry.name}{NOTE}").unlink()
            raise

    def write_note(self, entry: Entry) -> None:
        _replace(self._path / f"{entry.name}{NOTE}", msgspec.json.encode(entry.note))

    def remove(self, name: str) -> None:
        try:
            (self._path / f"{name}{KEY}").unlink(missing_ok=True)
            (self._path / f"{name}{NOTE}").unlink(missing_ok=True)
            _sync(self._path)
        except OSError as error:
            raise StoreFailed(f"{self._path} cannot be changed: {error.strerror}.") from error


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(key_files.MOST + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreFailed(f"{path} cannot be read: {error.strerror}.") from error


def _replace(path: Path, content: bytes) -> None:
    new = path.with_name(path.name + ".new")
    try:
        number = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(number)
        new.replace(path)
        _sync(path.parent)
    except OSError as error:
        with suppress(OSError):
            new.unlink()
        raise StoreFull(f"{path} cannot be written: {error.strerror}.", remedy=_FULL) from error


def _sync(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)

"""The disk store: encrypted tokens in one folder (docs/protocols/disk-store.md).

store.json          format and uuid
lock                held by the one process that may write
tokens/NAME/        one token: token.json, journal, entries/
"""

import fcntl
import json
import os
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from keyholm.core.errors import (
    AlreadyExists,
    BadRequest,
    KeyholmError,
    StoreDamaged,
    StoreFailed,
    TokenNotFound,
)
from keyholm.core.secret import Secret
from keyholm.core.store import (
    Change,
    Event,
    Listener,
    MakesTokens,
    Restores,
    Token,
)
from keyholm.stores.disk import backup as backups
from keyholm.stores.disk import crypto, entry, files
from keyholm.stores.disk.header import Header
from keyholm.stores.disk.journal import Journal, Listed
from keyholm.stores.disk.token import (
    ENTRIES,
    HEADER,
    JOURNAL,
    SUFFIX,
    DiskToken,
    make_slot,
    open_slot,
)
from keyholm.stores.software.shield import Shield

FORMAT: Final = 1
MAX_NAME: Final = 64


class DiskStore(MakesTokens, Restores):
    name = entry.STORE

    def __init__(
        self,
        folder: Path,
        *,
        shield: Shield | None = None,
        cost: crypto.Cost = crypto.DEFAULT,
        floor: crypto.Cost = crypto.FLOOR,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder, self._tokens_folder = folder, folder / "tokens"
        self._shield = shield or Shield()
        self._own_shield = shield is None
        self._cost, self._floor, self._clock = cost, floor, clock
        self._listeners: list[Listener] = []
        self._tokens: dict[str, DiskToken] = {}
        self._damage: dict[str, str] = {}
        files.make_folder(folder)
        files.check_folder(folder)
        self._lock = self._take_lock()
        self._check_format()
        files.make_folder(self._tokens_folder)
        files.check_folder(self._tokens_folder)
        self._open_tokens()

    def _take_lock(self) -> int:
        path = self._folder / "lock"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise files.failed(path, "opened", error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise StoreFailed(
                f"Another process has the store in {self._folder}.",
                remedy="`keyholm status` shows the daemon that runs.",
            ) from error
        return descriptor

    def _check_format(self) -> None:
        path = self._folder / "store.json"
        if not path.exists():
            told = {"format": FORMAT, "uuid": str(uuid.uuid4())}
            files.write(path, json.dumps(told, sort_keys=True).encode() + b"\n")
        try:
            found = json.loads(files.read(path, 1024))["format"]
        except (ValueError, KeyError, TypeError) as error:
            raise StoreDamaged(f"{path} cannot be read.", remedy="Restore a backup.") from error
        if found != FORMAT:
            raise StoreFailed(
                f"{path} has the format {found!r}; this keyholm knows {FORMAT}.",
                remedy="Use the version of keyholm that wrote it.",
            )

    def _open_tokens(self) -> None:
        """A token that cannot be opened is named, and the others go on."""
        for folder in sorted(self._tokens_folder.iterdir()):
            if folder.name.startswith("."):
                _remove_tree(folder)  # one that was never finished
                continue
            try:
                self._tokens[folder.name] = self._token(folder)
            except KeyholmError as error:
                self._damage[folder.name] = str(error)

    def _token(self, folder: Path) -> DiskToken:
        return DiskToken(
            folder,
            self._shield,
            self._tell,
            cost=self._cost,
            floor=self._floor,
            clock=self._clock,
        )

    def tokens(self) -> Sequence[DiskToken]:
        return tuple(self._tokens.values())

    def damage(self) -> dict[str, str]:
        """Tokens that could not be opened, and why."""
        return dict(self._damage)

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def close(self) -> None:
        for token in self._tokens.values():
            token.close()
        self._tokens.clear()
        if self._own_shield:
            self._shield.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    # --- tokens ------------------------------------------------------------------------

    def make_token(self, name: str, owner: int, passphrase: Secret | None) -> Token:
        with Secret.random(crypto.KEY) as kek:
            return self._make(name, str(uuid.uuid4()), owner, passphrase, kek, {})

    def _make(
        self,
        name: str,
        token_uuid: str,
        owner: int,
        passphrase: Secret | None,
        kek: Secret,
        entries: dict[str, bytes],
    ) -> Token:
        """Written under a name that is not looked at, and renamed when it is whole."""
        folder = self._tokens_folder / _checked(name)
        if folder.exists():
            raise AlreadyExists(f"There is a token {name!r} already.")
        if passphrase is None:
            slot = open_slot(kek, self._cost)
        else:
            if not passphrase:
                raise BadRequest("An empty passphrase protects nothing.")
            slot = make_slot(token_uuid, "passphrase", "passphrase", passphrase, kek, self._cost)
        new = self._tokens_folder / f".{name}.new"
        _remove_tree(new)
        try:
            files.make_folder(new)
            files.make_folder(new / ENTRIES)
            head = Header(token_uuid, owner, 1, (slot,)).sealed(kek)
            files.write(new / HEADER, head.encoded())
            self._fill(new, token_uuid, kek, entries)
            new.rename(folder)
            files.sync_folder(self._tokens_folder)
        except OSError as error:
            _remove_tree(new)
            raise files.failed(folder, "made", error) from error
        except KeyholmError:
            _remove_tree(new)
            raise
        token = self._tokens[name] = self._token(folder)
        if passphrase is not None:
            token.unlock(passphrase)
        self._tell(Event(self.name, name, Change.TOKEN_CAME))
        return token

    def _fill(self, folder: Path, token_uuid: str, kek: Secret, entries: dict[str, bytes]) -> None:
        journal = Journal(folder / JOURNAL)
        with crypto.subkey(kek, "manifest") as manifest, crypto.subkey(kek, "wrap") as wrapping:
            listed = []
            for name, content in entries.items():
                path = folder / ENTRIES / f"{name}{SUFFIX}"
                facts, private = entry.decode(content, wrapping, path)
                private.close()
                files.write(path, content)
                listed.append(Listed(facts, entry.hash_of(content)))
            journal.rewrite(token_uuid, iter(listed), set(), manifest)

    def restore(self, backup: bytes, passphrase: Secret, name: str, owner: int) -> Token:
        opened = backups.open_backup(backup, passphrase, self._floor)
        with opened.kek:
            return self._make(name, opened.uuid, owner, passphrase, opened.kek, opened.entries)

    def remove_token(self, token: Token) -> None:
        found = self._tokens.pop(token.name, None)
        if found is None:
            raise TokenNotFound(f"There is no token {token.name!r}.")
        found.close()
        folder = self._tokens_folder / token.name
        gone = self._tokens_folder / f".{token.name}.gone"
        try:
            folder.rename(gone)
            files.sync_folder(self._tokens_folder)
        except OSError as error:
            raise files.failed(folder, "removed", error) from error
        _remove_tree(gone)
        self._tell(Event(self.name, token.name, Change.TOKEN_WENT))

    def _tell(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)


def _checked(name: str) -> str:
    safe = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    if not safe or not 0 < len(name) <= MAX_NAME:
        raise BadRequest(
            f"{name!r} cannot be the name of a token.",
            remedy=f"Take 1 to {MAX_NAME} letters, digits, - and _.",
        )
    return name


def _remove_tree(folder: Path) -> None:
    """Overwrite and remove a token's folder, two levels deep as it is."""
    if not folder.is_dir():
        return
    for path in [*folder.glob("*/*"), *folder.glob("*/.*"), *folder.glob("*"), *folder.glob(".*")]:
        if path.is_dir():
            continue
        with suppress(KeyholmError):
            files.destroy(path)
    with suppress(OSError):
        (folder / ENTRIES).rmdir()
    with suppress(OSError):
        folder.rmdir()

"""The disk store: encrypted tokens in one folder (docs/protocols/disk-store.md).

store.json            magic, format and uuid
lock                  held by the one process that may write
tokens/NAME/          token.json, token.json.copy, journal, keys/
tokens/.NAME.new      a token that is being made
tokens/.NAME.gone     one that is being removed
"""

import os
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from keyholm.core.errors import AlreadyExists, BadRequest, KeyholmError, TokenNotFound
from keyholm.core.secret import Secret
from keyholm.core.store import Change, Event, Listener, MakesTokens, Restores, Token
from keyholm.stores.disk import backup as backups
from keyholm.stores.disk import cost as costs
from keyholm.stores.disk import crypto, entry, files, folder, header, home
from keyholm.stores.disk.backup import Saved
from keyholm.stores.disk.cost import Cost
from keyholm.stores.disk.crypto import Subkeys
from keyholm.stores.disk.entries import Entries
from keyholm.stores.disk.header import Header
from keyholm.stores.disk.journal import Hold
from keyholm.stores.disk.locked import Settings
from keyholm.stores.disk.slots import Slots
from keyholm.stores.disk.token import DiskToken
from keyholm.stores.software import security_keys
from keyholm.stores.software.security_keys import SkSign
from keyholm.stores.software.shield import Shield

TOKENS: Final = "tokens"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class DiskStore(MakesTokens, Restores):
    """`cost` is that of the slots it makes, `floor` the least that it believes."""

    name = entry.STORE

    def __init__(
        self,
        place: Path,
        *,
        shield: Shield | None = None,
        sk_sign: SkSign = security_keys.no_helper,
        cost: Cost = costs.DEFAULT,
        floor: Cost = costs.FLOOR,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._listeners: list[Listener] = []
        self._tokens: dict[str, DiskToken] = {}
        self._damage: dict[str, str] = {}
        self._making = threading.Lock()  # one token is made or removed at a time
        self._home = home.Home(place)
        self._place = place / TOKENS
        self._own_shield = Shield() if shield is None else None
        used = shield or self._own_shield
        assert used is not None  # noqa: S101 - one of both is there
        self._settings = Settings(used, cost, floor, sk_sign, wall, clock, self._home.damage)
        try:
            files.make_folder(self._place)
            files.check_folder(self._place)
            self._find_tokens()
        except BaseException:
            self.close()
            raise

    def _find_tokens(self) -> None:
        try:
            found = sorted(self._place.iterdir())
        except OSError as error:
            raise files.failed(self._place, "read", error) from error
        for place in found:
            if place.name.startswith("."):
                _remove_tree(place)  # one that was never finished, or whose removal was not
            else:
                self._open_token(place)

    def _open_token(self, place: Path) -> None:
        """One that cannot be opened is named, and the others go on."""
        try:
            files.check_folder(place)
            self._tokens[place.name] = DiskToken(place, self._settings, self._tell)
        except KeyholmError as error:
            self._damage[place.name] = str(error)

    def tokens(self) -> Sequence[DiskToken]:
        return tuple(self._tokens.values())

    def damage(self) -> Mapping[str, str]:
        """Tokens that could not be opened, by name, and why."""
        return dict(self._damage)

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def _tell(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)

    def close(self) -> None:
        for token in self._tokens.values():
            token.close()
        self._tokens.clear()
        if self._own_shield is not None:
            self._own_shield.close()
        self._home.close()

    # --- tokens ------------------------------------------------------------------------

    def make_token(self, name: str, owner: int, passphrase: Secret | None) -> Token:
        return self._make(name, owner, passphrase, (), ())

    def restore(self, backup: bytes, passphrase: Secret, name: str, owner: int) -> Token:
        self._check_name(name)
        with backups.open_backup(backup, passphrase, self._settings.floor) as opened:
            return self._make(name, owner, passphrase, opened.keys(), opened.objects())

    def _make(
        self,
        name: str,
        owner: int,
        passphrase: Secret | None,
        saved: Iterable[Saved],
        objects: Iterable[Hold],
    ) -> Token:
        with self._making, Secret.random(crypto.KEY) as kek:
            self._check_name(name)
            place, new = self._place / name, self._place / f".{name}.new"
            _remove_tree(new)
            try:
                self._write(new, name, owner, passphrase, kek, saved, objects)
                new.rename(place)
                files.sync_folder(self._place)
            except OSError as error:
                raise files.failed(place, "made", error) from error
            finally:
                _remove_tree(new)
            token = DiskToken(place, self._settings, self._tell)
            if passphrase is not None:
                token.unlock_by(kek, passphrase)
            self._tokens[name] = token
        self._tell(Event(self.name, name, Change.TOKEN_CAME))
        return token

    def _write(
        self,
        place: Path,
        name: str,
        owner: int,
        passphrase: Secret | None,
        kek: Secret,
        saved: Iterable[Saved],
        objects: Iterable[Hold],
    ) -> None:
        store, token = self._home.uuid, str(uuid.uuid4())
        made = Slots(store, token, cost=self._settings.cost, floor=self._settings.floor)
        if passphrase is None:
            slot = made.in_the_clear(kek)
        else:
            slot = made.for_passphrase(passphrase, kek)
        head = Header(store, token, name, 1, owner, self._settings.wall(), (slot,))
        files.make_folder(place)
        files.make_folder(place / folder.NAME)
        with Subkeys(kek, token.encode()) as keys:
            header.write(place, header.sealed(head, keys.header))
            Entries(place, store, token).fill(head.generation, keys, saved, objects)

    def remove_token(self, token: Token) -> None:
        with self._making:
            found = self._tokens.get(token.name)
            if found is None or found is not token:
                raise TokenNotFound(f"There is no token {token.name!r} any more.")
            gone = self._place / f".{token.name}.gone"
            _remove_tree(gone)
            try:
                found.place.rename(gone)
                files.sync_folder(self._place)
            except OSError as error:
                raise files.failed(found.place, "removed", error) from error
            del self._tokens[token.name]
            found.close()
            _remove_tree(gone)
        self._tell(Event(self.name, token.name, Change.TOKEN_WENT))

    def _check_name(self, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise BadRequest(
                f"{name[:80]!r} cannot be the name of a token.",
                remedy="Take up to 64 letters, digits, dots, dashes and underscores.",
            )
        if name in self._tokens or (self._place / name).exists():
            raise AlreadyExists(
                f"There is a token {name!r} already.", remedy="Choose another name."
            )


def _remove_tree(place: Path) -> None:
    """Overwrite and remove a token's folder. What cannot be removed is tried again at start."""
    with suppress(OSError):
        for parent, _, names in os.walk(place, topdown=False):
            for name in names:
                files.wipe(Path(parent) / name)
            Path(parent).rmdir()

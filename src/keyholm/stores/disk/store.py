"""The disk store: encrypted tokens in one folder (docs/protocols/disk-store.md).

store.json            magic, format and uuid
lock                  held by the one process that may write
tokens/NAME/          token.json, token.json.copy, journal, keys/; with PINs: pins, pins.copy
tokens/.NAME.new      a token that is being made
tokens/.NAME.gone     one that is being removed
"""

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from keyholm.core.errors import AlreadyExists, BadRequest, KeyholmError, TokenNotFound
from keyholm.core.secret import Secret
from keyholm.core.store import (
    Change,
    Event,
    Listener,
    MakesTokens,
    NewPins,
    Restores,
    Token,
)
from keyholm.stores.disk import backup as backups
from keyholm.stores.disk import cost as costs
from keyholm.stores.disk import crypto, entry, files, header, home
from keyholm.stores.disk.backup import Saved
from keyholm.stores.disk.cost import Cost
from keyholm.stores.disk.journal import Hold
from keyholm.stores.disk.locked import Settings
from keyholm.stores.disk.making import NAME, New, name_of
from keyholm.stores.disk.pin_token import PinToken, check_label, check_new
from keyholm.stores.disk.token import DiskToken
from keyholm.stores.software import security_keys
from keyholm.stores.software.security_keys import SkSign
from keyholm.stores.software.shield import Shield

TOKENS: Final = "tokens"


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
            self._tokens[place.name] = self._opened(place)
        except KeyholmError as error:
            self._damage[place.name] = str(error)

    def _opened(self, place: Path) -> DiskToken:
        found = header.find(place)
        has_pins = found.newest is not None and found.newest.header.has_pins
        kind = PinToken if has_pins else DiskToken
        return kind(place, found, self._settings, self._tell)

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

    def make_pin_token(self, label: str, owner: int, pins: NewPins) -> Token:
        if not label:
            raise BadRequest("A token has a label.", remedy="Choose one.")
        check_label(label)
        check_new(pins.officer)
        if pins.user is not None:
            check_new(pins.user)
        with self._making, Secret.random(crypto.KEY) as kek:
            if any(label in (each.label, each.name) for each in self.tokens()):
                raise AlreadyExists(
                    f"There is a token {label!r} already.", remedy="Choose another label."
                )
            taken = {*self._tokens, *self._damage}
            new = self._new(name_of(label, taken), owner)
            token = self._made(new, lambda place: new.with_pins(place, kek, label, pins))
        self._tell(Event(self.name, token.name, Change.TOKEN_CAME))
        return token

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
            new = self._new(name, owner)
            token = self._made(
                new,
                lambda place: new.with_passphrase(place, kek, passphrase, saved, objects),
            )
            if passphrase is not None:
                token.unlock_by(kek, passphrase)
        self._tell(Event(self.name, name, Change.TOKEN_CAME))
        return token

    def _new(self, name: str, owner: int) -> New:
        settings = self._settings
        return New(self._home.uuid, name, owner, settings.wall(), settings.cost, settings.floor)

    def _made(self, new: New, write: Callable[[Path], None]) -> DiskToken:
        """Whole, or not there."""
        place, beside = self._place / new.name, self._place / f".{new.name}.new"
        _remove_tree(beside)
        try:
            write(beside)
            beside.rename(place)
            files.sync_folder(self._place)
        except OSError as error:
            raise files.failed(place, "made", error) from error
        finally:
            _remove_tree(beside)
        token = self._tokens[new.name] = self._opened(place)
        return token

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
        if not NAME.fullmatch(name):
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

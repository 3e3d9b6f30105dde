"""A disk store on a cheap lock, with keys in it, that can be closed and opened again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.stores.cheap import disk_store

from keyholm.core.errors import KeyholmError
from keyholm.core.mechanisms import EdDsa, Message
from keyholm.core.model import Algorithm, Key, NewKey
from keyholm.core.policy import OPEN
from keyholm.core.secret import Secret
from keyholm.stores.disk.store import DiskStore
from keyholm.stores.disk.token import DiskToken
from keyholm.testing import samples

PASSPHRASE = b"correct horse"
MESSAGE = Message(b"message")


class House:
    """The store in `folder`; its token is unlocked."""

    def __init__(self, folder: Path, *, keys: int = 0) -> None:
        self.folder = folder
        self.store: DiskStore
        self.reopen()
        if not self.store.tokens():
            with Secret.of(PASSPHRASE) as passphrase:
                self.store.make_token("main", 1000, passphrase)
        for number in range(keys):
            self.add(f"key {number}")

    @property
    def token(self) -> DiskToken:
        return self.store.tokens()[0]

    @property
    def place(self) -> Path:
        return self.folder / "tokens" / "main"

    def reopen(self, *, unlock: bool = True) -> None:
        if hasattr(self, "store"):
            self.store.close()
        self.store = disk_store(self.folder)
        if unlock and self.store.tokens():
            with Secret.of(PASSPHRASE) as passphrase:
                self.token.unlock(passphrase)

    def add(self, label: str) -> Key:
        return self.token.generate(NewKey(label, Algorithm.ED25519, exportable=True), OPEN)

    def key(self, label: str) -> Key:
        keys = self.token.keys()
        return next(key for key in keys if key.label == label)

    def labels(self) -> list[str]:
        keys = self.token.keys()
        return [key.label for key in keys]

    def usable(self) -> list[str]:
        """The labels of all keys that sign, from their files."""
        found = []
        keys = self.token.keys()
        for key in keys:
            try:
                signature = self.token.sign(key, EdDsa(), MESSAGE)
            except KeyholmError:
                continue
            samples.verify(key.public, EdDsa(), MESSAGE, signature)
            found.append(key.label)
        return found

    def file(self, label: str) -> Path:
        (newest,) = sorted(self.files(label), key=generation)[-1:]
        return newest

    def files(self, label: str) -> list[Path]:
        return sorted((self.place / "keys").glob(f"{self.key(label).place.object}.*"))

    def everything(self) -> list[Path]:
        """Every file of the store that holds something."""
        return sorted(path for path in self.folder.rglob("*") if path.is_file() and size(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.store.close()


def generation(path: Path) -> int:
    return int(path.name.split(".")[1])


def size(path: Path) -> int:
    return path.stat().st_size


@contextmanager
def flipped(path: Path, at: int, bit: int) -> Iterator[None]:
    content = path.read_bytes()
    damaged = bytearray(content)
    damaged[at] ^= 1 << bit
    path.write_bytes(damaged)
    try:
        yield
    finally:
        path.write_bytes(content)

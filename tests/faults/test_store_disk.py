"""A full disk, a limit on files, a disk that only reads: a change happens, or nothing does."""

import contextlib
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from tests.stores.cheap import disk_store

from keyholm.core.errors import KeyholmError, PassphraseIncorrect, StoreFailed, StoreFull
from keyholm.core.mechanisms import EdDsa, Message
from keyholm.core.model import Algorithm, Kind, NewKey, NewObject, SecretKey, SecretType
from keyholm.core.policy import OPEN, Policy
from keyholm.core.secret import Secret
from keyholm.core.store import NewPins
from keyholm.stores.disk.store import DiskStore
from keyholm.stores.disk.token import DiskToken
from keyholm.testing import samples
from keyholm.wire.pkcs11.constants import CKA

KIB: Final = 1024
MESSAGE: Final = Message(b"message")
ROOT = pytest.mark.skipif(os.getuid() != 0, reason="mounting needs root")
AES: Final = SecretKey(SecretType.AES, 32)
OLD, NEW, BACKUP = b"old", b"new", b"backup"


@contextlib.contextmanager
def mounted(path: Path, options: str) -> Iterator[Path]:
    path.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "none", str(path)]
    if subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode:
        pytest.skip("this container must not mount")
    try:
        yield path
    finally:
        # Lazily, lest a failing test leave it behind for all that come after.
        subprocess.run(["umount", "--lazy", path], check=True)


@contextlib.contextmanager
def ballast(path: Path, *, room: int) -> Iterator[None]:
    """Somebody else takes all but `room` bytes."""
    file = path / "ballast"
    with file.open("wb", buffering=0) as filling:
        with contextlib.suppress(OSError):
            while True:
                filling.write(bytes(4 * KIB))
        filling.truncate(max(0, filling.tell() - room))
        try:
            yield
        finally:
            file.unlink()


# --- what is changed, and what must not be -------------------------------------------


@dataclass
class House:
    """A store on `disk` with two keys in its token `main`."""

    disk: Path
    store: DiskStore
    count: int = 0

    @classmethod
    @contextlib.contextmanager
    def on(cls, disk: Path) -> Iterator["House"]:
        house = cls(disk, disk_store(disk / "store"))
        try:
            with Secret.of(OLD) as passphrase:
                house.store.make_token("main", 1000, passphrase)
            for label in ("first", "second"):
                house.token.generate(NewKey(label, Algorithm.ED25519), OPEN)
            yield house
        finally:
            house.store.close()

    @property
    def token(self) -> DiskToken:
        return next(token for token in self.store.tokens() if token.name == "main")

    def reopen(self) -> None:
        main = self.passphrases()[0]
        self.store.close()
        self.open(main)

    def open(self, main: bytes) -> None:
        self.store = disk_store(self.disk / "store")
        for token in self.store.tokens():
            with Secret.of(main if token.name == "main" else BACKUP) as passphrase:
                token.unlock(passphrase)

    def passphrases(self) -> list[bytes]:
        """Those that prove something now."""
        found = []
        for each in (OLD, NEW):
            with Secret.of(each) as secret, contextlib.suppress(PassphraseIncorrect):
                self.token.verify(secret)
                found.append(each)
        return found

    def as_opened_anew(self, elsewhere: Path) -> object:
        """The state of a copy: the store itself stays open."""
        shutil.copytree(self.disk / "store", elsewhere / "store")
        copy = House(elsewhere, self.store)
        copy.open(self.passphrases()[0])
        try:
            return copy.state()
        finally:
            copy.store.close()

    def state(self) -> object:
        """All that a user could notice. Every key must sign."""
        for token in self.store.tokens():
            for key in list(token.keys()):
                if key.ssh is not None:
                    samples.verify(key.ssh, EdDsa(), MESSAGE, token.sign(key, EdDsa(), MESSAGE))
            assert token.damage() == []
        tokens = {token.name: self.keys_of(token) for token in self.store.tokens()}
        objects = [dict(each.attributes) for each in self.token.objects()]
        return tokens, objects, self.passphrases(), self.token.slots()

    def keys_of(self, token: DiskToken) -> list[tuple[str, Policy, str]]:
        keys = token.keys()
        return [(key.place.object, token.policy_of(key), key.label) for key in keys]

    # Each change can be made again and again.

    def generate(self) -> None:
        self.count += 1
        self.token.generate(NewKey(f"key {self.count}", Algorithm.ED25519), OPEN)

    def rename(self) -> None:
        self.count += 1
        self.token.rename(self.token.keys()[0], f"name {self.count}")

    def set_policy(self) -> None:
        self.count += 1
        self.token.set_policy(self.token.keys()[0], Policy(max_uses=self.count))

    def change_passphrase(self) -> None:
        (now,) = self.passphrases()
        with Secret.of(now) as old, Secret.of(NEW if now == OLD else OLD) as new:
            self.token.change_passphrase(old, new)

    def add_recovery_code(self) -> None:
        with Secret.of(self.passphrases()[0]) as passphrase:
            self.token.add_recovery_code(passphrase).close()

    def secret_key(self) -> None:
        self.token.generate(NewKey("secret", AES, attributes={CKA.ID: b"1"}), OPEN)

    def public_object(self) -> None:
        self.token.create_object(NewObject(Kind.CERTIFICATE, {CKA.VALUE: bytes(900)}), OPEN)

    def private_object(self) -> None:
        new = NewObject(Kind.DATA, {CKA.VALUE: bytes(900)}, private=True)
        self.token.create_object(new, OPEN)

    def make_pin_token(self) -> None:
        self.count += 1
        with Secret.of(BACKUP) as pin:
            self.store.make_pin_token(f"token-{self.count}", 1000, NewPins(pin, pin, False))

    def make_token(self) -> None:
        self.count += 1
        self.store.make_token(f"token-{self.count}", 1000, None)

    def restore(self) -> None:
        self.count += 1
        with Secret.of(BACKUP) as passphrase:
            backup = self.token.backup(passphrase)
            self.store.restore(backup, passphrase, f"token-{self.count}", 1000)


CHANGES: Final[tuple[Callable[[House], None], ...]] = (
    House.generate,
    House.rename,
    House.set_policy,
    House.change_passphrase,
    House.add_recovery_code,
    House.secret_key,
    House.public_object,
    House.private_object,
    House.make_pin_token,
    House.make_token,
    House.restore,
)


# They replace what there is, so that they need no more room the second time.
REPLACING: Final = (House.change_passphrase, House.add_recovery_code)


def until_refused(house: House, change: Callable[[House], None]) -> StoreFull | None:
    """Make the change until there is no room: then all is as it was before.

    None where it takes no more room, however often it is made.
    """
    for _ in range(40):
        before = house.state()
        try:
            change(house)
        except StoreFull as error:
            assert house.state() == before
            assert list(house.disk.rglob("*.new")) == []
            return error
    return None


# --- full ----------------------------------------------------------------------------


@ROOT
@pytest.mark.parametrize("room", range(0, 28 * KIB, 4 * KIB), ids=lambda room: f"{room // KIB}K")
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_where_there_is_no_room_nothing_is_changed(
    tmp_path: Path, change: Callable[[House], None], room: int
) -> None:
    with mounted(tmp_path / "disk", "size=512k,mode=700") as disk, House.on(disk) as house:
        with ballast(disk, room=room):
            error = until_refused(house, change)
            assert error or (change in REPLACING and room >= 8 * KIB)
            assert error is None or "room" in error.remedy
            assert house.as_opened_anew(tmp_path) == house.state()
        change(house)  # there is room again
        after = house.state()
        house.reopen()
        assert house.state() == after


@ROOT
def test_keys_can_be_destroyed_to_make_room(tmp_path: Path) -> None:
    with (
        mounted(tmp_path / "disk", "size=512k,mode=700") as disk,
        House.on(disk) as house,
        ballast(disk, room=16 * KIB),
    ):
        until_refused(house, House.generate)
        while len(house.token.keys()) > 1:
            house.token.destroy(house.token.keys()[-1])
        house.reopen()
        house.state()
        house.generate()


def test_a_limit_on_the_size_of_files_is_a_full_disk(tmp_path: Path) -> None:
    """Whoever must not mount can show as much: the journal reaches the limit of a file."""
    command = [sys.executable, "-m", "tests.faults.test_store_disk", str(tmp_path)]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "StoreFull" in done.stdout


def under_a_limit(folder: Path) -> None:
    with House.on(folder) as house:
        journal = house.disk / "store" / "tokens" / "main" / "journal"
        limit = journal.stat().st_size + 2 * KIB
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        error = until_refused(house, House.rename)
    print(type(error).__name__)


def destroy(house: House) -> None:
    house.token.destroy(house.token.keys()[0])


def remove_token(house: House) -> None:
    house.store.remove_token(house.token)


# --- only reads ----------------------------------------------------------------------


@ROOT
def test_a_disk_that_only_reads_serves_its_keys_and_changes_nothing(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=4m,mode=700") as disk, House.on(disk) as house:
        house.store.close()
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        house.store = disk_store(disk / "store")
        with Secret.of(OLD) as passphrase:
            house.token.unlock(passphrase)
        before = house.state()
        for change in (*CHANGES, destroy, remove_token):
            with pytest.raises(StoreFailed) as refused:
                change(house)
            assert "writable" in refused.value.remedy
            assert house.state() == before


@ROOT
def test_a_disk_that_becomes_read_only_while_a_store_is_open_changes_nothing(
    tmp_path: Path,
) -> None:
    with mounted(tmp_path / "disk", "size=4m,mode=700") as disk, House.on(disk) as house:
        before = house.state()
        # As the kernel does after an error; a file that is open to be written forbids `remount`.
        subprocess.run(["mount", "--bind", disk, disk], check=True)
        try:
            subprocess.run(["mount", "-o", "remount,bind,ro", disk], check=True)
            for change in CHANGES:
                with pytest.raises(KeyholmError):
                    change(house)
                assert house.state() == before
        finally:
            subprocess.run(["umount", disk], check=True)
        house.generate()


if __name__ == "__main__":
    under_a_limit(Path(sys.argv[1]))

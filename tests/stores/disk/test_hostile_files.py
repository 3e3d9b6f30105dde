"""Files of a store and backups that somebody wrote who knows their format."""

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.stores.cheap import COST, disk_store

from keyholm.core.errors import BadRequest, KeyholmError, StoreDamaged
from keyholm.core.model import Algorithm, NewKey, Origin
from keyholm.core.policy import OPEN
from keyholm.core.secret import Secret
from keyholm.stores.disk import backup, header
from keyholm.stores.disk.backup import About, Saved
from keyholm.stores.disk.entry import Facts
from keyholm.stores.disk.store import DiskStore
from keyholm.stores.software import keys as software
from keyholm.wire.ssh import keys
from keyholm.wire.ssh.private_keys import PRIVATE, Private

PASSPHRASE = b"of the backup"
OBJECT = "0123456789abcdef"


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    """A folder with nothing but the store in it."""
    folder = tmp_path / "parent"
    folder.mkdir(mode=0o700)
    return folder


def facts_of(private: Private) -> Facts:
    public = private.public
    return Facts(
        keys.key_id(public),
        keys.type_name(public),
        keys.encode(public),
        "a key",
        Origin.GENERATED,
        False,
        1.0,
        1,
        "",
    )


def backup_of(name: str, facts: Facts, private: bytes) -> bytes:
    with Secret.of(PASSPHRASE) as passphrase:
        saved = Saved(name, facts, memoryview(private))
        return backup.make(About("uuid", "main", 1, 1.0), [saved], passphrase, COST)


def restored(store: DiskStore, data: bytes) -> None:
    with Secret.of(PASSPHRASE) as passphrase:
        store.restore(data, passphrase, "restored", 1000)


@pytest.mark.parametrize(
    "name", ["../../../../outside", "/tmp/outside", "", ".", "0123456789ABCDEF", f"{OBJECT}\n"]
)
def test_a_backup_names_no_file_but_those_of_its_keys(parent: Path, name: str) -> None:
    private = software.generate(Algorithm.ED25519)
    store = disk_store(parent / "store")
    try:
        with pytest.raises(StoreDamaged, match="no name that a key can have"):
            restored(store, backup_of(name, facts_of(private), PRIVATE.write(private)))
        assert store.tokens() == ()
    finally:
        store.close()
    assert list(parent.iterdir()) == [parent / "store"]
    assert list((parent / "store" / "tokens").iterdir()) == []


@pytest.mark.parametrize(
    "made_of",
    [
        lambda private, other: b"",
        lambda private, other: bytes(40),
        lambda private, other: PRIVATE.write(other),
        lambda private, other: PRIVATE.write(private)[:-1],
        lambda private, other: PRIVATE.write(private) + b"\0",
    ],
    ids=["nothing", "zeros", "another key's", "cut off", "too long"],
)
def test_a_backup_brings_no_private_half_that_does_not_fit(
    parent: Path, made_of: Callable[[Private, Private], bytes]
) -> None:
    private, other = (software.generate(Algorithm.ED25519) for _ in range(2))
    store = disk_store(parent / "store")
    try:
        with pytest.raises(StoreDamaged):
            restored(store, backup_of(OBJECT, facts_of(private), made_of(private, other)))
        restored(store, backup_of(OBJECT, facts_of(private), PRIVATE.write(private)))
        (key,) = store.tokens()[0].keys()
        assert key.label == "a key"
    finally:
        store.close()


def test_a_damaged_backup_is_refused_whichever_bit_it_is(parent: Path) -> None:
    private = software.generate(Algorithm.ED25519)
    good = backup_of(OBJECT, facts_of(private), PRIVATE.write(private))
    store = disk_store(parent / "store")
    try:
        for at in range(len(good)):
            damaged = bytearray(good)
            damaged[at] ^= 1 << at % 8
            with pytest.raises(KeyholmError):
                restored(store, bytes(damaged))
        for size in range(0, len(good), 11):
            with pytest.raises(KeyholmError):
                restored(store, good[:size])
        assert store.tokens() == ()
    finally:
        store.close()


@pytest.mark.parametrize(
    "line",
    [b'{"magic":"keyholm-backup","format":1,"a":' + b"[" * 900, b'{"\xff":1}', b"\xff" * 100],
    ids=["too deep", "no text", "noise"],
)
def test_a_head_that_nobody_can_read_is_no_backup(parent: Path, line: bytes) -> None:
    store = disk_store(parent / "store")
    try:
        with pytest.raises(BadRequest):
            restored(store, line + b"\n" + bytes(100))
    finally:
        store.close()


def with_header(folder: Path, change: Callable[[bytes], bytes]) -> None:
    """Alter both copies, and make their checksums fit."""
    for name in (header.NAME, header.COPY):
        path = folder / "tokens" / "main" / name
        line, mac, _ = path.read_bytes().split(b"\n", 2)
        lines = change(line) + b"\n" + mac + b"\n"
        path.write_bytes(lines + hashlib.sha256(lines).hexdigest().encode() + b"\n")


def salt_of(line: bytes, size: int) -> bytes:
    before, _, rest = line.partition(b'"salt":"')
    _, quote, after = rest.partition(b'"')
    return before + b'"salt":"' + base64.b64encode(bytes(size)) + quote + after


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line.replace(b'"wrapped":"', b'"wrapped":"AAAA'),
        lambda line: salt_of(line, 0),
        lambda line: salt_of(line, 4000),
        lambda line: line.replace(b'"format":', b'"more":' + b"[" * 20_000 + b',"format":'),
        lambda line: line.replace(b'"owner":', b'"\xff":'),
        lambda line: b"",
    ],
    ids=["a longer key", "no salt", "a long salt", "too deep", "no text", "nothing"],
)
def test_a_header_that_cannot_be_is_named_and_other_tokens_open(
    parent: Path, change: Callable[[bytes], bytes]
) -> None:
    store = disk_store(parent / "store")
    with Secret.of(b"passphrase") as passphrase:
        store.make_token("main", 1000, passphrase)
        store.make_token("other", 1000, None)
    store.tokens()[1].generate(NewKey("a key", Algorithm.ED25519), OPEN)
    store.close()
    with_header(parent / "store", change)

    store = disk_store(parent / "store")
    try:
        main, other = store.tokens()
        assert any(header.NAME in told for told in main.damage())
        with Secret.of(b"passphrase") as passphrase, pytest.raises(StoreDamaged):
            main.unlock(passphrase)
        assert not other.locked
        assert len(other.keys()) == 1
    finally:
        store.close()

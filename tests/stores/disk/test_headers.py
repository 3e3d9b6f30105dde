"""Headers that somebody altered, newer formats, and stores that others hold open."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.stores.cheap import disk_store
from tests.stores.disk.house import MESSAGE, PASSPHRASE, House
from tests.wire.ssh import samples

from keyholm.core.errors import BadRequest, KeyholmError, StoreDamaged, StoreFailed
from keyholm.core.mechanisms import SecurityKey
from keyholm.core.policy import OPEN
from keyholm.core.secret import Secret
from keyholm.core.store import Handover
from keyholm.stores.disk import header
from keyholm.wire.ssh.private_keys import PrivateSkEcdsa, PrivateSkEd25519


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "store", keys=2)


@pytest.fixture(autouse=True)
def closed(house: House) -> object:
    yield
    house.store.close()


def altered(path: Path, change: Callable[[bytes], bytes]) -> None:
    """With a checksum that fits, as somebody would write it who has not the key."""
    line, mac, _ = path.read_bytes().split(b"\n", 2)
    changed = change(line)
    assert changed != line
    lines = changed + b"\n" + mac + b"\n"
    path.write_bytes(lines + hashlib.sha256(lines).hexdigest().encode() + b"\n")


def to_another_owner(line: bytes) -> bytes:
    return line.replace(b'"owner":1000', b'"owner":2000')


@pytest.mark.parametrize("name", [header.NAME, header.COPY])
def test_one_altered_header_is_named_and_not_used(house: House, name: str) -> None:
    altered(house.place / name, to_another_owner)
    house.reopen()

    assert house.token.owner == 1000
    assert house.usable() == ["key 0", "key 1"]
    house.reopen()
    assert house.token.damage() == []


def test_two_altered_headers_keep_the_token_shut(house: House) -> None:
    for name in (header.NAME, header.COPY):
        altered(house.place / name, to_another_owner)
    house.reopen(unlock=False)
    with Secret.of(PASSPHRASE) as passphrase, pytest.raises(StoreDamaged, match="was altered"):
        house.token.unlock(passphrase)

    assert house.token.locked
    assert any("was altered" in each for each in house.token.damage())
    assert house.usable() == []


def test_a_newer_format_is_refused_with_what_to_do_and_left_as_it_is(house: House) -> None:
    for name in (header.NAME, header.COPY):
        altered(house.place / name, lambda line: line.replace(b'"format":2', b'"format":3'))
    before = {path: path.read_bytes() for path in house.everything()}
    house.reopen(unlock=False)

    told = " ".join(house.token.damage())
    assert "has format 3; this keyholm knows up to 2" in told
    with Secret.of(PASSPHRASE) as passphrase, pytest.raises(StoreDamaged, match="format 3"):
        house.token.unlock(passphrase)
    with pytest.raises(KeyholmError):
        house.add("another")
    assert {path: path.read_bytes() for path in house.everything()} == before


def test_a_store_of_a_newer_format_is_refused(house: House) -> None:
    house.store.close()
    path = house.folder / "store.json"
    said = json.loads(path.read_bytes().split(b"\n")[0])
    line = json.dumps({**said, "format": 2}).encode()
    path.write_bytes(line + b"\n" + hashlib.sha256(line).hexdigest().encode() + b"\n")
    with pytest.raises(StoreFailed, match="format 2"):
        disk_store(house.folder)
    with pytest.raises(StoreFailed) as caught:
        disk_store(house.folder)
    assert "newer" in caught.value.remedy


def test_a_slot_that_is_too_cheap_or_too_dear_is_not_tried(house: House) -> None:
    for old, new in ((b'"memory":64', b'"memory":63'), (b'"memory":63', b'"memory":99999999')):
        for name in (header.NAME, header.COPY):
            altered(house.place / name, lambda line, o=old, n=new: line.replace(o, n))  # type: ignore[misc]
        house.reopen(unlock=False)
        with Secret.of(PASSPHRASE) as passphrase, pytest.raises(StoreDamaged, match="argon2id"):
            house.token.unlock(passphrase)


# --- who may open it -----------------------------------------------------------------


def test_two_processes_do_not_write_one_store(house: House) -> None:
    with pytest.raises(StoreFailed, match="Another process has the store"):
        disk_store(house.folder)
    house.store.close()
    again = disk_store(house.folder)
    again.close()
    again.close()


@pytest.mark.parametrize("name", [".", "tokens"])
def test_a_folder_that_others_can_enter_is_refused(house: House, name: str) -> None:
    house.store.close()
    folder = house.folder / name
    folder.chmod(0o750)
    with pytest.raises(StoreFailed, match=r"is open to others \(mode 0750\)") as caught:
        disk_store(house.folder)
    assert "chmod go-rwx" in caught.value.remedy
    folder.chmod(0o700)


@pytest.mark.parametrize("name", ["tokens/main", "tokens/main/keys"])
def test_a_token_that_others_can_enter_is_named_and_not_used(house: House, name: str) -> None:
    house.store.close()
    (house.folder / name).chmod(0o711)
    store = disk_store(house.folder)
    told = [*store.damage().values(), *(each for t in store.tokens() for each in t.damage())]
    assert any("is open to others (mode 0711)" in each for each in told)
    store.close()


def test_files_and_folders_are_for_their_owner_alone(house: House) -> None:
    modes = {path.stat().st_mode & 0o777 for path in house.folder.rglob("*") if path.is_dir()}
    assert modes == {0o700}
    modes = {path.stat().st_mode & 0o777 for path in house.folder.rglob("*") if path.is_file()}
    assert modes == {0o600}


# --- throw-away tokens and FIDO keys -------------------------------------------------


def test_a_throw_away_token_says_what_it_is_and_wants_no_proof(house: House) -> None:
    house.store.make_token("open", 1000, None)
    token = next(each for each in house.store.tokens() if each.name == "open")

    assert not token.guarded
    assert not token.locked
    (slot,) = token.slots()
    assert (slot.kind, slot.cost) == ("none", "NO PROTECTION: the key lies beside the lock")
    with Secret.of(b"anything") as anything:
        token.verify(anything)
        for change in (token.add_recovery_code, lambda p: token.change_passphrase(p, p)):
            with pytest.raises(BadRequest, match="without a passphrase"):
                change(anything)
    house.reopen()
    assert not house.store.tokens()[1].locked


@pytest.mark.parametrize("name", ["ed25519_sk", "ecdsa_sk"])
def test_a_fido_key_on_disk_is_signed_by_the_helper_contract_fake(
    tmp_path: Path, name: str
) -> None:
    asked = []

    def sk_sign(private: PrivateSkEd25519 | PrivateSkEcdsa, provider: str, data: bytes) -> bytes:
        asked.append((bytes(private.key_handle), provider, data))
        return b"assertion"

    private = samples.private(name)
    assert isinstance(private, PrivateSkEd25519 | PrivateSkEcdsa)
    store = disk_store(tmp_path / "fido", sk_sign=sk_sign)
    store.make_token("main", 1000, None)
    store.tokens()[0].import_key(private, Handover("fido", provider="internal"), OPEN)
    store.close()
    store = disk_store(tmp_path / "fido", sk_sign=sk_sign)
    (key,) = store.tokens()[0].keys()

    assert key.application == "ssh:"
    assert store.tokens()[0].sign(key, SecurityKey(), MESSAGE) == b"assertion"
    assert asked == [(bytes(private.key_handle), "internal", MESSAGE.data)]
    store.close()

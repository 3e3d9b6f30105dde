"""The frozen store of format 1: what was written must open for ever, and as the docs say."""

import base64
import hashlib
import hmac
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESGCMSIV
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keyholm.core.mechanisms import EdDsa, Message
from keyholm.core.model import Algorithm, Key
from keyholm.core.policy import write
from keyholm.core.secret import Secret
from keyholm.stores.disk.store import DiskStore
from keyholm.stores.disk.token import DiskToken
from keyholm.testing import samples

FROZEN: Final = Path(__file__).parents[2] / "vectors" / "disk-store-v1"
KNOWN: Final[dict[str, Any]] = json.loads((FROZEN / "known.json").read_text())
PASSPHRASE: Final = KNOWN["passphrase"].encode()
MESSAGE: Final = Message(KNOWN["message"].encode())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy, for its owner alone: git keeps no such permissions."""
    shutil.copytree(FROZEN / "store", tmp_path / "store")
    for path in (tmp_path / "store", *(tmp_path / "store").rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return tmp_path / "store"


@pytest.fixture
def store(folder: Path) -> Iterator[DiskStore]:
    # With the floor that is believed in earnest.
    opened = DiskStore(folder)
    yield opened
    opened.close()


def named(store: DiskStore, name: str) -> DiskToken:
    return next(token for token in store.tokens() if token.name == name)


def described(token: DiskToken, key: Key) -> dict[str, object]:
    return {
        "object": key.place.object,
        "id": key.id,
        "label": key.label,
        "origin": key.origin,
        "exportable": key.exportable,
        "created": key.created,
        "order": key.order,
        "policy": write(token.policy_of(key)),
        "blob": key.blob.hex(),
    }


def facts(name: str) -> list[dict[str, object]]:
    return [
        {field: value for field, value in row.items() if field != "signature"}
        for row in KNOWN["tokens"][name]["keys"]
    ]


# --- the store -----------------------------------------------------------------------


@pytest.mark.parametrize("way", ["passphrase", "recovery_code"])
def test_the_frozen_store_opens_with_all_that_was_in_it(store: DiskStore, way: str) -> None:
    token = named(store, "main")
    with Secret.of(KNOWN[way].encode()) as secret:
        token.unlock(secret)

    keys = token.keys()
    assert token.damage() == []
    assert token.owner == KNOWN["tokens"]["main"]["owner"]
    assert [slot.kind for slot in token.slots()] == ["passphrase", "recovery"]
    assert [described(token, key) for key in keys] == facts("main")
    assert {key.label.removeprefix("renamed ") for key in keys} >= set(Algorithm)
    for key in keys:
        mechanism, data = next(iter(samples.uses(key.public, MESSAGE.data)))
        samples.verify(key.public, mechanism, data, token.sign(key, mechanism, data))


def test_the_frozen_throw_away_token_is_open(store: DiskStore) -> None:
    token = named(store, "throw-away")
    (key,) = token.keys()

    assert (token.guarded, token.locked, token.damage()) == (False, False, [])
    assert [described(token, key)] == facts("throw-away")
    (row,) = KNOWN["tokens"]["throw-away"]["keys"]
    assert token.sign(key, EdDsa(), MESSAGE).hex() == row["signature"]


def test_the_frozen_backup_brings_all_of_it_back(store: DiskStore) -> None:
    with Secret.of(KNOWN["backup_passphrase"].encode()) as passphrase:
        backup = (FROZEN / "main.backup").read_bytes()
        store.restore(backup, passphrase, "restored", 1000)
    token = named(store, "restored")

    keys = token.keys()
    assert [described(token, key) for key in keys] == facts("main")
    for key in keys:
        mechanism, data = next(iter(samples.uses(key.public, MESSAGE.data)))
        samples.verify(key.public, mechanism, data, token.sign(key, mechanism, data))


def test_the_frozen_store_is_still_written(folder: Path) -> None:
    with Secret.of(PASSPHRASE) as passphrase:
        for turn in ("first", "second"):
            store = DiskStore(folder)
            token = named(store, "main")
            token.unlock(passphrase)
            key = token.keys()[0]
            token.rename(key, turn)
            store.close()
        store = DiskStore(folder)
        token = named(store, "main")
        token.unlock(passphrase)
        assert token.keys()[0].label == "second"
        assert token.damage() == []
        store.close()


# --- a reader that is written from docs/protocols/disk-store.md ----------------------


def string(data: bytes | str) -> bytes:
    content = data.encode() if isinstance(data, str) else data
    return len(content).to_bytes(4) + content


def strings(*parts: bytes | str) -> bytes:
    return b"".join(map(string, parts))


def derived(key: bytes, salt: bytes, purpose: str) -> bytes:
    info = f"keyholm-disk-1 {purpose}".encode()
    return HKDF(hashes.SHA256(), 32, salt, info).derive(key)


def kek_of(token: dict[str, Any], kind: str, slot_key: bytes) -> bytes:
    (slot,) = (each for each in token["slots"] if each["kind"] == kind)
    by = json.dumps(slot["by"], separators=(",", ":"))
    bound = strings("keyholm-disk-1 slot", token["store"], token["token"], slot["name"], kind, by)
    wrapped = base64.b64decode(slot["wrapped"])
    return AESGCMSIV(slot_key).decrypt(wrapped[:12], wrapped[12:], bound)


def by_passphrase(token: dict[str, Any]) -> bytes:
    by = token["slots"][0]["by"]
    assert by["kdf"] == "argon2id"
    salt = base64.b64decode(by["salt"])
    kdf = Argon2id(
        salt=salt, length=32, iterations=by["passes"], lanes=by["lanes"], memory_cost=by["memory"]
    )
    return kek_of(token, "passphrase", kdf.derive(PASSPHRASE))


def by_recovery_code(token: dict[str, Any]) -> bytes:
    alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    number = 0
    for letter in KNOWN["recovery_code"].replace("-", ""):
        number = number << 5 | alphabet.index(letter)
    code, check = (number >> 12).to_bytes(16), number & 0xFFF
    digest = hashlib.sha256(b"keyholm recovery code" + code).digest()
    assert check == int.from_bytes(digest[:2]) >> 4
    salt = base64.b64decode(token["slots"][1]["by"]["salt"])
    return kek_of(token, "recovery", derived(code, salt, "recovery"))


def private_half(file: bytes, wrapping: bytes) -> tuple[dict[str, Any], bytes]:
    line, _, sealed = file.partition(b"\n")
    head = json.loads(line)
    key = head["key"]
    bound = (
        strings("keyholm-disk-1 key", head["store"], head["token"], head["object"])
        + string(head["generation"].to_bytes(8))
        + strings(
            key["id"],
            key["type"],
            hashlib.sha256(base64.b64decode(key["public"])).digest(),
            hashlib.sha256(key["policy"].encode()).hexdigest(),
            hashlib.sha256(line + b"\n").digest(),
        )
    )
    data_key = AESGCMSIV(wrapping).decrypt(sealed[:12], sealed[12:60], bound)
    return head, AESGCM(data_key).decrypt(sealed[60:72], sealed[72:], bound)


def header_of(name: str) -> tuple[dict[str, Any], bytes, bytes]:
    line, mac, checksum, end = (
        (FROZEN / "store/tokens" / name / "token.json").read_bytes().split(b"\n")
    )
    assert end == b""
    assert checksum.decode() == hashlib.sha256(line + b"\n" + mac + b"\n").hexdigest()
    return json.loads(line), line, mac


@pytest.mark.parametrize("kek", [by_passphrase, by_recovery_code])
def test_the_documentation_is_enough_to_read_a_token(kek: Any) -> None:
    token, line, mac = header_of("main")
    opened = kek(token)
    uuid = token["token"].encode()
    by_journal = derived(opened, uuid, "journal")
    wrapping = derived(opened, uuid, "wrap")
    place = FROZEN / "store" / "tokens" / "main"
    header_mac = hmac.digest(derived(opened, uuid, "header"), line, "sha256")
    assert mac.decode() == header_mac.hex()

    newest: dict[str, dict[str, Any]] = {}
    before = b"0" * 64
    for each in (place / "journal").read_bytes().splitlines():
        content, _, written = each.rpartition(b"\t")
        assert written.decode() == hmac.digest(by_journal, before + content, "sha256").hex()
        before, record = written, json.loads(content)
        if record["op"] == "put":
            newest[record["object"]] = record
        elif record["op"] == "remove":
            del newest[record["object"]]

    assert sorted(newest) == sorted(row["object"] for row in KNOWN["tokens"]["main"]["keys"])
    for name, record in newest.items():
        file = (place / "keys" / f"{name}.{record['file']['generation']}.key").read_bytes()
        assert hashlib.sha256(file).hexdigest() == record["file"]["hash"]
        head, private = private_half(file, wrapping)
        assert head["key"] == record["key"]
        assert private.startswith(string(head["key"]["type"]))
        if head["key"]["label"] == "ed25519":
            check_signs(private, KNOWN["tokens"]["main"]["keys"])


def check_signs(private: bytes, rows: list[dict[str, Any]]) -> None:
    """string "ssh-ed25519", string public, string seed || public (PROTOCOL.agent)."""
    seed = private[-64:-32]
    (row,) = (row for row in rows if row["label"] == "ed25519")
    assert Ed25519PrivateKey.from_private_bytes(seed).sign(MESSAGE.data).hex() == row["signature"]


def test_the_documentation_is_enough_to_read_a_throw_away_token() -> None:
    token, _, _ = header_of("throw-away")
    (slot,) = token["slots"]
    assert (slot["kind"], slot["by"]) == ("none", {"kdf": "none"})
    kek = base64.b64decode(slot["wrapped"])
    wrapping = derived(kek, token["token"].encode(), "wrap")
    (file,) = (FROZEN / "store" / "tokens" / "throw-away" / "keys").glob("*.key")
    head, private = private_half(file.read_bytes(), wrapping)
    assert head["key"]["label"] == "in the clear"
    assert private.startswith(string("ssh-ed25519"))


def test_the_documentation_is_enough_to_read_a_backup() -> None:
    data = (FROZEN / "main.backup").read_bytes()
    line, _, chunks = data.partition(b"\n")
    head = json.loads(line)
    salt, prefix = base64.b64decode(head["salt"]), base64.b64decode(head["nonce"])
    kdf = Argon2id(
        salt=salt,
        length=32,
        iterations=head["passes"],
        lanes=head["lanes"],
        memory_cost=head["memory"],
    )
    stretched = kdf.derive(KNOWN["backup_passphrase"].encode())
    cipher, bound = (
        AESGCM(derived(stretched, salt, "backup")),
        hashlib.sha256(line + b"\n").digest(),
    )
    plain, size = b"", 64 * 1024 + 16
    cut = [chunks[at : at + size] for at in range(0, len(chunks), size)]
    for number, chunk in enumerate(cut):
        nonce = prefix + number.to_bytes(4) + bytes([number == len(cut) - 1])
        plain += cipher.decrypt(nonce, chunk, bound)

    parts = []
    while plain:
        end = 4 + int.from_bytes(plain[:4])
        parts.append(plain[4:end])
        plain = plain[end:]
    about, saved = json.loads(parts[0]), parts[1:]
    assert (about["name"], about["keys"]) == ("main", len(saved) // 2)
    labels = [json.loads(saved[at])["key"]["label"] for at in range(0, len(saved), 2)]
    assert labels == [row["label"] for row in KNOWN["tokens"]["main"]["keys"]]


def test_the_frozen_files_are_as_they_were() -> None:
    """Nobody may make them anew, by accident or to get a test to pass."""
    digest = hashlib.sha256()
    for path in sorted(FROZEN.rglob("*")):
        if path.is_file() and path.name != "README.md":
            digest.update(os.fsencode(path.relative_to(FROZEN)) + b"\0" + path.read_bytes())
    assert digest.hexdigest() == "0f82002ea7b022a8cbc509da29903dc24d88a5f0e5273986741d045e1d6d8e78"

"""The frozen store with tokens of format 2: it must open for ever, and as the docs say."""

import base64
import hashlib
import hmac
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESGCMSIV
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.serialization import load_der_private_key
from tests.stores.disk.test_known_answers import derived, private_half, string, strings

from keyholm.core.errors import PinLocked
from keyholm.core.mechanisms import AesCmac, EdDsa, Hash, Hmac, Mechanism, Verb
from keyholm.core.model import Key, Object, SecretType, spelled
from keyholm.core.policy import write
from keyholm.core.secret import Secret
from keyholm.core.session import Role
from keyholm.stores.disk.pin_token import PinToken
from keyholm.stores.disk.store import DiskStore
from keyholm.stores.disk.token import DiskToken

FROZEN: Final = Path(__file__).parents[2] / "vectors" / "disk-store-v2"
KNOWN: Final[dict[str, Any]] = json.loads((FROZEN / "known.json").read_text())
MESSAGE: Final = KNOWN["message"].encode()
PINS: Final = "Ein-Token-mit-PINs"
SIGNED_BY: Final[dict[object, Mechanism]] = {
    SecretType.AES: AesCmac(),
    SecretType.GENERIC: Hmac(Hash.SHA256, 32),
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DiskStore]:
    """Of a copy, for its owner alone: git keeps no such permissions."""
    shutil.copytree(FROZEN / "store", tmp_path / "store")
    for path in (tmp_path / "store", *(tmp_path / "store").rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    opened = DiskStore(tmp_path / "store")
    yield opened
    opened.close()


def named(store: DiskStore, name: str) -> DiskToken:
    return next(token for token in store.tokens() if token.name == name)


# --- the store -----------------------------------------------------------------------


def plain(value: object) -> object:
    """As known.json has it."""
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, tuple):
        return [[each[0], plain(each[1])] if isinstance(each, tuple) else each for each in value]
    return value


def attributes(found: Mapping[int, object] | None) -> object:
    return found and {str(int(number)): plain(value) for number, value in found.items()}


def described(token: DiskToken, key: Key) -> dict[str, object]:
    return {
        "object": key.place.object,
        "id": key.id,
        "label": key.label,
        "origin": key.origin,
        "exportable": key.exportable,
        "created": key.created,
        "order": key.order,
        "kind": key.kind,
        "policy": write(token.policy_of(key)),
        "blob": key.blob.hex(),
        "spki": key.spki.hex(),
        "secret": spelled(key.secret) if key.secret else "",
        "attributes": attributes(key.attributes),
        "public_attributes": attributes(key.public_attributes),
    }


def shown(found: Object) -> dict[str, object]:
    return {
        "object": found.place.object,
        "kind": found.kind,
        "private": found.private,
        "order": found.order,
        "attributes": attributes(found.attributes),
    }


def facts(name: str) -> list[dict[str, object]]:
    return [
        {field: value for field, value in row.items() if field != "signature"}
        for row in KNOWN["tokens"][name]["keys"]
    ]


def check_signatures(token: DiskToken, name: str) -> int:
    count = 0
    for key, row in zip(token.keys(), KNOWN["tokens"][name]["keys"], strict=True):
        if row["signature"]:
            by = SIGNED_BY[key.secret.type] if key.secret else EdDsa()
            running = token.begin_use(key, Verb.SIGN, by)
            running.update(MESSAGE)
            assert running.finish().hex() == row["signature"], key.label
            count += 1
    return count


def test_the_frozen_store_opens_with_all_that_was_in_it(store: DiskStore) -> None:
    token = named(store, "main")
    with Secret.of(KNOWN["passphrase"].encode()) as secret:
        token.unlock(secret)

    assert token.damage() == []
    assert [described(token, key) for key in token.keys()] == facts("main")  # noqa: SIM118
    assert [shown(each) for each in token.objects()] == KNOWN["tokens"]["main"]["objects"]
    assert check_signatures(token, "main") == 4


def test_the_frozen_token_with_pins_opens_and_counts_on(store: DiskStore) -> None:
    token = named(store, PINS)
    assert isinstance(token, PinToken)
    assert (token.label, token.legacy, token.application_login) == (
        KNOWN["tokens"][PINS]["label"],
        True,
        True,
    )
    left = [token.pin_state(role).tries_left for role in (Role.USER, Role.OFFICER)]
    assert left == [7, 8]
    with Secret.of(KNOWN["officer_pin"].encode()) as pin:
        token.check_pin(Role.OFFICER, pin)
    with Secret.of(KNOWN["user_pin"].encode()) as pin:
        token.check_pin(Role.USER, pin)
    assert token.damage() == []
    assert [described(token, key) for key in token.keys()] == facts(PINS)  # noqa: SIM118
    assert [shown(each) for each in token.objects()] == KNOWN["tokens"][PINS]["objects"]


def test_the_frozen_backup_brings_all_of_it_back(store: DiskStore) -> None:
    with Secret.of(KNOWN["backup_passphrase"].encode()) as passphrase:
        backup = (FROZEN / "main.backup").read_bytes()
        store.restore(backup, passphrase, "restored", 1000)
    token = named(store, "restored")

    keys = token.keys()
    assert [described(token, key) for key in keys] == facts("main")
    assert [shown(each) for each in token.objects()] == KNOWN["tokens"]["main"]["objects"]
    assert check_signatures(token, "main") == 4


def test_the_frozen_counters_lock_a_pin(store: DiskStore) -> None:
    token = named(store, PINS)
    place = token.place
    store.close()
    for name in ("pins", "pins.copy"):
        line = b'{"magic":"keyholm-pins","user":10,"so":0,"format":1}'
        content = line + b"\n" + hashlib.sha256(line).hexdigest().encode() + b"\n"
        (place / name).write_bytes(content)
    again = DiskStore(place.parents[1])
    found = named(again, PINS)
    assert isinstance(found, PinToken)
    with Secret.of(KNOWN["user_pin"].encode()) as pin, pytest.raises(PinLocked):
        found.check_pin(Role.USER, pin)
    again.close()


# --- a reader that is written from docs/protocols/disk-store.md ----------------------


def header_of(name: str) -> dict[str, Any]:
    line, _, _ = (FROZEN / "store/tokens" / name / "token.json").read_bytes().partition(b"\n")
    found: dict[str, Any] = json.loads(line)
    return found


def kek_of(token: dict[str, Any], name: str, typed: bytes) -> bytes:
    (slot,) = (each for each in token["slots"] if each["name"] == name)
    by = slot["by"]
    salt = base64.b64decode(by["salt"])
    key = Argon2id(
        salt=salt, length=32, iterations=by["passes"], lanes=by["lanes"], memory_cost=by["memory"]
    ).derive(typed)
    text = json.dumps(by, separators=(",", ":"))
    bound = strings("keyholm-disk-1 slot", token["store"], token["token"], name, slot["kind"], text)
    wrapped = base64.b64decode(slot["wrapped"])
    return AESGCMSIV(key).decrypt(wrapped[:12], wrapped[12:], bound)


Read = tuple[dict[str, Any], dict[str, dict[str, Any]], dict[str, bytes]]


def read(name: str, kek: bytes) -> Read:
    """Of a token: the last line of each public object and of all else, and what is encrypted."""
    uuid = header_of(name)["token"].encode()
    by_journal, wrapping = derived(kek, uuid, "journal"), derived(kek, uuid, "wrap")
    place = FROZEN / "store" / "tokens" / name
    public: dict[str, Any] = {}
    files: dict[str, dict[str, Any]] = {}
    before = b"0" * 64
    for each in (place / "journal").read_bytes().splitlines():
        content, _, written = each.rpartition(b"\t")
        assert written.decode() == hmac.digest(by_journal, before + content, "sha256").hex()
        before, record = written, json.loads(content)
        if record["op"] == "put":
            files[record["object"]] = record
        elif record["op"] == "object":
            public[record["object"]] = record
        elif record["op"] == "remove":
            (public if record["object"] in public else files).pop(record["object"])
    inside = {}
    for object_, record in files.items():
        path = place / "keys" / f"{object_}.{record['file']['generation']}.key"
        head, inside[object_] = private_half(path.read_bytes(), wrapping)
        assert head["key"] == record["key"]
    return public, files, inside


def written(found: dict[str, Any]) -> object:
    """The attributes of known.json as the docs say that they are written."""

    def value(of: Any) -> Any:
        if isinstance(of, dict):
            return base64.b64encode(bytes.fromhex(of["hex"])).decode()
        if isinstance(of, list):
            return [[e[0], value(e[1])] if isinstance(e, list) else e for e in of]
        return of

    return {number: value(each) for number, each in found.items()}


def check(name: str, kek: bytes) -> dict[str, bytes]:
    """Holds what is read against known.json; gives what is encrypted, by label."""
    public, files, inside = read(name, kek)
    known = KNOWN["tokens"][name]
    by_label = {}
    for row in known["keys"]:
        key = files.pop(row["object"])["key"]
        assert key["id"] == row["id"]
        assert key.get("attributes", {}) == written(row["attributes"])
        if row["public_attributes"] is not None and row["kind"] == "private":
            assert key.get("public_attributes", {}) == written(row["public_attributes"])
        by_label[row["label"]] = inside[row["object"]]
        if row["secret"]:
            assert key["size"] == len(inside[row["object"]])
            assert row["secret"] == f"{key['type']}-{8 * key['size']}"
    for row in known["objects"]:
        if row["private"]:
            assert files.pop(row["object"])["key"]["form"] == "object"
            hidden = json.loads(inside[row["object"]])
        else:
            hidden = public.pop(row["object"])
        assert (hidden["kind"], hidden["attributes"]) == (row["kind"], written(row["attributes"]))
    assert (public, files) == ({}, {})
    return by_label


def test_the_documentation_is_enough_to_read_keys_of_every_kind() -> None:
    kek = kek_of(header_of("main"), "passphrase", KNOWN["passphrase"].encode())
    inside = check("main", kek)
    assert inside["ed"].startswith(string("ssh-ed25519"))
    assert inside["aes"] == bytes(range(32))
    assert inside[""] == b"a generic secret"
    _, files, all_of_them = read("main", kek)
    (ed448,) = (name for name, each in files.items() if each["key"]["type"] == "ed448")
    key = load_der_private_key(all_of_them[ed448], None)
    assert isinstance(key, Ed448PrivateKey)
    (row,) = (row for row in KNOWN["tokens"]["main"]["keys"] if row["object"] == ed448)
    assert key.sign(MESSAGE).hex() == row["signature"]


@pytest.mark.parametrize(("name", "pin"), [("user", "user_pin"), ("so", "officer_pin")])
def test_the_documentation_is_enough_to_read_a_token_with_pins(name: str, pin: str) -> None:
    head = header_of(PINS)
    facts = {field: head[field] for field in ("label", "login", "legacy", "format")}
    assert facts == {
        "label": KNOWN["tokens"][PINS]["label"],
        "login": "application",
        "legacy": True,
        "format": 2,
    }
    assert [slot["kind"] for slot in head["slots"]] == ["pin", "pin"]
    inside = check(PINS, kek_of(head, name, KNOWN[pin].encode()))
    assert len(inside["des"]) == 24
    for copy in ("pins", "pins.copy"):
        line, checksum, end = (FROZEN / "store" / "tokens" / PINS / copy).read_bytes().split(b"\n")
        assert end == b""
        assert json.loads(line) == {"magic": "keyholm-pins", "user": 3, "so": 2, "format": 1}
        assert checksum.decode() == hashlib.sha256(line).hexdigest()


def test_the_documentation_is_enough_to_read_a_backup() -> None:
    data = (FROZEN / "main.backup").read_bytes()
    line, _, chunks = data.partition(b"\n")
    head = json.loads(line)
    salt, prefix = base64.b64decode(head["salt"]), base64.b64decode(head["nonce"])
    stretched = Argon2id(
        salt=salt,
        length=32,
        iterations=head["passes"],
        lanes=head["lanes"],
        memory_cost=head["memory"],
    ).derive(KNOWN["backup_passphrase"].encode())
    cipher = AESGCM(derived(stretched, salt, "backup"))
    bound, size = hashlib.sha256(line + b"\n").digest(), 64 * 1024 + 16
    cut = [chunks[at : at + size] for at in range(0, len(chunks), size)]
    text = b"".join(
        cipher.decrypt(prefix + n.to_bytes(4) + bytes([n == len(cut) - 1]), chunk, bound)
        for n, chunk in enumerate(cut)
    )
    parts = []
    while text:
        end = 4 + int.from_bytes(text[:4])
        parts.append(text[4:end])
        text = text[end:]
    about = json.loads(parts[0])
    known = KNOWN["tokens"]["main"]
    private = [row for row in known["objects"] if row["private"]]
    assert about["keys"] == len(known["keys"]) + len(private)
    assert about["objects"] == len(known["objects"]) - len(private)
    saved = parts[1 : 1 + 2 * about["keys"]]
    names = {json.loads(saved[at])["object"] for at in range(0, len(saved), 2)}
    assert names == {row["object"] for row in (*known["keys"], *private)}
    objects = [json.loads(each) for each in parts[1 + 2 * about["keys"] :]]
    assert {each["object"] for each in objects} == {
        row["object"] for row in known["objects"] if not row["private"]
    }
    assert all(each["op"] == "object" for each in objects)


def test_the_frozen_files_are_as_they_were() -> None:
    """Nobody may make them anew, by accident or to get a test to pass."""
    digest = hashlib.sha256()
    for path in sorted(FROZEN.rglob("*")):
        if path.is_file() and path.name != "README.md":
            digest.update(os.fsencode(path.relative_to(FROZEN)) + b"\0" + path.read_bytes())
    assert digest.hexdigest() == "1d8e358897c3f78fdc4a5ec6a261a087351b760862bb3792fe8f0cde6c5a2e3f"

"""Keys that SSH has no words for: what is kept of them, and that nothing of a session is."""

import hashlib
import secrets
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from tests.stores.cheap import COST, disk_store
from tests.stores.disk.house import PASSPHRASE, House

from keyholm.core.errors import (
    AlgorithmUnsupported,
    MechanismUnsupported,
    NotExportable,
    PolicyForbids,
    StoreDamaged,
)
from keyholm.core.mechanisms import AesGcm, EdDsa, Mechanism, Message, SecurityKey, Verb
from keyholm.core.model import (
    Algorithm,
    Key,
    Kind,
    NewKey,
    NewObject,
    Origin,
    OtherAlgorithm,
    RsaKey,
    SecretKey,
    SecretType,
)
from keyholm.core.policy import OPEN, Confirm, Policy
from keyholm.core.secret import Secret
from keyholm.core.store import Handover
from keyholm.stores.disk import backup
from keyholm.stores.disk.backup import About, Saved
from keyholm.stores.disk.entry import Facts, Form
from keyholm.testing import samples
from keyholm.testing.store_contract import EVERY_KIND, new_key, new_objects, try_out
from keyholm.wire.pkcs11.constants import CKA
from keyholm.wire.ssh import keys
from keyholm.wire.ssh.private_keys import Private, PrivateSkEd25519

AES = SecretKey(SecretType.AES, 32)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "store", keys=1)


@pytest.fixture(autouse=True)
def closed(house: House) -> object:
    yield
    house.store.close()


def everything(house: House) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in house.everything()}


def brought(house: House, kind: Kind, value: bytes, **more: object) -> Key:
    with Secret.of(value) as material:
        new: Any = NewObject(kind, {}, material)
        made = house.token.create_object(replace(new, **more), OPEN)
    assert isinstance(made, Key)
    return made


def test_keys_of_every_kind_are_there_after_a_restart(house: House) -> None:
    made = [house.token.generate(new_key(wanted), OPEN) for wanted in EVERY_KIND]
    house.reopen()

    assert list(house.token.keys()[1:]) == made
    assert house.token.damage() == []
    for key in made:
        try_out(house.token, key)


def test_no_value_is_in_the_clear_on_the_disk(house: House) -> None:
    value = secrets.token_bytes(32)
    brought(house, Kind.SECRET, value, type=AES)
    content = b"".join(everything(house).values())
    assert value not in content
    assert value.hex().encode() not in content


def test_what_a_session_has_is_on_no_disk(house: House) -> None:
    before = everything(house)
    for wanted in EVERY_KIND:
        new = NewKey("passing", wanted, attributes={CKA.ID: b"1"}, session=True)
        key = house.token.generate(new, OPEN)
        house.token.set_policy(key, Policy(confirm=Confirm(asked=True)))
        house.token.destroy(key)
    brought(house, Kind.SECRET, bytes(32), type=AES, session=True)
    assert everything(house) == before


def test_a_session_needs_no_unlocked_token(house: House) -> None:
    house.token.lock()
    key = house.token.generate(NewKey("passing", Algorithm.ED25519, session=True), OPEN)
    samples.verify(
        key.public, EdDsa(), Message(b"m"), house.token.sign(key, EdDsa(), Message(b"m"))
    )


def test_what_is_ssh_is_an_ordinary_key_of_ssh(house: House) -> None:
    for name, pkcs8 in samples.pkcs8():
        key = brought(house, Kind.PRIVATE, pkcs8, exportable=True)
        if name in set(Algorithm):
            assert key.blob == keys.encode(key.public)
            house.token.export(key).close()
        else:
            assert (key.blob, key.ssh) == (b"", None)
            with pytest.raises(NotExportable):
                house.token.export(key)


def test_a_short_rsa_key_is_kept_nowhere_and_lives_in_a_session(house: House) -> None:
    short = samples.short_rsa()
    with pytest.raises(AlgorithmUnsupported, match="1024 bits is not kept"):
        brought(house, Kind.PRIVATE, short)
    key = brought(house, Kind.PRIVATE, short, session=True)
    try_out(house.token, key)


def test_a_use_that_was_decided_by_another_policy_is_refused(house: House) -> None:
    key = house.token.generate(new_key(AES), OPEN)
    house.token.set_policy(key, Policy(confirm=Confirm(asked=True)))
    with pytest.raises(PolicyForbids):
        house.token.begin_use(key, Verb.ENCRYPT, AesGcm(bytes(12), b"", 16))


def test_a_public_key_that_stands_alone_verifies(house: House) -> None:
    pair = house.token.generate(new_key(OtherAlgorithm.ED448), OPEN)
    running = house.token.begin_use(pair, Verb.SIGN, EdDsa())
    running.update(b"message")
    signature = running.finish()
    attributes = {CKA.PUBLIC_KEY_INFO: pair.spki}
    public = house.token.create_object(NewObject(Kind.PUBLIC, attributes), OPEN)
    check = house.token.begin_use(public, Verb.VERIFY, EdDsa())
    check.update(b"message")
    check.finish(signature)
    for new in new_objects():
        other = house.token.create_object(new, OPEN)
        with pytest.raises(MechanismUnsupported):
            house.token.begin_use(other, Verb.VERIFY, EdDsa())


def test_a_fido_key_signs_what_comes_in_parts(tmp_path: Path) -> None:
    asked = []

    def sk_sign(private: object, provider: str, data: bytes) -> bytes:
        asked.append((provider, data))
        return b"signature"

    store = disk_store(tmp_path / "fido", sk_sign=sk_sign)
    token: Any = store.make_token("main", 1000, None)
    public = keys.SkEd25519(bytes(range(32)), b"ssh:")
    private: Private = PrivateSkEd25519(public, 1, memoryview(b"handle"), b"")
    key = token.import_key(private, Handover("fido", provider="internal"), OPEN)
    by: Mechanism = SecurityKey()
    running = token.begin_use(key, Verb.SIGN, by)
    running.update(b"mess")
    running.update(b"age")
    assert running.finish() == b"signature"
    assert asked == [("internal", b"message")]
    with pytest.raises(MechanismUnsupported):
        token.begin_use(key, Verb.DECRYPT, by)
    store.close()


# --- backups -------------------------------------------------------------------------


def test_a_backup_brings_keys_of_every_kind_back(house: House) -> None:
    made = [house.token.generate(new_key(wanted), OPEN) for wanted in EVERY_KIND]
    with Secret.of(PASSPHRASE) as passphrase:
        saved = house.token.backup(passphrase)
        house.store.restore(saved, passphrase, "restored", 1000)
    restored = house.store.tokens()[1]
    back = restored.keys()[1:]
    assert [(key.id, key.label, key.secret, key.attributes) for key in back] == [
        (key.id, key.label, key.secret, key.attributes) for key in made
    ]
    for key in back:
        try_out(restored, key)


def facts(form: Form, type_: str, public: bytes, size: int) -> Facts:
    key_id = hashlib.sha256(public).hexdigest() if public else "ab" * 32
    plain = (key_id, type_, public, "a key", Origin.GENERATED, False, 1.0, 1, "", "")
    return Facts(*plain, form, size)


@pytest.mark.parametrize(
    ("said", "private"),
    [
        (facts(Form.SECRET, "aes", b"", 32), bytes(16)),
        (facts(Form.SECRET, "aes", b"", 15), bytes(15)),
        (facts(Form.SECRET, "rot13", b"", 16), bytes(16)),
        (facts(Form.PKCS8, "ed448", b"another", 0), dict(samples.pkcs8())[OtherAlgorithm.ED448]),
        (facts(Form.PKCS8, "ed448", b"another", 0), b"no key"),
        (facts(Form.OBJECT, "", b"", 0), b"no json"),
        (facts(Form.OBJECT, "", b"", 0), b'{"kind":"secret key","attributes":{}}'),
        (facts(Form.SSH, "", b"", 0), b""),
    ],
    ids=["another size", "no size", "no type", "another's", "no key", "no JSON", "no kind", "none"],
)
def test_a_backup_brings_nothing_that_does_not_fit(
    house: House, said: Facts, private: bytes
) -> None:
    with Secret.of(PASSPHRASE) as passphrase:
        one = [Saved("0123456789abcdef", said, memoryview(private))]
        made = backup.make(About("uuid", "main", 1, 1.0), one, passphrase, COST)
        with pytest.raises(StoreDamaged):
            house.store.restore(made, passphrase, "restored", 1000)
    assert len(house.store.tokens()) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "0" * 63},
        {"size": 0},
        {"type": "rot13"},
        {"public": b"something"},
        {"form": Form.PKCS8},
        {"form": Form.SSH},
        {"form": Form.OBJECT},
    ],
)
def test_facts_of_a_secret_key_that_do_not_fit_each_other_are_refused(
    changes: dict[str, object],
) -> None:
    good = facts(Form.SECRET, "aes", b"", 32)
    good.check()
    with pytest.raises(ValueError, match=r"facts of the key|not a valid|cut off|left|type"):
        msgspec.structs.replace(good, **changes).check()


def test_a_large_rsa_key_with_an_odd_exponent_is_not_made(house: House) -> None:
    for wanted in (RsaKey(1024), RsaKey(2048, 17)):
        with pytest.raises(AlgorithmUnsupported):
            house.token.generate(new_key(wanted), OPEN)

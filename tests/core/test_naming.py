"""A key is found by whatever names it and no other, its URI above all."""

import pytest
from msgspec import Struct, field
from msgspec.structs import replace

from keyholm.core.errors import BadRequest, KeyNotFound
from keyholm.core.model import Key, KeyId, Kind, Origin, Place
from keyholm.core.naming import cka_id, named, serial, uri_of
from keyholm.wire.pkcs11.constants import CKA
from keyholm.wire.pkcs11.uri import parse
from keyholm.wire.ssh import keys


class Box(Struct):
    """A token, as far as names go."""

    name: str
    label: str
    store: str = "disk"
    uuid: str = ""
    owner: int = 0
    accepted_uids: frozenset[int] = frozenset()
    held: list[Key] = field(default_factory=list)

    def keys(self) -> list[Key]:
        return self.held

    def add(self, label: str, number: int) -> Key:
        public = keys.Ed25519(number.to_bytes(32))
        place = Place(self.store, self.name, f"{number:032x}")
        key = Key(
            KeyId(f"{number:064x}"), place, public, keys.encode(public), label, Origin.GENERATED
        )
        self.held.append(key)
        return key


MAIN = Box("main", "Main token", uuid="1")
WORK = Box("work", "w" * 40, uuid="2")
LAPTOP = MAIN.add("laptop", 0x1111_2222)
SERVER = MAIN.add("server ä", 0x3333)
TWIN = WORK.add("laptop", 0x4444)
KEYS = [LAPTOP, SERVER, TWIN]


def token_of(key: Key) -> Box:
    return {"main": MAIN, "work": WORK}[key.place.token]


def found(name: str) -> Key:
    return named(KEYS, name, token_of)


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_the_uri_of_a_key_names_it_and_no_other(key: Key) -> None:
    assert found(uri_of(token_of(key), key)) == key


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_a_key_is_named_by_its_place_and_the_start_of_its_id(key: Key) -> None:
    assert found(str(key.place)) == key
    assert found(key.id) == key


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("pkcs11:object=server%20%C3%A4", SERVER),
        ("pkcs11:token=Main%20token;object=laptop", LAPTOP),
        (f"pkcs11:token={'w' * 32}", TWIN),  # as much as a CK_TOKEN_INFO holds
        (f"pkcs11:serial={serial(WORK)};type=private", TWIN),
        ("pkcs11:object=server%20%C3%A4;type=public", SERVER),
        (f"pkcs11:id={'%00' * 20};object=server%20%C3%A4", SERVER),
        ("pkcs11:id=%00;object=server%20%C3%A4", None),
        ("pkcs11:slot-description=disk%2Fwork?pin-value=1234&module-path=/x", TWIN),
        ("pkcs11:manufacturer=keyholm;library-version=0;token=Main%20token", None),
    ],
)
def test_a_uri_names_what_it_fits(text: str, key: Key | None) -> None:
    if key is None:
        with pytest.raises(KeyNotFound):
            found(text)
    else:
        assert found(text) == key


def test_a_uri_that_fits_several_keys_names_their_places() -> None:
    with pytest.raises(KeyNotFound, match="names 2 keys") as caught:
        found("pkcs11:object=laptop")
    assert str(LAPTOP.place) in caught.value.what
    assert str(TWIN.place) in caught.value.what


@pytest.mark.parametrize("text", ["pkcs11:type=cert", "pkcs11:type=secret-key", "pkcs11:vendor=1"])
def test_what_no_key_is_names_none(text: str) -> None:
    with pytest.raises(KeyNotFound):
        found(text)


@pytest.mark.parametrize(
    ("text", "why"), [("pkcs11:token", "NAME=VALUE"), ("pkcs11:slot-id=0", "slot-id")]
)
def test_what_is_no_uri_of_a_key_is_refused(text: str, why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        found(text)


@pytest.mark.parametrize(
    "text", ["pkcs11:object=no?pin-value=1234", "pkcs11:object=laptop?pin-value=1234"]
)
def test_the_pin_of_a_uri_is_not_repeated(text: str) -> None:
    with pytest.raises(KeyNotFound) as caught:
        found(text)
    assert "1234" not in str(caught.value)


def test_a_stored_id_and_label_are_what_the_uri_says() -> None:
    key = replace(LAPTOP, attributes={CKA.ID: b"\x02", CKA.LABEL: b"other"})
    told = parse(uri_of(MAIN, key)).path
    assert (told["id"], told["object"]) == (b"\x02", "other")
    assert cka_id(key, {}) == b"\x02"
    assert cka_id(key, {CKA.ID: b"\x03"}) == b"\x03"


def test_a_secret_key_is_one() -> None:
    key = replace(LAPTOP, kind=Kind.SECRET, ssh=None, blob=b"")
    assert parse(uri_of(MAIN, key)).path["type"] == "secret-key"
    with pytest.raises(KeyNotFound):
        named([key], "pkcs11:type=private", token_of)


def test_a_serial_number_is_of_one_token() -> None:
    assert len(serial(MAIN)) == 16
    assert len({serial(MAIN), serial(WORK), serial(replace(MAIN, store="memory"))}) == 3
    assert serial(MAIN) == serial(replace(MAIN, name="renamed"))

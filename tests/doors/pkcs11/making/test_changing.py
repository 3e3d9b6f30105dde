"""Templates of C_SetAttributeValue and C_CopyObject."""

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.doors.pkcs11 import house
from tests.doors.pkcs11.house import ListToken, pair, privates, secret, spki_of
from tests.doors.pkcs11.making.templates import (
    INCONSISTENT,
    READ_ONLY,
    TYPE_INVALID,
    VALUE_INVALID,
    any_template,
    code_of,
    outcome,
)

from keyholm.core.caller import Caller, Door, Peer
from keyholm.core.errors import NotExportable
from keyholm.core.gate import Gate
from keyholm.core.model import Attributes, Key, Kind, NewObject, SecretKey, SecretType
from keyholm.core.secret import Secret
from keyholm.doors.pkcs11 import making
from keyholm.doors.pkcs11.objects import PROFILES, Shown, profile
from keyholm.doors.pkcs11.showing import shown
from keyholm.testing.fakes import process
from keyholm.wire.pkcs11.attributes import Attribute, Template
from keyholm.wire.pkcs11.constants import CKA, CKM, CKO, CKR

TOKEN = ListToken()
PROHIBITED = CKR.ACTION_PROHIBITED


def half(cko: int, attributes: Attributes | None = None, **more: Any) -> Shown:
    key = pair("p256", attributes or {}, attributes or {}, **more)
    return next(each for each in shown(TOKEN, key) if each.cko == cko)


def only(held: Any) -> Shown:
    [one] = shown(TOKEN, held)
    return one


def private(attributes: Attributes | None = None, **more: Any) -> Shown:
    return half(CKO.PRIVATE_KEY, attributes, **more)


def secret_key(attributes: Attributes | None = None, **more: Any) -> Shown:
    return only(secret(SecretType.AES, 32, attributes, **more))


DATA = only(house.held(Kind.DATA, {CKA.VALUE: b"x", CKA.LABEL: b"l"}))
CERTIFICATE = only(house.held_certificate(more={CKA.ID: b"\1"}))
ALONE = only(
    house.held(
        Kind.PUBLIC,
        {CKA.PUBLIC_KEY_INFO: spki_of(privates()["p256"].public_key()), CKA.LABEL: b"l"},
    )
)


# --- changes -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "attribute"),
    [
        (private(), (CKA.LABEL, b"new")),
        (private(), (CKA.ID, b"new")),
        (private(), (CKA.SUBJECT, b"0\0")),
        (private(), (CKA.SIGN, False)),
        (private(), (CKA.DERIVE, False)),
        (private(), (CKA.START_DATE, b"20260101")),
        (private(), (CKA.COPYABLE, False)),
        (half(CKO.PUBLIC_KEY), (CKA.ID, b"new")),
        (half(CKO.PUBLIC_KEY), (CKA.VERIFY, False)),
        (secret_key(), (CKA.ENCRYPT, False)),
        (secret_key(), (CKA.WRAP_WITH_TRUSTED, True)),
        (CERTIFICATE, (CKA.ID, b"new")),
        (CERTIFICATE, (CKA.LABEL, b"new")),
        (DATA, (CKA.VALUE, memoryview(bytearray(b"new")))),
        (DATA, (CKA.APPLICATION, b"new")),
        (ALONE, (CKA.LABEL, b"new")),
    ],
)
def test_what_may_change(one: Shown, attribute: Attribute) -> None:
    cka, value = attribute
    assert making.changed(one, (attribute,)) == {**one.stored, cka: value}


def test_all_that_was_kept_stays() -> None:
    one = private({CKA.ID: b"\1", CKA.LABEL: b"old", CKA.SIGN: False})
    assert making.changed(one, ((CKA.LABEL, b"new"),)) == {
        CKA.ID: b"\1",
        CKA.LABEL: b"new",
        CKA.SIGN: False,
    }


def test_what_was_not_always_safe_does_not_say_so_afterwards() -> None:
    one = private({CKA.SENSITIVE: False}, exportable=True)
    assert making.changed(one, ((CKA.SENSITIVE, True), (CKA.EXTRACTABLE, False))) == {
        CKA.SENSITIVE: True,
        CKA.ALWAYS_SENSITIVE: False,
        CKA.EXTRACTABLE: False,
        CKA.NEVER_EXTRACTABLE: False,
    }


@pytest.mark.parametrize(
    ("one", "attribute", "code"),
    [
        (private(), (CKA.SENSITIVE, False), READ_ONLY),
        (private(), (CKA.EXTRACTABLE, True), READ_ONLY),
        (private({CKA.WRAP_WITH_TRUSTED: True}), (CKA.WRAP_WITH_TRUSTED, False), READ_ONLY),
        (private({CKA.COPYABLE: False}), (CKA.COPYABLE, True), READ_ONLY),
        (private(), (CKA.TOKEN, False), READ_ONLY),
        (private(), (CKA.PRIVATE, False), READ_ONLY),
        (private(), (CKA.MODIFIABLE, False), READ_ONLY),
        (private(), (CKA.DESTROYABLE, False), READ_ONLY),
        (private(), (CKA.CLASS, CKO.PUBLIC_KEY), READ_ONLY),
        (private(), (CKA.KEY_TYPE, 0), READ_ONLY),
        (private(), (CKA.EC_PARAMS, b"x"), READ_ONLY),
        (private(), (CKA.VALUE, b"x"), READ_ONLY),
        (private(), (CKA.LOCAL, False), READ_ONLY),
        (private(), (CKA.UNIQUE_ID, b"x"), READ_ONLY),
        (private(), (CKA.ALWAYS_AUTHENTICATE, True), READ_ONLY),
        (private(), (CKA.ALLOWED_MECHANISMS, (CKM.ECDSA,)), READ_ONLY),
        (private(), (CKA.DERIVE_TEMPLATE, ((CKA.SIGN, True),)), READ_ONLY),
        (private(), (CKA.VERIFY, True), TYPE_INVALID),
        (private(), (0x8000_0001, b"x"), TYPE_INVALID),
        (private(), (CKA.LABEL, None), VALUE_INVALID),
        (private(), (CKA.SIGN, b"\0"), VALUE_INVALID),
        (private(), (CKA.END_DATE, b"x"), VALUE_INVALID),
        (private({CKA.MODIFIABLE: False}), (CKA.LABEL, b"x"), PROHIBITED),
        (secret_key(), (CKA.VALUE_LEN, 16), READ_ONLY),
        (secret_key(), (CKA.TRUSTED, True), READ_ONLY),
        (CERTIFICATE, (CKA.VALUE, b"x"), READ_ONLY),
        (CERTIFICATE, (CKA.SUBJECT, b"x"), READ_ONLY),
        (CERTIFICATE, (CKA.TRUSTED, True), READ_ONLY),
        (DATA, (CKA.ID, b"x"), TYPE_INVALID),
        (profile(TOKEN, PROFILES[0]), (CKA.LABEL, b"x"), PROHIBITED),
    ],
)
def test_what_may_not_change(one: Shown, attribute: Attribute, code: int) -> None:
    assert code_of(lambda: making.changed(one, (attribute,))) == code


def test_one_bad_attribute_spoils_the_template() -> None:
    mixed = ((CKA.LABEL, b"new"), (CKA.CLASS, CKO.DATA))
    assert code_of(lambda: making.changed(private(), mixed)) == READ_ONLY
    twice = ((CKA.LABEL, b"a"), (CKA.LABEL, b"b"))
    assert code_of(lambda: making.changed(private(), twice)) == INCONSISTENT


def test_to_say_what_is_so_already_changes_nothing() -> None:
    one = private({CKA.LABEL: b"l"})
    told: Any = tuple(one.attributes())
    assert making.changed(one, told) == one.stored


def test_the_officer_says_what_can_be_trusted() -> None:
    for one in (CERTIFICATE, secret_key(), half(CKO.PUBLIC_KEY)):
        attributes = making.changed(one, ((CKA.TRUSTED, True),), officer=True)
        assert attributes[CKA.TRUSTED] is True


# --- copies --------------------------------------------------------------------------

MATERIAL = b"the key itself"
CALLER = Caller(Door.PKCS11, Peer(1000, 1000, 1), process)


class Exporting:
    """Contract fake of the gate: lets a key out if it was made so."""

    def __init__(self) -> None:
        self.asked: list[Key] = []

    def value(self, caller: Caller, key: Key) -> Secret:
        self.asked.append(key)
        if not key.exportable:
            raise NotExportable("It stays.")
        return Secret.of(MATERIAL)


def copied(one: Shown, *template: Attribute) -> NewObject:
    return making.copied(cast(Gate, Exporting()), CALLER, one, template)


def test_a_copy_of_data_and_certificates() -> None:
    assert copied(DATA, (CKA.LABEL, b"copy"), (CKA.TOKEN, False)) == NewObject(
        Kind.DATA, {CKA.VALUE: b"x", CKA.LABEL: b"copy"}, session=True
    )
    assert copied(CERTIFICATE) == NewObject(Kind.CERTIFICATE, CERTIFICATE.stored)
    assert copied(DATA, (CKA.PRIVATE, True), (CKA.DESTROYABLE, False)) == NewObject(
        Kind.DATA, {CKA.VALUE: b"x", CKA.LABEL: b"l", CKA.DESTROYABLE: False}, private=True
    )


def test_a_copy_of_a_public_key() -> None:
    info = {CKA.PUBLIC_KEY_INFO: spki_of(privates()["p256"].public_key())}
    assert copied(ALONE) == NewObject(Kind.PUBLIC, {**info, CKA.LABEL: b"l"})
    assert copied(half(CKO.PUBLIC_KEY, {CKA.ID: b"\1"})) == NewObject(
        Kind.PUBLIC, {**info, CKA.ID: b"\1"}
    )


def test_a_copy_of_a_key_is_an_export() -> None:
    gate = Exporting()
    one = secret_key({CKA.SENSITIVE: False}, exportable=True)
    new = making.copied(cast(Gate, gate), CALLER, one, ((CKA.EXTRACTABLE, False),))
    assert gate.asked == [one.key]
    assert new.material == Secret.of(MATERIAL)
    assert (new.kind, new.type) == (Kind.SECRET, SecretKey(SecretType.AES, 32))
    assert not new.exportable
    assert new.attributes == {
        CKA.LABEL: b"",
        CKA.SENSITIVE: False,
        CKA.EXTRACTABLE: False,
        CKA.LOCAL: True,
        CKA.ALWAYS_SENSITIVE: False,
        CKA.NEVER_EXTRACTABLE: False,
    }


def test_a_copy_that_is_made_sensitive_was_not_always() -> None:
    one = private({CKA.SENSITIVE: False}, exportable=True, label="work")
    new = copied(one, (CKA.SENSITIVE, True))
    assert new.kind is Kind.PRIVATE
    assert new.exportable
    assert new.attributes[CKA.LABEL] == b"work"
    assert new.attributes[CKA.SENSITIVE] is True
    assert new.attributes[CKA.ALWAYS_SENSITIVE] is False


def test_what_cannot_leave_is_not_copied() -> None:
    with pytest.raises(NotExportable):
        copied(private())
    withdrawn = private({CKA.EXTRACTABLE: False}, exportable=True)
    assert code_of(lambda: copied(withdrawn)) == PROHIBITED


@pytest.mark.parametrize(
    ("one", "attribute", "code"),
    [
        (private({CKA.COPYABLE: False}), (CKA.LABEL, b"x"), PROHIBITED),
        (profile(TOKEN, PROFILES[0]), (CKA.TOKEN, False), PROHIBITED),
        (secret_key(exportable=True), (CKA.SENSITIVE, False), READ_ONLY),
        (secret_key(exportable=True), (CKA.PRIVATE, False), INCONSISTENT),
        (secret_key(exportable=True), (CKA.CLASS, CKO.DATA), READ_ONLY),
        (secret_key(exportable=True), (CKA.SUBJECT, b""), TYPE_INVALID),
        (CERTIFICATE, (CKA.TRUSTED, True), READ_ONLY),
    ],
)
def test_what_a_copy_cannot_be(one: Shown, attribute: Attribute, code: int) -> None:
    assert code_of(lambda: copied(one, attribute)) == code


def test_nothing_leaves_for_a_template_that_is_wrong() -> None:
    gate = Exporting()
    one = secret_key(exportable=True)
    template: Template = ((CKA.CLASS, CKO.DATA),)
    code_of(lambda: making.copied(cast(Gate, gate), CALLER, one, template))
    assert gate.asked == []


# --- any -----------------------------------------------------------------------------

EVERY = [private(exportable=True), half(CKO.PUBLIC_KEY), secret_key(exportable=True)]
EVERY += [DATA, CERTIFICATE, ALONE, profile(TOKEN, PROFILES[0])]
USUAL = (CKA.ID, CKA.EXTRACTABLE, CKA.SIGN, CKA.VALUE, CKA.TRUSTED, CKA.PRIVATE, CKA.MODIFIABLE)


@given(st.integers(0, len(EVERY) - 1), any_template(*USUAL))
def test_any_template_changes_an_object_or_is_wrong(which: int, template: Template) -> None:
    changed: Any = outcome(lambda: making.changed(EVERY[which], template))
    assert isinstance(changed, dict | int)
    made: Any = outcome(lambda: copied(EVERY[which], *template))
    assert isinstance(made, NewObject | int)

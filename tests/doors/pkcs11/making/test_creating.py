"""Templates of C_CreateObject."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from tests.doors.pkcs11 import house
from tests.doors.pkcs11.house import pair, privates, spki_of
from tests.doors.pkcs11.making.templates import (
    CLASSES,
    INCOMPLETE,
    INCONSISTENT,
    READ_ONLY,
    TYPE_INVALID,
    VALUE_INVALID,
    any_template,
    changed,
    code_of,
    outcome,
    without,
)
from tests.doors.pkcs11.making.test_private_keys import template as private_template

from keyholm.core.model import Kind, NewObject, SecretKey, SecretType
from keyholm.core.secret import Secret
from keyholm.cryptoki.forms import number
from keyholm.doors.pkcs11 import making
from keyholm.wire import der, x509
from keyholm.wire.pkcs11.attributes import Attribute, Template
from keyholm.wire.pkcs11.constants import CKA, CKC, CKK, CKM, CKO, CKP

# --- certificates --------------------------------------------------------------------

READ = x509.read(house.certificate())
CERTIFICATE: Template = (
    (CKA.CLASS, CKO.CERTIFICATE),
    (CKA.CERTIFICATE_TYPE, CKC.X_509),
    (CKA.TOKEN, True),
    (CKA.VALUE, memoryview(bytearray(house.certificate()))),
    (CKA.ID, b"\1"),
    (CKA.LABEL, b"mine"),
)
FILLED = {
    CKA.VALUE: house.certificate(),
    CKA.SUBJECT: READ.subject,
    CKA.ISSUER: READ.issuer,
    CKA.SERIAL_NUMBER: READ.serial,
}


def test_what_a_certificate_says_itself_is_filled_in() -> None:
    assert making.new_object(CERTIFICATE) == NewObject(
        Kind.CERTIFICATE, {CKA.ID: b"\1", CKA.LABEL: b"mine", **FILLED}
    )


@pytest.mark.parametrize(
    "attribute",
    [
        (CKA.SUBJECT, READ.subject),
        (CKA.SUBJECT, b""),
        (CKA.ISSUER, READ.issuer),
        (CKA.PUBLIC_KEY_INFO, READ.spki),
        (CKA.SERIAL_NUMBER, READ.serial),
        (CKA.SERIAL_NUMBER, number(4711)),  # bare, as some programs have it
        (CKA.TRUSTED, False),
        (CKA.CHECK_VALUE, b"abc"),
    ],
)
def test_a_template_may_say_what_follows(attribute: Attribute) -> None:
    new = making.new_object((*CERTIFICATE, attribute))
    assert new.attributes == {CKA.ID: b"\1", CKA.LABEL: b"mine", **FILLED}


@pytest.mark.parametrize(
    ("attribute", "code"),
    [
        ((CKA.SUBJECT, b"0\0"), INCONSISTENT),
        ((CKA.ISSUER, READ.spki), INCONSISTENT),
        ((CKA.SERIAL_NUMBER, number(4712)), INCONSISTENT),
        ((CKA.PUBLIC_KEY_INFO, b"x"), INCONSISTENT),
        ((CKA.VALUE, b""), VALUE_INVALID),
        ((CKA.VALUE, house.certificate() + b"\0"), VALUE_INVALID),
        ((CKA.CERTIFICATE_TYPE, CKC.WTLS), VALUE_INVALID),
        ((CKA.TRUSTED, True), READ_ONLY),
        ((CKA.UNIQUE_ID, b"x"), READ_ONLY),
        ((CKA.SIGN, True), TYPE_INVALID),
        ((CKA.SENSITIVE, True), TYPE_INVALID),
    ],
)
def test_what_is_wrong_with_a_certificate(attribute: Attribute, code: int) -> None:
    assert code_of(lambda: making.new_object(changed(CERTIFICATE, attribute))) == code


@pytest.mark.parametrize("cka", [CKA.CLASS, CKA.CERTIFICATE_TYPE, CKA.VALUE])
def test_what_a_certificate_needs(cka: int) -> None:
    assert code_of(lambda: making.new_object(without(CERTIFICATE, cka))) == INCOMPLETE


@pytest.mark.parametrize("cko", [CKO.CERTIFICATE, CKO.PUBLIC_KEY, CKO.SECRET_KEY])
def test_the_officer_brings_along_what_can_be_trusted(cko: int) -> None:
    template: Template = {
        CKO.CERTIFICATE: CERTIFICATE,
        CKO.PUBLIC_KEY: public_template("p256"),
        CKO.SECRET_KEY: SECRET,
    }[cko]
    trusted = (*template, (CKA.TRUSTED, True))
    assert making.new_object(trusted, officer=True).attributes[CKA.TRUSTED] is True
    assert CKA.TRUSTED not in making.new_object(template, officer=True).attributes
    assert code_of(lambda: making.new_object(trusted)) == READ_ONLY


# --- data ----------------------------------------------------------------------------


def test_data() -> None:
    template: Template = (
        (CKA.CLASS, CKO.DATA),
        (CKA.VALUE, memoryview(bytearray(b"x"))),
        (CKA.PRIVATE, True),
        (CKA.APPLICATION, b"app"),
    )
    new = making.new_object(template)
    assert new == NewObject(
        Kind.DATA, {CKA.VALUE: b"x", CKA.APPLICATION: b"app"}, private=True, session=True
    )
    assert type(new.attributes[CKA.VALUE]) is bytes  # the frame is wiped


@pytest.mark.parametrize(
    "cko", [CKO.HW_FEATURE, CKO.DOMAIN_PARAMETERS, CKO.PROFILE, CKO.MECHANISM, 0xCE534353]
)
def test_other_classes_are_not_made(cko: int) -> None:
    assert code_of(lambda: making.new_object(((CKA.CLASS, cko),))) == VALUE_INVALID


# --- public keys ---------------------------------------------------------------------


def public_template(name: str) -> Template:
    private = privates()[name]
    public = private.public_key()
    [half] = [
        {cka: value for cka, value in shown.attributes() if cka in PARTS}
        for shown in house.shown_halves(pair(name))
        if shown.cko == CKO.PUBLIC_KEY
    ]
    if isinstance(public, ec.EllipticCurvePublicKey):
        point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        assert half[CKA.EC_POINT] == der.octet_string(point)
    return ((CKA.CLASS, CKO.PUBLIC_KEY), *half.items())  # type: ignore[arg-type]


PARTS = {
    *(CKA.KEY_TYPE, CKA.MODULUS, CKA.PUBLIC_EXPONENT, CKA.EC_PARAMS, CKA.EC_POINT),
    *(CKA.PARAMETER_SET, CKA.VALUE),
}


@pytest.mark.parametrize("name", sorted(privates()))
def test_a_public_key_is_made_of_what_one_shows(name: str) -> None:
    new = making.new_object((*public_template(name), (CKA.VERIFY, True)))
    spki = spki_of(privates()[name].public_key())
    assert new == NewObject(
        Kind.PUBLIC, {CKA.PUBLIC_KEY_INFO: spki, CKA.VERIFY: True}, session=True
    )


@pytest.mark.parametrize("name", ["p256", "ed25519", "x25519"])
def test_a_point_may_come_plain(name: str) -> None:
    given = dict(public_template(name))
    wrapped = given[CKA.EC_POINT]
    assert isinstance(wrapped, bytes)
    new = making.new_object(changed(public_template(name), (CKA.EC_POINT, wrapped[2:])))
    assert new.attributes == {CKA.PUBLIC_KEY_INFO: spki_of(privates()[name].public_key())}


@pytest.mark.parametrize(
    ("name", "attribute", "code"),
    [
        ("rsa", (CKA.MODULUS, b"\5"), VALUE_INVALID),
        ("rsa", (CKA.MODULUS, b"\xff" * 255 + b"\0"), VALUE_INVALID),
        ("rsa", (CKA.PUBLIC_EXPONENT, b"\1"), VALUE_INVALID),
        ("rsa", (CKA.PUBLIC_EXPONENT, b"\4"), VALUE_INVALID),
        ("rsa", (CKA.MODULUS_BITS, 2047), INCONSISTENT),
        ("p256", (CKA.EC_POINT, b""), VALUE_INVALID),
        ("p256", (CKA.EC_POINT, b"\4" + bytes(96)), VALUE_INVALID),
        ("ml-dsa-44", (CKA.VALUE, bytes(32)), VALUE_INVALID),
        ("ml-dsa-44", (CKA.PARAMETER_SET, CKP.ML_DSA_65), VALUE_INVALID),
        ("p256", (CKA.PUBLIC_KEY_INFO, b"x"), INCONSISTENT),
        ("p256", (CKA.KEY_TYPE, CKK.DSA), VALUE_INVALID),
        ("p256", (CKA.SIGN, True), TYPE_INVALID),
        ("p256", (CKA.TRUSTED, True), READ_ONLY),
        ("p256", (CKA.LOCAL, False), READ_ONLY),
    ],
)
def test_what_is_wrong_with_a_public_key(name: str, attribute: Attribute, code: int) -> None:
    assert code_of(lambda: making.new_object(changed(public_template(name), attribute))) == code


@pytest.mark.parametrize("name", ["rsa", "p256", "ed448", "ml-kem-768"])
def test_what_a_public_key_needs(name: str) -> None:
    given = public_template(name)
    for cka, _ in given:
        assert code_of(lambda c=cka: making.new_object(without(given, c))) == INCOMPLETE  # type: ignore[misc]


# --- private and secret keys -----------------------------------------------------------

SAFETY = {CKA.LOCAL: False, CKA.ALWAYS_SENSITIVE: False, CKA.NEVER_EXTRACTABLE: False}


def test_a_private_key_comes_alone() -> None:
    given = (
        *private_template("p256"),
        (CKA.TOKEN, True),
        (CKA.LABEL, b"mine"),
        (CKA.SENSITIVE, False),
        (CKA.EXTRACTABLE, True),
        (CKA.EC_POINT, b"said besides"),
        (0xD5A0DB00, b"what Java says of it"),
    )
    new = making.new_object(given)
    assert (new.kind, new.public_attributes, new.exportable) == (Kind.PRIVATE, None, True)
    assert not new.session
    assert new.attributes == {CKA.LABEL: b"mine", CKA.SENSITIVE: False, **SAFETY}
    assert isinstance(new.material, Secret)
    new.material.close()


@pytest.mark.parametrize(
    ("attribute", "code"),
    [
        ((CKA.VERIFY, True), TYPE_INVALID),
        ((CKA.ALWAYS_SENSITIVE, True), READ_ONLY),
        ((CKA.SENSITIVE, b"\1"), VALUE_INVALID),
        ((CKA.MODULUS, b"\1"), TYPE_INVALID),
    ],
)
def test_what_is_wrong_with_a_private_key(attribute: Attribute, code: int) -> None:
    given = changed(private_template("p256"), attribute)
    assert code_of(lambda: making.new_object(given)) == code


SECRET: Template = (
    (CKA.CLASS, CKO.SECRET_KEY),
    (CKA.KEY_TYPE, CKK.AES),
    (CKA.VALUE, memoryview(bytearray(range(16)))),
)


def test_a_secret_key() -> None:
    new = making.new_object((*SECRET, (CKA.VALUE_LEN, 16), (CKA.ENCRYPT, True)))
    assert (new.kind, new.type) == (Kind.SECRET, SecretKey(SecretType.AES, 16))
    assert new.attributes == {CKA.LABEL: b"", CKA.ENCRYPT: True, **SAFETY}
    assert not new.exportable
    assert new.material == Secret.of(bytes(range(16)))


def test_the_key_of_one_hmac() -> None:
    new = making.new_object(changed(SECRET, (CKA.KEY_TYPE, CKK.SHA512_HMAC)))
    assert new.type == SecretKey(SecretType.GENERIC, 16)
    assert new.attributes[CKA.KEY_TYPE] == CKK.SHA512_HMAC


@pytest.mark.parametrize(
    ("attribute", "code"),
    [
        ((CKA.KEY_TYPE, CKK.RSA), VALUE_INVALID),
        ((CKA.KEY_TYPE, CKK.DES3), VALUE_INVALID),  # of 24 bytes
        ((CKA.VALUE, b""), VALUE_INVALID),
        ((CKA.VALUE, bytes(17)), VALUE_INVALID),
        ((CKA.VALUE_LEN, 17), INCONSISTENT),
        ((CKA.KEY_GEN_MECHANISM, CKM.AES_KEY_GEN), READ_ONLY),
        ((CKA.SUBJECT, b""), TYPE_INVALID),
    ],
)
def test_what_is_wrong_with_a_secret_key(attribute: Attribute, code: int) -> None:
    assert code_of(lambda: making.new_object(changed(SECRET, attribute))) == code


@pytest.mark.parametrize("cka", [CKA.CLASS, CKA.KEY_TYPE, CKA.VALUE])
def test_what_a_secret_key_needs(cka: int) -> None:
    assert code_of(lambda: making.new_object(without(SECRET, cka))) == INCOMPLETE


# --- any -----------------------------------------------------------------------------

USUAL = (
    *(CKA.VALUE, CKA.CERTIFICATE_TYPE, CKA.MODULUS, CKA.PUBLIC_EXPONENT, CKA.EC_PARAMS),
    *(CKA.EC_POINT, CKA.PARAMETER_SET, CKA.PRIVATE_EXPONENT, CKA.SEED, CKA.VALUE_LEN),
)
WHOLE = [
    CERTIFICATE,
    SECRET,
    *(private_template(name) for name in sorted(privates())),
]


@given(st.sampled_from(CLASSES), st.sampled_from(sorted(house.KEY_TYPES)), any_template(*USUAL))
def test_any_template_gives_an_object_or_is_wrong(
    cko: int, key_type: int, template: Template
) -> None:
    whole = ((CKA.CLASS, cko), (CKA.KEY_TYPE, key_type), *template)
    for each in (template, whole):
        made: Any = outcome(lambda each=each: making.new_object(each))  # type: ignore[misc]
        assert isinstance(made, NewObject | int)


@given(st.integers(0, len(WHOLE) - 1), st.data())
def test_a_good_template_with_any_change_gives_an_object_or_is_wrong(
    which: int, data: st.DataObject
) -> None:
    template = WHOLE[which]
    more = data.draw(any_template(*(cka for cka, _ in template)))
    made: Any = outcome(lambda: making.new_object(changed(template, *more)))
    assert isinstance(made, NewObject | int)

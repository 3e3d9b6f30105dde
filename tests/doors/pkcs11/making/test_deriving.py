"""Templates of C_DeriveKey, C_UnwrapKey and their like."""

from typing import Any

import pytest
from hypothesis import given
from tests.doors.pkcs11 import house
from tests.doors.pkcs11.house import ListToken, pair, secret
from tests.doors.pkcs11.making.templates import (
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

from keyholm.core.model import Attributes, Kind, NewObject, SecretKey, SecretType
from keyholm.core.secret import Secret
from keyholm.cryptoki.mechanisms import Chosen, chosen
from keyholm.doors.pkcs11 import making
from keyholm.doors.pkcs11.objects import Shown
from keyholm.doors.pkcs11.showing import shown
from keyholm.wire.pkcs11 import parameters
from keyholm.wire.pkcs11.attributes import Attribute, Template
from keyholm.wire.pkcs11.constants import CKA, CKD, CKF, CKK, CKM, CKO, CKR
from keyholm.wire.pkcs11.mechanisms import Mechanism

TOKEN = ListToken()


def half(name: str, cko: int, attributes: Attributes | None = None, **more: Any) -> Shown:
    key = pair(name, attributes, attributes or {}, **more)
    return next(each for each in shown(TOKEN, key) if each.cko == cko)


def secret_key(attributes: Attributes | None = None, **more: Any) -> Shown:
    [one] = shown(TOKEN, secret(SecretType.AES, 32, attributes, **more))
    return one


def ecdh(kdf: int = CKD.NULL) -> Chosen:
    parameter = parameters.Ecdh1(kdf, b"", b"\4" + bytes(64))
    return chosen(Mechanism(CKM.ECDH1_DERIVE, parameter), CKF.DERIVE)


BASE = half("p256", CKO.PRIVATE_KEY)
TEMPLATE: Template = (
    (CKA.CLASS, CKO.SECRET_KEY),
    (CKA.KEY_TYPE, CKK.AES),
    (CKA.VALUE_LEN, 16),
    (CKA.TOKEN, True),
    (CKA.ID, b"\1"),
)


def test_a_derived_key() -> None:
    assert making.derived(ecdh(), BASE, TEMPLATE) == NewObject(
        Kind.SECRET,
        {
            CKA.LABEL: b"",
            CKA.ID: b"\1",
            CKA.LOCAL: False,
            CKA.ALWAYS_SENSITIVE: True,
            CKA.NEVER_EXTRACTABLE: True,
        },
        type=SecretKey(SecretType.AES, 16),
    )


@pytest.mark.parametrize(
    ("base", "more", "always", "never"),
    [
        (BASE, ((CKA.SENSITIVE, False),), False, True),
        (BASE, ((CKA.EXTRACTABLE, True),), True, False),
        (half("p256", CKO.PRIVATE_KEY, {CKA.SENSITIVE: False}), (), False, True),
        (half("p256", CKO.PRIVATE_KEY, exportable=True), (), True, False),
    ],
)
def test_a_derived_key_was_never_safer_than_its_parent(
    base: Shown, more: Template, always: bool, never: bool
) -> None:
    new = making.derived(ecdh(), base, (*TEMPLATE, *more))
    assert new.attributes[CKA.ALWAYS_SENSITIVE] is always
    assert new.attributes[CKA.NEVER_EXTRACTABLE] is never


def test_a_length_is_needed_where_there_is_none_by_nature() -> None:
    plain = without(TEMPLATE, CKA.VALUE_LEN)
    assert making.derived(ecdh(), BASE, plain).type == SecretKey(SecretType.AES, 0)
    assert code_of(lambda: making.derived(ecdh(CKD.SHA256_KDF), BASE, plain)) == INCOMPLETE
    assert making.derived(ecdh(), BASE, ()).type == SecretKey(SecretType.GENERIC, 0)


@pytest.mark.parametrize(
    ("attribute", "code"),
    [
        ((CKA.CLASS, CKO.PRIVATE_KEY), INCONSISTENT),
        ((CKA.KEY_TYPE, CKK.RSA), VALUE_INVALID),
        ((CKA.VALUE_LEN, 15), VALUE_INVALID),
        ((CKA.VALUE, bytes(16)), TYPE_INVALID),
        ((CKA.LOCAL, False), READ_ONLY),
        ((CKA.TRUSTED, True), READ_ONLY),
    ],
)
def test_what_is_wrong_with_the_template_of_a_derived_key(attribute: Attribute, code: int) -> None:
    assert code_of(lambda: making.derived(ecdh(), BASE, changed(TEMPLATE, attribute))) == code


BOUND = {CKA.SIGN: False, CKA.EXTRACTABLE: False}
BOUND_TEMPLATE = tuple(BOUND.items())
ML_KEM = Mechanism(CKM.ML_KEM)


@pytest.mark.parametrize(
    ("base", "mechanism"),
    [
        (half("p256", CKO.PRIVATE_KEY, {CKA.DERIVE_TEMPLATE: BOUND_TEMPLATE}), ecdh()),
        (
            half("ml-kem-768", CKO.PUBLIC_KEY, {CKA.ENCAPSULATE_TEMPLATE: BOUND_TEMPLATE}),
            chosen(ML_KEM, CKF.ENCAPSULATE),
        ),
        (
            half("ml-kem-768", CKO.PRIVATE_KEY, {CKA.DECAPSULATE_TEMPLATE: BOUND_TEMPLATE}),
            chosen(ML_KEM, CKF.DECAPSULATE),
        ),
    ],
)
def test_a_key_can_say_what_comes_of_it(base: Shown, mechanism: Chosen) -> None:
    new = making.derived(mechanism, base, TEMPLATE)
    assert new.attributes[CKA.SIGN] is False
    assert not new.exportable
    making.derived(mechanism, base, (*TEMPLATE, (CKA.SIGN, False)))
    for attribute in ((CKA.SIGN, True), (CKA.EXTRACTABLE, True)):
        template = (*TEMPLATE, attribute)
        assert (
            code_of(lambda t=template: making.derived(mechanism, base, t))  # type: ignore[misc]
            == INCONSISTENT
        )


def test_a_key_that_is_encapsulated_has_a_length_by_nature() -> None:
    base = half("ml-kem-768", CKO.PUBLIC_KEY)
    plain = without(TEMPLATE, CKA.VALUE_LEN)
    new = making.derived(chosen(ML_KEM, CKF.ENCAPSULATE), base, plain)
    assert new.type == SecretKey(SecretType.AES, 0)
    assert new.attributes[CKA.ALWAYS_SENSITIVE] is False  # others know it too


# --- passwords -----------------------------------------------------------------------


def test_a_password_is_a_key_for_as_long_as_it_takes() -> None:
    password = memoryview(bytearray(b"hunter"))
    new = making.password_key(parameters.Pbkdf2(1, b"salt", 1000, 4, b"", password))
    assert new.session
    assert new.type == SecretKey(SecretType.GENERIC, 6)
    assert new.material == Secret.of(b"hunter")
    assert "hunter" not in repr(new)


def test_no_password_makes_no_key() -> None:
    empty = parameters.Pbkdf2(1, b"salt", 1000, 4, b"", memoryview(b""))
    assert code_of(lambda: making.password_key(empty)) == CKR.MECHANISM_PARAM_INVALID


def test_what_is_made_of_a_password() -> None:
    new = making.stretched(TEMPLATE)
    assert new.type == SecretKey(SecretType.AES, 16)
    assert new.attributes[CKA.ALWAYS_SENSITIVE] is False
    assert code_of(lambda: making.stretched(without(TEMPLATE, CKA.VALUE_LEN))) == INCOMPLETE


# --- wrapping ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrapping", "key", "code"),
    [
        (secret_key(), secret_key(exportable=True), None),
        (secret_key(), half("p256", CKO.PRIVATE_KEY, exportable=True), None),
        (half("rsa", CKO.PUBLIC_KEY), secret_key(exportable=True), None),
        (secret_key(), secret_key(), CKR.KEY_UNEXTRACTABLE),
        (secret_key(), half("p256", CKO.PRIVATE_KEY), CKR.KEY_UNEXTRACTABLE),
        (secret_key(), half("p256", CKO.PUBLIC_KEY), CKR.KEY_NOT_WRAPPABLE),
        (
            secret_key(),
            secret_key({CKA.WRAP_WITH_TRUSTED: True}, exportable=True),
            CKR.KEY_NOT_WRAPPABLE,
        ),
        (
            secret_key({CKA.TRUSTED: True}),
            secret_key({CKA.WRAP_WITH_TRUSTED: True}, exportable=True),
            None,
        ),
        (
            secret_key({CKA.WRAP_TEMPLATE: ((CKA.SIGN, True),)}),
            secret_key({CKA.SIGN: False}, exportable=True),
            CKR.KEY_HANDLE_INVALID,
        ),
        (
            secret_key({CKA.WRAP_TEMPLATE: ((CKA.SIGN, True),)}),
            secret_key(exportable=True),
            None,
        ),
    ],
)
def test_which_keys_may_leave(wrapping: Shown, key: Shown, code: int | None) -> None:
    assert outcome(lambda: making.check_wrappable(wrapping, key)) == code


def test_an_unwrapped_secret_key() -> None:
    new = making.unwrapped(secret_key(), without(TEMPLATE, CKA.VALUE_LEN))
    assert (new.kind, new.type) == (Kind.SECRET, SecretKey(SecretType.AES, 0))
    assert new.attributes == {
        CKA.LABEL: b"",
        CKA.ID: b"\1",
        CKA.LOCAL: False,
        CKA.ALWAYS_SENSITIVE: False,
        CKA.NEVER_EXTRACTABLE: False,
    }


def test_an_unwrapped_private_key() -> None:
    template = ((CKA.CLASS, CKO.PRIVATE_KEY), (CKA.KEY_TYPE, CKK.RSA), (CKA.SIGN, True))
    new = making.unwrapped(secret_key(), template)
    assert (new.kind, new.type, new.public_attributes) == (Kind.PRIVATE, None, None)
    assert new.attributes[CKA.SIGN] is True


@pytest.mark.parametrize(
    ("template", "code"),
    [
        ((), INCOMPLETE),
        (((CKA.CLASS, CKO.SECRET_KEY),), INCOMPLETE),
        (((CKA.KEY_TYPE, CKK.AES),), INCOMPLETE),
        (((CKA.CLASS, CKO.DATA), (CKA.KEY_TYPE, CKK.AES)), VALUE_INVALID),
        (((CKA.CLASS, CKO.SECRET_KEY), (CKA.KEY_TYPE, CKK.RSA)), VALUE_INVALID),
        (((CKA.CLASS, CKO.PRIVATE_KEY), (CKA.KEY_TYPE, CKK.AES)), VALUE_INVALID),
        (
            ((CKA.CLASS, CKO.PRIVATE_KEY), (CKA.KEY_TYPE, CKK.EC), (CKA.VALUE, b"x")),
            TYPE_INVALID,
        ),
    ],
)
def test_what_is_wrong_with_the_template_of_an_unwrapped_key(template: Template, code: int) -> None:
    assert code_of(lambda: making.unwrapped(secret_key(), template)) == code


def test_an_unwrapping_key_can_say_what_comes_of_it() -> None:
    base = secret_key({CKA.UNWRAP_TEMPLATE: BOUND_TEMPLATE})
    assert making.unwrapped(base, TEMPLATE).attributes[CKA.SIGN] is False
    template = (*TEMPLATE, (CKA.SIGN, True))
    assert code_of(lambda: making.unwrapped(base, template)) == INCONSISTENT


@pytest.mark.parametrize(
    ("made", "cko"),
    [
        (pair("p256"), CKO.PRIVATE_KEY),
        (secret(SecretType.AES, 16), CKO.SECRET_KEY),
        (house.held_certificate(), CKO.CERTIFICATE),
    ],
)
def test_of_which_class_something_is(made: Any, cko: int) -> None:
    assert making.class_of(made) == cko


# --- any -----------------------------------------------------------------------------


@given(any_template(CKA.VALUE_LEN, CKA.EXTRACTABLE, CKA.SIGN))
def test_any_template_gives_a_key_or_is_wrong(template: Template) -> None:
    bound = half("p256", CKO.PRIVATE_KEY, {CKA.DERIVE_TEMPLATE: BOUND_TEMPLATE})
    wrapping = secret_key({CKA.UNWRAP_TEMPLATE: BOUND_TEMPLATE})
    for make in (
        lambda: making.derived(ecdh(), BASE, template),
        lambda: making.derived(ecdh(), bound, template),
        lambda: making.unwrapped(wrapping, template),
        lambda: making.stretched(template),
    ):
        made: Any = outcome(make)
        assert isinstance(made, NewObject | int)

"""Private keys from their parts, as cryptography reads them; and the parts from a key."""

from contextlib import closing
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from hypothesis import given
from hypothesis import strategies as st
from tests.doors.pkcs11 import house
from tests.doors.pkcs11.house import privates, spki_of
from tests.doors.pkcs11.making.templates import (
    INCOMPLETE,
    INCONSISTENT,
    VALUE_INVALID,
    changed,
    code_of,
    outcome,
    without,
)

from keyholm.core.model import NewObject
from keyholm.core.secret import Secret
from keyholm.cryptoki.forms import form_of_spki, number
from keyholm.doors.pkcs11 import making
from keyholm.doors.pkcs11.making import private_keys
from keyholm.wire.pkcs11.attributes import Template, Value
from keyholm.wire.pkcs11.constants import CKA, CKO

NAMES = sorted(privates())
EXPONENT = (CKA.PUBLIC_EXPONENT, b"\1\0\1")


def view(data: bytes) -> memoryview:
    """As it comes in a frame that is wiped."""
    return memoryview(bytearray(data))


def parts(name: str) -> dict[int, Value]:
    private = privates()[name]
    match private:
        case rsa.RSAPrivateKey():
            numbers = private.private_numbers()
            public = numbers.public_numbers
            return {
                CKA.MODULUS: number(public.n),
                CKA.PUBLIC_EXPONENT: number(public.e),
                CKA.PRIVATE_EXPONENT: view(number(numbers.d)),
                CKA.PRIME_1: view(number(numbers.p)),
                CKA.PRIME_2: view(number(numbers.q)),
                CKA.EXPONENT_1: view(number(numbers.dmp1)),
                CKA.EXPONENT_2: view(number(numbers.dmq1)),
                CKA.COEFFICIENT: view(number(numbers.iqmp)),
            }
        case ec.EllipticCurvePrivateKey():
            return {CKA.VALUE: view(number(private.private_numbers().private_value))}
        case _ if name.startswith("ml-"):
            return {CKA.SEED: view(private.private_bytes_raw())}
        case _:
            return {CKA.VALUE: view(private.private_bytes_raw())}


def template(name: str) -> Template:
    form = form_of_spki(spki_of(privates()[name].public_key()))
    assert form is not None
    return (
        (CKA.CLASS, CKO.PRIVATE_KEY),
        (CKA.KEY_TYPE, form.key_type),
        *form.parameters,
        *parts(name).items(),
    )


def read(new: NewObject) -> Any:
    assert new.material is not None
    with new.material as material:
        return load_der_private_key(bytes(material.view), None)


@pytest.mark.parametrize("name", NAMES)
def test_the_parts_of_a_key_are_the_key(name: str) -> None:
    key = read(making.new_object(template(name)))
    assert spki_of(key.public_key()) == spki_of(privates()[name].public_key())


@pytest.mark.parametrize(
    "missing",
    [
        (CKA.EXPONENT_1, CKA.EXPONENT_2, CKA.COEFFICIENT),
        (CKA.COEFFICIENT,),
        (CKA.EXPONENT_1, CKA.EXPONENT_2, CKA.COEFFICIENT, CKA.PRIME_1, CKA.PRIME_2),
    ],
)
def test_what_follows_from_the_rest_of_an_rsa_key_may_be_missing(missing: tuple[int, ...]) -> None:
    given = template("rsa")
    for cka in missing:
        given = without(given, cka)
    numbers = read(making.new_object(given)).private_numbers()
    theirs = privates()["rsa"].private_numbers()
    assert {numbers.p, numbers.q} == {theirs.p, theirs.q}
    assert numbers.d == theirs.d


def test_numbers_with_zeros_in_front_are_the_same() -> None:
    given = template("rsa")
    padded = tuple(
        (cka, view(bytes(3) + bytes(value))) if isinstance(value, memoryview) else (cka, value)
        for cka, value in given
    )
    assert read(making.new_object(padded)).key_size == 2048
    [value] = parts("p521").values()
    assert isinstance(value, memoryview)
    long = changed(template("p521"), (CKA.VALUE, view(bytes(9) + bytes(value))))
    assert read(making.new_object(long)).curve.name == "secp521r1"


def test_a_scalar_that_begins_with_zeros_is_taken_short() -> None:
    given = changed(template("p256"), (CKA.VALUE, view(b"\5")))
    assert read(making.new_object(given)).private_numbers().private_value == 5


@pytest.mark.parametrize(
    ("name", "cka"),
    [
        ("rsa", CKA.MODULUS),
        ("rsa", CKA.PUBLIC_EXPONENT),
        ("rsa", CKA.PRIVATE_EXPONENT),
        ("rsa", CKA.PRIME_1),
        ("rsa", CKA.PRIME_2),
        ("p256", CKA.VALUE),
        ("p256", CKA.EC_PARAMS),
        ("ed25519", CKA.VALUE),
        ("x448", CKA.EC_PARAMS),
        ("ml-dsa-65", CKA.PARAMETER_SET),
        ("ml-dsa-65", CKA.SEED),
        ("ml-kem-768", CKA.SEED),
    ],
)
def test_a_part_that_is_missing(name: str, cka: int) -> None:
    assert code_of(lambda: making.new_object(without(template(name), cka))) == INCOMPLETE


@pytest.mark.parametrize(
    ("name", "attribute", "code"),
    [
        ("rsa", (CKA.MODULUS, b"\5"), VALUE_INVALID),
        ("rsa", (CKA.MODULUS, b"\xff" * 2049), VALUE_INVALID),
        ("p256", (CKA.VALUE, view(b"")), VALUE_INVALID),
        ("p256", (CKA.VALUE, view(bytes(32))), VALUE_INVALID),
        ("p256", (CKA.VALUE, view(b"\1" * 33)), VALUE_INVALID),
        ("ed25519", (CKA.VALUE, view(b"\1" * 31)), VALUE_INVALID),
        ("ed25519", (CKA.VALUE, view(b"\1" * 64)), VALUE_INVALID),
        ("ml-dsa-44", (CKA.SEED, view(b"\1" * 31)), VALUE_INVALID),
        ("ml-dsa-44", (CKA.VALUE, view(bytes(2560))), INCONSISTENT),
        ("p256", (CKA.KEY_TYPE, 0x77), VALUE_INVALID),
    ],
)
def test_a_part_that_cannot_be(name: str, attribute: Any, code: int) -> None:
    assert code_of(lambda: making.new_object(changed(template(name), attribute))) == code


def test_an_expanded_key_is_not_taken_for_a_seed() -> None:
    given = without(template("ml-dsa-44"), CKA.SEED)
    assert code_of(lambda: making.new_object((*given, (CKA.VALUE, view(bytes(2560)))))) == (
        VALUE_INVALID
    )


BARE = [
    each
    for each in template("rsa")
    if each[0] in (CKA.CLASS, CKA.KEY_TYPE, CKA.MODULUS, CKA.PUBLIC_EXPONENT)
]


@pytest.mark.parametrize(
    "exponent", [b"", b"\1", b"\5", b"\xff" * 255, b"\x01" + bytes(255), b"\xff" * 300]
)
def test_an_exponent_of_another_modulus_is_refused_soon(exponent: bytes) -> None:
    given = (*BARE, (CKA.PRIVATE_EXPONENT, view(exponent)))
    assert code_of(lambda: making.new_object(given)) == VALUE_INVALID


def test_primes_are_not_looked_for_in_numbers_that_take_seconds() -> None:
    given = (
        *changed(tuple(BARE), (CKA.MODULUS, b"\xff" * 1024)),
        (CKA.PRIVATE_EXPONENT, view(b"\xff" * 1000)),
    )
    assert code_of(lambda: making.new_object(given)) == VALUE_INVALID


def test_primes_of_another_modulus() -> None:
    given = without(changed(template("rsa"), (CKA.PRIME_1, view(b"\xfb"))), CKA.COEFFICIENT)
    assert code_of(lambda: making.new_object(given)) == VALUE_INVALID


@given(st.integers(1, 2**40), st.integers(0, 2**40), st.integers(0, 2**40))
def test_any_small_numbers_have_primes_or_are_refused(n: int, e: int, d: int) -> None:
    found = outcome(lambda: private_keys._primes(n, e, d))
    if found != VALUE_INVALID:
        p, q = found
        assert p * q == n
        assert 1 < q <= p


# --- out -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_parts_of_a_key_are_read_from_it(name: str) -> None:
    private = privates()[name]
    form = form_of_spki(spki_of(private.public_key()))
    assert form is not None
    written = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    with closing(Secret.of(written)) as secret:
        for cka, value in parts(name).items():
            found = bytes(private_keys.part(form, secret.view, cka))
            assert isinstance(value, bytes | memoryview)
            assert found.lstrip(b"\0") == bytes(value).lstrip(b"\0")
        assert code_of(lambda: private_keys.part(form, secret.view, CKA.LABEL)) == 0x12


@pytest.mark.parametrize("name", NAMES)
def test_what_was_made_of_parts_is_read_as_those_parts(name: str) -> None:
    form = form_of_spki(spki_of(privates()[name].public_key()))
    assert form is not None
    material = making.new_object(template(name)).material
    assert material is not None
    with material:
        for cka in form.secret:
            wanted = parts(name)[cka]
            assert isinstance(wanted, memoryview)
            found = private_keys.part(form, material.view, cka)
            assert bytes(found).lstrip(b"\0") == bytes(wanted).lstrip(b"\0")


def test_what_cannot_be_read_is_the_stores_fault() -> None:
    form = form_of_spki(spki_of(house.privates()["p256"].public_key()))
    assert form is not None
    with pytest.raises(Exception, match="cannot be read"):
        private_keys.part(form, memoryview(b"0\0"), CKA.VALUE)

"""Templates of C_GenerateKey and C_GenerateKeyPair."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
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

from keyholm.core.model import (
    Algorithm,
    NewKey,
    OtherAlgorithm,
    RsaKey,
    SecretKey,
    SecretType,
)
from keyholm.cryptoki.mechanisms import ROWS
from keyholm.doors.pkcs11 import making
from keyholm.wire import der
from keyholm.wire.pkcs11.attributes import Attribute, Template
from keyholm.wire.pkcs11.constants import CKA, CKF, CKK, CKM, CKO, CKP, CKR
from keyholm.wire.pkcs11.mechanisms import Mechanism

AES = Mechanism(CKM.AES_KEY_GEN)
GENERIC = Mechanism(CKM.GENERIC_SECRET_KEY_GEN)
RSA = Mechanism(CKM.RSA_PKCS_KEY_PAIR_GEN)
EC = Mechanism(CKM.EC_KEY_PAIR_GEN)
P256 = der.oid("1.2.840.10045.3.1.7")

SECRET: Template = (
    (CKA.CLASS, CKO.SECRET_KEY),
    (CKA.KEY_TYPE, CKK.AES),
    (CKA.TOKEN, True),
    (CKA.LABEL, b"data"),
    (CKA.ID, b"\1"),
    (CKA.VALUE_LEN, 32),
    (CKA.SIGN, False),
)
PUBLIC: Template = (
    (CKA.CLASS, CKO.PUBLIC_KEY),
    (CKA.KEY_TYPE, CKK.RSA),
    (CKA.TOKEN, True),
    (CKA.MODULUS_BITS, 2048),
    (CKA.PUBLIC_EXPONENT, b"\1\0\1"),
    (CKA.VERIFY, True),
    (CKA.LABEL, b"pub"),
)
PRIVATE: Template = (
    (CKA.CLASS, CKO.PRIVATE_KEY),
    (CKA.KEY_TYPE, CKK.RSA),
    (CKA.TOKEN, True),
    (CKA.LABEL, b"priv"),
    (CKA.ID, b"\1"),
    (CKA.SIGN, True),
    (CKA.DECRYPT, False),
)


# --- secret keys ---------------------------------------------------------------------


def test_a_secret_key() -> None:
    new = making.secret_key(AES, SECRET)
    assert new == NewKey(
        "data",
        SecretKey(SecretType.AES, 32),
        False,
        {CKA.LABEL: b"data", CKA.ID: b"\1", CKA.SIGN: False},
        None,
        False,
    )


def test_what_a_template_leaves_out_is_as_usual() -> None:
    new = making.secret_key(AES, ((CKA.VALUE_LEN, 16),))
    assert new.session
    assert not new.exportable
    assert new.attributes == {CKA.LABEL: b""}  # never nothing: a name is for those who want one


def test_what_may_leave_says_so() -> None:
    new = making.secret_key(AES, (*SECRET, (CKA.EXTRACTABLE, True), (CKA.SENSITIVE, False)))
    assert new.exportable
    assert new.attributes[CKA.SENSITIVE] is False


@pytest.mark.parametrize(
    ("mechanism", "template", "wanted", "stored"),
    [
        (CKM.CHACHA20_KEY_GEN, (), SecretKey(SecretType.CHACHA20, 32), None),
        (CKM.AES_XTS_KEY_GEN, ((CKA.VALUE_LEN, 64),), SecretKey(SecretType.AES, 64), CKK.AES_XTS),
        (CKM.HKDF_KEY_GEN, ((CKA.VALUE_LEN, 40),), SecretKey(SecretType.GENERIC, 40), CKK.HKDF),
        (
            CKM.SHA_1_KEY_GEN,
            ((CKA.VALUE_LEN, 20),),
            SecretKey(SecretType.GENERIC, 20),
            CKK.SHA_1_HMAC,
        ),
        (
            CKM.GENERIC_SECRET_KEY_GEN,
            ((CKA.KEY_TYPE, CKK.SHA256_HMAC), (CKA.VALUE_LEN, 32)),
            SecretKey(SecretType.GENERIC, 32),
            CKK.SHA256_HMAC,
        ),
    ],
)
def test_keys_for_one_use(
    mechanism: int, template: Template, wanted: SecretKey, stored: int | None
) -> None:
    new = making.secret_key(Mechanism(mechanism), template)
    assert new.algorithm == wanted
    assert new.attributes.get(CKA.KEY_TYPE) == stored


def test_triple_des_is_for_old_programs() -> None:
    des3 = Mechanism(CKM.DES3_KEY_GEN)
    assert code_of(lambda: making.secret_key(des3, ())) == CKR.MECHANISM_INVALID
    assert making.secret_key(des3, (), legacy=True).algorithm == SecretKey(SecretType.DES3, 24)


@pytest.mark.parametrize(
    ("attribute", "code"),
    [
        ((CKA.CLASS, CKO.PRIVATE_KEY), INCONSISTENT),
        ((CKA.KEY_TYPE, CKK.DES3), INCONSISTENT),
        ((CKA.VALUE_LEN, 17), VALUE_INVALID),
        ((CKA.VALUE_LEN, None), VALUE_INVALID),
        ((CKA.VALUE_LEN, b"\x20"), VALUE_INVALID),
        ((CKA.VALUE_LEN, True), VALUE_INVALID),
        ((CKA.TOKEN, 1), VALUE_INVALID),
        ((CKA.LABEL, 1), VALUE_INVALID),
        ((CKA.START_DATE, b"2026"), VALUE_INVALID),
        ((CKA.ALLOWED_MECHANISMS, (b"x",)), VALUE_INVALID),
        ((CKA.WRAP_TEMPLATE, (1,)), VALUE_INVALID),
        ((CKA.UNWRAP_TEMPLATE, ((CKA.SIGN, b"x"),)), VALUE_INVALID),
        ((CKA.VALUE, bytes(32)), TYPE_INVALID),
        ((CKA.MODULUS_BITS, 2048), TYPE_INVALID),
        ((0x8000_0001, b"x"), TYPE_INVALID),
        ((CKA.LOCAL, True), READ_ONLY),
        ((CKA.UNIQUE_ID, b"x"), READ_ONLY),
        ((CKA.KEY_GEN_MECHANISM, CKM.AES_KEY_GEN), READ_ONLY),
        ((CKA.ALWAYS_SENSITIVE, True), READ_ONLY),
        ((CKA.NEVER_EXTRACTABLE, False), READ_ONLY),
        ((CKA.TRUSTED, True), READ_ONLY),
    ],
)
def test_what_is_wrong_with_a_secret_keys_template(attribute: Attribute, code: int) -> None:
    assert code_of(lambda: making.secret_key(AES, changed(SECRET, attribute))) == code


def test_the_length_of_a_key_is_needed_where_it_can_differ() -> None:
    for mechanism in (AES, GENERIC):
        template = without(without(SECRET, CKA.VALUE_LEN), CKA.KEY_TYPE)
        assert code_of(lambda m=mechanism, t=template: making.secret_key(m, t)) == INCOMPLETE  # type: ignore[misc]


def test_an_attribute_that_is_there_twice() -> None:
    template = (*SECRET, (CKA.LABEL, b"other"))
    assert code_of(lambda: making.secret_key(AES, template)) == INCONSISTENT


def test_a_mechanism_that_makes_something_else() -> None:
    assert code_of(lambda: making.secret_key(RSA, SECRET)) == CKR.MECHANISM_INVALID
    assert code_of(lambda: making.key_pair(AES, PUBLIC, PRIVATE)) == CKR.MECHANISM_INVALID


# --- key pairs -----------------------------------------------------------------------


def test_a_key_pair() -> None:
    new = making.key_pair(RSA, PUBLIC, PRIVATE)
    assert new == NewKey(
        "priv",
        Algorithm.RSA_2048,
        False,
        {CKA.LABEL: b"priv", CKA.ID: b"\1", CKA.SIGN: True, CKA.DECRYPT: False},
        {CKA.LABEL: b"pub", CKA.VERIFY: True},
        False,
    )


def test_people_know_a_private_key_by_the_label_of_its_public_half() -> None:
    new = making.key_pair(RSA, PUBLIC, without(PRIVATE, CKA.LABEL))
    assert new.label == "pub"
    assert new.attributes[CKA.LABEL] == b"pub"


@pytest.mark.parametrize(
    ("mechanism", "parameters", "made"),
    [
        (CKM.RSA_PKCS_KEY_PAIR_GEN, ((CKA.MODULUS_BITS, 3072),), Algorithm.RSA_3072),
        (CKM.RSA_PKCS_KEY_PAIR_GEN, ((CKA.MODULUS_BITS, 2304),), RsaKey(2304)),
        (
            CKM.RSA_PKCS_KEY_PAIR_GEN,
            ((CKA.MODULUS_BITS, 2048), (CKA.PUBLIC_EXPONENT, b"\0\3")),
            RsaKey(2048, 3),
        ),
        (CKM.EC_KEY_PAIR_GEN, ((CKA.EC_PARAMS, P256),), Algorithm.ECDSA_P256),
        (
            CKM.EC_KEY_PAIR_GEN,
            ((CKA.EC_PARAMS, der.oid("1.3.132.0.10")),),
            OtherAlgorithm.SECP256K1,
        ),
        *(
            (CKM.EC_EDWARDS_KEY_PAIR_GEN, ((CKA.EC_PARAMS, curve),), Algorithm.ED25519)
            for curve in (
                der.oid("1.3.101.112"),
                der.tlv(0x13, b"edwards25519"),
                der.oid("1.3.6.1.4.1.11591.15.1"),
            )
        ),
        (
            CKM.EC_EDWARDS_KEY_PAIR_GEN,
            ((CKA.EC_PARAMS, der.tlv(0x13, b"edwards448")),),
            OtherAlgorithm.ED448,
        ),
        (
            CKM.EC_MONTGOMERY_KEY_PAIR_GEN,
            ((CKA.EC_PARAMS, der.tlv(0x13, b"curve25519")),),
            OtherAlgorithm.X25519,
        ),
        (
            CKM.ML_DSA_KEY_PAIR_GEN,
            ((CKA.PARAMETER_SET, CKP.ML_DSA_65),),
            OtherAlgorithm.ML_DSA_65,
        ),
        (
            CKM.ML_KEM_KEY_PAIR_GEN,
            ((CKA.PARAMETER_SET, CKP.ML_KEM_768),),
            OtherAlgorithm.ML_KEM_768,
        ),
    ],
)
def test_what_is_made(mechanism: int, parameters: Template, made: object) -> None:
    new = making.key_pair(Mechanism(mechanism), parameters, ())
    assert new.algorithm == made
    assert new.session
    # Some programs say it of both halves.
    if mechanism != CKM.RSA_PKCS_KEY_PAIR_GEN:
        assert making.key_pair(Mechanism(mechanism), parameters, parameters).algorithm == made


@pytest.mark.parametrize(
    ("mechanism", "parameters", "code"),
    [
        (CKM.RSA_PKCS_KEY_PAIR_GEN, (), INCOMPLETE),
        (CKM.RSA_PKCS_KEY_PAIR_GEN, ((CKA.MODULUS_BITS, 1024),), VALUE_INVALID),
        (CKM.RSA_PKCS_KEY_PAIR_GEN, ((CKA.MODULUS_BITS, 16384),), VALUE_INVALID),
        (CKM.RSA_PKCS_KEY_PAIR_GEN, ((CKA.MODULUS_BITS, 2049),), VALUE_INVALID),
        (
            CKM.RSA_PKCS_KEY_PAIR_GEN,
            ((CKA.MODULUS_BITS, 2048), (CKA.PUBLIC_EXPONENT, b"\5")),
            VALUE_INVALID,
        ),
        (CKM.EC_KEY_PAIR_GEN, (), INCOMPLETE),
        (CKM.EC_KEY_PAIR_GEN, ((CKA.EC_PARAMS, b""),), CKR.CURVE_NOT_SUPPORTED),
        (
            CKM.EC_KEY_PAIR_GEN,
            ((CKA.EC_PARAMS, der.oid("1.3.101.112")),),
            CKR.CURVE_NOT_SUPPORTED,
        ),
        (CKM.EC_EDWARDS_KEY_PAIR_GEN, ((CKA.EC_PARAMS, P256),), CKR.CURVE_NOT_SUPPORTED),
        (CKM.ML_DSA_KEY_PAIR_GEN, (), INCOMPLETE),
        (
            CKM.ML_KEM_KEY_PAIR_GEN,
            ((CKA.PARAMETER_SET, CKP.ML_KEM_512),),
            CKR.PARAMETER_SET_NOT_SUPPORTED,
        ),
    ],
)
def test_what_is_not_made(mechanism: int, parameters: Template, code: int) -> None:
    assert code_of(lambda: making.key_pair(Mechanism(mechanism), parameters, ())) == code


def test_halves_that_contradict_each_other() -> None:
    p384 = ((CKA.EC_PARAMS, der.oid("1.3.132.0.34")),)
    p256 = ((CKA.EC_PARAMS, P256),)
    assert code_of(lambda: making.key_pair(EC, p256, p384)) == INCONSISTENT
    lasting = (*p256, (CKA.TOKEN, True))
    assert code_of(lambda: making.key_pair(EC, lasting, ())) == INCONSISTENT
    assert not making.key_pair(EC, p256, ((CKA.TOKEN, True),)).session


@pytest.mark.parametrize(
    ("attribute", "code"),
    [
        ((CKA.CLASS, CKO.PUBLIC_KEY), INCONSISTENT),
        ((CKA.KEY_TYPE, CKK.EC), INCONSISTENT),
        ((CKA.VERIFY, True), TYPE_INVALID),
        ((CKA.PRIVATE_EXPONENT, b"x"), TYPE_INVALID),
        ((CKA.LOCAL, True), READ_ONLY),
        ((CKA.SENSITIVE, b"\1"), VALUE_INVALID),
    ],
)
def test_what_is_wrong_with_a_private_template(attribute: Attribute, code: int) -> None:
    private = changed(PRIVATE, attribute)
    assert code_of(lambda: making.key_pair(RSA, PUBLIC, private)) == code


@pytest.mark.parametrize(
    ("attribute", "code"),
    [
        ((CKA.CLASS, CKO.PRIVATE_KEY), INCONSISTENT),
        ((CKA.KEY_TYPE, CKK.EC), INCONSISTENT),
        ((CKA.SIGN, True), TYPE_INVALID),
        ((CKA.SENSITIVE, True), TYPE_INVALID),
        ((CKA.TRUSTED, True), READ_ONLY),
        ((CKA.MODULUS, b"x"), TYPE_INVALID),
    ],
)
def test_what_is_wrong_with_a_public_template(attribute: Attribute, code: int) -> None:
    public = changed(PUBLIC, attribute)
    assert code_of(lambda: making.key_pair(RSA, public, PRIVATE)) == code


# --- any -----------------------------------------------------------------------------

GENERATING = [ckm for ckm, row in ROWS.items() if row.flags & CKF.GENERATE]
PAIRING = [ckm for ckm, row in ROWS.items() if row.flags & CKF.GENERATE_KEY_PAIR]
USUAL = (CKA.VALUE_LEN, CKA.MODULUS_BITS, CKA.EC_PARAMS, CKA.PARAMETER_SET, CKA.EXTRACTABLE)


@given(st.sampled_from(GENERATING), any_template(*USUAL))
def test_any_template_gives_a_secret_key_or_is_wrong(ckm: int, template: Template) -> None:
    made: Any = outcome(lambda: making.secret_key(Mechanism(ckm), template, legacy=True))
    assert isinstance(made, NewKey | int)


@given(st.sampled_from(PAIRING), any_template(*USUAL), any_template(*USUAL))
def test_any_templates_give_a_key_pair_or_are_wrong(
    ckm: int, public: Template, private: Template
) -> None:
    made: Any = outcome(lambda: making.key_pair(Mechanism(ckm), public, private))
    assert isinstance(made, NewKey | int)

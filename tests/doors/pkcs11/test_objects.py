"""Every attribute of every kind of object, from what the core knows of it."""

from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec.structs import replace
from tests.doors.pkcs11 import house
from tests.doors.pkcs11.house import ListToken, pair, privates, secret

from keyholm.core.model import Attributes, Key, Kind, Origin, Place, SecretType
from keyholm.doors.pkcs11.objects import INVALID, PROFILES, SECRET, SENSITIVE, Shown, profile
from keyholm.doors.pkcs11.showing import shown
from keyholm.wire import der
from keyholm.wire.pkcs11.constants import CK, CKA, CKK, CKM, CKO, CKP
from keyholm.wire.ssh import keys

TOKEN = ListToken()
NAMES = sorted(privates())


def halves(key: Key) -> tuple[Shown, Shown]:
    private, public = shown(TOKEN, key)
    return private, public


def only(key: Key | Any) -> Shown:
    [one] = shown(TOKEN, key)
    return one


# --- what all have -------------------------------------------------------------------

EVERY = (
    CKA.CLASS,
    CKA.TOKEN,
    CKA.PRIVATE,
    CKA.MODIFIABLE,
    CKA.COPYABLE,
    CKA.DESTROYABLE,
    CKA.LABEL,
    CKA.UNIQUE_ID,
)
EVERY_KEY = (
    *EVERY,
    CKA.KEY_TYPE,
    CKA.ID,
    CKA.START_DATE,
    CKA.END_DATE,
    CKA.DERIVE,
    CKA.LOCAL,
    CKA.KEY_GEN_MECHANISM,
    CKA.ALLOWED_MECHANISMS,
)
PROTECTED = (
    CKA.SENSITIVE,
    CKA.EXTRACTABLE,
    CKA.ALWAYS_SENSITIVE,
    CKA.NEVER_EXTRACTABLE,
    CKA.WRAP_WITH_TRUSTED,
)
OF_PRIVATE = (
    *EVERY_KEY,
    *PROTECTED,
    CKA.SUBJECT,
    CKA.SIGN,
    CKA.SIGN_RECOVER,
    CKA.DECRYPT,
    CKA.UNWRAP,
    CKA.DECAPSULATE,
    CKA.UNWRAP_TEMPLATE,
    CKA.ALWAYS_AUTHENTICATE,
    CKA.PUBLIC_KEY_INFO,
)
OF_PUBLIC = (
    *EVERY_KEY,
    CKA.SUBJECT,
    CKA.VERIFY,
    CKA.VERIFY_RECOVER,
    CKA.ENCRYPT,
    CKA.WRAP,
    CKA.ENCAPSULATE,
    CKA.TRUSTED,
    CKA.WRAP_TEMPLATE,
    CKA.PUBLIC_KEY_INFO,
)


@pytest.mark.parametrize("name", NAMES)
def test_both_halves_answer_what_the_standard_says_that_they_have(name: str) -> None:
    private, public = halves(pair(name))
    assert [cka for cka in OF_PRIVATE if private.value(cka) is INVALID] == []
    assert [cka for cka in OF_PUBLIC if public.value(cka) is INVALID] == []


def test_each_value_is_of_the_type_that_its_attribute_has() -> None:
    objects = [
        *(one for name in NAMES for one in halves(pair(name))),
        *(only(secret(type_, 32)) for type_ in SecretType),
        only(house.held_certificate()),
        only(house.held(Kind.DATA, {})),
        profile(TOKEN, CKP.BASELINE_PROVIDER),
    ]
    for one in objects:
        for cka, value in one.attributes():
            assert type(value) is _type(cka), CKA.name(cka)


FLAGS = {
    *(CKA.TOKEN, CKA.PRIVATE, CKA.MODIFIABLE, CKA.COPYABLE, CKA.DESTROYABLE, CKA.LOCAL),
    *PROTECTED,
    *(CKA.SIGN, CKA.SIGN_RECOVER, CKA.VERIFY, CKA.VERIFY_RECOVER, CKA.ENCRYPT, CKA.DECRYPT),
    *(CKA.WRAP, CKA.UNWRAP, CKA.DERIVE, CKA.ENCAPSULATE, CKA.DECAPSULATE),
    *(CKA.ALWAYS_AUTHENTICATE, CKA.TRUSTED),
}
NUMBERS = {
    *(CKA.CLASS, CKA.KEY_TYPE, CKA.KEY_GEN_MECHANISM, CKA.MODULUS_BITS, CKA.PARAMETER_SET),
    *(CKA.VALUE_LEN, CKA.CERTIFICATE_TYPE, CKA.CERTIFICATE_CATEGORY, CKA.NAME_HASH_ALGORITHM),
    *(CKA.JAVA_MIDP_SECURITY_DOMAIN, CKA.PROFILE_ID),
}
LISTS = {
    *(CKA.ALLOWED_MECHANISMS, CKA.WRAP_TEMPLATE, CKA.UNWRAP_TEMPLATE, CKA.DERIVE_TEMPLATE),
    *(CKA.ENCAPSULATE_TEMPLATE, CKA.DECAPSULATE_TEMPLATE),
}


def _type(cka: int) -> type:
    if cka in FLAGS:
        return bool
    if cka in NUMBERS:
        return int
    return tuple if cka in LISTS else bytes


def test_names_and_unique_ids_differ() -> None:
    objects = [one for name in NAMES for one in halves(pair(name))]
    objects += [profile(TOKEN, number) for number in PROFILES]
    assert len({one.name for one in objects}) == len(objects)
    assert len({one.value(CKA.UNIQUE_ID) for one in objects}) == len(objects)


# --- key pairs -----------------------------------------------------------------------

KEY_TYPES = {
    "rsa": CKK.RSA,
    **dict.fromkeys(("p224", "p256", "p384", "p521", "secp256k1"), CKK.EC),
    **dict.fromkeys(("ed25519", "ed448"), CKK.EC_EDWARDS),
    **dict.fromkeys(("x25519", "x448"), CKK.EC_MONTGOMERY),
    **dict.fromkeys(("ml-dsa-44", "ml-dsa-65", "ml-dsa-87"), CKK.ML_DSA),
    **dict.fromkeys(("ml-kem-768", "ml-kem-1024"), CKK.ML_KEM),
}
USES = {
    CKK.RSA: (
        {CKA.SIGN, CKA.SIGN_RECOVER, CKA.DECRYPT, CKA.UNWRAP},
        {CKA.VERIFY, CKA.VERIFY_RECOVER, CKA.ENCRYPT, CKA.WRAP},
    ),
    CKK.EC: ({CKA.SIGN, CKA.DERIVE}, {CKA.VERIFY, CKA.DERIVE}),
    CKK.EC_EDWARDS: ({CKA.SIGN}, {CKA.VERIFY}),
    CKK.EC_MONTGOMERY: ({CKA.DERIVE}, {CKA.DERIVE}),
    CKK.ML_DSA: ({CKA.SIGN}, {CKA.VERIFY}),
    CKK.ML_KEM: ({CKA.DECAPSULATE}, {CKA.ENCAPSULATE}),
}
ALL_USES = FLAGS - {*EVERY, *PROTECTED, CKA.LOCAL, CKA.ALWAYS_AUTHENTICATE, CKA.TRUSTED}
OIDS = {
    "p224": "1.3.132.0.33",
    "p256": "1.2.840.10045.3.1.7",
    "p384": "1.3.132.0.34",
    "p521": "1.3.132.0.35",
    "secp256k1": "1.3.132.0.10",
    "ed25519": "1.3.101.112",
    "ed448": "1.3.101.113",
    "x25519": "1.3.101.110",
    "x448": "1.3.101.111",
}
SETS = {
    "ml-dsa-44": CKP.ML_DSA_44,
    "ml-dsa-65": CKP.ML_DSA_65,
    "ml-dsa-87": CKP.ML_DSA_87,
    "ml-kem-768": CKP.ML_KEM_768,
    "ml-kem-1024": CKP.ML_KEM_1024,
}


@pytest.mark.parametrize("name", NAMES)
def test_what_follows_from_the_key_itself(name: str) -> None:
    public = privates()[name].public_key()
    for half in halves(pair(name)):
        assert half.value(CKA.KEY_TYPE) == KEY_TYPES[name]
        assert half.value(CKA.PUBLIC_KEY_INFO) == house.spki_of(public)
        if name == "rsa":
            numbers = public.public_numbers()
            assert half.value(CKA.MODULUS) == numbers.n.to_bytes(256)
            assert half.value(CKA.MODULUS_BITS) == 2048
            assert half.value(CKA.PUBLIC_EXPONENT) == b"\1\0\1"
        elif name in OIDS:
            assert half.value(CKA.EC_PARAMS) == der.oid(OIDS[name])
            raw = (
                public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
                if isinstance(public, ec.EllipticCurvePublicKey)
                else public.public_bytes_raw()
            )
            assert half.value(CKA.EC_POINT) == der.octet_string(raw)
        else:
            assert half.value(CKA.PARAMETER_SET) == SETS[name]
    if name in SETS:
        assert halves(pair(name))[1].value(CKA.VALUE) == public.public_bytes_raw()


@pytest.mark.parametrize("name", NAMES)
def test_a_key_can_do_what_its_kind_can(name: str) -> None:
    private, public = halves(pair(name))
    for half, uses in zip((private, public), USES[KEY_TYPES[name]], strict=True):
        assert {cka for cka in ALL_USES if half.flag(cka)} == uses


def test_a_use_that_was_switched_off_stays_off() -> None:
    private, public = halves(pair("rsa", {CKA.SIGN: False}, {CKA.VERIFY: False}))
    assert not private.flag(CKA.SIGN)
    assert private.flag(CKA.DECRYPT)
    assert not public.flag(CKA.VERIFY)
    assert public.flag(CKA.ENCRYPT)


@pytest.mark.parametrize("name", NAMES)
def test_attributes_of_other_kinds_are_not_there(name: str) -> None:
    private, public = halves(pair(name))
    others = {CKA.MODULUS, CKA.EC_PARAMS, CKA.PARAMETER_SET, CKA.VALUE_LEN, CKA.PROFILE_ID}
    has = {"rsa": {CKA.MODULUS}}.get(name, {CKA.EC_PARAMS if name in OIDS else CKA.PARAMETER_SET})
    for half in (private, public):
        assert {cka for cka in others if half.value(cka) is not INVALID} == has
    assert private.value(CKA.VERIFY) is INVALID
    assert public.value(CKA.SIGN) is INVALID
    assert public.value(CKA.SENSITIVE) is INVALID
    assert private.value(0x8000_1234) is INVALID


SECRETS = {
    CKK.RSA: {
        CKA.PRIVATE_EXPONENT,
        CKA.PRIME_1,
        CKA.PRIME_2,
        CKA.EXPONENT_1,
        CKA.EXPONENT_2,
        CKA.COEFFICIENT,
    },
    CKK.ML_DSA: {CKA.SEED},
    CKK.ML_KEM: {CKA.SEED},
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("attributes", "exportable", "told"),
    [
        ({}, False, SENSITIVE),
        ({}, True, SENSITIVE),
        ({CKA.SENSITIVE: False}, False, SENSITIVE),
        ({CKA.SENSITIVE: False}, True, SECRET),
        ({CKA.SENSITIVE: False, CKA.EXTRACTABLE: False}, True, SENSITIVE),
    ],
)
def test_a_secret_is_told_by_way_of_the_gate_or_not_at_all(
    name: str, attributes: Attributes, exportable: bool, told: object
) -> None:
    private, public = halves(pair(name, attributes, exportable=exportable))
    for cka in SECRETS.get(KEY_TYPES[name], {CKA.VALUE}):
        assert private.value(cka) is told
        assert public.value(cka) is not told
    if CKA.SEED in SECRETS.get(KEY_TYPES[name], ()):
        assert private.value(CKA.VALUE) is SENSITIVE  # expanded from the seed


def test_what_keyholm_made_itself_says_so() -> None:
    private, public = halves(pair("p256", label="work"))
    assert private.value(CKA.ID) == public.value(CKA.ID) == bytes.fromhex(pair("p256").id)[:20]
    assert private.value(CKA.LABEL) == public.value(CKA.LABEL) == b"work"
    for half in (private, public):
        assert half.flag(CKA.TOKEN)
        assert half.flag(CKA.LOCAL)
        assert half.value(CKA.KEY_GEN_MECHANISM) == CKM.EC_KEY_PAIR_GEN
    assert private.flag(CKA.PRIVATE)
    assert private.is_private
    assert not public.flag(CKA.PRIVATE)
    assert [private.flag(cka) for cka in PROTECTED] == [True, False, True, True, False]


def test_what_was_imported_was_not_always_safe() -> None:
    private, _ = halves(pair("p256", origin=Origin.IMPORTED))
    assert [private.flag(cka) for cka in PROTECTED] == [True, False, False, False, False]
    assert not private.flag(CKA.LOCAL)
    assert private.value(CKA.KEY_GEN_MECHANISM) == CK.UNAVAILABLE_INFORMATION


def test_what_was_stored_is_told() -> None:
    stored: Attributes = {
        CKA.ID: b"\1",
        CKA.LABEL: b"mine",
        CKA.SUBJECT: b"0\0",
        CKA.START_DATE: b"20260101",
        CKA.ALWAYS_AUTHENTICATE: True,
        CKA.PRIVATE: False,
        CKA.ALLOWED_MECHANISMS: (CKM.ECDSA,),
        CKA.MODIFIABLE: False,
    }
    private, public = halves(pair("p256", stored, {CKA.LABEL: b"theirs", CKA.PRIVATE: True}))
    assert {cka: private.value(cka) for cka in stored} == stored
    assert public.value(CKA.LABEL) == b"theirs"
    assert public.value(CKA.ID) == b"\1"  # so that the halves are found together
    assert public.is_private
    assert not private.is_private


def test_a_public_half_that_was_destroyed_is_not_shown() -> None:
    assert only(pair("p256", public=None)).cko == CKO.PRIVATE_KEY


def test_a_key_of_a_session_is_no_token_object() -> None:
    key = replace(pair("p256"), place=Place("disk", "main", "session-1"))
    assert not halves(key)[0].flag(CKA.TOKEN)


def test_what_pkcs11_has_no_words_for_is_not_shown() -> None:
    key = pair("ed25519")
    point = b"\4" + bytes(64)
    for ssh in (
        keys.SkEd25519(bytes(32), b"ssh:"),
        keys.SkEcdsa(point, b"ssh:"),
        keys.MlDsa44Ed25519(bytes(keys.MLDSA44_PUBLIC_SIZE), bytes(32)),
        keys.Dsa(5, 3, 2, 2),
    ):
        assert shown(TOKEN, replace(key, ssh=ssh)) == ()


def test_a_repr_says_which_object_it_is_and_no_more() -> None:
    assert repr(halves(pair("p256"))[0]) == "<Shown CKO_PRIVATE_KEY disk/main/p256>"


# --- secret keys ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "key_type", "generation"),
    [
        (SecretType.AES, CKK.AES, CKM.AES_KEY_GEN),
        (SecretType.CHACHA20, CKK.CHACHA20, CKM.CHACHA20_KEY_GEN),
        (SecretType.DES3, CKK.DES3, CKM.DES3_KEY_GEN),
        (SecretType.GENERIC, CKK.GENERIC_SECRET, CKM.GENERIC_SECRET_KEY_GEN),
    ],
)
def test_a_secret_key(type_: SecretType, key_type: int, generation: int) -> None:
    key = only(secret(type_, 24))
    assert key.cko == CKO.SECRET_KEY
    assert [cka for cka in (*EVERY_KEY, *PROTECTED) if key.value(cka) is INVALID] == []
    assert key.value(CKA.KEY_TYPE) == key_type
    assert key.value(CKA.VALUE_LEN) == 24
    assert key.value(CKA.KEY_GEN_MECHANISM) == generation
    assert key.value(CKA.VALUE) is SENSITIVE
    assert key.is_private
    assert {cka for cka in ALL_USES if key.flag(cka)} == {
        *(CKA.ENCRYPT, CKA.DECRYPT, CKA.SIGN, CKA.VERIFY, CKA.WRAP, CKA.UNWRAP, CKA.DERIVE)
    }


def test_a_generic_secret_can_be_the_key_of_one_hmac() -> None:
    stored: Attributes = {
        CKA.KEY_TYPE: CKK.SHA256_HMAC,
        CKA.KEY_GEN_MECHANISM: CKM.SHA256_KEY_GEN,
    }
    key = only(secret(SecretType.GENERIC, 32, stored))
    assert key.value(CKA.KEY_TYPE) == CKK.SHA256_HMAC
    assert key.value(CKA.KEY_GEN_MECHANISM) == CKM.SHA256_KEY_GEN


# --- the rest ------------------------------------------------------------------------


def test_a_certificate_is_told_from_its_own_bytes() -> None:
    one = only(house.held_certificate(more={CKA.ID: b"\1", CKA.LABEL: b"cert"}))
    theirs = x509.load_der_x509_certificate(house.certificate())
    assert one.cko == CKO.CERTIFICATE
    assert one.value(CKA.VALUE) == house.certificate()
    assert one.value(CKA.SUBJECT) == theirs.subject.public_bytes()
    assert one.value(CKA.ISSUER) == theirs.issuer.public_bytes()
    assert one.value(CKA.SERIAL_NUMBER) == der.integer(4711)
    assert one.value(CKA.START_DATE) == b"20260301"
    assert one.value(CKA.PUBLIC_KEY_INFO) == house.spki_of(privates()["p256"].public_key())
    assert one.value(CKA.CERTIFICATE_CATEGORY) == CK.CERTIFICATE_CATEGORY_UNSPECIFIED
    assert one.value(CKA.ID) == b"\1"
    assert len(bytes(one.value(CKA.CHECK_VALUE))) == 3  # type: ignore[arg-type]
    assert not one.is_private


def test_the_certificate_of_an_authority_says_so() -> None:
    authority = house.held(Kind.CERTIFICATE, {CKA.VALUE: house.certificate(authority=True)})
    assert only(authority).value(CKA.CERTIFICATE_CATEGORY) == CK.CERTIFICATE_CATEGORY_AUTHORITY


def test_what_was_stored_with_a_certificate_comes_first() -> None:
    one = only(
        house.held_certificate(more={CKA.CERTIFICATE_CATEGORY: 3, CKA.END_DATE: b"20300101"})
    )
    assert one.value(CKA.CERTIFICATE_CATEGORY) == 3
    assert one.value(CKA.END_DATE) == b"20300101"


def test_a_certificate_that_cannot_be_read_is_still_shown() -> None:
    one = only(house.held(Kind.CERTIFICATE, {CKA.VALUE: b"\0"}))
    assert one.value(CKA.VALUE) == b"\0"
    assert one.value(CKA.SUBJECT) == b""


def test_data() -> None:
    one = only(house.held(Kind.DATA, {CKA.VALUE: b"x", CKA.APPLICATION: b"app"}, private=True))
    assert one.cko == CKO.DATA
    assert (one.value(CKA.VALUE), one.value(CKA.APPLICATION)) == (b"x", b"app")
    assert one.value(CKA.OBJECT_ID) == b""
    assert one.is_private


@pytest.mark.parametrize("name", NAMES)
def test_a_public_key_that_stands_alone_is_as_good_as_a_half(name: str) -> None:
    key = pair(name)
    info = house.spki_of(privates()[name].public_key())
    alone = only(house.held(Kind.PUBLIC, {CKA.PUBLIC_KEY_INFO: info}))
    half = halves(key)[1]
    facts = {CKA.LABEL, CKA.ID, CKA.UNIQUE_ID, CKA.LOCAL, CKA.KEY_GEN_MECHANISM}
    assert {k: v for k, v in alone.attributes() if k not in facts} == {
        k: v for k, v in half.attributes() if k not in facts
    }
    assert alone.value(CKA.LABEL) == b""
    assert not alone.flag(CKA.LOCAL)


@pytest.mark.parametrize("info", [b"", b"0\0", bytes(100)])
def test_a_public_key_that_cannot_be_read_is_not_shown(info: bytes) -> None:
    assert shown(TOKEN, house.held(Kind.PUBLIC, {CKA.PUBLIC_KEY_INFO: info})) == ()


def test_profiles_are_public_objects_of_the_token() -> None:
    for number in PROFILES:
        one = profile(TOKEN, number)
        assert one.value(CKA.CLASS) == CKO.PROFILE
        assert one.value(CKA.PROFILE_ID) == number
        assert one.flag(CKA.TOKEN)
        assert not one.flag(CKA.PRIVATE)
        assert not one.flag(CKA.MODIFIABLE)

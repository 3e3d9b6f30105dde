"""The table of attributes is whole, and p11-kit's part of it is p11-kit's."""

from keyholm.wire.pkcs11.attributes import _BY_KIND, KINDS, SECRET, STOCK, Kind
from keyholm.wire.pkcs11.constants import CKA, CKF, names
from keyholm.wire.pkcs11.dialect import Dialect
from keyholm.wire.pkcs11.templates import has_form

# Facts of p11-kit 0.24.1 to 0.26.4 (rpc-message.c): which types have a form, by kind.
P11_KIT = {
    Kind.BOOL: """TOKEN PRIVATE TRUSTED SENSITIVE ENCRYPT DECRYPT WRAP UNWRAP SIGN SIGN_RECOVER VERIFY
        VERIFY_RECOVER DERIVE EXTRACTABLE LOCAL NEVER_EXTRACTABLE ALWAYS_SENSITIVE MODIFIABLE COPYABLE
        SECONDARY_AUTH ALWAYS_AUTHENTICATE WRAP_WITH_TRUSTED RESET_ON_INIT HAS_RESET COLOR""",
    Kind.ULONG: """CLASS CERTIFICATE_TYPE CERTIFICATE_CATEGORY JAVA_MIDP_SECURITY_DOMAIN KEY_TYPE
        MODULUS_BITS PRIME_BITS SUB_PRIME_BITS VALUE_BITS VALUE_LEN KEY_GEN_MECHANISM AUTH_PIN_FLAGS
        HW_FEATURE_TYPE PIXEL_X PIXEL_Y RESOLUTION CHAR_ROWS CHAR_COLUMNS BITS_PER_PIXEL
        MECHANISM_TYPE""",
    Kind.TEMPLATE: "WRAP_TEMPLATE UNWRAP_TEMPLATE DERIVE_TEMPLATE",
    Kind.ULONGS: "ALLOWED_MECHANISMS",
    Kind.DATE: "START_DATE END_DATE",
}


def test_every_attribute_has_one_kind() -> None:
    assert set(KINDS) == set(names(CKA)) - {CKA.VENDOR_DEFINED}
    assert sum(map(len, _BY_KIND.values())) == len(KINDS)


def test_arrays_are_those_that_the_standard_marks_so() -> None:
    arrays = {number for number, kind in KINDS.items() if kind in (Kind.TEMPLATE, Kind.ULONGS)}
    marked = {number for number in KINDS if number & CKF.ARRAY_ATTRIBUTE}
    # 3.2 has arrays of numbers and templates that it forgot to mark.
    assert (
        marked
        | {
            CKA.HSS_LMS_TYPES,
            CKA.HSS_LMOTS_TYPES,
            CKA.ENCAPSULATE_TEMPLATE,
            CKA.DECAPSULATE_TEMPLATE,
        }
        == arrays
    )


def test_what_p11_kit_has_a_form_for() -> None:
    theirs = {getattr(CKA, name): kind for kind, text in P11_KIT.items() for name in text.split()}
    assert {number: KINDS[number] for number in STOCK} == theirs


def test_derive_templates_came_with_the_first_version() -> None:
    assert not has_form(CKA.DERIVE_TEMPLATE, Dialect(0))
    assert has_form(CKA.DERIVE_TEMPLATE, Dialect(1))
    assert has_form(CKA.WRAP_TEMPLATE, Dialect(0))


def test_secrets_are_strings() -> None:
    assert {KINDS[number] for number in SECRET} == {Kind.BYTES, Kind.NUMBER}

"""Our numbers are those of the standard's header, name by name."""

import pytest
from tests.wire.pkcs11 import header

from keyholm.wire.pkcs11.constants import CKA, CKM, CKO, CKR, CKU, Numbers, names, numbers

KINDS = {kind.__name__: kind for kind in Numbers.__subclasses__()}
# p11-kit 0.24.1 has five numbers wrong, which the standard has at 0x1B5 and up.
WRONG_IN_P11_KIT = {
    "EXCEEDED_MAX_ITERATIONS",
    "FIPS_SELF_TEST_FAILED",
    "LIBRARY_LOAD_FAILED",
    "PIN_TOO_WEAK",
    "PUBLIC_KEY_INVALID",
}
# The prefix of other names.
NOT_A_NUMBER = {"OTP_FORMAT"}


def test_every_kind_of_number_is_in_the_header() -> None:
    assert set(KINDS) == set(header.defines(header.HEADER))


@pytest.mark.parametrize("prefix", KINDS)
def test_the_numbers_are_those_of_the_standard(prefix: str) -> None:
    assert numbers(KINDS[prefix]) == header.defines(header.HEADER)[prefix]


@pytest.mark.skipif(not header.P11_KIT.exists(), reason="libp11-kit-dev is not installed")
@pytest.mark.parametrize("prefix", KINDS)
def test_the_numbers_are_those_of_p11_kit(prefix: str) -> None:
    theirs = header.defines(header.P11_KIT).get(prefix, {})
    ours = numbers(KINDS[prefix])
    other = {name for name, value in theirs.items() if ours.get(name, value) != value}
    assert other == (WRONG_IN_P11_KIT if prefix == "CKR" else set())
    assert theirs.keys() - ours.keys() <= NOT_A_NUMBER


def test_a_number_is_called_what_the_standard_calls_it() -> None:
    assert CKR.name(0xA0) == "CKR_PIN_INCORRECT"
    assert CKM.name(CKM.ECDSA_KEY_PAIR_GEN) == "CKM_EC_KEY_PAIR_GEN"
    assert CKA.name(0x80001234) == "CKA 0x80001234"


def test_names_are_unique_but_for_older_spellings() -> None:
    older = {
        name
        for kind in (CKR, CKA, CKM, CKO, CKU)
        for name, value in numbers(kind).items()
        if names(kind)[value] != name
    }
    assert {name for name in older if "CAST5" not in name and not name.endswith("_DERIVE")} == {
        "DSA_PROBABLISTIC_PARAMETER_GEN",
        "ECDSA_KEY_PAIR_GEN",
        "ECDSA_PARAMS",
        "SUB_PRIME_BITS",
    }

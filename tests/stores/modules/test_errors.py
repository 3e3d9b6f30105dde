"""Every answer of a module is one of our errors, in a sentence with the vendor's word in it."""

import pytest

from keyholm.core.errors import PinIncorrect, StoreFailed, leaves
from keyholm.stores.modules.errors import MEANINGS, Answered, error_of, known
from keyholm.wire.pkcs11.constants import CKR


def test_every_number_of_the_standard_means_something() -> None:
    assert known() == set(MEANINGS)


@pytest.mark.parametrize("status", sorted(known()), ids=CKR.name)
def test_an_answer_is_an_error_that_is_raised_elsewhere_too(status: int) -> None:
    error = error_of(Answered("Sign", status), "my card")
    assert type(error) in leaves()
    assert "my card" in error.what
    assert error.what.endswith(".")
    assert CKR.name(status) in error.what or isinstance(error, PinIncorrect)


def test_what_no_standard_has_is_told_by_its_number() -> None:
    for status in (0x8000_0021, 0x7FFF_0000):
        error = error_of(Answered("C_Sign", status), "my card")
        assert isinstance(error, StoreFailed)
        assert f"0x{status:X}" in error.what


def test_what_the_worker_says_follows() -> None:
    answered = Answered("Sign", CKR.DEVICE_ERROR, "It gave 3 bytes.", "Ask its maker.")
    error = error_of(answered, "my card")
    assert error.what == "my card failed (CKR_DEVICE_ERROR of C_Sign). It gave 3 bytes."
    assert error.remedy == "Ask its maker."

"""Every failure has a word of PKCS#11, and the standard's own word where it has a closer one."""

import pytest

from keyholm.core.errors import DataInvalid, DataLengthInvalid, KeyholmError, leaves
from keyholm.core.mechanisms import Verb
from keyholm.cryptoki.wrong import Wrong
from keyholm.doors.pkcs11.errors import CODES, code
from keyholm.wire.pkcs11.constants import CKR


def test_every_error_has_a_code_at_this_door() -> None:
    assert leaves() <= CODES.keys()
    assert code(KeyholmError("?")) == CKR.GENERAL_ERROR


@pytest.mark.parametrize("error", sorted(leaves(), key=str))
def test_no_failure_is_called_ok(error: type[KeyholmError]) -> None:
    assert CODES[error] not in (CKR.OK, CKR.BUFFER_TOO_SMALL)


def test_what_cannot_be_decrypted_is_not_called_bad_data() -> None:
    assert code(DataInvalid("?"), Verb.DECRYPT) == CKR.ENCRYPTED_DATA_INVALID
    assert code(DataLengthInvalid("?"), Verb.UNWRAP) == CKR.WRAPPED_KEY_LEN_RANGE
    assert code(DataInvalid("?"), Verb.DERIVE) == CKR.MECHANISM_PARAM_INVALID
    assert code(DataInvalid("?"), Verb.SIGN) == CKR.DATA_INVALID


def test_a_wrong_call_is_named_as_programmers_know_it() -> None:
    assert str(Wrong(CKR.SESSION_HANDLE_INVALID)) == "CKR_SESSION_HANDLE_INVALID"

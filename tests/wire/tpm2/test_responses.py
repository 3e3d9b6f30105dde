"""Response codes as TPMs give them."""

import pytest

from keyholm.wire.tpm2.responses import RC, Part, response


@pytest.mark.parametrize(
    ("number", "code", "part", "index"),
    [
        (0x101, RC.FAILURE, None, 0),
        (0x902, RC.OBJECT_MEMORY, None, 0),
        (0x921, RC.LOCKOUT, None, 0),
        (0x98E, RC.AUTH_FAIL, Part.SESSION, 1),
        (0x99D, RC.POLICY_FAIL, Part.SESSION, 1),
        (0x1DF, RC.INTEGRITY, Part.PARAMETER, 1),
        (0x2C4, RC.VALUE, Part.PARAMETER, 2),
        (0x18B, RC.HANDLE, Part.HANDLE, 1),
        (0x084, RC.VALUE, Part.HANDLE, 0),
        (0xB0902, RC.OBJECT_MEMORY, None, 0),  # as a resource manager passes it on
        (0x0FF, None, Part.PARAMETER, 0),
        (0x9FF, None, Part.PARAMETER, 9),
    ],
)
def test_a_code_is_taken_apart(number: int, code: RC | None, part: Part | None, index: int) -> None:
    found = response(number)
    assert (found.code, found.part, found.index) == (code, part, index)


def test_any_number_is_said_in_words() -> None:
    for number in range(0x1000):
        assert str(response(number))
    assert str(response(0x98E)) == "TPM_RC_AUTH_FAIL (0x98e, session 1)"
    assert str(response(0x101)) == "TPM_RC_FAILURE (0x101)"

"""Sessions as arithmetic. That a TPM counts the same is shown in tests/stores/tpm."""

import hashlib
import hmac

import pytest

from keyholm.wire.tpm2 import sessions
from keyholm.wire.tpm2.constants import ALG, CC, SESSION
from keyholm.wire.tpm2.sessions import State

STATE = State(ALG.SHA256, b"k" * 32, b"c" * 32, b"t" * 32)
BITS = SESSION.CONTINUESESSION | SESSION.DECRYPT


def test_hashes_of_commands_and_answers_are_over_what_crosses() -> None:
    """Part 1, 16.7 and 16.8."""
    found = sessions.cp_hash(ALG.SHA256, CC.Load, (b"name", b"other"), b"parameters")
    assert found == hashlib.sha256(b"\0\0\x01\x57nameotherparameters").digest()
    found = sessions.rp_hash(ALG.SHA384, CC.Load, b"parameters")
    assert found == hashlib.sha384(b"\0\0\0\0\0\0\x01\x57parameters").digest()


def test_the_newer_nonce_comes_first_and_the_pin_is_in_the_key() -> None:
    """Part 1, 19.6.5: ours in a command, the TPM's in an answer."""
    ours = hmac.digest(b"k" * 32 + b"pin", b"h" + b"c" * 32 + b"t" * 32 + b"\x21", "sha256")
    its = hmac.digest(b"k" * 32 + b"pin", b"h" + b"t" * 32 + b"c" * 32 + b"\x21", "sha256")
    for pin in (b"pin", b"pin\0\0", memoryview(b"pin")):
        assert sessions.command_mac(STATE, pin, b"h", BITS) == ours
        assert sessions.response_mac(STATE, pin, b"h", BITS) == its


def test_each_way_and_each_pin_has_a_key_of_its_own() -> None:
    found = {
        way(STATE, pin)
        for way in (sessions.command_cipher_key, sessions.response_cipher_key)
        for pin in (b"", b"pin")
    }
    assert len(found) == 4
    assert {(len(key), len(iv)) for key, iv in found} == {(16, 16)}


@pytest.mark.parametrize("text", [repr(STATE), str(STATE)])
def test_a_state_does_not_show_its_key(text: str) -> None:
    assert "kkk" not in text

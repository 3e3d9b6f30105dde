"""Commands and answers as frames. A real TPM judges them in tests/stores/tpm."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyholm.wire.codec import Malformed
from keyholm.wire.tpm2 import commands as tpm
from keyholm.wire.tpm2.commands import (
    COMMANDS,
    Authorization,
    Refused,
    decode,
    encode,
    parameters_of,
    results,
    results_of,
)
from keyholm.wire.tpm2.constants import CAP, CC, HANDLE, PT, SESSION, ST
from keyholm.wire.tpm2.structures import Capability, Property

# Part 3 of the specification, 5.2: what of a command is in the clear, field by field.
STARTUP = bytes.fromhex("8001 0000000c 00000144 0000")
GET_RANDOM = bytes.fromhex("8001 0000000c 0000017b 0010")
GET_PROPERTIES = bytes.fromhex("8001 00000016 0000017a 00000006 0000020e 00000004")
UNSEAL = bytes.fromhex("8002 0000001b 0000015e 80000001 00000009 40000009 0000 01 0000")


def answer(tag: ST, code: int, rest: bytes) -> bytes:
    return tag.to_bytes(2) + (10 + len(rest)).to_bytes(4) + code.to_bytes(4) + rest


def test_commands_without_sessions() -> None:
    assert encode(tpm.STARTUP, (), parameters_of(tpm.STARTUP, 0)) == STARTUP
    assert encode(tpm.GET_RANDOM, (), parameters_of(tpm.GET_RANDOM, 16)) == GET_RANDOM
    asked = parameters_of(tpm.GET_CAPABILITY, CAP.TPM_PROPERTIES, PT.LOCKOUT_COUNTER, 4)
    assert encode(tpm.GET_CAPABILITY, (), asked) == GET_PROPERTIES


def test_a_command_with_a_password() -> None:
    empty = Authorization(HANDLE.PASSWORD, b"", SESSION.CONTINUESESSION, b"")
    assert encode(tpm.UNSEAL, (0x80000001,), b"", (empty,)) == UNSEAL


def test_a_command_with_other_handles_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="Unseal has the handles"):
        encode(tpm.UNSEAL, (), b"")


def test_answers() -> None:
    given_bytes = decode(tpm.GET_RANDOM, answer(ST.NO_SESSIONS, 0, b"\0\4abcd"))
    assert results(tpm.GET_RANDOM, given_bytes.parameters) == (b"abcd",)
    handle = decode(tpm.CONTEXT_LOAD, answer(ST.NO_SESSIONS, 0, b"\x80\0\0\7"))
    assert handle.handle == 0x80000007
    told = Capability(CAP.TPM_PROPERTIES, (Property(PT.MAX_AUTH_FAIL, 3),))
    written = results_of(tpm.GET_CAPABILITY, False, told)
    assert results(tpm.GET_CAPABILITY, written) == (False, told)


def test_an_answer_with_sessions() -> None:
    session = b"\0\2no" + b"\1" + b"\0\3mac"
    body = (2).to_bytes(4) + b"\0\0" + session
    found = decode(tpm.UNSEAL, answer(ST.SESSIONS, 0, body))
    assert found.parameters == b"\0\0"
    assert found.sessions == (Authorization(0, b"no", SESSION.CONTINUESESSION, b"mac"),)


def test_a_refusal_is_told_with_its_code() -> None:
    with pytest.raises(Refused) as refused:
        decode(tpm.SIGN, answer(ST.NO_SESSIONS, 0x98E, b""))
    assert refused.value.number == 0x98E


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x80\1\0\0\0\x0a\0\0\0",
        b"\x80\1\0\0\0\x0b\0\0\0\0",
        b"\x80\1\xff\xff\xff\xff\0\0\0\0",
        b"\x90\1\0\0\0\x0a\0\0\0\0",
        answer(ST.SESSIONS, 0, b"\xff\xff\xff\xff"),
        answer(ST.SESSIONS, 0, b"\0\0\0\0" + 4 * b"\0\0\0\0\0"),
    ],
)
def test_malformed_answers_are_refused(frame: bytes) -> None:
    with pytest.raises(Malformed):
        decode(tpm.UNSEAL, frame)


@given(st.binary(max_size=200), st.sampled_from(list(COMMANDS.values())))
def test_any_answer_gives_a_value_a_refusal_or_malformed(data: bytes, command: tpm.Command) -> None:
    with contextlib.suppress(Malformed):
        results(command, decode(command, answer(ST.NO_SESSIONS, 0, data)).parameters)


def test_which_commands_can_be_encrypted() -> None:
    assert tpm.CREATE.decrypts
    assert tpm.CREATE.encrypts
    assert tpm.UNSEAL.encrypts
    assert not tpm.SIGN.encrypts, "a signature is no sized buffer"
    assert not tpm.GET_CAPABILITY.decrypts
    assert not tpm.PCR_READ.decrypts


def test_every_command_stands_once() -> None:
    assert COMMANDS[CC.Sign] is tpm.SIGN
    assert all(code is command.code for code, command in COMMANDS.items())
    assert len(COMMANDS) >= 35

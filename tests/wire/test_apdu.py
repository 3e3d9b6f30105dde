"""Commands to smart cards are read strictly, and what is written is read again."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyholm.wire import apdu
from keyholm.wire.apdu import Command
from keyholm.wire.codec import Malformed

byte = st.integers(0, 0xFF)
commands = st.builds(
    Command, byte, byte, byte, byte, st.binary(max_size=600), st.integers(0, apdu.MOST_EXPECTED)
)

# ISO 7816-4, 5.1: each case by hand.
CASES = {
    "00a40400": Command(0, 0xA4, 4, 0),
    "00c0000000": Command(0, 0xC0, 0, 0, expected=256),
    "00c000000a": Command(0, 0xC0, 0, 0, expected=10),
    "00a4040002a000": Command(0, 0xA4, 4, 0, b"\xa0\x00"),
    "00a4040002a00000": Command(0, 0xA4, 4, 0, b"\xa0\x00", 256),
    "00cb3fff000102": Command(0, 0xCB, 0x3F, 0xFF, expected=0x102),
    "00cb3fff000000": Command(0, 0xCB, 0x3F, 0xFF, expected=0x10000),
    "00db3fff000002abcd": Command(0, 0xDB, 0x3F, 0xFF, b"\xab\xcd"),
    "00db3fff000002abcd0000": Command(0, 0xDB, 0x3F, 0xFF, b"\xab\xcd", 0x10000),
}
WRONG = {
    "a cut header": "00a404",
    "fewer data than promised": "00a4040003a000",
    "more data than promised": "00a4040001a00000",
    "data without a length": "00a40400000000aa",
    "fewer extended data than promised": "00db3fff000003abcd",
    "a cut extended Le": "00db3fff000002abcd00",
}


@pytest.mark.parametrize("text", CASES)
def test_each_case_of_the_standard_is_read(text: str) -> None:
    assert apdu.decode(bytes.fromhex(text)) == CASES[text]


@pytest.mark.parametrize("what", WRONG)
def test_a_command_with_wrong_lengths_is_refused(what: str) -> None:
    with pytest.raises(Malformed):
        apdu.decode(bytes.fromhex(WRONG[what]))


@given(commands)
def test_a_command_is_read_as_it_was_written(command: Command) -> None:
    assert apdu.decode(apdu.encode(command)) == command


@given(st.binary(max_size=80))
def test_any_bytes_are_a_command_or_refused(data: bytes) -> None:
    with contextlib.suppress(Malformed):
        apdu.decode(data)


@given(st.sampled_from([0x53, 0x7E, 0x7F49, 0x5F2F, 0x5FC102]), st.binary(max_size=300))
def test_an_element_is_read_as_it_was_written(tag: int, value: bytes) -> None:
    assert apdu.elements(apdu.tlv(tag, value)) == {tag: value}


@pytest.mark.parametrize(
    "text", ["53", "5302aa", "5380", "5385", "5f", "5fc1", "5fc18101", "5fc1c1c101"]
)
def test_an_element_that_is_cut_or_of_no_definite_length_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        apdu.elements(bytes.fromhex(text))


def test_an_element_that_comes_twice_is_refused() -> None:
    with pytest.raises(Malformed):
        apdu.elements(apdu.tlv(0x80, b"a") + apdu.tlv(0x80, b"b"))


@given(st.binary(max_size=80))
def test_any_bytes_are_elements_or_refused(data: bytes) -> None:
    with contextlib.suppress(Malformed):
        apdu.elements(data)

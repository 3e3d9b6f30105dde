from collections.abc import Callable
from enum import IntFlag
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from keyholm.wire.codec import (
    BOOLEAN,
    BYTE,
    MPINT,
    MPINT_VIEW,
    REST,
    STRING,
    TEXT,
    UINT32,
    UINT64,
    VIEW,
    Codec,
    Malformed,
    Reader,
    decode,
    fixed,
    fixed_view,
    flag_set,
    many,
    nested,
    record,
    repeated,
)

# RFC 4251, section 5.
MPINTS = {
    "00000000": 0,
    "00000008 09a378f9b2e332a7": 0x9A378F9B2E332A7,
    "00000002 0080": 0x80,
}


class Bits(IntFlag):
    LOW = 1
    HIGH = 4


class Pair(Struct, frozen=True):
    left: int
    right: bytes


class Empty(Struct, frozen=True):
    pass


PAIR = record(Pair, left=UINT32, right=STRING)

ROUND_TRIPS: dict[str, tuple[Codec[Any], st.SearchStrategy[Any]]] = {
    "byte": (BYTE, st.integers(0, 255)),
    "boolean": (BOOLEAN, st.booleans()),
    "uint32": (UINT32, st.integers(0, 2**32 - 1)),
    "uint64": (UINT64, st.integers(0, 2**64 - 1)),
    "string": (STRING, st.binary()),
    "text": (TEXT, st.text()),
    "view": (VIEW, st.binary().map(memoryview)),
    "mpint": (MPINT, st.integers(0, 2**4096)),
    "flags": (flag_set(Bits), st.sampled_from([Bits(0), Bits.LOW, Bits.HIGH, Bits(5)])),
    "fixed": (fixed(3, "a triple"), st.binary(min_size=3, max_size=3)),
    "fixed view": (
        fixed_view(3, "a triple"),
        st.binary(min_size=3, max_size=3).map(memoryview),
    ),
    "many": (many(STRING), st.lists(st.binary()).map(tuple)),
    "nested": (nested(PAIR), st.builds(Pair, st.integers(0, 2**32 - 1), st.binary())),
    "record": (PAIR, st.builds(Pair, st.integers(0, 2**32 - 1), st.binary())),
    "empty record": (record(Empty), st.just(Empty())),
}
each_codec = pytest.mark.parametrize("name", ROUND_TRIPS)


@pytest.mark.parametrize(("wire", "number"), MPINTS.items())
def test_mpint_vector_reads_and_writes(wire: str, number: int) -> None:
    assert decode(MPINT, bytes.fromhex(wire)) == number
    assert MPINT.write(number) == bytes.fromhex(wire)


@each_codec
@given(st.data())
def test_what_we_write_we_read(name: str, data: st.DataObject) -> None:
    codec, values = ROUND_TRIPS[name]
    value = data.draw(values)
    assert decode(codec, codec.write(value)) == value


@each_codec
@given(st.data())
def test_cut_or_padded_bytes_are_refused(name: str, data: st.DataObject) -> None:
    codec, values = ROUND_TRIPS[name]
    written = codec.write(data.draw(values))
    for cut in range(len(written)):
        with pytest.raises(Malformed):
            decode(codec, written[:cut])
    with pytest.raises(Malformed, match="1 bytes left over"):
        decode(codec, written + b"\0")


@each_codec
@given(st.binary())
def test_arbitrary_bytes_give_a_value_or_malformed(name: str, data: bytes) -> None:
    codec, _ = ROUND_TRIPS[name]
    try:
        value = decode(codec, data)
    except Malformed:
        return
    # These two alone have more than one spelling of a value.
    if name not in ("boolean", "flags"):
        assert codec.write(value) == data


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@given(st.binary(), st.binary())
def test_any_kind_of_buffer_reads_alike(
    kind: Callable[[bytes], bytes | bytearray | memoryview], left: bytes, right: bytes
) -> None:
    reader = Reader(kind(STRING.write(left) + VIEW.write(memoryview(right)) + b"tail"))
    taken = STRING.read(reader)
    assert (type(taken), taken) == (bytes, left)
    assert VIEW.read(reader) == right
    assert (reader.left, reader.rest()) == (4, b"tail")


@pytest.mark.parametrize("codec", [VIEW, MPINT_VIEW, fixed_view(1, "one")])
def test_a_view_is_a_slice_of_what_came_in(codec: Codec[memoryview]) -> None:
    frame = bytearray(b"\0\0\0\1\7")
    view = decode(codec, memoryview(frame))
    frame[4] = 0
    assert view[0] == 0


def test_a_view_of_a_number_leaves_out_its_sign() -> None:
    assert decode(MPINT_VIEW, bytes.fromhex("00000002 0080")).tobytes() == b"\x80"
    assert MPINT_VIEW.write(memoryview(b"\x80")) == bytes.fromhex("00000002 0080")


@pytest.mark.parametrize(
    ("wire", "why"),
    [
        ("00000002 edcc", "negative"),
        ("00000001 00", "needless zeros"),
        ("00000002 0001", "needless zeros"),
        ("00000801 01" + 2048 * "00", "16384 bits"),
        ("00000802 00ff" + 2048 * "00", "16384 bits"),
    ],
)
@pytest.mark.parametrize("codec", [MPINT, MPINT_VIEW])
def test_a_number_has_one_spelling_and_a_bound(codec: Codec[Any], wire: str, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        decode(codec, bytes.fromhex(wire))


def test_the_largest_number_is_read() -> None:
    assert decode(MPINT, bytes.fromhex("00000801 00" + 2048 * "ff")) == 2**16384 - 1


def test_a_boastful_count_is_refused_at_its_first_missing_item() -> None:
    with pytest.raises(Malformed, match="4 bytes wanted at offset 4, 0 left"):
        decode(many(STRING), b"\xff\xff\xff\xff")


def test_a_boastful_length_is_refused_before_anything_is_allocated() -> None:
    codecs: tuple[Codec[Any], ...] = (STRING, VIEW, MPINT, nested(STRING))
    for codec in codecs:
        with pytest.raises(Malformed, match="4294967295 bytes wanted at offset 4, 1 left"):
            decode(codec, b"\xff\xff\xff\xff\0")


def test_any_number_but_zero_is_true() -> None:
    assert decode(BOOLEAN, b"\x02") is True


def test_unknown_flags_are_ignored() -> None:
    assert decode(flag_set(Bits), b"\xff\xff\xff\xff") is Bits(5)


def test_unknown_flags_leave_nothing_behind() -> None:
    codec = flag_set(Bits)
    known = len(Bits._value2member_map_)
    for number in range(0, 2**32, 2**22):
        decode(codec, UINT32.write(number))
    assert len(Bits._value2member_map_) == known


def test_text_must_be_utf_8() -> None:
    with pytest.raises(Malformed, match="not UTF-8"):
        decode(TEXT, b"\0\0\0\1\xff")


def test_a_nested_value_fills_its_string() -> None:
    with pytest.raises(Malformed, match="1 bytes left over"):
        decode(nested(UINT32), bytes.fromhex("00000005 00000001 00"))


def test_repeated_items_go_on_to_the_end_and_no_further_than_allowed() -> None:
    codec = repeated(BYTE, most=3)
    assert decode(codec, b"") == ()
    assert decode(codec, b"\1\2\3") == (1, 2, 3)
    with pytest.raises(Malformed, match="more than 3"):
        decode(codec, b"\1\2\3\4")


def test_an_item_of_no_bytes_is_not_repeated_for_ever() -> None:
    with pytest.raises(Malformed, match="for ever"):
        decode(repeated(record(Empty)), b"\0")


def test_the_rest_may_be_nothing() -> None:
    assert decode(REST, b"") == b""


def test_a_layout_that_misses_a_field_is_a_mistake_found_at_once() -> None:
    with pytest.raises(TypeError, match="Pair"):
        record(Pair, right=STRING)

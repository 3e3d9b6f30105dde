"""Frames in a segment: what is written is read, and nothing else is."""

from zlib import crc32

from hypothesis import given
from hypothesis import strategies as st

from keyholm.core.audit.frame import (
    HEADER,
    MAX_RECORD,
    frame,
    is_zero,
    next_sound,
    record_at,
    records,
)

some = st.lists(st.binary(min_size=1, max_size=200), max_size=8)


def test_vector() -> None:
    # CRC-32 of "123456789", the check value of the catalogue of parametrised CRCs.
    assert frame(b"123456789").hex() == "00000009cbf43926313233343536373839"


@given(some)
def test_what_is_written_is_read(found: list[bytes]) -> None:
    data = b"".join(map(frame, found))
    assert [record for _, record in records(data + bytes(100))] == found
    assert is_zero(data + bytes(100), len(data))


@given(st.binary(min_size=1, max_size=100), st.data())
def test_a_cut_or_changed_frame_is_none(record: bytes, data: st.DataObject) -> None:
    whole = frame(record)
    cut = data.draw(st.integers(0, len(whole) - 1))
    assert record_at(whole[:cut], 0) is None
    changed = bytearray(whole)
    changed[cut] ^= 1 << data.draw(st.integers(0, 7))
    assert record_at(bytes(changed), 0) is None


def test_zeros_are_no_empty_record() -> None:
    assert record_at(bytes(64), 0) is None


def test_a_boastful_length_is_refused() -> None:
    for length in (0, MAX_RECORD + 1, 2**31, 2**32 - 1):
        data = HEADER.pack(length, crc32(b"")) + bytes(16)
        assert record_at(data, 0) is None


def test_a_sound_frame_is_found_behind_garbage() -> None:
    sound = frame(b'{"v":1,"seq":7}')
    garbage = b'\xff{"v":' * 5
    assert next_sound(garbage + sound + b"x", 0) == len(garbage)
    assert next_sound(garbage, 0) is None

"""How a record stands in a segment: u32 length, u32 CRC-32, the record (big-endian).

The CRC is zlib's, because it is in the standard library and runs at memory speed; CRC-32C
is not in it. It only tells a write that was cut short from a whole one: what was altered
on purpose is found by the SHA-256 chain and the tree.
After the last frame a segment that is being written holds zeros, up to where its room was
allocated. No frame has the length 0, so zeros are never taken for one.
"""

from collections.abc import Iterator
from struct import Struct
from typing import Final
from zlib import crc32

HEADER: Final = Struct(">II")
MAX_RECORD: Final = 65_535
"""What a C2SP entry bundle can carry."""
LOOKS: Final = 3
"""How often a reader looks at the newest segment before it says that bytes are no record: what
is written while it is read can be read cut short, or with a page of zeros in its midst."""
PAUSE: Final = 0.05  # seconds between two of them

_RECORD_START: Final = b'{"v":'


def frame(record: bytes) -> bytes:
    return HEADER.pack(len(record), crc32(record)) + record


def record_at(data: bytes, at: int) -> bytes | None:
    """The record whose frame begins at `at`, if there is a whole and sound one."""
    if at + HEADER.size > len(data):
        return None
    length, crc = HEADER.unpack_from(data, at)
    record = data[at + HEADER.size : at + HEADER.size + length]
    if not 0 < length <= MAX_RECORD or len(record) < length or crc32(record) != crc:
        return None
    return record


def records(data: bytes, at: int = 0) -> Iterator[tuple[int, bytes]]:
    """Each sound frame from `at` on: where it begins, and its record."""
    while (record := record_at(data, at)) is not None:
        yield at, record
        at += HEADER.size + len(record)


def is_zero(data: bytes, at: int) -> bool:
    return data.count(0, at) == len(data) - at


def next_sound(data: bytes, at: int) -> int | None:
    """Where a sound frame begins at or after `at`: a cut write has none after it."""
    found = data.find(_RECORD_START, at + HEADER.size)
    while found >= 0:
        if record_at(data, found - HEADER.size) is not None:
            return found - HEADER.size
        found = data.find(_RECORD_START, found + 1)
    return None

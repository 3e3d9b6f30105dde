"""Every bit of a trail counts: one that flips is found, and the place is named."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.core.audit.trails import SELDOM, SESSION, frames, operation

from keyholm.core.audit.folder import segment_name
from keyholm.core.audit.pool import open_trail
from keyholm.core.audit.records import Outcome
from keyholm.core.audit.report import Finding
from keyholm.core.audit.verify import verify

RECORDS = 50
SEGMENT = segment_name(0)
BESIDE = ("checkpoint", "checkpoints", "key", "vkey", "state")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trail of 50 records, closed, with a checkpoint now and then."""
    home = tmp_path_factory.mktemp("bits")
    with open_trail(home, "serve", settings=SELDOM) as trail:
        trail.append(SESSION)
        for number in range(RECORDS - 4):
            trail.append(operation() if number % 10 == 0 else Outcome(number))
            if number % 20 == 0:
                trail.checkpoint()
    assert verify(home).is_intact
    assert verify(home).records == RECORDS
    return home


def flipped(
    home: Path, name: str, bits: Iterator[int]
) -> Iterator[tuple[int, tuple[Finding, ...]]]:
    """Flip each of `bits` of the file alone: the byte it is in, and what is found."""
    path = home / "serve-0" / name
    content = path.read_bytes()
    try:
        for bit in bits:
            byte = bit // 8
            changed = bytes([content[byte] ^ 1 << bit % 8])
            path.write_bytes(content[:byte] + changed + content[byte + 1 :])
            yield byte, verify(home).findings
    finally:
        path.write_bytes(content)


def one_in_each_byte(size: int, step: int = 1) -> Iterator[int]:
    return (byte * 8 + byte % 8 for byte in range(0, size, step))


def every_bit(size: int) -> Iterator[int]:
    return iter(range(size * 8))


def check_segment(home: Path, bits: Iterator[int]) -> None:
    places = [
        (number, at)
        for number, (at, end) in enumerate(frames(home / "serve-0"))
        for _ in range(end - at)
    ]
    for byte, found in flipped(home, SEGMENT, bits):
        number, at = places[byte]
        assert len(found) == 1, byte
        assert (found[0].file, found[0].offset, found[0].record) == (SEGMENT, at, number), byte


def check_beside(home: Path, name: str, bits: Iterator[int]) -> None:
    for byte, found in flipped(home, name, bits):
        assert name in {each.file for each in found}, byte


def size(home: Path, name: str) -> int:
    return (home / "serve-0" / name).stat().st_size


def test_flipped_bits_all_over_the_records_are_found_and_named(home: Path) -> None:
    check_segment(home, one_in_each_byte(size(home, SEGMENT), step=5))


@pytest.mark.parametrize("name", BESIDE)
def test_a_flipped_bit_in_any_byte_beside_them_is_found_and_named(home: Path, name: str) -> None:
    check_beside(home, name, one_in_each_byte(size(home, name)))


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_every_flipped_bit_of_the_records_is_found_and_named(home: Path) -> None:
    check_segment(home, every_bit(size(home, SEGMENT)))


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", BESIDE)
def test_every_flipped_bit_beside_them_is_found_and_named(home: Path, name: str) -> None:
    check_beside(home, name, every_bit(size(home, name)))

"""A fuzzer in plain Python, for where atheris is not: changes bytes and watches what comes out.

It sees no coverage. What it goes by is the outcome: input that is refused for a reason not seen
yet, or taken, is kept and changed further.
"""

import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.fuzz.targets import Target

# One input may take this long before it counts as a finding.
PATIENCE_SECONDS = 5.0
# Numbers and quoted text are an input's own, not another reason to refuse it.
_OWN = re.compile(r"[0-9]+|'.*'")
_MOST_KEPT = 400
_LONGEST = 16 * 1024
_TELLING_BYTES = (0x00, 0x01, 0x7F, 0x80, 0xFF)
_TELLING_SIZES = (0, 1, 4, 0xFF, 0x100, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1)


@dataclass(frozen=True, slots=True)
class Finding:
    data: bytes
    what: str


def outcome(target: Target, data: bytes) -> str:
    """How `target` ends: the kind of its refusal. Raises whatever it must not raise."""
    try:
        target.run(data)
    except target.refusals as refusal:
        return f"{type(refusal).__name__}: {_OWN.sub('', str(refusal))}"
    return "taken"


def try_one(target: Target, data: bytes) -> tuple[str, Finding | None]:
    start = time.monotonic()
    try:
        end = outcome(target, data)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - also a panic of Rust, which is no Exception
        return "", Finding(data, f"{type(error).__name__}: {error}")
    if (taken := time.monotonic() - start) > PATIENCE_SECONDS:
        return end, Finding(data, f"took {taken:.1f} seconds")
    return end, None


def run(target: Target, *, seconds: float, seed: int, least: int = 0) -> tuple[int, Finding | None]:
    """How many inputs were tried, `least` however long that takes, and the first finding."""
    chance = random.Random(seed)
    kept = list(target.seeds)
    seen: set[str] = set()
    tried = 0
    deadline = time.monotonic() + seconds
    for data in _inputs(target, kept, chance):
        end, finding = try_one(target, data)
        tried += 1
        if finding:
            return tried, finding
        if end not in seen and len(kept) < _MOST_KEPT:
            seen.add(end)
            kept.append(data)
        if tried >= least and time.monotonic() > deadline:
            break
    return tried, None


def _inputs(target: Target, kept: list[bytes], chance: random.Random) -> Iterator[bytes]:
    yield b""
    yield from target.seeds
    while True:
        data = bytearray(chance.choice(kept))
        for _ in range(chance.choice((1, 1, 1, 2, 4, 8))):
            chance.choice(_CHANGES)(data, kept, chance)
        yield bytes(data[:_LONGEST])


Change = Callable[[bytearray, list[bytes], random.Random], None]


def _somewhere(data: bytearray, chance: random.Random) -> int:
    return chance.randrange(len(data)) if data else 0


def _flip_a_bit(data: bytearray, kept: list[bytes], chance: random.Random) -> None:
    if data:
        data[_somewhere(data, chance)] ^= 1 << chance.randrange(8)


def _replace_a_byte(data: bytearray, kept: list[bytes], chance: random.Random) -> None:
    if data:
        data[_somewhere(data, chance)] = chance.choice((*_TELLING_BYTES, chance.randrange(256)))


def _insert_bytes(data: bytearray, kept: list[bytes], chance: random.Random) -> None:
    at = _somewhere(data, chance)
    data[at:at] = chance.randbytes(chance.choice((1, 2, 4, 16)))


def _remove_bytes(data: bytearray, kept: list[bytes], chance: random.Random) -> None:
    at = _somewhere(data, chance)
    del data[at : at + chance.choice((1, 2, 4, 16, 64))]


def _cut(data: bytearray, kept: list[bytes], chance: random.Random) -> None:
    del data[_somewhere(data, chance) :]


def _repeat_a_piece(data: bytearray, kept: list[bytes], chance: random.Random) -> None:
    at = _somewhere(data, chance)
    data[at:at] = data[at : at + chance.choice((4, 16, 64))] * chance.choice((1, 2, 16))


def _replace_a_size(data: bytearray, kept: list[bytes], chance: random.Random) -> None:
    at = _somewhere(data, chance)
    data[at : at + 4] = chance.choice(_TELLING_SIZES).to_bytes(4)


def _change_a_size(data: bytearray, kept: list[bytes], chance: random.Random) -> None:
    """Look for four bytes that could be a length, and make it a little another."""
    for _ in range(8):
        at = _somewhere(data, chance)
        size = int.from_bytes(data[at : at + 4])
        if 0 < size <= len(data):
            data[at : at + 4] = max(0, size + chance.choice((-4, -1, 1, 4))).to_bytes(4)
            return


def _take_from_another(data: bytearray, kept: list[bytes], chance: random.Random) -> None:
    other = chance.choice(kept)
    start = chance.randrange(len(other)) if other else 0
    at = _somewhere(data, chance)
    piece = other[start : start + chance.choice((4, 32, 256))]
    data[at : at + chance.choice((0, len(piece)))] = piece


_CHANGES: tuple[Change, ...] = (
    _flip_a_bit,
    _replace_a_byte,
    _insert_bytes,
    _remove_bytes,
    _cut,
    _repeat_a_piece,
    _replace_a_size,
    _change_a_size,
    _take_from_another,
)

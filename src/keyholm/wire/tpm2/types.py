"""What the structures of TPM 2.0 are built of (Part 2, 4 and 10): big-endian numbers, sized
buffers (TPM2B), lists (TPML). Strict: no size may be larger than its type allows, and nothing
may be left over."""

from collections.abc import Callable
from enum import IntEnum, IntFlag
from typing import Any, Final, TypeVar

from keyholm.wire.codec import BYTE, UINT32, UINT64, Bytes, Codec, Malformed, Reader, decode

__all__ = ["BYTE", "UINT16", "UINT32", "UINT64"]

T = TypeVar("T")
E = TypeVar("E", bound=IntEnum)
F = TypeVar("F", bound=IntFlag)

MOST_BUFFER: Final = 4096  # no buffer of a TPM is larger than its largest command


def _read_uint16(reader: Reader) -> int:
    return int.from_bytes(reader.take(2))


UINT16: Codec[int] = Codec(write=lambda value: value.to_bytes(2), read=_read_uint16)


def _read_yes_no(reader: Reader) -> bool:
    value = reader.take(1)[0]
    if value > 1:
        raise Malformed(f"{value} is neither yes nor no")
    return bool(value)


YES_NO: Codec[bool] = Codec(write=lambda value: b"\1" if value else b"\0", read=_read_yes_no)


def sized(most: int = MOST_BUFFER) -> Codec[bytes]:
    """A TPM2B of bytes."""

    def read(reader: Reader) -> bytes:
        size = _read_uint16(reader)
        if size > most:
            raise Malformed(f"a buffer of {size} bytes, where {most} is the most")
        return reader.take(size)

    return Codec(write=write_sized, read=read)


def write_sized(value: Bytes) -> bytes:
    if len(value) > 0xFFFF:
        raise ValueError("more than a TPM2B can hold")
    return len(value).to_bytes(2) + value


BUFFER: Final = sized()
DIGEST: Final = sized(64)
NAME: Final = sized(66)  # an algorithm and a digest


def sized_of(inner: Codec[T]) -> Codec[T]:
    """A TPM2B that holds one structure, and nothing else."""
    write = inner.write
    return Codec(
        write=lambda value: write_sized(write(value)),
        read=lambda reader: decode(inner, BUFFER.read(reader)),
    )


def listed(item: Codec[T], most: int) -> Codec[tuple[T, ...]]:
    """A TPML."""
    write_item, read_item = item.write, item.read

    def read(reader: Reader) -> tuple[T, ...]:
        count = UINT32.read(reader)
        if count > most:
            raise Malformed(f"a list of {count}, where {most} is the most")
        return tuple([read_item(reader) for _ in range(count)])

    return Codec(
        write=lambda values: UINT32.write(len(values)) + b"".join(map(write_item, values)),
        read=read,
    )


def one_of(kind: type[E], number: Codec[int] = UINT16) -> Codec[E]:
    """A number that must be one of those that have a name."""
    known = {each.value: each for each in kind}

    def read(reader: Reader) -> E:
        value = number.read(reader)
        found = known.get(value)
        if found is None:
            raise Malformed(f"{value:#x} is no {kind.__name__} that we know")
        return found

    return Codec(write=number.write, read=read)


def attributes(kind: type[F], number: Codec[int]) -> Codec[F]:
    """Bits, of which those without a name must be zero (Part 2, 4.3)."""
    named = sum(int(bit) for bit in kind)

    def read(reader: Reader) -> F:
        value = number.read(reader)
        if value & ~named:
            raise Malformed(f"reserved bits are set: {value & ~named:#x}")
        return kind(value)

    return Codec(write=number.write, read=read)


def empty(value: T) -> Codec[T]:
    """Nothing at all, as some selectors of a union want."""
    return Codec(write=lambda _: b"", read=lambda reader: value)


def chosen_by(
    selector: Codec[E],
    choices: dict[E, Codec[Any]],
    selector_of: Callable[[Any], E],
) -> Codec[Any]:
    """A union behind its selector (TPMT): the selector's codec decides about the rest."""

    def read(reader: Reader) -> Any:
        chosen = selector.read(reader)
        codec = choices.get(chosen)
        if codec is None:
            raise Malformed(f"{chosen.name} cannot stand here")
        return codec.read(reader)

    def write(value: Any) -> bytes:
        chosen = selector_of(value)
        return selector.write(chosen) + choices[chosen].write(value)

    return Codec(write=write, read=read)

"""Bytes of a record back to values. Whatever the bytes are: a value, or a ValueError."""

from functools import cache
from typing import Any, Final, TypeVar

import msgspec

from keyholm.core.audit.records import EVENTS, Head, Record

T = TypeVar("T")
KINDS: Final[dict[str, type[Record]]] = {str(kind.__struct_config__.tag): kind for kind in EVENTS}


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def decode(record: bytes, kind: type[T]) -> T:
    """Fields that `kind` does not know are left out."""
    known: Any = kind  # mypy does not take a class for something hashable
    try:
        decoded: T = _decoder(known).decode(record)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return decoded


def head_of(record: bytes) -> Head:
    return decode(record, Head)


def fields_of(record: bytes) -> dict[str, Any]:
    """All fields by name, also those that no class here knows; the known ones have their type."""
    head = head_of(record)
    if head.event in KINDS:
        decode(record, KINDS[head.event])
    return decode(record, dict[str, Any])

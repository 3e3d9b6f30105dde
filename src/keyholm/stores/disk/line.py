"""A line of JSON, read as what it must be or not at all."""

from typing import TypeVar

import msgspec

from keyholm.wire.codec import Bytes

Read = TypeVar("Read")


def read(line: Bytes, kind: type[Read]) -> Read:
    """Raises `ValueError`, whatever somebody wrote there."""
    try:
        return msgspec.json.decode(line, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        # What is no UTF-8 is a `ValueError` already.
        raise ValueError(str(error)) from error

"""Attributes as they are kept: JSON that says of each value what it is.

    {"3": "bGFiZWw=", "263": true, "256": 3, "1073743360": [1, 2]}

The number of the CKA, and a boolean, a number, bytes in base64, a list of mechanisms, or a
template as a list of pairs. So a file can be read by who knows nothing of PKCS#11, and a
later version may learn what an attribute is without changing what is written.
"""

from collections.abc import Mapping
from typing import Final, cast

import msgspec

from keyholm.core.errors import BadRequest, LimitExceeded
from keyholm.core.model import Attributes, Value
from keyholm.wire.pkcs11.constants import CKA

# Of one object, as JSON; bytes take four thirds of themselves there.
MOST: Final = 64 * 1024

# Templates may lie in templates, four deep as on the wire.
_Flat = bool | int | bytes
_Kept1 = bool | int | bytes | tuple[int | tuple[int, _Flat], ...]
_Kept2 = bool | int | bytes | tuple[int | tuple[int, _Kept1], ...]
_Kept3 = bool | int | bytes | tuple[int | tuple[int, _Kept2], ...]
_Kept4 = bool | int | bytes | tuple[int | tuple[int, _Kept3], ...]
Kept = dict[int, _Kept4]

_decode = msgspec.json.Decoder(Kept).decode


def kept(attributes: Attributes) -> Kept:
    """What is written of `attributes`. Raises `LimitExceeded`, `BadRequest`."""
    try:
        text = msgspec.json.encode({number: _plain(value) for number, value in attributes.items()})
        if len(text) > MOST:
            raise LimitExceeded(
                f"The attributes of an object take at most {MOST >> 10} KiB on a token.",
                remedy="Keep what is larger in a file, encrypted with a key of the token.",
            )
        # Nothing is kept that could not be read again.
        return _decode(text)
    except (msgspec.MsgspecError, TypeError, OverflowError, RecursionError) as error:
        raise BadRequest("There is an attribute that no token can keep.") from error


def _plain(value: object) -> object:
    if isinstance(value, memoryview | bytearray):
        return bytes(value)
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return value


def label_of(attributes: Mapping[int, Value]) -> str | None:
    """CKA_LABEL as people are shown it; None where there is none."""
    value = attributes.get(CKA.LABEL)
    if not isinstance(value, bytes):
        return None
    text = value.decode("utf-8", "replace")
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


def labelled(attributes: Kept, label: str) -> Kept:
    """The same, where they have a label, with another one."""
    if CKA.LABEL not in attributes:
        return attributes
    return {**attributes, int(CKA.LABEL): label.encode()}


def public(attributes: Kept) -> Attributes:
    return cast(Attributes, attributes)

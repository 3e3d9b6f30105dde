"""Points of curves as programs write them: plain, or in an OCTET STRING.

CKA_EC_POINT is the OCTET STRING (PKCS#11 3.1, section 6.3.3) and the public value of an ECDH
the plain point, but both forms of both are about.
"""

from typing import Final

from keyholm.wire import der
from keyholm.wire.codec import Malformed, Reader

_UNCOMPRESSED: Final = frozenset(1 + 2 * width for width in (28, 32, 48, 66))
_COMPRESSED: Final = frozenset(1 + width for width in (28, 32, 48, 66))
_MONTGOMERY: Final = frozenset({32, 56})  # X25519, X448
_EDWARDS: Final = frozenset({32, 57})  # Ed25519, Ed448


def plain_point(data: bytes) -> bytes | None:
    """The point itself; None where it cannot be one of any curve that we know."""
    if _is_plain(data):
        return data
    inner = _inside(data)
    return inner if inner is not None and _is_plain(inner) else None


def _is_plain(data: bytes) -> bool:
    size = len(data)
    if size in _MONTGOMERY or size in _EDWARDS:
        return True
    return (size in _UNCOMPRESSED and data[0] == 4) or (size in _COMPRESSED and data[0] in (2, 3))


def _inside(data: bytes) -> bytes | None:
    reader = Reader(data)
    try:
        inner = der.read_tlv(reader, der.OCTET_STRING)
        reader.end()
    except Malformed:
        return None
    return inner

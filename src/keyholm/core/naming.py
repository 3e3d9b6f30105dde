"""What keys and tokens are called outside: by PKCS#11's names and by a URI made of them.

Every door says the same, so that a URI that one program prints is understood by another.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

from keyholm.core.errors import BadRequest, KeyNotFound
from keyholm.core.model import Attributes, Key, Kind, Object
from keyholm.core.store import PassesThrough, Token
from keyholm.version import VERSION
from keyholm.wire.codec import Malformed
from keyholm.wire.pkcs11 import uri
from keyholm.wire.pkcs11.constants import CKA

MANUFACTURER: Final = "keyholm"
LIBRARY: Final = "keyholm"  # as the module says without asking anybody
LIBRARY_VERSION: Final = (int(VERSION.split(".")[0]), int(VERSION.split(".")[1]))
SERIAL_SIZE: Final = 16  # characters, of CK_TOKEN_INFO
LABEL_SIZE: Final = 32  # bytes
MODEL_SIZE: Final = 16
ID_SIZE: Final = 20  # of the CKA_ID of a key that was given none: as long as a SHA-1
TYPES: Final = {Kind.PRIVATE: ("private", "public"), Kind.SECRET: ("secret-key",)}
LIST: Final = "`keyholm list` shows the keys."


def serial(token: Token) -> str:
    """16 characters that stay the same for this token, and are no other's; or its own."""
    if isinstance(token, PassesThrough):
        return token.info.serial
    uuid = getattr(token, "uuid", "")
    return hashlib.sha256(f"{token.store}\0{uuid or token.name}".encode()).hexdigest()[:SERIAL_SIZE]


def cka_id(key: Key, stored: Attributes | None = None) -> bytes:
    """The CKA_ID of the object of `key` that has these attributes; else of its private half."""
    given = (key.attributes if stored is None else stored).get(CKA.ID)
    if given is None:
        given = key.attributes.get(CKA.ID) or bytes.fromhex(key.id[: 2 * ID_SIZE])
    return given if isinstance(given, bytes) else b""


def label_of(held: Key | Object) -> str:
    """The CKA_LABEL of an object, or of the private half of a key."""
    found = held.attributes.get(CKA.LABEL)
    if isinstance(found, bytes):
        return found.decode(errors="replace")
    return held.label if isinstance(held, Key) else ""


def facts(token: Token, key: Key) -> dict[str, uri.Value]:
    """All that a URI can say of `key` but the number of its slot, and its type."""
    own = token.info if isinstance(token, PassesThrough) else None
    return {
        "library-manufacturer": MANUFACTURER,
        "library-description": LIBRARY,
        "library-version": LIBRARY_VERSION,
        "slot-manufacturer": MANUFACTURER,
        "slot-description": f"{token.store}/{token.name}",
        "model": own.model if own else _cut(token.store, MODEL_SIZE),
        "manufacturer": own.manufacturer if own else MANUFACTURER,
        "serial": serial(token),
        "token": _cut(token.label, LABEL_SIZE),
        "id": cka_id(key),
        "object": label_of(key),
    }


def _cut(text: str, size: int) -> str:
    """As much of it as fits a field of CK_TOKEN_INFO, whose padding no URI shows."""
    return text.encode()[:size].decode(errors="ignore").rstrip(" ")


def uri_of(token: Token, key: Key) -> str:
    """RFC 7512: the canonical text of a key."""
    told = facts(token, key)
    shown = ("model", "manufacturer", "serial", "token", "id", "object")
    return uri.write({name: told[name] for name in shown} | {"type": TYPES[key.kind][0]})


# --- a key that a human means --------------------------------------------------------


def named(keys: Sequence[Key], name: str, token_of: Callable[[Key], Token]) -> Key:
    """The key that is meant by `name`: its name, its place, the start of its id, or its URI.

    Raises `KeyNotFound`, also when more than one key is meant.
    """
    if uri.looks_like_one(name):
        return _only(_at_uri(keys, name, token_of), uri.redacted(name))
    for matches in (
        [key for key in keys if str(key.place) == name],
        [key for key in keys if key.label == name],
        [key for key in keys if len(name) >= 6 and key.id.startswith(name.lower())],
    ):
        if matches:
            return _only(matches, name)
    return _only([], name)


def _at_uri(keys: Sequence[Key], text: str, token_of: Callable[[Key], Token]) -> list[Key]:
    try:
        wanted = uri.parse(text)
    except Malformed as error:
        raise BadRequest(f"This is no PKCS#11 URI: {error}.") from error
    if "slot-id" in wanted.path:
        raise BadRequest(
            "slot-id names a slot for as long as the daemon runs, so no key is named by it.",
            remedy="Name its token by token= or serial=, as `keyholm show` does.",
        )
    return [key for key in keys if _is_meant(wanted, facts(token_of(key), key), key.kind)]


def _is_meant(wanted: uri.Uri, told: dict[str, uri.Value], kind: Kind) -> bool:
    """A key pair is two objects, and either names it."""
    return any(wanted.matches({**told, "type": each}) for each in TYPES.get(kind, ()))


def _only(matches: list[Key], name: str) -> Key:
    if len(matches) == 1:
        return matches[0]
    if matches:
        places = ", ".join(str(key.place) for key in matches)
        raise KeyNotFound(
            f"{name!r} names {len(matches)} keys: {places}.", remedy="Give one of these places."
        )
    raise KeyNotFound(f"There is no key {name!r}.", remedy=LIST)

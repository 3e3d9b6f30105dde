"""PKCS#11 URIs (RFC 7512): what names a library, a slot, a token or an object in text.

A path attribute narrows what is meant, and an absent one matches everything. An attribute
of the path that nobody here knows, a vendor's, matches nothing (section 2.5), so it is kept
by its name; one of the query is ignored. `pin-value` is a PIN in plain text: it is not kept,
and `redacted` takes it out of what is shown.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from keyholm.wire.codec import Malformed

SCHEME: Final = "pkcs11:"
LONGEST: Final = 8192  # characters of a URI that is read at all
HIDDEN: Final = "..."

Value = str | bytes | int | tuple[int, int]
TYPES: Final = ("cert", "data", "private", "public", "secret-key")

_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_NAME: Final = _UNRESERVED - frozenset("._~")  # pk11-v-attr-nm-char
_OF_PATH: Final = _UNRESERVED | frozenset(":[]@!$'()*+,=&")
_OF_QUERY: Final = _UNRESERVED | frozenset(":[]@!$'()*+,=/?|")
_HEXADECIMAL: Final = frozenset("0123456789abcdefABCDEF")
_DIGITS: Final = frozenset("0123456789")
_HIGHEST: Final = 2**64 - 1  # of a CK_ULONG


@dataclass(frozen=True, slots=True)
class Uri:
    path: Mapping[str, Value] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()  # names of path attributes that match nothing
    pin_source: str = ""
    module_name: str = ""
    module_path: str = ""

    def mismatch(self, facts: Mapping[str, Value]) -> str:
        """The first attribute that is not so in `facts`; empty where all are (section 2.5)."""
        for name, value in self.path.items():
            if facts.get(name) != value:
                return name
        return self.unknown[0] if self.unknown else ""

    def matches(self, facts: Mapping[str, Value]) -> bool:
        return not self.mismatch(facts)

    def __str__(self) -> str:
        return write(self.path)


# --- values --------------------------------------------------------------------------


def _octets(text: str, allowed: frozenset[str], name: str) -> bytes:
    found = bytearray()
    at = 0
    while at < len(text):
        letter = text[at]
        if letter in allowed:
            found.append(ord(letter))
            at += 1
        elif letter == "%" and len(digits := text[at + 1 : at + 3]) == 2:
            if not _HEXADECIMAL.issuperset(digits):
                raise Malformed(f"{name} has a % that no two hexadecimal digits follow")
            found.append(int(digits, 16))
            at += 3
        else:
            raise Malformed(f"{name} has a character that must be written as % and two digits")
    return bytes(found)


def _text(octets: bytes, name: str) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"{name} is not UTF-8") from error


def _number(text: str, name: str) -> int:
    if not text or len(text) > 20 or not _DIGITS.issuperset(text) or int(text) > _HIGHEST:
        raise Malformed(f"{name} is not a number")
    return int(text)


def _read_text(text: str, name: str) -> Value:
    return _text(_octets(text, _OF_PATH, name), name)


def _read_octets(text: str, name: str) -> Value:
    return _octets(text, _OF_PATH, name)


def _read_number(text: str, name: str) -> Value:
    return _number(text, name)


def _read_version(text: str, name: str) -> Value:
    """`3` is 3.0."""
    major, point, minor = text.partition(".")
    return _number(major, name), _number(minor, name) if point else 0


def _read_type(text: str, name: str) -> Value:
    if text not in TYPES:
        raise Malformed(f"type is none of {', '.join(TYPES)}")
    return text


def _escaped(octets: bytes) -> str:
    return "".join(chr(byte) if chr(byte) in _UNRESERVED else f"%{byte:02X}" for byte in octets)


def _written(name: str, value: Value) -> str:
    match value:
        case str():
            return _escaped(value.encode())
        case bytes():  # "the whole value of the id attribute SHOULD be percent-encoded"
            return "".join(f"%{byte:02X}" for byte in value)
        case int():
            return str(value)
        case (major, minor):
            return f"{major}.{minor}"
        case _:
            raise TypeError(name)


# In the order in which they are written.
PATH: Final[Mapping[str, Callable[[str, str], Value]]] = {
    "library-manufacturer": _read_text,
    "library-description": _read_text,
    "library-version": _read_version,
    "slot-manufacturer": _read_text,
    "slot-description": _read_text,
    "slot-id": _read_number,
    "model": _read_text,
    "manufacturer": _read_text,
    "serial": _read_text,
    "token": _read_text,
    "id": _read_octets,
    "object": _read_text,
    "type": _read_type,
}
_QUERY: Final = {
    "pin-source": "pin_source",
    "module-name": "module_name",
    "module-path": "module_path",
}
_PIN: Final = "pin-value"
_PIN_THERE: Final = re.compile(f"{_PIN}=", re.IGNORECASE | re.ASCII)


# --- both directions -----------------------------------------------------------------


def looks_like_one(text: str) -> bool:
    return text[: len(SCHEME)].lower() == SCHEME


def parse(text: str) -> Uri:
    """Raises `Malformed`, whose sentence has no value of the URI in it."""
    if not looks_like_one(text):
        raise Malformed("it does not begin with pkcs11:")
    if len(text) > LONGEST:
        raise Malformed(f"it is longer than {LONGEST} characters")
    path, _, query = text[len(SCHEME) :].partition("?")
    known, unknown = _path(path)
    return Uri(known, unknown, **_asked(query))


def _path(text: str) -> tuple[dict[str, Value], tuple[str, ...]]:
    known: dict[str, Value] = {}
    unknown: list[str] = []
    for attribute in text.split(";") if text else ():
        name, value = _named(attribute)
        if name in known or name in unknown:  # section 2.3
            raise Malformed(f"{name} is there twice")
        if name in PATH:
            known[name] = PATH[name](value, name)
        else:
            _octets(value, _OF_PATH, name)
            unknown.append(name)
    return known, tuple(unknown)


def _asked(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for attribute in text.split("&") if text else ():
        name, value = _named(attribute)
        known = name == _PIN or name in _QUERY
        if known and name in found:
            raise Malformed(f"{name} is there twice")
        octets = _octets(value, _OF_QUERY, name)
        if known:
            found[name] = "" if name == _PIN else _text(octets, name)
    if _PIN in found and "pin-source" in found:  # section 2.4
        raise Malformed(f"it has both pin-source and {_PIN}")
    return {_QUERY[name]: value for name, value in found.items() if name != _PIN}


def _named(attribute: str) -> tuple[str, str]:
    name, equals, value = attribute.partition("=")
    if not name or not equals or not _NAME.issuperset(name):
        raise Malformed("an attribute is not NAME=VALUE")
    return name, value


def write(path: Mapping[str, Value]) -> str:
    """A URI of these attributes, in the usual order."""
    parts = [f"{name}={_written(name, path[name])}" for name in PATH if name in path]
    return SCHEME + ";".join(parts)


def redacted(text: str) -> str:
    """`text` without its PIN and what follows, whether it is a good URI or not."""
    found = _PIN_THERE.search(text)
    return text[: found.end()] + HIDDEN if found else text

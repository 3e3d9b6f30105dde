"""A policy as TOML: read with every unknown field refused, written in one canonical form.

The hash of the canonical form is bound into the key's file and into the trail.
"""

import hashlib
import tomllib
from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from keyholm.core.errors import BadPolicy
from keyholm.core.policy import reading, writing
from keyholm.core.policy.model import Policy

MAX_TEXT: Final = 64 * 1024
# tomllib takes the square of a dotted name's parts: 30,000 of them are seconds and gigabytes.
MAX_DOTS: Final = 2048
ALSO: Final = "also"


class _Field(Struct, frozen=True):
    """One line of a policy, in both directions."""

    read: Callable[[Any, str], Any]
    write: Callable[[Any], str | None]


# In the order in which they are written, and in which `decide` looks at them.
_FIELDS: Final[dict[str, _Field]] = {
    "deny": _Field(reading.rules, writing.rules),
    "allow": _Field(reading.rules, writing.rules),
    "doors": _Field(reading.doors, writing.names),
    "operations": _Field(reading.operations, writing.names),
    "mechanisms": _Field(reading.mechanisms, writing.names),
    "namespaces": _Field(reading.names, writing.names),
    "destinations": _Field(reading.destinations, writing.destinations),
    "readable": _Field(reading.flag, writing.flag),
    "hours": _Field(reading.hours, writing.hours),
    "expires": _Field(reading.expires, writing.expires),
    "max_uses": _Field(reading.count, writing.count),
    "rate": _Field(reading.rate, writing.rate),
    "confirm": _Field(reading.confirm, writing.confirm),
}


def parse(text: str) -> Policy:
    """Raises `BadPolicy`, which says where."""
    return from_table(load(text))


def load(text: str) -> dict[str, Any]:
    """The TOML of a policy, whatever it says."""
    if len(text) > MAX_TEXT:
        raise BadPolicy(f"A policy has at most {MAX_TEXT >> 10} KiB.")
    if text.count(".") > MAX_DOTS:
        raise BadPolicy(f"A policy has at most {MAX_DOTS} dots.")
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also numbers too long, tables too deep
        raise BadPolicy(f"The policy is not TOML: {error}.") from error


def from_table(table: Mapping[str, Any]) -> Policy:
    return _policy(table, "policy", (*_FIELDS, ALSO))


def write(policy: Policy) -> str:
    """The canonical text; empty where everything is allowed."""
    lines = [
        f"{name} = {written}\n"
        for name, field in _FIELDS.items()
        if (written := field.write(getattr(policy, name))) is not None
    ]
    return "".join(lines) + "".join(f"\n[[{ALSO}]]\n{write(part)}" for part in policy.also)


def policy_hash(policy: Policy) -> str:
    """SHA-256 of the canonical text, hexadecimal."""
    return hashlib.sha256(write(policy).encode()).hexdigest()


def _policy(table: Mapping[str, Any], where: str, names: tuple[str, ...]) -> Policy:
    reading.known(table, names, where)
    values = {
        name: _FIELDS[name].read(given, f"{where}.{name}")
        for name, given in table.items()
        if name != ALSO
    }
    if ALSO in table:
        values[ALSO] = reading.items(table[ALSO], f"{where}.{ALSO}", _part)
    return Policy(**values)


def _part(given: Any, where: str) -> Policy:
    # A part has no others of its own.
    return _policy(reading.table(given, where), where, tuple(_FIELDS))

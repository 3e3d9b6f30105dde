"""Constraints that come with a key added to an agent (RFC 9987 4.2; PROTOCOL.agent 2).

Stricter than OpenSSH in this: an empty list of destinations is refused, since whoever sent one
wanted a limit and would get none; and nothing may follow the fields of a constraint.
"""

from typing import Any

from msgspec import Struct

from keyholm.wire.codec import (
    BOOLEAN,
    BYTE,
    STRING,
    TEXT,
    UINT32,
    Codec,
    Malformed,
    Reader,
    Record,
    nested,
    record,
    repeated,
)

# OpenSSH's AGENT_MAX_DEST_CONSTRAINTS and AGENT_MAX_EXT_CERTS.
MAX_ENTRIES = 1024
MAX_USER_PATTERN = 256


class Lifetime(Struct, frozen=True):
    """Forget the key after that many seconds; 0 is at once."""

    seconds: int


class Confirm(Struct, frozen=True):
    """Ask the user at every use."""


class MaxSign(Struct, frozen=True):
    """Good for that many signatures."""

    count: int


class SkProvider(Struct, frozen=True):
    """The library that speaks to the authenticator, or `internal`."""

    provider: str


class HopKey(Struct, frozen=True):
    """A host key, or the key of a CA that certifies host keys."""

    blob: bytes
    is_ca: bool


class Hop(Struct, frozen=True):
    """One end of a connection. Without a host name it is where the agent runs."""

    user: str
    hostname: str
    keys: tuple[HopKey, ...] = ()


class DestinationConstraint(Struct, frozen=True):
    """The key may be used from one host to another."""

    from_hop: Hop
    to_hop: Hop


class RestrictDestination(Struct, frozen=True):
    constraints: tuple[DestinationConstraint, ...]


class AssociatedCerts(Struct, frozen=True):
    """Certificates for the keys of a PKCS#11 module; `certs_only` leaves out the plain keys."""

    certs_only: bool
    certs: tuple[bytes, ...]


Constraint = Lifetime | Confirm | MaxSign | SkProvider | RestrictDestination | AssociatedCerts


def _read_c_text(reader: Reader) -> str:
    value = TEXT.read(reader)
    # A string of C in OpenSSH: what follows a NUL would go unseen there.
    if "\0" in value:
        raise Malformed("text with a NUL in it")
    return value


def _read_nothing(reader: Reader) -> None:
    if STRING.read(reader):
        raise Malformed("a reserved field that is in use")


_C_TEXT: Codec[str] = Codec(write=TEXT.write, read=_read_c_text)
_RESERVED: Codec[None] = Codec(write=lambda nothing: STRING.write(b""), read=_read_nothing)
_HOP_KEYS = repeated(record(HopKey, blob=STRING, is_ca=BOOLEAN), most=MAX_ENTRIES)


def _read_hop(reader: Reader) -> Hop:
    user, hostname = _C_TEXT.read(reader), _C_TEXT.read(reader)
    _RESERVED.read(reader)
    if len(user) > MAX_USER_PATTERN:
        raise Malformed(f"a user pattern of more than {MAX_USER_PATTERN} characters")
    return Hop(user, hostname, _HOP_KEYS.read(reader))


def _write_hop(hop: Hop) -> bytes:
    return (
        _C_TEXT.write(hop.user)
        + _C_TEXT.write(hop.hostname)
        + _RESERVED.write(None)
        + _HOP_KEYS.write(hop.keys)
    )


_HOP: Codec[Hop] = nested(Codec(write=_write_hop, read=_read_hop))


def _read_destination(reader: Reader) -> DestinationConstraint:
    from_hop, to_hop = _HOP.read(reader), _HOP.read(reader)
    _RESERVED.read(reader)
    if from_hop.user or bool(from_hop.hostname) != bool(from_hop.keys):
        raise Malformed("a destination that does not say where it starts")
    if not to_hop.hostname or not to_hop.keys:
        raise Malformed("a destination that does not say where it ends")
    return DestinationConstraint(from_hop, to_hop)


def _write_destination(constraint: DestinationConstraint) -> bytes:
    ends = _HOP.write(constraint.from_hop) + _HOP.write(constraint.to_hop)
    return ends + _RESERVED.write(None)


_DESTINATIONS = nested(
    repeated(nested(Codec(write=_write_destination, read=_read_destination)), most=MAX_ENTRIES)
)


def _restrict_destination() -> Record[RestrictDestination]:
    def read(reader: Reader) -> RestrictDestination:
        constraints = _DESTINATIONS.read(reader)
        if not constraints:
            raise Malformed("a list of destinations without any")
        return RestrictDestination(constraints)

    return Record(
        write=lambda value: _DESTINATIONS.write(value.constraints),
        read=read,
        kind=RestrictDestination,
    )


_EXTENSION = 255
NUMBERED: dict[int, Record[Any]] = {
    1: record(Lifetime, seconds=UINT32),
    2: record(Confirm),
    3: record(MaxSign, count=UINT32),
}
NAMED: dict[str, Record[Any]] = {
    "sk-provider@openssh.com": record(SkProvider, provider=_C_TEXT),
    "restrict-destination-v00@openssh.com": _restrict_destination(),
    "associated-certs-v00@openssh.com": record(
        AssociatedCerts,
        certs_only=BOOLEAN,
        certs=nested(repeated(STRING, most=MAX_ENTRIES)),
    ),
}
_PREFIXES: dict[type[Any], bytes] = {
    **{constraint.kind: BYTE.write(number) for number, constraint in NUMBERED.items()},
    **{
        constraint.kind: BYTE.write(_EXTENSION) + TEXT.write(name)
        for name, constraint in NAMED.items()
    },
}
_BODIES = {known.kind: known for known in (*NUMBERED.values(), *NAMED.values())}


def _read_one(reader: Reader) -> Constraint:
    number = BYTE.read(reader)
    known = NAMED.get(TEXT.read(reader)) if number == _EXTENSION else NUMBERED.get(number)
    if known is None:
        raise Malformed("a constraint that we do not know, so could not keep")
    constraint: Constraint = known.read(reader)
    return constraint


def _read(reader: Reader) -> tuple[Constraint, ...]:
    constraints: dict[type[Any], Constraint] = {}
    while reader.left:
        constraint = _read_one(reader)
        if type(constraint) in constraints:
            raise Malformed(f"{type(constraint).__name__} twice")
        constraints[type(constraint)] = constraint
    return tuple(constraints.values())


def _write(constraints: tuple[Constraint, ...]) -> bytes:
    return b"".join(
        _PREFIXES[type(constraint)] + _BODIES[type(constraint)].write(constraint)
        for constraint in constraints
    )


CONSTRAINTS: Codec[tuple[Constraint, ...]] = Codec(write=_write, read=_read)

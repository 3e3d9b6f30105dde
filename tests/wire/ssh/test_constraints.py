import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyholm.wire.codec import STRING, TEXT, Malformed, decode
from keyholm.wire.ssh.constraints import (
    CONSTRAINTS,
    MAX_ENTRIES,
    MAX_USER_PATTERN,
    AssociatedCerts,
    Confirm,
    Constraint,
    DestinationConstraint,
    Hop,
    HopKey,
    Lifetime,
    MaxSign,
    RestrictDestination,
    SkProvider,
)

# RFC 9987 4.2; PROTOCOL.agent 2. The one with a host is what `ssh-add -h` sends.
VECTORS: dict[str, tuple[Constraint, ...]] = {
    "": (),
    "01 0000003c": (Lifetime(60),),
    "02": (Confirm(),),
    "03 00000001": (MaxSign(1),),
    "01 00000000 02": (Lifetime(0), Confirm()),
    "ff 00000017 736b2d70726f7669646572406f70656e7373682e636f6d 00000008 696e7465726e616c": (
        SkProvider("internal"),
    ),
    "ff 00000024 72657374726963742d64657374696e6174696f6e2d763030406f70656e7373682e636f6d"
    "00000030 0000002c"
    "0000000c 00000000 00000000 00000000"
    "00000014 00000001 75 00000001 68 00000000 00000001 6b 00"
    "00000000": (),
    "ff 00000020 6173736f6369617465642d6365727473 2d763030406f70656e7373682e636f6d"
    "01 0000000a 00000002 6331 00000000": (AssociatedCerts(True, (b"c1", b"")),),
}
DESTINATION = next(wire for wire in VECTORS if "72657374" in wire)
ORIGIN = Hop("", "")
HOST = Hop("u", "h", (HopKey(b"k", False),))

text = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=10)
hop_keys = st.lists(
    st.builds(HopKey, st.binary(max_size=10), st.booleans()), min_size=1, max_size=3
)
hosts = text.filter(bool)
to_hops = st.builds(Hop, text, hosts, hop_keys.map(tuple))
from_hops = st.just(ORIGIN) | st.builds(Hop, st.just(""), hosts, hop_keys.map(tuple))
destinations = st.builds(DestinationConstraint, from_hops, to_hops)
one_of_each = (
    st.builds(Lifetime, st.integers(0, 2**32 - 1)),
    st.builds(Confirm),
    st.builds(MaxSign, st.integers(0, 2**32 - 1)),
    st.builds(SkProvider, text),
    st.builds(RestrictDestination, st.lists(destinations, min_size=1, max_size=3).map(tuple)),
    st.builds(AssociatedCerts, st.booleans(), st.lists(st.binary(max_size=5)).map(tuple)),
)
constraint_sets: st.SearchStrategy[tuple[Constraint, ...]] = st.lists(
    st.one_of(*one_of_each), unique_by=type, max_size=4
).map(tuple)


def restricted(*constraints: DestinationConstraint) -> bytes:
    return CONSTRAINTS.write((RestrictDestination(constraints),))


@pytest.mark.parametrize(("wire", "constraints"), VECTORS.items())
def test_vector_reads_and_writes(wire: str, constraints: tuple[Constraint, ...]) -> None:
    if wire == DESTINATION:
        constraints = (RestrictDestination((DestinationConstraint(ORIGIN, HOST),)),)
    assert decode(CONSTRAINTS, bytes.fromhex(wire)) == constraints
    assert CONSTRAINTS.write(constraints) == bytes.fromhex(wire)


@given(constraint_sets)
def test_what_we_write_we_read(constraints: tuple[Constraint, ...]) -> None:
    assert decode(CONSTRAINTS, CONSTRAINTS.write(constraints)) == constraints


@given(st.one_of(*one_of_each))
def test_a_cut_or_padded_constraint_is_refused(constraint: Constraint) -> None:
    written = CONSTRAINTS.write((constraint,))
    for cut in range(1, len(written)):
        with pytest.raises(Malformed):
            decode(CONSTRAINTS, written[:cut])
    with pytest.raises(Malformed):
        decode(CONSTRAINTS, written + b"\0")


@given(st.binary())
def test_arbitrary_bytes_give_constraints_or_malformed(data: bytes) -> None:
    try:
        constraints = decode(CONSTRAINTS, data)
    except Malformed:
        return
    assert decode(CONSTRAINTS, CONSTRAINTS.write(constraints)) == constraints


@given(st.one_of(*one_of_each))
def test_the_same_constraint_twice_is_refused(constraint: Constraint) -> None:
    with pytest.raises(Malformed, match="twice"):
        decode(CONSTRAINTS, CONSTRAINTS.write((constraint, constraint)))


@pytest.mark.parametrize(
    "wire", [b"\0", b"\4\0\0\0\1", b"\xff" + TEXT.write("foo@example.com") + STRING.write(b"")]
)
def test_a_constraint_that_we_do_not_know_is_refused(wire: bytes) -> None:
    with pytest.raises(Malformed, match="do not know"):
        decode(CONSTRAINTS, wire)


KEYS = (HopKey(b"k", True),)
INCOMPLETE = {
    "a user where it starts": DestinationConstraint(Hop("u", "h", KEYS), HOST),
    "a start without keys": DestinationConstraint(Hop("", "h"), HOST),
    "a start without a name": DestinationConstraint(Hop("", "", KEYS), HOST),
    "an end without keys": DestinationConstraint(ORIGIN, Hop("u", "h")),
    "an end without a name": DestinationConstraint(ORIGIN, Hop("u", "", KEYS)),
    "a pattern too long": DestinationConstraint(ORIGIN, Hop("u" * 257, "h", KEYS)),
    "a NUL in a name": DestinationConstraint(ORIGIN, Hop("u", "h\0", KEYS)),
    "too many keys": DestinationConstraint(ORIGIN, Hop("u", "h", KEYS * (MAX_ENTRIES + 1))),
}


@pytest.mark.parametrize("what", INCOMPLETE)
def test_a_destination_that_limits_nothing_is_refused(what: str) -> None:
    with pytest.raises(Malformed):
        decode(CONSTRAINTS, restricted(INCOMPLETE[what]))


def test_a_list_of_destinations_without_any_is_refused() -> None:
    # OpenSSH takes it, and the key is free to go anywhere.
    with pytest.raises(Malformed, match="without any"):
        decode(CONSTRAINTS, restricted())


def test_the_limits_are_those_of_openssh() -> None:
    longest = DestinationConstraint(ORIGIN, Hop("u" * MAX_USER_PATTERN, "h", KEYS))
    most = (longest,) * MAX_ENTRIES
    assert decode(CONSTRAINTS, restricted(*most)) == (RestrictDestination(most),)
    with pytest.raises(Malformed, match="more than 1024"):
        decode(CONSTRAINTS, restricted(*most, longest))
    certs = CONSTRAINTS.write((AssociatedCerts(False, (b"",) * (MAX_ENTRIES + 1)),))
    with pytest.raises(Malformed, match="more than 1024"):
        decode(CONSTRAINTS, certs)


def _hop(reserved: bytes) -> bytes:
    names = STRING.write(b"u") + STRING.write(b"h") + STRING.write(reserved)
    return STRING.write(names + STRING.write(b"k") + b"\0")


def _restricted_by_hand(hop_reserved: bytes, reserved: bytes) -> bytes:
    ends = STRING.write(STRING.write(b"") * 3) + _hop(hop_reserved)
    name = TEXT.write("restrict-destination-v00@openssh.com")
    return b"\xff" + name + STRING.write(STRING.write(ends + STRING.write(reserved)))


def test_a_reserved_field_in_use_is_refused() -> None:
    assert _restricted_by_hand(b"", b"") == bytes.fromhex(DESTINATION)
    for fields in ((b"x", b""), (b"", b"x")):
        with pytest.raises(Malformed, match="in use"):
            decode(CONSTRAINTS, _restricted_by_hand(*fields))

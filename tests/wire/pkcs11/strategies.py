"""Values of every kind for hypothesis."""

from hypothesis import strategies as st

from keyholm.wire.pkcs11.attributes import KINDS, Attribute, Kind, Template
from keyholm.wire.pkcs11.dialect import OWN_VERSION, Dialect
from keyholm.wire.pkcs11.templates import has_form

DIALECTS = [Dialect(version, ulong) for version in (0, 1, 2, OWN_VERSION) for ulong in (4, 8)]
ULONG = st.integers(0, 2**64 - 1)
UINT32 = st.integers(0, 2**32 - 1)
# What a client of narrow CK_ULONG can say and be told.
NARROW = st.integers(0, 2**32 - 1)
BYTES = st.binary(max_size=40)


def attributes(dialect: Dialect, depth: int) -> st.SearchStrategy[Attribute]:
    """Attributes that the dialect can carry whole."""
    carried = [
        number
        for number, kind in KINDS.items()
        if kind is not Kind.TEMPLATE or (depth and has_form(number, dialect))
    ]
    known = st.sampled_from(carried).flatmap(lambda number: _attribute(number, dialect, depth))
    vendors = st.tuples(st.integers(0x80000000, 0xFFFFFFFF), BYTES)
    absent = st.tuples(UINT32, st.none())
    return st.one_of(known, vendors, absent)


def templates(dialect: Dialect, depth: int = 2) -> st.SearchStrategy[Template]:
    return st.lists(attributes(dialect, depth), max_size=6).map(tuple)


def _attribute(number: int, dialect: Dialect, depth: int) -> st.SearchStrategy[Attribute]:
    ulong = NARROW if dialect.ulong == 4 else ULONG
    match KINDS[number]:
        case Kind.BOOL:
            return st.tuples(st.just(number), st.booleans())
        case Kind.ULONG:
            return st.tuples(st.just(number), ulong)
        case Kind.ULONGS:
            return st.tuples(st.just(number), st.lists(ulong, max_size=4).map(tuple))
        case Kind.TEMPLATE:
            return st.tuples(st.just(number), templates(dialect, depth - 1))
        case Kind.DATE:
            return st.tuples(st.just(number), st.sampled_from([b"", b"20261125"]))
        case _:
            return st.tuples(st.just(number), BYTES)

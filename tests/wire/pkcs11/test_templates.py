"""Templates: what is written is read, nothing is believed, nothing is made before it is there."""

import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.pkcs11.strategies import DIALECTS, templates

from keyholm.wire.codec import Malformed, Reader
from keyholm.wire.pkcs11.attributes import Template
from keyholm.wire.pkcs11.constants import CKA, CKO
from keyholm.wire.pkcs11.dialect import OWN_VERSION, Dialect
from keyholm.wire.pkcs11.templates import OWN_DEPTH, STOCK_DEPTH, Templates

STOCK = Templates(Dialect(0))
NEWER = Templates(Dialect(2))
OURS = Templates(Dialect(OWN_VERSION))
NARROW = Templates(Dialect(OWN_VERSION, 4))
BOTH = [STOCK, OURS]


def read(kind: Templates, data: bytes) -> Template:
    reader = Reader(data)
    template = kind.read(reader)
    reader.end()
    return template


def nest(depth: int) -> Template:
    template: Template = ()
    for _ in range(depth):
        template = ((CKA.WRAP_TEMPLATE, template),)
    return template


def test_a_template_as_p11_kit_writes_it() -> None:
    data = bytes.fromhex(
        "00000004"
        "00000000 01 00000008 0000000000000003"  # CKA_CLASS: a number
        "00000001 01 00000001 01"  # CKA_TOKEN: a byte
        "00000003 01 00000002 00000002 6b68"  # CKA_LABEL: a string, its length twice
        "00000110 01 00000000 00000000"  # CKA_START_DATE: empty
    )
    template = (
        (CKA.CLASS, CKO.PRIVATE_KEY),
        (CKA.TOKEN, True),
        (CKA.LABEL, b"kh"),
        (CKA.START_DATE, b""),
    )
    assert read(STOCK, data) == template
    assert STOCK.write(template) == data


def test_types_that_p11_kit_does_not_know_are_the_callers_bytes() -> None:
    template = ((CKA.DESTROYABLE, True), (CKA.PARAMETER_SET, 2), (CKA.UNIQUE_ID, b"1"))
    two = (2).to_bytes(8, sys.byteorder)
    data = b"".join(
        (
            struct.pack(">I", 3),
            struct.pack(">IBII", CKA.DESTROYABLE, 1, 1, 1) + b"\1",
            struct.pack(">IBII", CKA.PARAMETER_SET, 1, 8, 8) + two,
            struct.pack(">IBII", CKA.UNIQUE_ID, 1, 1, 1) + b"1",
        )
    )
    assert STOCK.write(template) == data
    assert read(STOCK, data) == template
    # Our dialect has a form for each of them.
    assert OURS.write(template[1:2]) == struct.pack(">IIBIQ", 1, CKA.PARAMETER_SET, 1, 8, 2)


def test_a_narrow_client_gets_its_own_width() -> None:
    narrow = Templates(Dialect(1, 4))
    template = ((CKA.PARAMETER_SET, 2), (CKA.CLASS, 3), (CKA.ALLOWED_MECHANISMS, (1, 2)))
    data = narrow.write(template)
    assert struct.pack(">IBII", CKA.PARAMETER_SET, 1, 4, 4) in data
    assert struct.pack(">IBIQ", CKA.CLASS, 1, 4, 3) in data
    assert struct.pack(">IBII", CKA.ALLOWED_MECHANISMS, 1, 8, 2) in data
    assert read(narrow, data) == template
    minus_one = narrow.write(((CKA.PARAMETER_SET, 2**64 - 1),))
    assert minus_one.endswith(b"\xff\xff\xff\xff")


def test_pointers_of_somebody_else_are_no_template() -> None:
    data = struct.pack(">IIBII", 1, CKA.ENCAPSULATE_TEMPLATE, 1, 24, 24) + bytes(24)
    assert read(STOCK, data) == ((CKA.ENCAPSULATE_TEMPLATE, None),)
    # Nor is one told to a client that would take it for bytes.
    told = STOCK.write(((CKA.ENCAPSULATE_TEMPLATE, ((CKA.TOKEN, True),)),))
    assert told == struct.pack(">IIB", 1, CKA.ENCAPSULATE_TEMPLATE, 0)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">IBIQ", CKA.CLASS, 1, 0, 0),  # {CKA_CLASS, NULL, 0}
        struct.pack(">IBIQ", CKA.CLASS, 1, 3, 0),
        struct.pack(">IBIB", CKA.TOKEN, 1, 8, 1),
        struct.pack(">IBII", CKA.LABEL, 1, 5, 0xFFFFFFFF),  # {CKA_LABEL, NULL, 5}
        struct.pack(">IBII", CKA.START_DATE, 1, 4, 8) + b"20261125",
        struct.pack(">IBII", CKA.VALUE, 1, 5, 0xFFFFFFFF),
    ],
)
def test_a_value_that_does_not_fit_its_type_is_none(kind: Templates, data: bytes) -> None:
    ((_, value),) = read(kind, b"\0\0\0\1" + data)
    assert value is None


@pytest.mark.parametrize("kind", BOTH)
def test_a_null_label_of_no_bytes_is_empty(kind: Templates) -> None:
    assert read(kind, struct.pack(">IIBII", 1, CKA.LABEL, 1, 0, 0xFFFFFFFF)) == ((CKA.LABEL, b""),)


def test_a_secret_is_where_the_frame_is() -> None:
    frame = bytearray(OURS.write(((CKA.VALUE, b"secret"), (CKA.PRIME_1, b"prime"))))
    (_, value), (_, prime) = OURS.read(Reader(frame))
    assert isinstance(value, memoryview)
    assert isinstance(prime, memoryview)
    frame[:] = bytes(len(frame))
    assert bytes(value) + bytes(prime) == bytes(11)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("count", [2, 0x10000, 0xFFFFFFFF])
def test_a_boastful_count_is_refused_before_anything_is_made(kind: Templates, count: int) -> None:
    """CVE-2020-29361: counts were multiplied before anybody looked whether they fit."""
    one = OURS.write(((CKA.TOKEN, True),))[4:]
    with pytest.raises(Malformed, match="promised"):
        read(kind, struct.pack(">I", count) + one[:9])
    inside = struct.pack(">IIBII", 1, CKA.WRAP_TEMPLATE, 1, 24, count)
    with pytest.raises(Malformed, match="promised"):
        read(kind, inside)
    with pytest.raises(Malformed, match="promised"):
        read(kind, struct.pack(">IIBII", 1, CKA.ALLOWED_MECHANISMS, 1, 8, count))
    with pytest.raises(Malformed, match="promised"):
        kind.read_wanted(Reader(struct.pack(">III", count, 0, 0)))


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(("length", "size"), [(8, 4), (4, 8), (4, 0x7FFFFFFF)])
def test_a_string_has_one_length(kind: Templates, length: int, size: int) -> None:
    """CVE-2020-29362 and -29363: one of the two lengths was believed, the other used."""
    data = struct.pack(">IIBII", 1, CKA.ID, 1, length, size) + bytes(8)
    with pytest.raises(Malformed):
        read(kind, data)


@pytest.mark.parametrize(("kind", "depth"), [(STOCK, STOCK_DEPTH), (OURS, OWN_DEPTH)])
def test_templates_nest_so_deep_and_no_deeper(kind: Templates, depth: int) -> None:
    """CVE-2026-13757: p11-kit's server recursed as long as the client wanted."""
    assert read(kind, kind.write(nest(depth))) == nest(depth)
    with pytest.raises(Malformed, match="deep"):
        read(kind, kind.write(nest(depth + 1)))
    endless = struct.pack(">I", 1) + struct.pack(">IBII", CKA.WRAP_TEMPLATE, 1, 24, 1) * 100_000
    with pytest.raises(Malformed, match="deep"):
        read(kind, endless)
    wanted = struct.pack(">I", 1) + struct.pack(">III", CKA.WRAP_TEMPLATE, 24, 1) * 100_000
    with pytest.raises(Malformed, match="deep"):
        kind.read_wanted_nested(Reader(wanted))


def test_what_is_wanted_in_both_forms() -> None:
    wanted = ((CKA.CLASS, 8), (CKA.WRAP_TEMPLATE, 0), (CKA.ID, 64))
    data = OURS.write_wanted(wanted)
    assert data == struct.pack(">I6I", 3, CKA.CLASS, 8, CKA.WRAP_TEMPLATE, 0, CKA.ID, 64)
    assert OURS.read_wanted(Reader(data)) == wanted
    assert NEWER.read_wanted_nested(Reader(data)) == wanted
    nested = struct.pack(">III", 1, CKA.WRAP_TEMPLATE, 48) + NEWER.write_wanted(wanted[:2])
    reader = Reader(nested)
    assert NEWER.read_wanted_nested(reader) == ((CKA.WRAP_TEMPLATE, 48),)
    reader.end()


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
@given(data=st.data())
def test_what_is_written_is_read(dialect: Dialect, data: st.DataObject) -> None:
    kind = Templates(dialect)
    template = data.draw(templates(dialect))
    written = kind.write(template)
    assert read(kind, written) == template
    for end in range(len(written)):
        with pytest.raises(Malformed):
            kind.read(Reader(written[:end]))


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_template_or_malformed(dialect: Dialect, data: bytes) -> None:
    kind = Templates(dialect)
    for read_one in (kind.read, kind.read_wanted, kind.read_wanted_nested):
        try:
            read_one(Reader(data))
        except Malformed:
            continue

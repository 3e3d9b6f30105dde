"""The table of calls: whole, and the same as p11-kit's, the standard's and our own page."""

import re
from pathlib import Path

import pytest
from tests.wire.pkcs11 import header, stock_calls

from keyholm.wire.pkcs11.calls import BY_NAME, CALLS, OURS, STOCK, Call, Type
from keyholm.wire.pkcs11.constants import CKR, names

PAGE = Path(__file__).parents[3] / "docs" / "protocols" / "pkcs11-rpc.md"
FUNCTIONS = [call for call in CALLS if call.function is not None]


def test_the_stock_calls_are_p11_kits() -> None:
    ours = [(number, call.name, *call.stock_signature) for number, call in sorted(STOCK.items())]
    assert ours == stock_calls.rows()


def test_each_version_of_p11_kit_has_the_calls_that_it_had() -> None:
    for number, call in STOCK.items():
        assert call.stock_version == (0 if number <= 65 else 1 if number <= 88 else 2)


def test_our_calls_are_those_of_the_protocol_page() -> None:
    rows = re.findall(
        r"^\| (0x1[0-9a-f]{4}) \| (\w+) \| `(\w+)`[^|]*\| (?:`(\w+)`)?",
        PAGE.read_text(),
        re.MULTILINE,
    )
    page = {(int(number, 16), name, asked, given) for number, name, asked, given in rows}
    table = {
        (number, call.name, *call.signature) for number, call in OURS.items() if number >= 0x10000
    }
    assert len(rows) == len(page)
    assert table == page


def test_every_function_of_the_standard_stands_once() -> None:
    functions = [call.function for call in FUNCTIONS if call not in (STOCK[9], STOCK[89])]
    assert len(functions) == len(set(functions))
    assert set(functions) == set(header.prototypes())


@pytest.mark.parametrize("call", FUNCTIONS, ids=lambda call: call.name)
def test_the_c_arguments_are_those_of_the_standard(call: Call) -> None:
    assert call.function is not None
    types = tuple(header.spelling(type_) for type_, _ in call.prototype)
    assert types == header.prototypes()[call.function]


@pytest.mark.parametrize(
    ("function", "structure"),
    [
        ("GetInfo", "CK_INFO"),
        ("GetSlotInfo", "CK_SLOT_INFO"),
        ("GetTokenInfo", "CK_TOKEN_INFO"),
        ("GetMechanismInfo", "CK_MECHANISM_INFO"),
        ("GetSessionInfo", "CK_SESSION_INFO"),
    ],
)
def test_a_structure_crosses_whole_and_in_its_order(function: str, structure: str) -> None:
    gives = BY_NAME[function].gives
    members = header.structures()[structure]
    assert [parameter.c for parameter in gives] == [f"pInfo->{name}" for _, name in members]
    for parameter, (type_, _) in zip(gives, members, strict=True):
        if parameter.type is Type.SPACED:
            assert type_.endswith(f"[{parameter.width}]")
        else:
            assert (parameter.type is Type.VERSION) == (type_ == "CK_VERSION")


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_a_row_is_whole(call: Call) -> None:
    assert call.doc.endswith(".")
    assert len(set(call.errors)) == len(call.errors), "an error twice"
    assert CKR.OK not in call.errors
    assert set(call.errors) <= set(names(CKR))
    for parameters in (call.takes, call.gives):
        sent = [parameter.name for parameter in parameters if parameter.type is not Type.NOTHING]
        assert all(sent)
        assert len(set(sent)) == len(sent)
    assert all((p.width > 0) == (p.type is Type.SPACED) for p in (*call.takes, *call.gives))


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_a_result_follows_the_room_for_it(call: Call) -> None:
    """A request with a room has one answer of that kind, of the same C arguments."""
    pairs = {Type.ROOM: Type.BYTES, Type.ULONG_ROOM: Type.ULONGS}
    rooms = [p for p in call.takes if p.type in pairs]
    results = [p for p in call.gives if p.type in pairs.values()]
    assert len(rooms) == len(results) <= 1
    for room, result in zip(rooms, results, strict=True):
        assert pairs[room.type] is result.type
        assert room.c.split()[:1] == result.c.split()[:1]


def test_numbers_of_our_own_are_not_p11_kits() -> None:
    for number, call in OURS.items():
        assert number == call.stock or number >= 0x10000
    assert all(number < 0x10000 for number in STOCK)


def test_pins_are_read_without_a_copy() -> None:
    for call in CALLS:
        for parameter in call.takes:
            assert parameter.secret == parameter.name.endswith("pin")

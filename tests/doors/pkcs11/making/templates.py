"""Templates as programs give them, and what is wrong with them."""

from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import strategies as st

from keyholm.cryptoki.wrong import Wrong
from keyholm.wire.pkcs11.attributes import KINDS, Attribute, Kind, Template
from keyholm.wire.pkcs11.constants import CKA, CKK, CKO, CKR

INCOMPLETE: Final = CKR.TEMPLATE_INCOMPLETE
INCONSISTENT: Final = CKR.TEMPLATE_INCONSISTENT
VALUE_INVALID: Final = CKR.ATTRIBUTE_VALUE_INVALID
TYPE_INVALID: Final = CKR.ATTRIBUTE_TYPE_INVALID
READ_ONLY: Final = CKR.ATTRIBUTE_READ_ONLY


def code_of(call: Callable[[], object]) -> int:
    with pytest.raises(Wrong) as wrong:
        call()
    return wrong.value.code


def outcome(call: Callable[[], Any]) -> Any:
    """What it gives, or the code with which it is wrong."""
    try:
        return call()
    except Wrong as wrong:
        return wrong.code


def without(template: Template, cka: int) -> Template:
    return tuple(each for each in template if each[0] != cka)


def changed(template: Template, *attributes: Attribute) -> Template:
    given = {cka for cka, _ in attributes}
    return (*(each for each in template if each[0] not in given), *attributes)


# --- any template whatever -----------------------------------------------------------

_OCTETS = st.binary(max_size=70)
_NUMBERS = st.one_of(
    st.integers(0, 80),
    st.sampled_from([1024, 2048, 8192, CKK.SHA256_HMAC, 2**64 - 1]),
)


def _values(kind: Kind) -> st.SearchStrategy[Any]:
    match kind:
        case Kind.BOOL:
            return st.booleans()
        case Kind.ULONG:
            return _NUMBERS
        case Kind.ULONGS:
            return st.lists(_NUMBERS, max_size=3).map(tuple)
        case Kind.TEMPLATE:
            return st.lists(st.tuples(st.sampled_from(_NAMED), st.booleans()), max_size=2).map(
                tuple
            )
        case Kind.DATE:
            return st.sampled_from([b"", b"20260101", b"2026010x"])
        case _:
            return st.one_of(_OCTETS, _OCTETS.map(lambda data: memoryview(bytearray(data))))


_NAMED: Final = sorted(KINDS)


@st.composite
def attributes(draw: st.DrawFn, usual: tuple[int, ...]) -> Attribute:
    cka = draw(st.one_of(st.sampled_from(usual), st.sampled_from([*_NAMED, 0x8000_0001])))
    value = _values(KINDS.get(cka, Kind.BYTES))
    odd = st.one_of(st.none(), st.booleans(), _NUMBERS, _OCTETS, st.just((1, 2)))
    return cka, draw(st.one_of(value, value, value, odd))


def any_template(*usual: int) -> st.SearchStrategy[Template]:
    """Mostly of attributes that such templates have."""
    more = (CKA.CLASS, CKA.KEY_TYPE, CKA.TOKEN, CKA.LABEL, CKA.SENSITIVE, *usual)
    return st.lists(attributes(more), max_size=8).map(tuple)


CLASSES: Final = (
    CKO.DATA,
    CKO.CERTIFICATE,
    CKO.PUBLIC_KEY,
    CKO.PRIVATE_KEY,
    CKO.SECRET_KEY,
)

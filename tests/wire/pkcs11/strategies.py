"""Values of every kind for hypothesis."""

from typing import Any

from hypothesis import strategies as st

from keyholm.wire.pkcs11 import parameters
from keyholm.wire.pkcs11.attributes import KINDS, Attribute, Kind, Template
from keyholm.wire.pkcs11.calls import Parameter, Type
from keyholm.wire.pkcs11.constants import CKA, CKM
from keyholm.wire.pkcs11.dialect import OWN_VERSION, Dialect
from keyholm.wire.pkcs11.mechanisms import Mechanism
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


# Of each kind that p11-kit knows one, and of ours a few; every form has its own test.
MECHANISMS = (
    Mechanism(CKM.ECDSA),
    Mechanism(CKM.RSA_PKCS_PSS, parameters.Pss(CKM.SHA256, 2, 32)),
    Mechanism(CKM.RSA_PKCS_OAEP, parameters.Oaep(CKM.SHA256, 2, 1, b"label")),
    Mechanism(CKM.AES_CBC, parameters.Iv(bytes(16))),
    Mechanism(CKM.AES_GCM, parameters.Gcm(b"iv", 96, b"", 128)),
)
OWN_MECHANISMS = (
    *MECHANISMS,
    Mechanism(CKM.RSA_PKCS_PSS),
    Mechanism(CKM.EDDSA, parameters.Eddsa(prehash=False, context=b"c")),
    Mechanism(0x80000001, b"raw"),
)
WRAP_MECHANISM = Mechanism(CKM.AES_GCM, parameters.GcmWrap(b"iv", 0, 1, b"", 128))
ARRAY = st.one_of(st.none(), BYTES)
LIST = st.lists(ULONG, max_size=4).map(tuple)


def values(parameter: Parameter, dialect: Dialect, *, is_answer: bool) -> st.SearchStrategy[Any]:
    """Values of one parameter of a call."""
    match parameter.type:
        case Type.BYTE:
            return st.integers(0, 255)
        case Type.ULONG:
            return ULONG
        case Type.VERSION:
            return st.tuples(st.integers(0, 255), st.integers(0, 255))
        case Type.SPACED:
            return st.text("key holm\u00e9", max_size=parameter.width // 2).map(str.rstrip)
        case Type.TEXT:
            return st.text(max_size=40)
        case Type.BYTES:
            return st.one_of(BYTES, UINT32) if is_answer else ARRAY
        case Type.ROOM | Type.ULONG_ROOM:
            return UINT32
        case Type.ULONGS:
            return st.one_of(LIST, UINT32) if is_answer else LIST
        case Type.ATTRIBUTES:
            return templates(dialect)
        case Type.ATTRIBUTE_ROOM:
            return st.lists(st.tuples(st.sampled_from([CKA.ID, CKA.CLASS]), UINT32)).map(tuple)
        case Type.MECHANISM if parameter.authenticated:
            return st.just(WRAP_MECHANISM)
        case Type.MECHANISM:
            return st.sampled_from(OWN_MECHANISMS if dialect.is_ours else MECHANISMS)
        case Type.MECHANISM_UPDATE:
            return st.sampled_from([b"", b"\0", b"\1"])
        case Type.MESSAGE:
            return ARRAY
        case Type.NOTHING:
            raise AssertionError("nothing crosses")

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from hypothesis import given
from hypothesis import strategies as st

from keyholm.wire import der
from keyholm.wire.codec import Malformed, Reader

numbers = st.integers(0, 2**600)


# X.690 8.19.5 and RFC 8410, section 3.
@pytest.mark.parametrize(
    ("dotted", "wire"), [("2.999.3", "0603883703"), ("1.3.101.112", "06032b6570")]
)
def test_object_identifier_vector(dotted: str, wire: str) -> None:
    assert der.oid(dotted).hex() == wire


@given(numbers, numbers)
def test_cryptography_reads_and_writes_the_same(r: int, s: int) -> None:
    written = der.sequence(der.integer(r), der.integer(s))
    assert written == encode_dss_signature(r, s)
    assert decode_dss_signature(written) == (r, s)


@given(numbers)
def test_a_number_reads_as_written(number: int) -> None:
    reader = Reader(der.integer(number))
    assert der.read_integer(reader) == number
    assert not reader.left


@given(st.binary(max_size=300))
def test_a_value_reads_as_written_and_not_when_cut(value: bytes) -> None:
    written = der.tlv(der.SEQUENCE, value)
    assert der.read_tlv(Reader(written), der.SEQUENCE) == value
    for cut in range(len(written)):
        with pytest.raises(Malformed):
            der.read_tlv(Reader(written[:cut]), der.SEQUENCE)


@pytest.mark.parametrize(
    ("wire", "why"),
    [
        ("0201ff", "negative"),
        ("0200", "empty"),
        ("02020001", "needless zeros"),
        ("02810101", "longer than it must be"),
        ("0282000101", "longer than it must be"),
        ("028001", "longer than it must be"),
        ("030101", "expected"),
        ("02ff", "bytes wanted"),
    ],
)
def test_what_has_another_spelling_is_refused(wire: str, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        der.read_integer(Reader(bytes.fromhex(wire)))

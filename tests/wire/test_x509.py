"""Certificates are read as cryptography reads them, and nothing else is taken for one."""

from contextlib import suppress
from pathlib import Path

import pytest
from cryptography import x509 as reference
from hypothesis import given
from hypothesis import strategies as st
from tests.doors.pkcs11.house import certificate, privates, spki_of

from keyholm.wire import der, x509
from keyholm.wire.codec import Malformed


@pytest.mark.parametrize("authority", [False, True])
def test_what_is_read_is_what_cryptography_reads(authority: bool) -> None:
    data = certificate("a name", 0xFEDCBA9876543210, authority=authority)
    read = x509.read(data)
    theirs = reference.load_der_x509_certificate(data)
    assert read.subject == theirs.subject.public_bytes()
    assert read.issuer == theirs.issuer.public_bytes()
    assert read.serial == der.integer(theirs.serial_number)
    assert read.spki == spki_of(privates()["p256"].public_key())
    assert read.is_authority is authority
    assert read.signed == theirs.tbs_certificate_bytes
    assert read.signature == theirs.signature
    assert [(each.id, each.critical) for each in read.extensions] == [
        (der.oid(each.oid.dotted_string), each.critical) for each in theirs.extensions
    ]
    assert read.constraints == (authority, None)
    # The one is a UTCTime, the other a GeneralizedTime.
    assert (read.not_before, read.not_after) == (b"20260301", b"20561231")


def test_what_openssl_made() -> None:
    path = Path(__file__).parents[1] / "vectors" / "pkcs11" / "authority.der"
    read = x509.read(path.read_bytes())
    assert read.serial.hex() == "020900fedcba9876543210"
    assert read.subject == read.issuer
    assert read.subject.endswith(b"\x0c\x09authority")
    assert (read.not_before, read.not_after) == (b"20261125", b"20810828")
    assert read.is_authority


def test_two_digits_of_a_year_end_in_2049() -> None:
    data = certificate()
    early = data.replace(b"260301000000Z", b"500101000000Z")
    assert x509.read(early).not_before == b"19500101"
    late = data.replace(b"260301000000Z", b"491231000000Z")
    assert x509.read(late).not_before == b"20491231"


def test_a_certificate_with_something_behind_it_is_refused() -> None:
    with pytest.raises(Malformed):
        x509.read(certificate() + b"\0")


def test_one_that_is_cut_is_refused_wherever() -> None:
    data = certificate()
    for size in range(len(data)):
        with pytest.raises(Malformed):
            x509.read(data[:size])


def test_a_huge_one_is_not_looked_at() -> None:
    with pytest.raises(Malformed, match="more than"):
        x509.read(bytes(x509.MAX_SIZE + 1))


@given(st.data())
def test_any_change_gives_a_certificate_or_malformed(data: st.DataObject) -> None:
    content = bytearray(certificate())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with suppress(Malformed):
        x509.read(bytes(content))


@given(st.binary(max_size=200))
def test_any_bytes_give_a_certificate_or_malformed(data: bytes) -> None:
    with suppress(Malformed):
        x509.read(data)

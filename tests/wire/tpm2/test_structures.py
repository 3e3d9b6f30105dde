"""Structures of TPM 2.0, held against what a TPM wrote (tests/vectors/tpm2)."""

import contextlib
import hashlib
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from keyholm.wire.codec import Codec, Malformed, decode
from keyholm.wire.tpm2 import structures as tpm
from keyholm.wire.tpm2.constants import ALG, CURVE, OBJECT, ST
from keyholm.wire.tpm2.names import digest, name_of, qualified
from keyholm.wire.tpm2.structures import (
    ATTEST,
    CREATION_DATA,
    PUBLIC,
    PUBLIC_2B,
    SIGNATURE,
    TICKET,
    Attest,
    Certified,
    EccParameters,
    EcSignature,
    KeyedHashParameters,
    PcrSelection,
    Point,
    Public,
    Quoted,
    RsaParameters,
    Scheme,
    Symmetric,
)
from keyholm.wire.tpm2.types import DIGEST, sized_of

VECTORS = Path(__file__).parents[2] / "vectors" / "tpm2"
CREATION_DATA_2B = sized_of(CREATION_DATA)
CODECS: dict[str, Codec[Any]] = {
    "ek.pub": PUBLIC_2B,
    "ekrsa.pub": PUBLIC_2B,
    "ak.pub": PUBLIC_2B,
    "key.pub": PUBLIC_2B,
    "rsa.pub": PUBLIC_2B,
    "hmac.pub": PUBLIC_2B,
    "seal.pub": PUBLIC_2B,
    "key.creation": CREATION_DATA_2B,
    "key.chash": DIGEST,
    "key.ticket": TICKET,
    "key.attest": ATTEST,
    "quote.attest": ATTEST,
    "key.sig": SIGNATURE,
    "quote.sig": SIGNATURE,
}


def stored(name: str) -> bytes:
    return (VECTORS / name).read_bytes()


def public(name: str) -> Public:
    return decode(PUBLIC_2B, stored(f"{name}.pub"))


@pytest.mark.parametrize("name", CODECS)
def test_what_a_tpm_wrote_is_read_and_written_alike(name: str) -> None:
    codec, data = CODECS[name], stored(name)
    assert codec.write(decode(codec, data)) == data


@pytest.mark.parametrize("name", CODECS)
def test_what_is_cut_or_goes_on_is_refused(name: str) -> None:
    codec, data = CODECS[name], stored(name)
    for size in range(len(data)):
        with pytest.raises(Malformed):
            decode(codec, data[:size])
    with pytest.raises(Malformed):
        decode(codec, data + b"\0")


@pytest.mark.parametrize("name", CODECS)
@given(at=st.integers(0, 400), value=st.integers(0, 255))
def test_a_changed_byte_is_refused_or_read_as_something_else(
    name: str, at: int, value: int
) -> None:
    codec, data = CODECS[name], bytearray(stored(name))
    at %= len(data)
    if data[at] == value:
        return
    good = decode(codec, bytes(data))
    data[at] = value
    with contextlib.suppress(Malformed):
        assert decode(codec, bytes(data)) != good


@given(st.binary(max_size=300))
def test_any_bytes_give_a_value_or_malformed(data: bytes) -> None:
    codecs: tuple[Codec[Any], ...] = (PUBLIC_2B, PUBLIC, ATTEST, SIGNATURE, TICKET)
    for codec in (*codecs, CREATION_DATA_2B):
        with contextlib.suppress(Malformed):
            decode(codec, data)


# --- what they mean ----------------------------------------------------------------------


def test_an_endorsement_key_is_what_its_template_says() -> None:
    restricted = (
        OBJECT.FIXEDTPM
        | OBJECT.FIXEDPARENT
        | OBJECT.SENSITIVEDATAORIGIN
        | OBJECT.ADMINWITHPOLICY
        | OBJECT.RESTRICTED
        | OBJECT.DECRYPT
    )
    found = public("ek")
    assert (found.type, found.attributes) == (ALG.ECC, restricted)
    assert found.parameters == EccParameters(symmetric=Symmetric(ALG.AES, 128, ALG.CFB))
    assert public("ekrsa").parameters == RsaParameters(Symmetric(ALG.AES, 128, ALG.CFB))


def test_other_kinds_of_objects() -> None:
    assert public("rsa").parameters == RsaParameters(scheme=Scheme(ALG.RSASSA, ALG.SHA256))
    assert public("hmac").parameters == KeyedHashParameters(Scheme(ALG.HMAC, ALG.SHA256))
    assert public("seal").parameters == KeyedHashParameters()


@pytest.mark.parametrize("name", ["key", "ak"])
def test_a_name_is_the_digest_of_the_public_area(name: str) -> None:
    assert name_of(public(name)) == stored(f"{name}.name")


def test_a_certification_names_the_key_and_is_signed() -> None:
    attest = decode(ATTEST, stored("key.attest"))
    assert isinstance(attest.attested, Certified)
    assert attest.type is ST.ATTEST_CERTIFY
    assert attest.attested.name == name_of(public("key"))
    assert verifies("key")


def test_a_quote_names_its_pcrs_and_is_signed() -> None:
    attest = decode(ATTEST, stored("quote.attest"))
    assert attest.extra == b"\1\2"
    assert isinstance(attest.attested, Quoted)
    assert attest.attested.pcrs == (PcrSelection(ALG.SHA256, frozenset({0, 7, 16})),)
    assert verifies("quote")


def verifies(name: str) -> bool:
    signature = decode(SIGNATURE, stored(f"{name}.sig"))
    assert isinstance(signature, EcSignature)
    point = public("ak").unique
    assert isinstance(point, Point)
    x, y = (int.from_bytes(each) for each in (point.x, point.y))
    key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    numbers = (int.from_bytes(each) for each in (signature.r, signature.s))
    key.verify(encode_dss_signature(*numbers), stored(f"{name}.attest"), ec.ECDSA(hashes.SHA256()))
    return True


def test_creation_data_are_those_of_their_hash() -> None:
    data = stored("key.creation")[2:]
    assert digest(ALG.SHA256, data) == decode(DIGEST, stored("key.chash"))


def test_a_qualified_name_is_made_of_those_above() -> None:
    name = name_of(public("key"))
    expected = hashlib.sha256(b"parent" + name).digest()
    assert qualified(b"parent", name) == name[:2] + expected


# --- what is refused -----------------------------------------------------------------------


def test_reserved_attributes_are_refused() -> None:
    data = PUBLIC.write(public("key"))
    for bit in (0x1, 0x8, 0x100, 0x1000, 0x100000, 0x80000000):
        changed = data[:4] + (int.from_bytes(data[4:8]) | bit).to_bytes(4) + data[8:]
        with pytest.raises(Malformed, match="reserved bits"):
            decode(PUBLIC, changed)


def test_what_no_tpm_says_of_itself_is_told_from_what_we_do_not_know() -> None:
    data = stored("key.attest")
    with pytest.raises(tpm.NotGenerated):
        decode(ATTEST, b"\xff" + b"TCH" + data[4:])
    with pytest.raises(tpm.OtherAttestation):
        decode(ATTEST, data[:4] + ST.ATTEST_TIME.to_bytes(2) + data[6:])


def test_algorithms_that_cannot_stand_there_are_refused() -> None:
    data = PUBLIC.write(public("key"))
    for number in (0x0000, 0x0003, 0x7FFF, ALG.SHA256):
        with pytest.raises(Malformed):
            decode(PUBLIC, number.to_bytes(2) + data[2:])
    with pytest.raises(Malformed, match="no hash"):
        decode(PUBLIC, data[:2] + ALG.AES.to_bytes(2) + data[4:])


def test_lists_and_buffers_are_bounded_before_anything_is_made() -> None:
    with pytest.raises(Malformed, match="a list of"):
        decode(tpm.PCR_SELECTIONS, b"\xff\xff\xff\xff")
    with pytest.raises(Malformed, match="a buffer of"):
        decode(DIGEST, b"\xff\xff")
    with pytest.raises(Malformed, match="PCRs"):
        decode(tpm.PCR_SELECTIONS, b"\0\0\0\1" + ALG.SHA256.to_bytes(2) + b"\xff")


# --- everything that we can write ------------------------------------------------------------

digests = st.binary(max_size=64)
flags = st.sets(st.sampled_from(list(OBJECT))).map(lambda found: OBJECT(sum(found)))
hash_algorithms = st.sampled_from([ALG.SHA1, ALG.SHA256, ALG.SHA384, ALG.SHA512])
schemes = st.one_of(
    st.just(Scheme()),
    st.just(Scheme(ALG.RSAES)),
    st.builds(Scheme, st.sampled_from([ALG.ECDSA, ALG.RSAPSS, ALG.OAEP]), hash_algorithms),
    st.builds(Scheme, st.just(ALG.ECDAA), hash_algorithms, st.integers(0, 0xFFFF)),
)
ciphers = st.sampled_from([Symmetric(), Symmetric(ALG.AES, 256, ALG.CFB)])
points = st.builds(Point, st.binary(max_size=66), st.binary(max_size=66))
publics = st.one_of(
    st.builds(
        Public,
        hash_algorithms,
        flags,
        digests,
        st.builds(EccParameters, ciphers, schemes, st.sampled_from(list(CURVE)), schemes),
        points,
    ),
    st.builds(
        Public,
        hash_algorithms,
        flags,
        digests,
        st.builds(
            RsaParameters, ciphers, schemes, st.integers(0, 0xFFFF), st.integers(0, 2**32 - 1)
        ),
        st.binary(max_size=512),
    ),
)
selections = st.builds(PcrSelection, hash_algorithms, st.frozensets(st.integers(0, 23)), st.just(3))
attests = st.builds(
    Attest,
    st.binary(max_size=66),
    st.binary(max_size=66),
    st.builds(
        tpm.ClockInfo,
        st.integers(0, 2**64 - 1),
        st.integers(0, 2**32 - 1),
        st.integers(0, 2**32 - 1),
        st.booleans(),
    ),
    st.integers(0, 2**64 - 1),
    st.one_of(
        st.builds(Certified, st.binary(max_size=66), st.binary(max_size=66)),
        st.builds(Quoted, st.lists(selections, max_size=4).map(tuple), digests),
    ),
)


@given(publics)
def test_a_public_area_that_we_write_we_read(value: Public) -> None:
    assert decode(PUBLIC, PUBLIC.write(value)) == value


@given(attests)
def test_an_attestation_that_we_write_we_read(value: Attest) -> None:
    assert decode(ATTEST, ATTEST.write(value)) == value

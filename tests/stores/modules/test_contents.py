"""Which objects are one key, and which key it is, however a token tells it."""

import hashlib
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from tests.stores.modules.certificates import certificate_of

from keyholm.core.model import Key, Kind, Object, Value
from keyholm.stores.modules.contents import Entry, Known, Whose, gather
from keyholm.stores.modules.public import spki_of, ssh_of
from keyholm.stores.modules.reading import Seen
from keyholm.wire import der
from keyholm.wire.pkcs11.constants import CKA, CKC, CKK, CKO
from keyholm.wire.ssh import keys

P256, ED25519 = der.oid("1.2.840.10045.3.1.7"), der.oid("1.3.101.112")
BRAINPOOL = der.oid("1.3.36.3.3.2.8.1.1.7")  # brainpoolP256r1
OPEN_TOKEN = Whose("card", "0001", hidden=False)
LOCKED = Whose("card", "0001", hidden=True)


def info(key: Any) -> bytes:
    made: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return made


def point(key: Any) -> bytes:
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    raw: bytes = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return raw


def new_ec(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePublicKey:
    return ec.generate_private_key(curve or ec.SECP256R1()).public_key()


def gathered(*seen: Seen, whose: Whose = OPEN_TOKEN, **more: Any) -> list[Entry]:
    return gather(seen, whose, lambda key_id: "", **more)


def private(handle: int, ckk: int = CKK.EC, **told: Value) -> Seen:
    return Seen(handle, CKO.PRIVATE_KEY, attributes(KEY_TYPE=ckk, PRIVATE=True, **told))


def public(handle: int, key: ec.EllipticCurvePublicKey, **told: Value) -> Seen:
    params = {"EC_PARAMS": P256, "EC_POINT": der.octet_string(point(key))}
    if key.curve.name == "secp384r1":
        params["EC_PARAMS"] = der.oid("1.3.132.0.34")
    return Seen(handle, CKO.PUBLIC_KEY, attributes(KEY_TYPE=CKK.EC, **params, **told))


def certificate(handle: int, key: ec.EllipticCurvePrivateKey, **told: Value) -> Seen:
    der_ = certificate_of(key)
    return Seen(handle, CKO.CERTIFICATE, attributes(CERTIFICATE_TYPE=CKC.X_509, VALUE=der_, **told))


def attributes(**told: Value) -> dict[int, Value]:
    return {getattr(CKA, name): value for name, value in told.items()}


# --- which key it is -----------------------------------------------------------------


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_point_is_read_in_an_octet_string_and_without(wrapped: bool) -> None:
    edwards = ed25519.Ed25519PrivateKey.generate().public_key()
    montgomery = x25519.X25519PrivateKey.generate().public_key()
    for key, ckk, curve in (
        (new_ec(), CKK.EC, P256),
        (edwards, CKK.EC_EDWARDS, ED25519),
        (edwards, CKK.EC_EDWARDS, der.tlv(0x13, b"edwards25519")),
        (edwards, CKK.EC, ED25519),
        (montgomery, CKK.EC_MONTGOMERY, der.oid("1.3.101.110")),
        (new_ec(ec.BrainpoolP256R1()), CKK.EC, BRAINPOOL),
    ):
        value = der.octet_string(point(key)) if wrapped else point(key)
        told = attributes(KEY_TYPE=ckk, EC_PARAMS=curve, EC_POINT=value)
        assert spki_of(told) == info(key)


def test_rsa_keys_are_read_with_zeros_in_front_and_without() -> None:
    key = rsa.generate_private_key(65537, 2048).public_key()
    modulus = key.public_numbers().n.to_bytes(257)
    for n in (modulus, modulus.lstrip(b"\0")):
        told = attributes(KEY_TYPE=CKK.RSA, MODULUS=n, PUBLIC_EXPONENT=b"\0\1\0\1")
        assert spki_of(told) == info(key)


def test_what_ssh_has_no_words_for_is_a_key_all_the_same() -> None:
    assert isinstance(ssh_of(info(new_ec())), keys.Ecdsa)
    other = info(new_ec(ec.BrainpoolP256R1()))
    assert ssh_of(other) is None
    told = attributes(EC_PARAMS=BRAINPOOL, EC_POINT=other[-65:], LABEL=b"brainpool")
    [entry] = gathered(private(1), Seen(2, CKO.DATA, {}))[:1]
    assert isinstance(entry.held, Key)
    [entry] = gathered(Seen(1, CKO.PRIVATE_KEY, {CKA.KEY_TYPE: CKK.EC, **told}))
    key = entry.held
    assert isinstance(key, Key)
    assert (key.ssh, key.blob, key.spki, key.label) == (None, b"", other, "brainpool")
    assert key.id == hashlib.sha256(other).hexdigest()


@given(
    st.dictionaries(
        st.sampled_from(
            sorted(
                attributes(
                    KEY_TYPE=0,
                    EC_PARAMS=0,
                    EC_POINT=0,
                    MODULUS=0,
                    PUBLIC_EXPONENT=0,
                    PUBLIC_KEY_INFO=0,
                    VALUE=0,
                    PARAMETER_SET=0,
                )
            )
        ),
        st.one_of(st.binary(max_size=80), st.integers(0, 2**40), st.booleans()),
    )
)
def test_whatever_a_token_tells_gives_a_key_or_none(told: dict[int, Value]) -> None:
    ssh_of(spki_of(told))
    for cko in (CKO.PRIVATE_KEY, CKO.PUBLIC_KEY, CKO.SECRET_KEY, CKO.CERTIFICATE, CKO.DATA, 99):
        for whose in (OPEN_TOKEN, LOCKED):
            gathered(Seen(1, cko, told), whose=whose)


# --- which objects are one key -------------------------------------------------------


def test_halves_are_found_by_their_id_and_told_apart_by_their_curve() -> None:
    first, second = new_ec(), new_ec(ec.SECP384R1())
    found = gathered(
        private(1, ID=b"1", EC_PARAMS=der.oid("1.3.132.0.34")),
        private(2, ID=b"1", EC_PARAMS=P256),
        public(3, first, ID=b"1"),
        public(4, second, ID=b"1"),
    )
    assert [(e.handle, e.public, e.key and e.key.id) for e in found] == [
        (1, 4, hashlib.sha256(info(second)).hexdigest()),
        (2, 3, hashlib.sha256(info(first)).hexdigest()),
    ]
    assert not any(entry.proven for entry in found)


def test_nobody_guesses_which_of_two_public_keys_it_is() -> None:
    first, second = new_ec(), new_ec()
    found = gathered(
        private(1, ID=b"1", LABEL=b"a"), public(2, first, ID=b"1"), public(3, second, ID=b"1")
    )
    key = found[0].held
    assert isinstance(key, Key)
    assert (key.ssh, key.spki, found[0].public) == (None, b"", 0)
    assert [e.held.kind for e in found[1:]] == [Kind.PUBLIC, Kind.PUBLIC]
    [labelled, *_] = gathered(
        private(1, ID=b"1", LABEL=b"a"),
        public(2, first, ID=b"1", LABEL=b"a"),
        public(3, second, ID=b"1", LABEL=b"b"),
    )
    assert labelled.public == 2


def test_a_certificate_tells_of_a_key_that_tells_nothing() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    found = gathered(private(1, ID=b"1", EC_PARAMS=P256), certificate(2, key, ID=b"1"))
    assert found[0].key is not None
    assert found[0].key.id == hashlib.sha256(info(key.public_key())).hexdigest()
    assert found[1].held.kind is Kind.CERTIFICATE


def test_before_a_login_public_keys_and_certificates_tell_of_keys() -> None:
    own, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = certificate(3, other, ID=b"3", CERTIFICATE_CATEGORY=2)
    shown = (public(1, own.public_key(), ID=b"1"), certificate(2, own, ID=b"1"), authority)
    locked = gathered(*shown, whose=LOCKED)
    told_of = [entry.held for entry in locked if isinstance(entry.held, Key)]
    assert [(key.verified, key.id) for key in told_of] == [
        (False, hashlib.sha256(info(own.public_key())).hexdigest())
    ]
    opened = gathered(*shown, private(4, ID=b"1", EC_PARAMS=P256))
    [key] = [entry.held for entry in opened if isinstance(entry.held, Key)]
    assert (key.place, key.verified) == (told_of[0].place, True)


def test_what_was_seen_alone_after_a_login_is_no_key_before_the_next() -> None:
    known = {1: Known("abc", alone=True)}
    [entry] = gathered(public(1, new_ec(), ID=b"1"), whose=LOCKED, known=known)
    assert isinstance(entry.held, Object)


# --- names ---------------------------------------------------------------------------


def test_names_stay_whatever_comes_in_between() -> None:
    secrets = [
        Seen(n, CKO.SECRET_KEY, attributes(KEY_TYPE=CKK.AES, VALUE_LEN=16, ID=b"1", LABEL=b"same"))
        for n in (1, 2, 3)
    ]
    names = {entry.handle: entry.name for entry in gathered(*secrets)}
    assert len(set(names.values())) == 3
    known = {handle: Known(name) for handle, name in names.items()}
    again = gathered(secrets[2], secrets[0], known=known)
    assert {entry.handle: entry.name for entry in again} == {
        handle: name for handle, name in names.items() if handle != 2
    }


def test_a_secret_key_is_known_by_its_unique_id() -> None:
    told = attributes(KEY_TYPE=CKK.AES, ID=b"1")
    [one], [other] = (
        gathered(Seen(1, CKO.SECRET_KEY, {**told, CKA.UNIQUE_ID: unique}))
        for unique in (b"one", b"other")
    )
    assert one.key is not None
    assert other.key is not None
    assert one.key.id != other.key.id
    assert one.key.public_attributes is None
    assert one.key_type == CKK.AES

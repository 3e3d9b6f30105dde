"""Mechanisms with and without parameters through SoftHSM2, against `cryptography`."""

import pytest
from cryptography.hazmat.primitives import cmac, hashes, hmac, keywrap
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.padding import PKCS7
from tests.stores.modules.binding.vendor import ROOM, Session

from keyholm.wire.pkcs11.constants import CKA, CKD, CKG, CKK, CKM, CKO, CKR, CKZ
from keyholm.wire.pkcs11.mechanisms import NO_MECHANISM, Mechanism
from keyholm.wire.pkcs11.parameters import (
    CbcData,
    Counter,
    Ecdh1,
    Gcm,
    Iv,
    Oaep,
    Pss,
    StringData,
)

AES = bytes(range(32))
IV = bytes(range(16))
DATA = b"sixteen bytes ok" * 3
P256 = bytes.fromhex("06082a8648ce3d030107")
ALLOWED = tuple(
    (each, True)
    for each in (CKA.ENCRYPT, CKA.DECRYPT, CKA.SIGN, CKA.VERIFY, CKA.WRAP, CKA.UNWRAP, CKA.DERIVE)
)
OPEN = ((CKA.EXTRACTABLE, True), (CKA.SENSITIVE, False))


def secret(session: Session, value: bytes, kind: int = CKK.AES) -> int:
    template = ((CKA.CLASS, CKO.SECRET_KEY), (CKA.KEY_TYPE, kind), (CKA.VALUE, value))
    made: int = session("CreateObject", (*template, *ALLOWED, *OPEN))
    return made


def value_of(session: Session, key: int) -> bytes:
    value: bytes = session.read(key, CKA.VALUE)[CKA.VALUE]
    return value


def encrypted(mode: modes.ECB | modes.CBC | modes.CTR, data: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES(AES), mode).encryptor()
    return encryptor.update(data) + encryptor.finalize()


def padded(data: bytes) -> bytes:
    padder = PKCS7(128).padder()
    return padder.update(data) + padder.finalize()


CIPHERS = {
    "ECB": (Mechanism(CKM.AES_ECB), DATA, encrypted(modes.ECB(), DATA)),
    "CBC": (Mechanism(CKM.AES_CBC, Iv(IV)), DATA, encrypted(modes.CBC(IV), DATA)),
    "CBC, padded": (
        Mechanism(CKM.AES_CBC_PAD, Iv(IV)),
        DATA[:-3],
        encrypted(modes.CBC(IV), padded(DATA[:-3])),
    ),
    "CTR": (
        Mechanism(CKM.AES_CTR, Counter(128, IV)),
        DATA[:-3],
        encrypted(modes.CTR(IV), DATA[:-3]),
    ),
    "GCM": (
        Mechanism(CKM.AES_GCM, Gcm(IV[:12], 96, b"seen", 128)),
        DATA[:-3],
        AESGCM(AES).encrypt(IV[:12], DATA[:-3], b"seen"),
    ),
    "GCM, nothing authenticated": (
        Mechanism(CKM.AES_GCM, Gcm(IV[:12], 96, b"", 128)),
        b"",
        AESGCM(AES).encrypt(IV[:12], b"", b""),
    ),
}


@pytest.mark.parametrize("name", CIPHERS)
def test_a_cipher_gives_what_others_give(session: Session, name: str) -> None:
    mechanism, plain, expected = CIPHERS[name]
    key = secret(session, AES)
    assert session("EncryptOnce", mechanism, key, plain, ROOM) == expected
    assert session("DecryptOnce", mechanism, key, expected, ROOM) == plain
    session("EncryptInit", mechanism, key)
    assert session("Encrypt", plain, ROOM) == expected
    session("DecryptInit", mechanism, key)
    assert session("Decrypt", expected, ROOM) == plain


@pytest.mark.parametrize("name", ["CBC", "CBC, padded", "CTR", "GCM"])
def test_a_cipher_takes_parts(session: Session, name: str) -> None:
    mechanism, plain, expected = CIPHERS[name]
    key = secret(session, AES)
    session("EncryptInit", mechanism, key)
    parts = [session("EncryptUpdate", plain[at : at + 7], ROOM) for at in range(0, len(plain), 7)]
    assert b"".join(parts) + session("EncryptFinal", ROOM) == expected
    session("DecryptInit", mechanism, key)
    parts = [
        session("DecryptUpdate", expected[at : at + 9], ROOM) for at in range(0, len(expected), 9)
    ]
    assert b"".join(parts) + session("DecryptFinal", ROOM) == plain


def test_what_was_changed_is_not_decrypted_and_the_session_goes_on(session: Session) -> None:
    mechanism, plain, expected = CIPHERS["GCM"]
    key = secret(session, AES)
    wrong = bytes([expected[0] ^ 1]) + expected[1:]
    for _ in range(3):
        refused = session.status("DecryptOnce", mechanism, key, wrong, ROOM)
        assert refused in (CKR.ENCRYPTED_DATA_INVALID, CKR.GENERAL_ERROR, CKR.AEAD_DECRYPT_FAILED)
    assert session("DecryptOnce", mechanism, key, expected, ROOM) == plain


def test_megabytes_cross_at_once(session: Session) -> None:
    key, data = secret(session, AES), bytes(3 << 20)
    mechanism = Mechanism(CKM.AES_CTR, Counter(128, IV))
    room = len(data) + 4096
    assert session("EncryptOnce", mechanism, key, data, room) == encrypted(modes.CTR(IV), data)


def test_a_result_that_does_not_fit_is_its_length(session: Session) -> None:
    mechanism, plain, expected = CIPHERS["CBC"]
    key = secret(session, AES)
    session("EncryptInit", mechanism, key)
    assert session("Encrypt", plain, 0) == len(expected)
    assert session("Encrypt", plain, 10) == len(expected)
    assert session("Encrypt", plain, len(expected)) == expected
    assert session("EncryptOnce", mechanism, key, plain, 10) == len(expected)
    assert session("EncryptOnce", mechanism, key, plain, 0) == len(expected)
    assert session("EncryptOnce", mechanism, key, plain, len(expected)) == expected


def test_begin_is_an_init(session: Session) -> None:
    mechanism, plain, expected = CIPHERS["CBC"]
    key = secret(session, AES)
    assert session("Begin", 2, mechanism, key) == ((1 << 64) - 1, 0)
    assert session("Encrypt", plain, ROOM) == expected
    assert session.status("Begin", 5, mechanism, key) == CKR.ARGUMENTS_BAD
    session("Begin", 4, Mechanism(CKM.SHA256), 0)
    assert session("Digest", b"x", ROOM) == digest(b"x")


def digest(data: bytes) -> bytes:
    running = hashes.Hash(hashes.SHA256())
    running.update(data)
    return running.finalize()


def test_digests_at_once_and_in_parts(session: Session) -> None:
    mechanism = Mechanism(CKM.SHA256)
    assert session("DigestOnce", mechanism, DATA, ROOM) == digest(DATA)
    session("DigestInit", mechanism)
    session("DigestUpdate", DATA[:5])
    session("DigestUpdate", DATA[5:])
    assert session("DigestFinal", 0) == 32
    assert session("DigestFinal", ROOM) == digest(DATA)


def test_macs(session: Session) -> None:
    key = secret(session, AES, CKK.GENERIC_SECRET)
    expected = hmac.HMAC(AES, hashes.SHA256())
    expected.update(DATA)
    mac = session("SignOnce", Mechanism(CKM.SHA256_HMAC), key, DATA, ROOM)
    assert mac == expected.finalize()
    session("VerifyInit", Mechanism(CKM.SHA256_HMAC), key)
    session("VerifyUpdate", DATA[:7])
    session("VerifyUpdate", DATA[7:])
    session("VerifyFinal", mac)
    aes = secret(session, AES)
    block = cmac.CMAC(algorithms.AES(AES))
    block.update(DATA)
    session("SignInit", Mechanism(CKM.AES_CMAC), aes)
    session("SignUpdate", DATA)
    assert session("SignFinal", ROOM) == block.finalize()


@pytest.fixture
def pair(session: Session) -> tuple[int, int, rsa.RSAPublicKey]:
    public, private = session.pair(
        CKM.RSA_PKCS_KEY_PAIR_GEN,
        (
            (CKA.MODULUS_BITS, 1024),
            (CKA.PUBLIC_EXPONENT, b"\1\0\1"),
            (CKA.ENCRYPT, True),
            (CKA.VERIFY, True),
            (CKA.WRAP, True),
        ),
        ((CKA.DECRYPT, True), (CKA.SIGN, True), (CKA.UNWRAP, True), (CKA.SENSITIVE, True)),
    )
    told = session.read(public, CKA.MODULUS, CKA.PUBLIC_EXPONENT, CKA.MODULUS_BITS)
    assert told[CKA.MODULUS_BITS] == 1024
    e, n = int.from_bytes(told[CKA.PUBLIC_EXPONENT]), int.from_bytes(told[CKA.MODULUS])
    return public, private, rsa.RSAPublicNumbers(e, n).public_key()


def test_rsa_signatures(session: Session, pair: tuple[int, int, rsa.RSAPublicKey]) -> None:
    _, private, key = pair
    hashed = Mechanism(CKM.SHA256_RSA_PKCS)
    key.verify(
        session("SignOnce", hashed, private, DATA, ROOM), DATA, padding.PKCS1v15(), hashes.SHA256()
    )
    pss = Mechanism(CKM.SHA256_RSA_PKCS_PSS, Pss(CKM.SHA256, CKG.MGF1_SHA256, 20))
    signature = session("SignOnce", pss, private, DATA, ROOM)
    key.verify(signature, DATA, padding.PSS(padding.MGF1(hashes.SHA256()), 20), hashes.SHA256())
    unfit = Mechanism(CKM.SHA256_RSA_PKCS_PSS, Pss(CKM.SHA256, CKG.MGF1_SHA384, 20))
    assert session.status("SignOnce", unfit, private, DATA, ROOM) == CKR.ARGUMENTS_BAD
    without = Mechanism(CKM.SHA256_RSA_PKCS_PSS)
    assert session.status("SignOnce", without, private, DATA, ROOM) == CKR.ARGUMENTS_BAD


def test_rsa_decrypts(session: Session, pair: tuple[int, int, rsa.RSAPublicKey]) -> None:
    public, private, key = pair
    oaep = Mechanism(CKM.RSA_PKCS_OAEP, Oaep(CKM.SHA_1, CKG.MGF1_SHA1, CKZ.DATA_SPECIFIED, b""))
    how = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
    assert session("DecryptOnce", oaep, private, key.encrypt(DATA, how), ROOM) == DATA
    plain = Mechanism(CKM.RSA_PKCS)
    sealed = session("EncryptOnce", plain, public, DATA, ROOM)
    assert session("DecryptOnce", plain, private, sealed, ROOM) == DATA


def test_keys_are_wrapped_and_unwrapped(
    session: Session, pair: tuple[int, int, rsa.RSAPublicKey]
) -> None:
    public, private, _ = pair
    target, kek = secret(session, DATA[:32]), secret(session, AES)
    wrap = Mechanism(CKM.AES_KEY_WRAP)
    expected = keywrap.aes_key_wrap(AES, DATA[:32])
    assert session("WrapKey", wrap, kek, target, 0) == len(expected)
    assert session("WrapKey", wrap, kek, target, ROOM) == expected
    template = ((CKA.CLASS, CKO.SECRET_KEY), (CKA.KEY_TYPE, CKK.AES), *OPEN)
    assert value_of(session, session("UnwrapKey", wrap, kek, expected, template)) == DATA[:32]
    oaep = Mechanism(CKM.RSA_PKCS_OAEP, Oaep(CKM.SHA_1, CKG.MGF1_SHA1, CKZ.DATA_SPECIFIED, b""))
    sealed = session("WrapKey", oaep, public, target, ROOM)
    assert value_of(session, session("UnwrapKey", oaep, private, sealed, template)) == DATA[:32]
    assert session.status("UnwrapKey", wrap, kek, expected[:-1], template) != CKR.OK


def test_keys_are_derived(session: Session) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    point = other.public_key().public_numbers()
    encoded = b"\4" + point.x.to_bytes(32) + point.y.to_bytes(32)
    public, private = session.pair(
        CKM.EC_KEY_PAIR_GEN, ((CKA.EC_PARAMS, P256),), ((CKA.DERIVE, True),)
    )
    template = (
        (CKA.CLASS, CKO.SECRET_KEY),
        (CKA.KEY_TYPE, CKK.GENERIC_SECRET),
        (CKA.VALUE_LEN, 32),
        *OPEN,
    )
    ecdh = Mechanism(CKM.ECDH1_DERIVE, Ecdh1(CKD.NULL, b"", encoded))
    derived = value_of(session, session("DeriveKey", ecdh, private, template))
    mine = session.read(public, CKA.EC_POINT)[CKA.EC_POINT][2:]
    peer = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), mine)
    assert derived == other.exchange(ec.ECDH(), peer)
    key = secret(session, AES)
    by_ecb = Mechanism(CKM.AES_ECB_ENCRYPT_DATA, StringData(DATA[:32]))
    by_cbc = Mechanism(CKM.AES_CBC_ENCRYPT_DATA, CbcData(IV, DATA[:32]))
    made = value_of(session, session("DeriveKey", by_ecb, key, template))
    assert made == encrypted(modes.ECB(), DATA[:32])
    made = value_of(session, session("DeriveKey", by_cbc, key, template))
    assert made == encrypted(modes.CBC(IV), DATA[:32])


def test_the_bytes_of_a_structure_are_not_taken_for_its_fields(session: Session) -> None:
    key = secret(session, AES)
    raw = Mechanism(CKM.AES_GCM, bytes(48))
    assert session.status("EncryptOnce", raw, key, DATA, ROOM) == CKR.MECHANISM_PARAM_INVALID
    assert session.status("EncryptInit", raw, key) == CKR.MECHANISM_PARAM_INVALID


def test_a_module_is_asked_for_what_it_does_not_know(session: Session) -> None:
    key = secret(session, AES)
    vendors = Mechanism(0x8000_4321, b"whatever it is")
    assert session.status("SignOnce", vendors, key, DATA, ROOM) == CKR.MECHANISM_INVALID
    assert session.status("SignInit", vendors, key) == CKR.MECHANISM_INVALID


def test_an_older_module_is_not_asked_to_cancel(session: Session) -> None:
    assert session.status("SignInit", NO_MECHANISM, 1) == CKR.ARGUMENTS_BAD
    assert session.status("SessionCancel", 1) == CKR.FUNCTION_NOT_SUPPORTED

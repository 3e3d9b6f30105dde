"""NSS's softokn, which wants a string as pReserved, and has the interface of 3.0."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFHMAC, CounterLocation, Mode
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from tests.stores.modules.binding.conftest import library
from tests.stores.modules.binding.test_mechanisms import (
    AES,
    DATA,
    IV,
    OPEN,
    secret,
    value_of,
)
from tests.stores.modules.binding.vendor import ROOM, Session, Vendor

from keyholm.wire.pkcs11.constants import CK, CKA, CKF, CKG, CKK, CKM, CKO, CKP, CKR, CKZ
from keyholm.wire.pkcs11.mechanisms import (
    NO_MECHANISM,
    Mechanism,
    read_message,
    write_message,
)
from keyholm.wire.pkcs11.parameters import ChaCha20Poly1305 as ChaCha
from keyholm.wire.pkcs11.parameters import (
    ChaCha20Poly1305Message,
    CounterFormat,
    CounterKdf,
    DataParam,
    Gcm,
    GcmMessage,
    Hkdf,
    KeyHandle,
    Number,
    Pbkdf2,
    StringData,
)
from keyholm.worker.proxy import NotLoaded

CRYPTO = 1  # the slot that needs no login
TAG = 16


@pytest.fixture
def crypto(nss: Vendor) -> Iterator[Session]:
    session = Session.open(nss.line(), CRYPTO)
    yield session
    session("CloseSession")


def test_it_is_loaded_with_its_parameters(nss: Vendor) -> None:
    info = nss.info
    assert info.manufacturer == "Mozilla Foundation"
    assert info.interface_version >= (3, 0)
    assert {"EncryptMessage", "SessionCancel", "LoginUser"} <= set(info.functions)
    line = nss.line()
    assert line("GetSlotList", 1, 64) == (1, 2)
    assert line("GetTokenInfo", 1)[0] == "NSS Generic Crypto Services"


def test_without_parameters_it_says_what_is_bad(tmp_path: Path) -> None:
    path = library("libsoftokn3.so", "nss/libsoftokn3.so", package="libnss3")
    vendor = Vendor(path)
    with pytest.raises(NotLoaded) as caught:
        vendor.line()
    vendor.close()
    assert (caught.value.step, caught.value.code) == ("initialize", CKR.ARGUMENTS_BAD)
    assert caught.value.text == "C_Initialize of the module said CKR_ARGUMENTS_BAD."


def gcm(iv: bytes, tag: bytes = b"", *, generator: int = CKG.NO_GENERATE, fixed: int = 0) -> bytes:
    return write_message(CKM.AES_GCM, GcmMessage(iv, fixed, generator, 8 * TAG, tag))


def test_messages_are_encrypted_one_after_the_other(crypto: Session) -> None:
    key = secret(crypto, AES)
    crypto("MessageEncryptInit", Mechanism(CKM.AES_GCM), key)
    seen: set[bytes] = set()
    for n in range(3):
        parameter = gcm(IV[:12], generator=CKG.GENERATE_COUNTER, fixed=32)
        after, sealed = crypto("EncryptMessage", parameter, b"seen", DATA[: -n or None], ROOM)
        told = read_message(CKM.AES_GCM, after)
        assert isinstance(told, GcmMessage)
        assert len(told.tag) == TAG
        seen.add(told.iv)
        opened = AESGCM(AES).decrypt(told.iv, sealed + told.tag, b"seen")
        assert opened == DATA[: -n or None]
    assert len(seen) == 3
    crypto("MessageEncryptFinal")
    assert crypto.status("EncryptMessage", gcm(IV[:12]), b"", b"", ROOM) != CKR.OK


def test_messages_are_decrypted(crypto: Session) -> None:
    key = secret(crypto, AES)
    whole = AESGCM(AES).encrypt(IV[:12], DATA, b"seen")
    sealed, tag = whole[:-TAG], whole[-TAG:]
    crypto("MessageDecryptInit", Mechanism(CKM.AES_GCM), key)
    assert crypto("DecryptMessage", gcm(IV[:12], tag), b"seen", sealed, ROOM) == DATA
    refused = crypto.status("DecryptMessage", gcm(IV[:12], bytes(TAG)), b"seen", sealed, ROOM)
    assert refused == CKR.ENCRYPTED_DATA_INVALID
    short = crypto.status("DecryptMessage", gcm(IV[:12], tag[:5]), b"seen", sealed, ROOM)
    assert short == CKR.MECHANISM_PARAM_INVALID
    assert crypto("DecryptMessage", gcm(IV[:12], tag), b"seen", sealed, ROOM) == DATA
    crypto("MessageDecryptFinal")


def test_a_chacha_message_has_its_tag_beside_it(crypto: Session) -> None:
    key = secret(crypto, AES, CKK.CHACHA20)
    crypto("MessageEncryptInit", Mechanism(CKM.CHACHA20_POLY1305), key)
    parameter = ChaCha20Poly1305Message(IV[:12], b"")
    given = write_message(CKM.CHACHA20_POLY1305, parameter)
    after, sealed = crypto("EncryptMessage", given, b"seen", DATA, ROOM)
    told = read_message(CKM.CHACHA20_POLY1305, after)
    assert isinstance(told, ChaCha20Poly1305Message)
    expected = ChaCha20Poly1305(AES).encrypt(IV[:12], DATA, b"seen")
    assert sealed + told.tag == expected
    crypto("MessageEncryptFinal")


def test_a_message_that_was_not_begun_has_no_parameter(crypto: Session) -> None:
    refused = crypto.status("EncryptMessage", gcm(IV[:12]), b"", b"", ROOM)
    assert refused == CKR.OPERATION_NOT_INITIALIZED
    key = secret(crypto, AES)
    crypto("MessageEncryptInit", Mechanism(CKM.AES_GCM), key)
    assert (
        crypto.status("EncryptMessage", b"nonsense", b"", b"", ROOM) == CKR.MECHANISM_PARAM_INVALID
    )
    assert crypto.status("EncryptMessage", None, b"", b"", ROOM) != CKR.OK


def test_ciphers_that_authenticate(crypto: Session) -> None:
    key, nonce = secret(crypto, AES), IV[:12]
    expected = AESGCM(AES).encrypt(nonce, DATA, b"seen")
    mechanism = Mechanism(CKM.AES_GCM, Gcm(nonce, 96, b"seen", 128))
    assert crypto("EncryptOnce", mechanism, key, DATA, ROOM) == expected
    assert crypto("DecryptOnce", mechanism, key, expected, ROOM) == DATA
    assert crypto.status("DecryptOnce", mechanism, key, bytes(40), ROOM) != CKR.OK
    assert crypto("DecryptOnce", mechanism, key, expected, ROOM) == DATA
    chacha = secret(crypto, AES, CKK.CHACHA20)
    mechanism = Mechanism(CKM.CHACHA20_POLY1305, ChaCha(nonce, b"seen"))
    expected = ChaCha20Poly1305(AES).encrypt(nonce, DATA, b"seen")
    assert crypto("EncryptOnce", mechanism, chacha, DATA, ROOM) == expected


def test_an_operation_is_ended_by_its_length_alone(crypto: Session) -> None:
    """Where a module can cancel, the length of a result is told before the key is used."""
    key = secret(crypto, AES, CKK.GENERIC_SECRET)
    mechanism = Mechanism(CKM.SHA256_HMAC)
    assert crypto("SignOnce", mechanism, key, DATA, 0) == 32
    assert len(crypto("SignOnce", mechanism, key, DATA, ROOM)) == 32


def test_a_digest_is_saved_and_gone_on_with(crypto: Session, nss: Vendor) -> None:
    crypto("DigestInit", Mechanism(CKM.SHA256))
    crypto("DigestUpdate", DATA[:10])
    state = crypto("GetOperationState", ROOM)
    other = Session.open(nss.line(), CRYPTO)
    other("SetOperationState", state, 0, 0)
    other("DigestUpdate", DATA[10:])
    running = hashes.Hash(hashes.SHA256())
    running.update(DATA)
    assert other("DigestFinal", ROOM) == running.finalize()
    assert len(crypto("DigestFinal", ROOM)) == 32


def test_two_operations_at_the_same_time(crypto: Session) -> None:
    key = secret(crypto, AES)
    crypto("EncryptInit", Mechanism(CKM.AES_ECB), key)
    crypto("DigestInit", Mechanism(CKM.SHA256))
    sealed = crypto("DigestEncryptUpdate", DATA, ROOM) + crypto("EncryptFinal", ROOM)
    digested = crypto("DigestFinal", ROOM)
    crypto("DecryptInit", Mechanism(CKM.AES_ECB), key)
    crypto("DigestInit", Mechanism(CKM.SHA256))
    plain = crypto("DecryptDigestUpdate", sealed, ROOM) + crypto("DecryptFinal", ROOM)
    assert plain == DATA
    assert crypto("DigestFinal", ROOM) == digested


def test_signatures_from_which_the_data_is_read(crypto: Session) -> None:
    public, private = crypto.pair(
        CKM.RSA_PKCS_KEY_PAIR_GEN,
        (
            (CKA.MODULUS_BITS, 1024),
            (CKA.PUBLIC_EXPONENT, b"\1\0\1"),
            (CKA.VERIFY_RECOVER, True),
        ),
        ((CKA.SIGN_RECOVER, True),),
    )
    crypto("SignRecoverInit", Mechanism(CKM.RSA_PKCS), private)
    signature = crypto("SignRecover", b"read me", ROOM)
    crypto("VerifyRecoverInit", Mechanism(CKM.RSA_PKCS), public)
    assert crypto("VerifyRecover", signature, ROOM) == b"read me"


DERIVED = (
    (CKA.CLASS, CKO.SECRET_KEY),
    (CKA.KEY_TYPE, CKK.GENERIC_SECRET),
    (CKA.VALUE_LEN, 32),
    *OPEN,
)


def test_keys_are_derived_as_others_derive_them(crypto: Session) -> None:
    key = secret(crypto, AES, CKK.GENERIC_SECRET)

    def derived(mechanism: int, parameter: object, template: object = DERIVED) -> bytes:
        made = crypto("DeriveKey", Mechanism(mechanism, parameter), key, template)  # type: ignore[arg-type]
        return value_of(crypto, made)

    hkdf = Hkdf(True, True, CKM.SHA256, CKF.HKDF_SALT_DATA, b"salt", 0, b"info")
    assert derived(CKM.HKDF_DERIVE, hkdf) == HKDF(hashes.SHA256(), 32, b"salt", b"info").derive(AES)
    pieces = (
        DataParam(CK.SP800_108_ITERATION_VARIABLE, CounterFormat(False, 32)),
        DataParam(CK.SP800_108_BYTE_ARRAY, b"label and context"),
    )
    expected = KBKDFHMAC(
        hashes.SHA256(),
        Mode.CounterMode,
        32,
        4,
        None,
        CounterLocation.BeforeFixed,
        None,
        None,
        b"label and context",
    )
    counter = CounterKdf(CKM.SHA256_HMAC, pieces, 0)
    assert derived(CKM.SP800_108_COUNTER_KDF, counter) == expected.derive(AES)
    joined = derived(CKM.CONCATENATE_BASE_AND_DATA, StringData(b"more"), DERIVED[:2] + OPEN)
    assert joined == AES + b"more"
    other = secret(crypto, b"other", CKK.GENERIC_SECRET)
    joined = derived(CKM.CONCATENATE_BASE_AND_KEY, KeyHandle(other), DERIVED[:2] + OPEN)
    assert joined == AES + b"other"
    cut = ((CKA.VALUE_LEN, 8), *(each for each in DERIVED if each[0] != CKA.VALUE_LEN))
    assert derived(CKM.EXTRACT_KEY_FROM_KEY, Number(16), cut) == AES[2:10]


def test_additional_keys_are_not_asked_for(crypto: Session) -> None:
    key = secret(crypto, AES, CKK.GENERIC_SECRET)
    mechanism = Mechanism(CKM.SP800_108_COUNTER_KDF, CounterKdf(CKM.SHA256_HMAC, (), 2))
    refused = crypto.status("DeriveKey", mechanism, key, DERIVED)
    assert refused == CKR.MECHANISM_PARAM_INVALID


def test_operations_are_cancelled(crypto: Session) -> None:
    key = secret(crypto, AES, CKK.GENERIC_SECRET)
    crypto("SignInit", Mechanism(CKM.SHA256_HMAC), key)
    crypto("SessionCancel", CKF.SIGN)
    assert crypto.status("SignUpdate", b"x") == CKR.OPERATION_NOT_INITIALIZED
    # A mechanism that is NULL ends one, too, by the standard; the module is asked, and has its say.
    code = crypto.status("SignInit", NO_MECHANISM, 0)
    assert code in (CKR.OK, CKR.ARGUMENTS_BAD, CKR.MECHANISM_INVALID, CKR.MECHANISM_PARAM_INVALID)


def test_keys_are_made_of_passwords(crypto: Session) -> None:
    parameter = Pbkdf2(
        CKZ.SALT_SPECIFIED, b"salt", 1000, CKP.PKCS5_PBKD2_HMAC_SHA256, b"", memoryview(b"secret")
    )
    template = (*DERIVED, (CKA.TOKEN, False))
    key = crypto("GenerateKey", Mechanism(CKM.PKCS5_PBKD2, parameter), template)
    expected = PBKDF2HMAC(hashes.SHA256(), 32, b"salt", 1000).derive(b"secret")
    assert value_of(crypto, key) == expected


def test_keys_are_digested_and_wrapped(crypto: Session) -> None:
    key, kek = secret(crypto, DATA[:20], CKK.GENERIC_SECRET), secret(crypto, AES)
    crypto("DigestInit", Mechanism(CKM.SHA256))
    crypto("DigestKey", key)
    running = hashes.Hash(hashes.SHA256())
    running.update(DATA[:20])
    assert crypto("DigestFinal", ROOM) == running.finalize()
    sealed = crypto("WrapKey", Mechanism(CKM.AES_KEY_WRAP_KWP), kek, key, ROOM)
    assert sealed == keywrap.aes_key_wrap_with_padding(AES, DATA[:20])
    template = ((CKA.CLASS, CKO.SECRET_KEY), (CKA.KEY_TYPE, CKK.GENERIC_SECRET), *OPEN)
    back = crypto("UnwrapKey", Mechanism(CKM.AES_KEY_WRAP_KWP), kek, sealed, template)
    assert value_of(crypto, back) == DATA[:20]


def test_vendors_mechanisms_and_attributes_pass_through(crypto: Session) -> None:
    """CKM_NSS_HKDF_SHA256 has a structure that only NSS and its caller know."""
    told = crypto("GetMechanismInfo", 0xCE534354)
    assert told[2] & CKF.DERIVE
    key = secret(crypto, AES, CKK.GENERIC_SECRET)
    bad = Mechanism(0xCE534354, bytes(7))
    assert crypto.status("DeriveKey", bad, key, DERIVED) == CKR.MECHANISM_PARAM_INVALID
    # CK_NSS_HKDFParams without pointers: expand only, no salt, no info.
    good = Mechanism(0xCE534354, (0).to_bytes(8) + bytes(16) + b"\1" + bytes(7) + bytes(16))
    made = crypto("DeriveKey", good, key, DERIVED)
    assert value_of(crypto, made) == HKDFExpand(hashes.SHA256(), 32, b"").derive(AES)

"""Keys that leave encrypted, and come back as what they were."""

from typing import Any

import pytest
from tests.stores.software.loaded import ALL, key, secret_key
from tests.stores.software.loaded import material as kept_key

from keyholm.core.errors import (
    AlgorithmUnsupported,
    DataInvalid,
    DataLengthInvalid,
    MechanismUnsupported,
)
from keyholm.core.mechanisms import (
    AesCbc,
    AesCcm,
    AesCtr,
    AesEcb,
    AesGcm,
    AesKeyWrap,
    ChaCha20Poly1305,
    Ecdsa,
    Hash,
    Mechanism,
    RsaOaep,
    RsaPkcs1Encryption,
    RsaRaw,
)
from keyholm.core.model import Algorithm, KeyType, SecretKey, SecretType
from keyholm.stores.software import material
from keyholm.stores.software.generating import generate
from keyholm.stores.software.material import Material, value_of
from keyholm.stores.software.wrapping import unwrap, wrap

GENERIC = SecretKey(SecretType.GENERIC, 40)
RSA = Algorithm.RSA_2048
AES = secret_key(SecretType.AES, 32)
ANY_LENGTH: list[tuple[Any, Mechanism]] = [
    (AES, AesKeyWrap(padded=True)),
    (AES, AesCbc(bytes(16), padded=True)),
    (AES, AesGcm(bytes(12), b"what it is for", 16)),
    (secret_key(SecretType.CHACHA20, 32), ChaCha20Poly1305(bytes(12), b"what it is for")),
]
AUTHENTIC = [each for each in ANY_LENGTH if not isinstance(each[1], AesCbc)]


def comes_back(wrapping: Any, mechanism: Mechanism, kept: Material) -> None:
    wrapped = wrap(wrapping, kept, mechanism)
    with value_of(kept) as value, unwrap(wrapping, mechanism, wrapped) as again:
        assert bytes(value.view) not in wrapped
        assert again == value


@pytest.mark.parametrize("wanted", [each for each in ALL if each is not Algorithm.MLDSA44_ED25519])
@pytest.mark.parametrize(("wrapping", "mechanism"), ANY_LENGTH)
def test_every_key_comes_back(wrapping: Any, mechanism: Mechanism, wanted: KeyType) -> None:
    comes_back(wrapping, mechanism, kept_key(wanted))


@pytest.mark.parametrize("wanted", [each for each in ALL if isinstance(each, SecretKey)])
@pytest.mark.parametrize(
    ("wrapping", "mechanism"),
    [
        (key(RSA), RsaPkcs1Encryption()),
        (key(RSA), RsaOaep(Hash.SHA256, Hash.SHA256, b"label")),
        (secret_key(SecretType.AES, 16), AesKeyWrap(padded=False)),
    ],
)
def test_secret_keys_come_back(wrapping: Any, mechanism: Mechanism, wanted: SecretKey) -> None:
    comes_back(wrapping, mechanism, kept_key(wanted))


def test_a_key_is_wrapped_with_a_public_key_alone() -> None:
    mechanism = RsaOaep(Hash.SHA1, Hash.SHA1)
    with generate(GENERIC).material as kept:
        wrapped = wrap(key(RSA).public_key(), kept, mechanism)
        with value_of(kept) as value, unwrap(key(RSA), mechanism, wrapped) as again:
            assert value == again
    with pytest.raises(MechanismUnsupported):
        unwrap(key(RSA).public_key(), mechanism, wrapped)


def test_ccm_wants_to_know_the_length() -> None:
    with generate(GENERIC).material as kept:
        comes_back(AES, AesCcm(bytes(12), b"", 16, GENERIC.size), kept)
        with pytest.raises(DataLengthInvalid):
            wrap(AES, kept, AesCcm(bytes(12), b"", 16, GENERIC.size + 1))


@pytest.mark.parametrize(("wrapping", "mechanism"), AUTHENTIC)
def test_a_change_is_seen(wrapping: Any, mechanism: Mechanism) -> None:
    with generate(GENERIC).material as kept:
        wrapped = wrap(wrapping, kept, mechanism)
    for at in range(len(wrapped)):
        changed = bytearray(wrapped)
        changed[at] ^= 0x40
        with pytest.raises(DataInvalid):
            unwrap(wrapping, mechanism, bytes(changed))


def test_what_does_not_fit_is_refused() -> None:
    with generate(RSA).material as large:
        for mechanism in (RsaPkcs1Encryption(), RsaOaep(Hash.SHA1, Hash.SHA1)):
            with pytest.raises(DataLengthInvalid):
                wrap(key(RSA), large, mechanism)
    odd = kept_key(SecretKey(SecretType.GENERIC, 17))
    with pytest.raises(DataLengthInvalid, match="multiple of 8"):
        wrap(AES, odd, AesKeyWrap(padded=False))


def test_a_key_without_a_form_does_not_leave() -> None:
    kept = kept_key(Algorithm.MLDSA44_ED25519)
    with pytest.raises(AlgorithmUnsupported):
        wrap(AES, kept, AesKeyWrap(padded=True))


@pytest.mark.parametrize(
    ("wrapping", "mechanism"),
    [
        (AES, AesEcb()),
        (AES, AesCtr(bytes(16), 128)),
        (AES, AesCbc(bytes(16), padded=False)),
        (key(RSA), RsaRaw()),
        (key(RSA), AesKeyWrap(padded=True)),
        (AES, RsaPkcs1Encryption()),
        (key(Algorithm.ECDSA_P256), Ecdsa()),
        (secret_key(SecretType.AES, 64), AesKeyWrap(padded=True)),
        (secret_key(SecretType.GENERIC, 40), AesKeyWrap(padded=True)),
    ],
)
def test_other_mechanisms_do_not_wrap(wrapping: Any, mechanism: Mechanism) -> None:
    with generate(GENERIC).material as kept, pytest.raises(MechanismUnsupported):
        wrap(wrapping, kept, mechanism)
    with pytest.raises(MechanismUnsupported):
        unwrap(wrapping, mechanism, bytes(64))


def test_what_is_unwrapped_is_checked_before_it_is_a_key() -> None:
    mechanism = AesKeyWrap(padded=True)
    with generate(GENERIC).material as kept:
        wrapped = wrap(AES, kept, mechanism)
    with unwrap(AES, mechanism, wrapped) as value:
        with pytest.raises(AlgorithmUnsupported):
            material.secret_key(SecretType.AES, value.view)
        with material.secret_key(SecretType.GENERIC, value.view) as again:
            assert again.secret == value

"""New keys: of the kind that was asked for, and found to be that by what reads them."""

import pytest
from tests.stores.software.loaded import ALL

from keyholm.core.errors import AlgorithmUnsupported
from keyholm.core.model import (
    Algorithm,
    KeyType,
    OtherAlgorithm,
    RsaKey,
    SecretKey,
    SecretType,
    spelled,
)
from keyholm.stores.software.generating import check, generate
from keyholm.stores.software.material import (
    Form,
    algorithm_of,
    describe,
    kept,
    loaded,
    pkcs8_of,
    public_of,
    spki_of,
    value_of,
)
from keyholm.stores.software.secret_keys import SecretValue
from keyholm.wire.ssh import keys


@pytest.mark.parametrize("wanted", [each for each in ALL if not isinstance(each, SecretKey)])
def test_a_key_pair_is_what_was_asked_for_and_comes_in_as_it_left(wanted: KeyType) -> None:
    made = generate(wanted)
    with made.material as material:
        assert made.algorithm == spelled(wanted)
        assert (material.shape is Form.SSH) == (made.public is not None)
        if wanted is Algorithm.MLDSA44_ED25519:  # which PKCS#8 has no words for
            with pytest.raises(AlgorithmUnsupported):
                pkcs8_of(material)
            return
        key = loaded(material)
        assert algorithm_of(key) == spelled(wanted)
        assert spki_of(key) == made.spki
        assert algorithm_of(public_of(made.spki)) == spelled(wanted)
        assert spki_of(public_of(made.spki)) == made.spki
        if made.public is not None:
            assert keys.spki(made.public) == made.spki
        with pkcs8_of(material) as left:
            described = describe(left.view)
            assert (described.algorithm, described.spki) == (made.algorithm, made.spki)
            again, _ = kept(left.view)
            with again, value_of(again) as once_more:
                assert again.shape is material.shape
                assert again.secret == material.secret
                assert once_more == left


@pytest.mark.parametrize("wanted", [each for each in ALL if isinstance(each, SecretKey)])
def test_a_secret_key_is_as_long_as_was_asked_for(wanted: SecretKey) -> None:
    made, other = generate(wanted), generate(wanted)
    with made.material as one, other.material as two:
        assert (made.spki, made.public) == (b"", None)
        assert one.shape is wanted.type
        assert len(one.secret) == wanted.size
        assert one.secret != two.secret
        key = loaded(one)
        assert isinstance(key, SecretValue)
        with value_of(one) as value:
            assert value == key.secret
        with pytest.raises(AlgorithmUnsupported):
            pkcs8_of(one)


def test_every_byte_of_a_des_key_has_an_odd_number_of_bits() -> None:
    for _ in range(20):
        with generate(SecretKey(SecretType.DES3, 24)).material as material:
            assert all(byte.bit_count() % 2 for byte in material.secret.view)


@pytest.mark.parametrize("size", [2050, 2056, 3070])
def test_rsa_keys_have_any_size(size: int) -> None:
    made = generate(RsaKey(size))
    made.material.secret.close()
    assert isinstance(made.public, keys.Rsa)
    assert (made.public.modulus.bit_length(), made.public.exponent) == (size, 65537)


@pytest.mark.parametrize(
    "wanted",
    [
        RsaKey(1024),
        RsaKey(2047),
        RsaKey(2049),
        RsaKey(16385),
        RsaKey(0),
        RsaKey(-1),
        RsaKey(2048, 1),
        RsaKey(2048, 5),
        RsaKey(2048, 65539),
        RsaKey(2048, -3),
        SecretKey(SecretType.AES, 0),
        SecretKey(SecretType.AES, 15),
        SecretKey(SecretType.AES, 33),
        SecretKey(SecretType.CHACHA20, 16),
        SecretKey(SecretType.DES3, 8),
        SecretKey(SecretType.DES3, 16),
        SecretKey(SecretType.GENERIC, 0),
        SecretKey(SecretType.GENERIC, 4097),
        SecretKey(SecretType.GENERIC, -1),
    ],
)
def test_what_cannot_be_made_is_refused(wanted: KeyType) -> None:
    with pytest.raises(AlgorithmUnsupported):
        check(wanted)
    with pytest.raises(AlgorithmUnsupported):
        generate(wanted)


def test_every_algorithm_that_has_a_name_is_made() -> None:
    assert set(OtherAlgorithm) <= set(ALL)

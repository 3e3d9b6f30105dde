"""RSA encryption as published: by RSA Laboratories, and by others with other hashes."""

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key
from tests.stores.software.published import done, examples, octets, records

from keyholm.core.mechanisms import Hash, RsaOaep, RsaPkcs1Encryption, RsaRaw, Verb

SHAS = ("sha1", "sha224", "sha256", "sha384", "sha512")


def test_pkcs1_decrypts_what_is_published() -> None:
    count = 0
    for key, each in examples("asymmetric/RSA/pkcs1v15crypt-vectors.txt"):
        message, encrypted = octets(each, "message"), octets(each, "encryption")
        assert done(key, Verb.DECRYPT, RsaPkcs1Encryption(), encrypted) == message
        ours = done(key.public_key(), Verb.ENCRYPT, RsaPkcs1Encryption(), message)
        assert done(key, Verb.DECRYPT, RsaPkcs1Encryption(), ours) == message
        count += 1
    assert count == 15 * 20


def test_raw_rsa_gives_the_block_that_was_padded() -> None:
    for number, (key, each) in enumerate(examples("asymmetric/RSA/pkcs1v15crypt-vectors.txt")):
        if number % 10:
            continue
        message, encrypted = octets(each, "message"), octets(each, "encryption")
        block = done(key, Verb.DECRYPT, RsaRaw(), encrypted)
        assert block.startswith(b"\0\2")
        assert block.endswith(b"\0" + message)
        assert done(key.public_key(), Verb.ENCRYPT, RsaRaw(), block) == encrypted


def test_oaep_decrypts_what_is_published() -> None:
    count = 0
    mechanism = RsaOaep(Hash.SHA1, Hash.SHA1)
    for key, each in examples("asymmetric/RSA/pkcs-1v2-1d2-vec/oaep-vect.txt"):
        message, encrypted = octets(each, "message"), octets(each, "encryption")
        assert done(key, Verb.DECRYPT, mechanism, encrypted) == message
        count += 1
    assert count == 10 * 6


@pytest.mark.parametrize("mgf", SHAS)
@pytest.mark.parametrize("name", SHAS)
def test_oaep_has_a_hash_of_its_own_and_one_of_its_mask(mgf: str, name: str) -> None:
    if mgf == name == "sha1":
        return  # that is the one above
    count = 0
    mechanism = RsaOaep(Hash(name), Hash(mgf))
    for key, each in examples(f"asymmetric/RSA/oaep-custom/oaep-{mgf}-{name}.txt"):
        message, encrypted = octets(each, "message"), octets(each, "encryption")
        assert done(key, Verb.DECRYPT, mechanism, encrypted) == message
        ours = done(key.public_key(), Verb.ENCRYPT, mechanism, message)
        assert done(key, Verb.DECRYPT, mechanism, ours) == message
        count += 1
    assert count


def test_oaep_has_a_label() -> None:
    for each in records("asymmetric/RSA/oaep-label.txt"):
        key = load_der_private_key(octets(each, "key"), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        name = Hash(each["oaepdigest"].lower())
        mechanism = RsaOaep(name, name, octets(each, "oaeplabel"))
        assert done(key, Verb.DECRYPT, mechanism, octets(each, "input")) == octets(each, "output")

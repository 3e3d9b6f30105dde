"""RSA encryption as published: by RSA Laboratories, and by others with other hashes."""

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key
from tests.stores.software.published import ALL, Doing, examples, octets, records, some

from keyholm.core.mechanisms import Hash, RsaOaep, RsaPkcs1Encryption, RsaRaw, Verb

SHAS = ("sha1", "sha224", "sha256", "sha384", "sha512")


def test_pkcs1_decrypts_what_is_published(doing: Doing) -> None:
    found = list(examples("asymmetric/RSA/pkcs1v15crypt-vectors.txt"))
    assert len(found) == 15 * 20
    for key, each in some(doing, found, ALL):
        message, encrypted = octets(each, "message"), octets(each, "encryption")
        assert doing.done(key, Verb.DECRYPT, RsaPkcs1Encryption(), encrypted) == message
        ours = doing.done(key.public_key(), Verb.ENCRYPT, RsaPkcs1Encryption(), message)
        assert doing.done(key, Verb.DECRYPT, RsaPkcs1Encryption(), ours) == message


def test_raw_rsa_gives_the_block_that_was_padded(doing: Doing) -> None:
    for key, each in some(doing, examples("asymmetric/RSA/pkcs1v15crypt-vectors.txt"), 30):
        message, encrypted = octets(each, "message"), octets(each, "encryption")
        block = doing.done(key, Verb.DECRYPT, RsaRaw(), encrypted)
        assert block.startswith(b"\0\2")
        assert block.endswith(b"\0" + message)
        assert doing.done(key.public_key(), Verb.ENCRYPT, RsaRaw(), block) == encrypted


def test_oaep_decrypts_what_is_published(doing: Doing) -> None:
    found = list(examples("asymmetric/RSA/pkcs-1v2-1d2-vec/oaep-vect.txt"))
    assert len(found) == 10 * 6
    mechanism = RsaOaep(Hash.SHA1, Hash.SHA1)
    for key, each in some(doing, found, ALL):
        message, encrypted = octets(each, "message"), octets(each, "encryption")
        assert doing.done(key, Verb.DECRYPT, mechanism, encrypted) == message


@pytest.mark.parametrize("mgf", SHAS)
@pytest.mark.parametrize("name", SHAS)
def test_oaep_has_a_hash_of_its_own_and_one_of_its_mask(doing: Doing, mgf: str, name: str) -> None:
    if mgf == name == "sha1":
        return  # that is the one above
    mechanism = RsaOaep(Hash(name), Hash(mgf))
    for key, each in some(
        doing, examples(f"asymmetric/RSA/oaep-custom/oaep-{mgf}-{name}.txt"), ALL
    ):
        message, encrypted = octets(each, "message"), octets(each, "encryption")
        assert doing.done(key, Verb.DECRYPT, mechanism, encrypted) == message
        ours = doing.done(key.public_key(), Verb.ENCRYPT, mechanism, message)
        assert doing.done(key, Verb.DECRYPT, mechanism, ours) == message


def test_oaep_has_a_label(doing: Doing) -> None:
    for each in some(doing, records("asymmetric/RSA/oaep-label.txt"), ALL):
        key = load_der_private_key(octets(each, "key"), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        name = Hash(each["oaepdigest"].lower())
        mechanism = RsaOaep(name, name, octets(each, "oaeplabel"))
        assert doing.done(key, Verb.DECRYPT, mechanism, octets(each, "input")) == octets(
            each, "output"
        )

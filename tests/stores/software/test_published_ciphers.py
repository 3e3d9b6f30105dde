"""Encryption as published: NIST's CAVP, SP 800-38A to F, RFC 3394, 3686, 5649, 8439."""

import pytest
from tests.stores.software.published import ALL, Doing, Record, octets, records, secret, some

from keyholm.core.errors import DataInvalid
from keyholm.core.mechanisms import (
    AesCbc,
    AesCcm,
    AesCtr,
    AesEcb,
    AesGcm,
    AesKeyWrap,
    AesXts,
    ChaCha20Poly1305,
    Des3Cbc,
    Des3Ecb,
    Mechanism,
    Verb,
)
from keyholm.core.model import SecretType
from keyholm.stores.software.secret_keys import SecretValue

AES, DES3 = SecretType.AES, SecretType.DES3


def both_ways(
    doing: Doing, key: SecretValue, mechanism: Mechanism, plain: bytes, encrypted: bytes
) -> None:
    assert doing.done(key, Verb.ENCRYPT, mechanism, plain) == encrypted
    assert doing.done(key, Verb.DECRYPT, mechanism, encrypted) == plain
    assert doing.in_parts(key, Verb.ENCRYPT, mechanism, plain, 7) == encrypted
    assert doing.in_parts(key, Verb.DECRYPT, mechanism, encrypted, 19) == plain


@pytest.mark.parametrize("size", [128, 192, 256])
@pytest.mark.parametrize("kind", ["GFSbox", "KeySbox", "VarKey", "VarTxt", "MMT"])
@pytest.mark.parametrize("mode", ["ECB", "CBC"])
def test_aes_in_blocks(doing: Doing, mode: str, kind: str, size: int) -> None:
    for each in some(doing, records(f"ciphers/AES/{mode}/{mode}{kind}{size}.rsp")):
        mechanism = AesEcb() if mode == "ECB" else AesCbc(octets(each, "iv"), padded=False)
        key = secret(AES, octets(each, "key"))
        both_ways(doing, key, mechanism, octets(each, "plaintext"), octets(each, "ciphertext"))


@pytest.mark.parametrize("kind", ["MMT1", "MMT2", "MMT3"])
@pytest.mark.parametrize("mode", ["ECB", "CBC"])
def test_triple_des(doing: Doing, mode: str, kind: str) -> None:
    for each in some(doing, records(f"ciphers/3DES/{mode}/T{mode}{kind}.rsp")):
        names = ("key",) * 3 if "key" in each else ("key1", "key2", "key3")
        mechanism = Des3Ecb() if mode == "ECB" else Des3Cbc(octets(each, "iv"), padded=False)
        key = secret(DES3, octets(each, *names))
        both_ways(doing, key, mechanism, octets(each, "plaintext"), octets(each, "ciphertext"))


@pytest.mark.parametrize("size", [128, 192, 256])
@pytest.mark.parametrize("bits", [32, 33, 128])
def test_aes_ctr_of_rfc_3686(doing: Doing, size: int, bits: int) -> None:
    for each in some(doing, records(f"ciphers/AES/CTR/aes-{size}-ctr.txt"), ALL):
        key, mechanism = secret(AES, octets(each, "key")), AesCtr(octets(each, "iv"), bits)
        both_ways(doing, key, mechanism, octets(each, "plaintext"), octets(each, "ciphertext"))


def gcm(each: Record) -> AesGcm:
    return AesGcm(octets(each, "iv"), octets(each, "aad"), int(each["taglen"]) // 8)


@pytest.mark.parametrize("size", [128, 192, 256])
def test_aes_gcm_encrypts(doing: Doing, size: int) -> None:
    found = records(f"ciphers/AES/GCM/gcmEncryptExtIV{size}.rsp")
    for each in some(doing, [each for each in found if int(each["ivlen"]) >= 64], 400):
        encrypted = octets(each, "ct", "tag")
        both_ways(doing, secret(AES, octets(each, "key")), gcm(each), octets(each, "pt"), encrypted)


@pytest.mark.parametrize("size", [128, 192, 256])
def test_aes_gcm_decrypts_only_what_is_authentic(doing: Doing, size: int) -> None:
    found = records(f"ciphers/AES/GCM/gcmDecrypt{size}.rsp")
    failing = 0
    for each in some(doing, [each for each in found if int(each["ivlen"]) >= 64], 400):
        key, encrypted = secret(AES, octets(each, "key")), octets(each, "ct", "tag")
        if each.get("word") == "FAIL":
            failing += 1
            with pytest.raises(DataInvalid):
                doing.done(key, Verb.DECRYPT, gcm(each), encrypted)
        else:
            assert doing.done(key, Verb.DECRYPT, gcm(each), encrypted) == octets(each, "pt")
    assert failing


def ccm(each: Record) -> AesCcm:
    """Data of no bytes is written as one there."""
    aad = octets(each, "adata")[: int(each["alen"])]
    return AesCcm(octets(each, "nonce"), aad, int(each["tlen"]), int(each["plen"]))


@pytest.mark.parametrize("size", [128, 192, 256])
@pytest.mark.parametrize("kind", ["VADT", "VNT", "VPT", "VTT"])
def test_aes_ccm(doing: Doing, kind: str, size: int) -> None:
    for each in some(doing, records(f"ciphers/AES/CCM/{kind}{size}.rsp")):
        plain = octets(each, "payload")[: int(each["plen"])]
        both_ways(doing, secret(AES, octets(each, "key")), ccm(each), plain, octets(each, "ct"))


@pytest.mark.parametrize("size", [128, 192, 256])
def test_aes_ccm_decrypts_only_what_is_authentic(doing: Doing, size: int) -> None:
    for each in some(doing, records(f"ciphers/AES/CCM/DVPT{size}.rsp"), ALL):
        key = secret(AES, octets(each, "key"))
        if each["result"].startswith("Fail"):
            with pytest.raises(DataInvalid):
                doing.done(key, Verb.DECRYPT, ccm(each), octets(each, "ct"))
        else:
            plain = octets(each, "payload")[: int(each["plen"])]
            assert doing.done(key, Verb.DECRYPT, ccm(each), octets(each, "ct")) == plain


@pytest.mark.parametrize("size", [128, 256])
def test_aes_xts(doing: Doing, size: int) -> None:
    found = records(f"ciphers/AES/XTS/tweak-128hexstr/XTSGenAES{size}.rsp")
    whole = [each for each in found if int(each["dataunitlen"]) % 8 == 0]
    for each in some(doing, whole, 200):
        key, mechanism = secret(AES, octets(each, "key")), AesXts(octets(each, "i"))
        both_ways(doing, key, mechanism, octets(each, "pt"), octets(each, "ct"))


@pytest.mark.parametrize("name", ["boringssl", "openssl"])
def test_chacha20_poly1305(doing: Doing, name: str) -> None:
    names = {"nonce": "iv", "ad": "aad", "in": "plaintext", "ct": "ciphertext"}
    for record in records(f"ciphers/ChaCha20Poly1305/{name}.txt"):
        each = {new: record.get(new, record.get(old, "")) for new, old in names.items()}
        key = secret(SecretType.CHACHA20, octets(record, "key"))
        mechanism = ChaCha20Poly1305(octets(each, "nonce"), octets(each, "ad"))
        encrypted = octets(each, "ct") + octets(record, "tag")
        if "result" in record:
            with pytest.raises(DataInvalid):
                doing.done(key, Verb.DECRYPT, mechanism, encrypted)
        else:
            both_ways(doing, key, mechanism, octets(each, "in"), encrypted)


@pytest.mark.parametrize("size", [128, 192, 256])
@pytest.mark.parametrize("padded", [False, True])
def test_key_wrap_of_sp_800_38f(doing: Doing, padded: bool, size: int) -> None:
    name, mechanism = "KWP" if padded else "KW", AesKeyWrap(padded)
    for each in some(doing, records(f"keywrap/kwtestvectors/{name}_AE_{size}.txt")):
        key = secret(AES, octets(each, "k"))
        both_ways(doing, key, mechanism, octets(each, "p"), octets(each, "c"))
    found = records(f"keywrap/kwtestvectors/{name}_AD_{size}.txt")
    right = [each for each in found if "p" in each]
    for each in some(doing, right):
        key = secret(AES, octets(each, "k"))
        assert doing.done(key, Verb.DECRYPT, mechanism, octets(each, "c")) == octets(each, "p")
    for each in some(doing, [each for each in found if "p" not in each]):
        key = secret(AES, octets(each, "k"))
        with pytest.raises(DataInvalid):
            doing.done(key, Verb.DECRYPT, mechanism, octets(each, "c"))


def test_key_wrap_of_the_rfcs(doing: Doing) -> None:
    """RFC 3394, 4.6, and RFC 5649, 6."""
    key = secret(AES, bytes(range(32)))
    both_ways(
        doing,
        key,
        AesKeyWrap(padded=False),
        bytes.fromhex("00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F"),
        bytes.fromhex(
            "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21"
        ),
    )
    key = secret(AES, bytes.fromhex("5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8"))
    both_ways(
        doing,
        key,
        AesKeyWrap(padded=True),
        bytes.fromhex("466f7250617369"),
        bytes.fromhex("afbeb0f07dfbf5419200f2ccb50bb24f"),
    )

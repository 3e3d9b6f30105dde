"""Signatures and codes as published: PKCS#1, FIPS 186, 204, RFC 4231, 8032, SP 800-38B."""

from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, rsa
from tests.stores.software.published import (
    ALL,
    Doing,
    Record,
    examples,
    lines,
    number,
    octets,
    records,
    secret,
    some,
)

from keyholm.core.errors import SignatureInvalid
from keyholm.core.mechanisms import (
    AesCmac,
    Ecdsa,
    EdDsa,
    Hash,
    Hmac,
    Mechanism,
    MlDsa,
    RsaPkcs1,
    RsaPss,
    RsaRaw,
    Verb,
)
from keyholm.core.model import SecretType
from keyholm.stores.software.hashing import HASHES

CURVES: dict[str, type[ec.EllipticCurve]] = {
    "P-224": ec.SECP224R1,
    "P-256": ec.SECP256R1,
    "P-384": ec.SECP384R1,
    "P-521": ec.SECP521R1,
    "K-256": ec.SECP256K1,
}


def verifies(doing: Doing, key: Any, mechanism: Mechanism, data: bytes, signature: bytes) -> bool:
    """In one part and in several, which say the same."""
    said = set()
    for size in (len(data) or 1, 11):
        try:
            doing.in_parts(key, Verb.VERIFY, mechanism, data, size, signature)
            said.add(True)
        except SignatureInvalid:
            said.add(False)
    assert len(said) == 1
    return said.pop()


def hash_of(each: Record, name: str = "shaalg") -> Hash:
    return Hash(each[name].lower().replace("-", ""))


def hashed(name: Hash, data: bytes) -> bytes:
    digester = hashes.Hash(HASHES[name])
    digester.update(data)
    return digester.finalize()


def changed(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


# --- RSA -----------------------------------------------------------------------------


def test_rsa_pkcs1_is_that_of_rsa_laboratories(doing: Doing) -> None:
    """Deterministic, so the bytes are the same: by hashing, by a DigestInfo, and raw."""
    found = list(examples("asymmetric/RSA/pkcs1v15sign-vectors.txt"))
    assert len(found) == 15 * 20
    info = bytes.fromhex("3021300906052b0e03021a05000414")  # RFC 8017, 9.2, note 1
    for key, each in some(doing, found, ALL):
        message, signature = octets(each, "message to be signed"), octets(each, "signature")
        encoded = info + hashed(Hash.SHA1, message)
        size = (key.key_size + 7) // 8
        block = b"\0\1" + b"\xff" * (size - 3 - len(encoded)) + b"\0" + encoded
        for mechanism, data in (
            (RsaPkcs1(Hash.SHA1), message),
            (RsaPkcs1(), encoded),
            (RsaRaw(), block),
        ):
            assert doing.done(key, Verb.SIGN, mechanism, data) == signature
            assert verifies(doing, key, mechanism, data, signature)
            assert not verifies(doing, key, mechanism, changed(data), signature)


def test_rsa_pss_is_that_of_rsa_laboratories(doing: Doing) -> None:
    found = list(examples("asymmetric/RSA/pkcs-1v2-1d2-vec/pss-vect.txt"))
    assert len(found) == 10 * 6
    mechanism = RsaPss(Hash.SHA1, Hash.SHA1, 20)
    prehashed = RsaPss(Hash.SHA1, Hash.SHA1, 20, prehashed=True)
    for key, each in some(doing, found, ALL):
        message, signature = octets(each, "message to be signed"), octets(each, "signature")
        assert verifies(doing, key.public_key(), mechanism, message, signature)
        assert verifies(doing, key.public_key(), prehashed, hashed(Hash.SHA1, message), signature)
        ours = doing.done(key, Verb.SIGN, prehashed, hashed(Hash.SHA1, message))
        assert verifies(doing, key.public_key(), mechanism, message, ours)


def fips_186_rsa(name: str) -> Iterator[tuple[rsa.RSAPublicKey, Record]]:
    for each in records(f"asymmetric/RSA/FIPS_186-2/{name}.rsp", first="shaalg", anew="n"):
        # "Public key e changed": some of those are no exponents at all.
        if number(each, "e") & 1 and number(each, "e") > 1:
            yield rsa.RSAPublicNumbers(number(each, "e"), number(each, "n")).public_key(), each


@pytest.mark.parametrize("scheme", ["15", "PSS"])
def test_rsa_verifies_what_nist_says(doing: Doing, scheme: str) -> None:
    said = set()
    for key, each in some(doing, fips_186_rsa(f"SigVer{scheme}_186-3"), ALL):
        name = hash_of(each)
        mechanism: Mechanism = RsaPkcs1(name)
        if scheme == "PSS":
            mechanism = RsaPss(name, name, len(octets(each, "saltval")))
        good = each["result"].startswith("P")
        signature = octets(each, "s").rjust((key.key_size + 7) // 8, b"\0")
        assert verifies(doing, key, mechanism, octets(each, "msg"), signature) == good
        said.add(good)
    assert said == {True, False}


# --- elliptic curves -----------------------------------------------------------------


def ecdsa(each: Record, curve: ec.EllipticCurve) -> tuple[ec.EllipticCurvePublicKey, bytes]:
    width = (curve.key_size + 7) // 8
    numbers = ec.EllipticCurvePublicNumbers(number(each, "qx"), number(each, "qy"), curve)
    r, s = number(each, "r"), number(each, "s")
    return numbers.public_key(), r.to_bytes(width) + s.to_bytes(width)


def of_curve(name: str) -> Iterator[tuple[str, Hash, Record]]:
    """The sections are of a curve and a hash each."""
    curve, algorithm, current = "", "", Record()
    for line in lines(name):
        if line.startswith("["):
            curve, algorithm = line.strip("[]").split(",")
        elif " = " in line:
            key, value = line.split(" = ")
            current[key.lower()] = value
        elif not line and "s" in current:
            if curve in CURVES:
                yield curve, Hash(algorithm.lower().replace("-", "")), current
            current = Record()


def test_ecdsa_verifies_what_nist_says(doing: Doing) -> None:
    """Hashed by us, and as a digest: of any hash on any curve, so it is cut where it is long."""
    found = list(of_curve("asymmetric/ECDSA/FIPS_186-3/SigVer.rsp"))
    assert len(found) == 15 * 4 * 5
    said = []
    for name, algorithm, each in some(doing, found, ALL):
        good = each["result"].startswith("P")
        key, signature = ecdsa(each, CURVES[name]())
        message = octets(each, "msg")
        assert verifies(doing, key, Ecdsa(algorithm), message, signature) == good
        assert verifies(doing, key, Ecdsa(), hashed(algorithm, message), signature) == good
        said.append(good)
    assert set(said) == {True, False}


@pytest.mark.parametrize(
    "path", ["asymmetric/ECDSA/FIPS_186-3/SigGen.txt", "asymmetric/ECDSA/SECP256K1/SigGen.txt"]
)
def test_ecdsa_signatures_of_nist_are_good_and_so_are_ours(doing: Doing, path: str) -> None:
    for name, algorithm, each in some(doing, list(of_curve(path)), 90):
        curve = CURVES[name]()
        key, signature = ecdsa(each, curve)
        private = ec.derive_private_key(number(each, "d"), curve)
        message = octets(each, "msg")
        assert verifies(doing, key, Ecdsa(algorithm), message, signature)
        ours = doing.done(private, Verb.SIGN, Ecdsa(), hashed(algorithm, message))
        assert verifies(doing, key, Ecdsa(algorithm), message, ours)
        assert verifies(doing, key, Ecdsa(), hashed(algorithm, message), ours)


@pytest.mark.parametrize("curve", CURVES.values())
@pytest.mark.parametrize("size", [1, 19, 20, 27, 28, 31, 32, 33, 47, 48, 63, 64, 65, 66, 67, 200])
def test_a_digest_of_any_length_is_its_leftmost_bits(
    doing: Doing, size: int, curve: type[ec.EllipticCurve]
) -> None:
    """By our own arithmetic (FIPS 186-5, 6.4.2), not by that of the library."""
    private = ec.generate_private_key(curve())
    digest = bytes(range(200, 200 + 55)) * 4
    signature = doing.done(private, Verb.SIGN, Ecdsa(), digest[:size])
    r, s = split(signature)
    order = curve().group_order
    number_of = int.from_bytes(digest[:size])
    e = number_of >> max(0, size * 8 - order.bit_length())
    w = pow(s, -1, order)
    u1, u2 = e * w % order, r * w % order
    # u1 G + u2 Q = (u1 + u2 d) G, which the library can compute.
    d = private.private_numbers().private_value
    point = ec.derive_private_key((u1 + u2 * d) % order, curve()).public_key().public_numbers()
    assert point.x % order == r


def split(signature: bytes) -> tuple[int, int]:
    half = len(signature) // 2
    return int.from_bytes(signature[:half]), int.from_bytes(signature[half:])


def test_ed25519_is_that_of_the_rfc(doing: Doing) -> None:
    found = list(lines("asymmetric/Ed25519/sign.input"))
    for line in some(doing, found, 200):
        seed, point, message, signed = map(bytes.fromhex, line.split(":")[:4])
        key = ed25519.Ed25519PrivateKey.from_private_bytes(seed[:32])
        assert doing.done(key, Verb.SIGN, EdDsa(), message) == signed[:64]
        public = ed25519.Ed25519PublicKey.from_public_bytes(point)
        assert verifies(doing, public, EdDsa(), message, signed[:64])
        assert not verifies(doing, public, EdDsa(), message + b"x", signed[:64])


def test_ed448_is_that_of_the_rfc(doing: Doing) -> None:
    found = records("asymmetric/Ed448/rfc8032.txt")
    plain = [each for each in found if "context" not in each]
    assert len(plain) > 5
    for each in plain:
        key = ed448.Ed448PrivateKey.from_private_bytes(octets(each, "secret"))
        signature = octets(each, "signature")
        assert doing.done(key, Verb.SIGN, EdDsa(), octets(each, "message")) == signature
        public = ed448.Ed448PublicKey.from_public_bytes(octets(each, "public"))
        assert verifies(doing, public, EdDsa(), octets(each, "message"), signature)


# --- ML-DSA --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "private", "public"),
    [
        ("44", mldsa.MLDSA44PrivateKey, mldsa.MLDSA44PublicKey),
        ("65", mldsa.MLDSA65PrivateKey, mldsa.MLDSA65PublicKey),
        ("87", mldsa.MLDSA87PrivateKey, mldsa.MLDSA87PublicKey),
    ],
)
def test_ml_dsa_verifies_what_is_published_and_what_we_sign(
    doing: Doing, name: str, private: Any, public: Any
) -> None:
    """cryptography signs with fresh randomness, so that the bytes are others each time."""
    for each in some(doing, records(f"asymmetric/MLDSA/kat_MLDSA_{name}_det_pure.rsp"), 25):
        message, mechanism = octets(each, "msg"), MlDsa(octets(each, "ctx"))
        signature = octets(each, "sm")[: -len(message) or None]
        key = public.from_public_bytes(octets(each, "pk"))
        own = private.from_seed_bytes(octets(each, "xi"))
        assert own.public_key() == key
        assert verifies(doing, key, mechanism, message, signature)
        assert verifies(
            doing, key, mechanism, message, doing.done(own, Verb.SIGN, mechanism, message)
        )
        assert not verifies(doing, key, MlDsa(b"another"), message, signature)


# --- codes ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sha224", "sha256", "sha384", "sha512"])
def test_hmac_is_that_of_rfc_4231(doing: Doing, name: str) -> None:
    for each in some(doing, records(f"HMAC/rfc-4231-{name}.txt", first="len"), ALL):
        key, code = secret(SecretType.GENERIC, octets(each, "key")), octets(each, "md")
        for size in {4, 12, len(code)}:
            mechanism = Hmac(Hash(name), min(size, len(code)))
            assert doing.done(key, Verb.SIGN, mechanism, octets(each, "msg")) == code[:size]
            assert verifies(doing, key, mechanism, octets(each, "msg"), code[:size])
            assert not verifies(doing, key, mechanism, octets(each, "msg"), code[: size - 1])


def test_hmac_is_that_of_rfc_2202(doing: Doing) -> None:
    for each in some(doing, records("HMAC/rfc-2202-sha1.txt", first="len"), ALL):
        key = secret(SecretType.GENERIC, octets(each, "key"))
        code = doing.done(key, Verb.SIGN, Hmac(Hash.SHA1, 20), octets(each, "msg"))
        assert code == octets(each, "md")


@pytest.mark.parametrize("size", [128, 192, 256])
def test_cmac_is_that_of_sp_800_38b(doing: Doing, size: int) -> None:
    for each in some(doing, records(f"CMAC/nist-800-38b-aes{size}.txt"), ALL):
        key, code = secret(SecretType.AES, octets(each, "key")), octets(each, "output")
        for length in (4, 8, 16):
            mechanism = AesCmac(length)
            assert doing.done(key, Verb.SIGN, mechanism, octets(each, "message")) == code[:length]
            assert verifies(doing, key, mechanism, octets(each, "message"), code[:length])
            assert not verifies(
                doing, key, mechanism, octets(each, "message") + b"x", code[:length]
            )

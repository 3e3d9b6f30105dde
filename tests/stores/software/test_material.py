"""What comes in as PKCS#8 or SubjectPublicKeyInfo: checked once, and weak or broken keys refused."""

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)
from hypothesis import given
from hypothesis import strategies as st
from tests.stores.software.published import octets, records
from tests.wire.ssh import samples

from keyholm.core.errors import AlgorithmUnsupported, BadKeyFile, KeyholmError
from keyholm.core.model import SecretType
from keyholm.stores.software import keys as software
from keyholm.stores.software.material import (
    MAX_KEY,
    Form,
    Material,
    describe,
    kept,
    pkcs8_of,
    public_of,
    secret_key,
)
from keyholm.stores.software.plain import plain_form
from keyholm.wire.ssh import keys


def pkcs8(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | dsa.DSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def point(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


@pytest.mark.parametrize("name", ["ed25519", "ecdsa256", "ecdsa384", "ecdsa521", "rsa", "dsa"])
def test_a_key_of_ssh_is_known_again(name: str) -> None:
    private = samples.private(name)
    with Material(Form.SSH, plain_form(private)) as before, pkcs8_of(before) as form:
        described = describe(form.view)
        assert described.private is not None
        software.check(described.private)
        assert described.private == private
        assert described.spki == keys.spki(private.public)
        again, _ = kept(form.view)
        with again:
            assert again.secret == before.secret


def test_short_rsa_keys_are_refused() -> None:
    """Of 511 bits, as cryptography does not make them any more."""
    p, q = 2**255 - 19, 2**256 - 189  # primes
    n, phi = p * q, (p - 1) * (q - 1)
    e = 65537
    d = pow(e, -1, phi)
    public = rsa.RSAPublicNumbers(e, n)
    numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public)
    key = numbers.private_key(unsafe_skip_rsa_key_validation=True)
    with pytest.raises(AlgorithmUnsupported, match="511 bits"):
        describe(memoryview(pkcs8(key)))
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(AlgorithmUnsupported, match="511 bits"):
        public_of(spki)


def test_rsa_numbers_that_do_not_belong_together_are_refused() -> None:
    numbers = rsa.generate_private_key(65537, 2048).private_numbers()
    public = numbers.public_numbers
    for d, iqmp in ((numbers.d + 2, numbers.iqmp), (numbers.d, numbers.iqmp + 1)):
        wrong = rsa.RSAPrivateNumbers(
            numbers.p, numbers.q, d, numbers.dmp1, numbers.dmq1, iqmp, public
        ).private_key(unsafe_skip_rsa_key_validation=True)
        with pytest.raises(BadKeyFile):
            describe(memoryview(pkcs8(wrong)))


@pytest.mark.parametrize("curve", [ec.SECP224R1, ec.SECP256R1, ec.SECP256K1])
def test_a_scalar_with_another_public_half_is_refused(curve: type[ec.EllipticCurve]) -> None:
    one, other = ec.generate_private_key(curve()), ec.generate_private_key(curve())
    whole = pkcs8(one)
    assert point(one) in whole
    with pytest.raises(BadKeyFile):
        describe(memoryview(whole.replace(point(one), point(other))))


@pytest.mark.parametrize("curve", [ec.BrainpoolP256R1, ec.BrainpoolP512R1])
def test_curves_that_are_not_offered_are_refused(curve: type[ec.EllipticCurve]) -> None:
    key = ec.generate_private_key(curve())
    with pytest.raises(AlgorithmUnsupported, match="brainpool"):
        describe(memoryview(pkcs8(key)))
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(AlgorithmUnsupported, match="brainpool"):
        public_of(spki)


def test_other_kinds_are_refused() -> None:
    with pytest.raises(AlgorithmUnsupported, match="1024"):
        describe(memoryview(pkcs8(dsa.generate_private_key(2048))))


def test_an_encrypted_key_is_none() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    form = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    with pytest.raises(BadKeyFile, match="encrypted"):
        describe(memoryview(form))


def test_a_key_that_is_too_long_to_be_one_is_not_looked_at() -> None:
    with pytest.raises(BadKeyFile, match="more than"):
        describe(memoryview(bytes(MAX_KEY + 1)))
    with pytest.raises(BadKeyFile, match="more than"):
        public_of(bytes(MAX_KEY + 1))


def test_a_point_off_its_curve_is_no_public_key() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(BadKeyFile):
        public_of(spki[:-1] + bytes([spki[-1] ^ 1]))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_key_or_an_error_of_ours(data: bytes) -> None:
    for reads in (lambda: describe(memoryview(data)), lambda: public_of(data)):
        with pytest.raises((BadKeyFile, AlgorithmUnsupported)):
            reads()


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_key_is_another_or_an_error_of_ours(at: int, change: int) -> None:
    for form in (P256, ED448):
        changed = bytearray(form)
        changed[at % len(form)] ^= change
        try:
            material, _ = kept(memoryview(changed))
        except KeyholmError:
            continue
        material.secret.close()


P256 = pkcs8(ec.generate_private_key(ec.SECP256R1()))
ED448 = bytes.fromhex(
    "3047020100300506032b6571043b0439"
    + octets(records("asymmetric/Ed448/rfc8032.txt")[0], "secret").hex()
)


@pytest.mark.parametrize(("kind", "size"), [("aes", 31), ("des3", 16), ("generic", 0)])
def test_a_secret_key_of_another_size_is_refused(kind: str, size: int) -> None:
    with pytest.raises(AlgorithmUnsupported, match=f"not {size}"):
        secret_key(SecretType(kind), memoryview(bytes(size)))


def test_what_is_kept_shows_nothing() -> None:
    material = secret_key(SecretType.AES, memoryview(b"0123456789abcdef"))
    with material:
        assert "0123" not in repr(material)


def test_pkcs8_is_written_anew() -> None:
    """Attributes and old layouts do not come along."""
    key = rsa.generate_private_key(65537, 2048)
    old = key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    material, _ = kept(memoryview(old))
    with material, pkcs8_of(material) as form:
        assert bytes(form.view) == pkcs8(key)
        assert isinstance(load_der_private_key(form.view, None), rsa.RSAPrivateKey)

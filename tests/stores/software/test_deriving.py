"""Derivation: what is refused."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.stores.software.loaded import ALL, key, secret_key

from keyholm.core.errors import DataInvalid, DataLengthInvalid, KeyholmError, MechanismUnsupported
from keyholm.core.mechanisms import (
    AesEcb,
    CounterKdf,
    Ecdh,
    Ecdsa,
    Hash,
    Hkdf,
    Kdf,
    Mechanism,
    MlKem,
    Pbkdf2,
    RsaPkcs1,
)
from keyholm.core.model import Algorithm, OtherAlgorithm, SecretType
from keyholm.stores.software.deriving import derive
from keyholm.stores.software.encapsulating import decapsulate, encapsulate
from keyholm.stores.software.families import Family, family
from keyholm.stores.software.generating import generate
from keyholm.stores.software.material import loaded

P256, X25519 = key(Algorithm.ECDSA_P256), key(OtherAlgorithm.X25519)
X448, KEM = key(OtherAlgorithm.X448), key(OtherAlgorithm.ML_KEM_768)
AES, GENERIC = secret_key(SecretType.AES, 32), secret_key(SecretType.GENERIC, 40)
POINT = b"\x09" + bytes(31)  # the base point: the same in each process, since it names tests
HKDF = Hkdf(Hash.SHA256, extract=True, expand=True, salt=None, info=b"")


@pytest.mark.parametrize(
    ("used", "point"),
    [
        # RFC 7748, 6.1: points of small order agree on zero with everybody.
        (X25519, bytes(32)),
        (X25519, b"\1" + bytes(31)),
        (X25519, bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")),
        (X25519, b"\xec" + b"\xff" * 30 + b"\x7f"),
        (X448, bytes(56)),
        (X448, b"\1" + bytes(55)),
        (X25519, b""),
        (X25519, bytes(31)),
        (X25519, bytes(33)),
        (X448, POINT),
        (P256, b""),
        (P256, b"\0"),  # the point at infinity
        (P256, POINT),
        (P256, b"\4" + bytes(64)),
        (P256, b"\4" + b"\xff" * 64),
        (P256, b"\5" + bytes(32)),
    ],
)
def test_a_bad_point_agrees_on_nothing(used: Any, point: bytes) -> None:
    for mechanism in (Ecdh(point), Ecdh(point, Kdf.X963, Hash.SHA256)):
        with pytest.raises(DataInvalid):
            derive(used, mechanism, 16)


def test_a_point_of_another_curve_agrees_on_nothing() -> None:
    other = key(OtherAlgorithm.SECP256K1).public_key()
    point = other.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    with pytest.raises(DataInvalid):
        derive(P256, Ecdh(point), 0)


def test_both_sides_agree_on_every_curve_with_every_kdf() -> None:
    for wanted in ALL:
        here = key(wanted)
        if family(here) not in (Family.EC, Family.MONTGOMERY):
            continue
        with generate(wanted).material as material:
            there = loaded(material)

        def point(of: Any) -> bytes:
            public = of.public_key()
            if family(of) is Family.EC:
                encoded: bytes = public.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
            else:
                encoded = public.public_bytes_raw()
            return encoded

        for kdf, name in ((Kdf.NONE, None), (Kdf.X963, Hash.SHA3_256), (Kdf.SP800_56A, Hash.SHA1)):
            one = derive(here, Ecdh(point(there), kdf, name, b"info"), 24)
            with one, derive(there, Ecdh(point(here), kdf, name, b"info"), 24) as other:
                assert one == other


@pytest.mark.parametrize(
    ("used", "mechanism", "size"),
    [
        (X25519, Ecdh(POINT), 33),
        (X25519, Ecdh(POINT), -1),
        (X25519, Ecdh(POINT, Kdf.X963, Hash.SHA256), 0),
        (X25519, Ecdh(POINT, Kdf.SP800_56A, Hash.SHA256), 4097),
        (GENERIC, HKDF, 0),
        (GENERIC, HKDF, 4097),
        (GENERIC, Hkdf(Hash.SHA1, extract=False, expand=True, salt=None, info=b""), 0),
        (GENERIC, Hkdf(Hash.SHA1, extract=True, expand=False, salt=None, info=b""), 16),
        (GENERIC, Pbkdf2(Hash.SHA256, b"salt", 1), 0),
        (GENERIC, CounterKdf(Hash.SHA256, b"", b"x", 4), 0),
        (AES, CounterKdf(None, b"", b"x", 1), 255 * 16 + 1),
    ],
)
def test_lengths_that_cannot_be_are_refused(used: Any, mechanism: Mechanism, size: int) -> None:
    with pytest.raises(DataLengthInvalid):
        derive(used, mechanism, size)


@pytest.mark.parametrize(
    ("used", "mechanism"),
    [
        (X25519, Ecdh(POINT, Kdf.X963)),
        (X25519, Ecdh(POINT, Kdf.X963, Hash.SHA256, bytes(64 * 1024 + 1))),
        (X25519.public_key(), Ecdh(POINT)),
        (GENERIC, Hkdf(Hash.SHA1, extract=False, expand=False, salt=None, info=b"")),
        (GENERIC, Hkdf(Hash.SHA1, extract=True, expand=True, salt=bytes(2**17), info=b"")),
        (GENERIC, Pbkdf2(Hash.SHA256, b"", 0)),
        (GENERIC, Pbkdf2(Hash.SHA256, b"", -1)),
        (GENERIC, Pbkdf2(Hash.SHA256, b"", 10_000_001)),
        (GENERIC, Pbkdf2(Hash.SHA256, b"", 2**40)),
        (GENERIC, CounterKdf(None, b"", b"", 4)),
        (GENERIC, CounterKdf(Hash.SHA256, b"", b"", 0)),
        (GENERIC, CounterKdf(Hash.SHA256, b"", b"", 5)),
        (AES, CounterKdf(Hash.SHA256, b"", b"", 4)),
        (secret_key(SecretType.AES, 64), CounterKdf(None, b"", b"", 4)),
        (AES, HKDF),
        (AES, AesEcb()),
        (GENERIC, Ecdh(POINT)),
        (P256, Ecdsa()),
        (P256, HKDF),
        (key(Algorithm.ED25519), Ecdh(POINT)),
        (key(Algorithm.RSA_2048), RsaPkcs1()),
        (KEM, MlKem()),
    ],
)
def test_what_derives_nothing_is_refused(used: Any, mechanism: Mechanism) -> None:
    with pytest.raises(MechanismUnsupported) as caught:
        derive(used, mechanism, 16)
    assert caught.value.what.endswith(".")


def test_the_rounds_are_bounded_with_the_length() -> None:
    """Each block of the result runs all the rounds."""
    with pytest.raises(MechanismUnsupported, match="1 to 2500000 rounds"):
        derive(GENERIC, Pbkdf2(Hash.SHA256, b"salt", 2_500_001), 128)


@pytest.mark.parametrize("size", [0, 1, 1087, 1089, 4000])
def test_a_ciphertext_of_another_length_is_none(size: int) -> None:
    with pytest.raises(DataLengthInvalid):
        decapsulate(KEM, MlKem(), bytes(size))


def test_only_ml_kem_encapsulates() -> None:
    for used in (P256, AES, X25519.public_key()):
        with pytest.raises(MechanismUnsupported):
            encapsulate(used, MlKem())
        with pytest.raises(MechanismUnsupported):
            decapsulate(used, MlKem(), bytes(1088))
    with pytest.raises(MechanismUnsupported):
        decapsulate(KEM.public_key(), MlKem(), bytes(1088))
    with pytest.raises(MechanismUnsupported):
        encapsulate(KEM, Ecdh(POINT))
    with pytest.raises(KeyholmError, match="32 bytes"):
        encapsulate(KEM, MlKem(), 16)

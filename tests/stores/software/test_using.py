"""Uses of keys in parts: what was encrypted is decrypted, parts make no difference, and whatever
does not fit is refused before it does anything."""

from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stores.software.loaded import ALL, key, secret_key
from tests.stores.software.published import Software

from keyholm.core.errors import (
    DataInvalid,
    DataLengthInvalid,
    KeyholmError,
    MechanismUnsupported,
    SignatureInvalid,
)
from keyholm.core.mechanisms import (
    AesCbc,
    AesCcm,
    AesCmac,
    AesCtr,
    AesEcb,
    AesGcm,
    AesKeyWrap,
    AesXts,
    ChaCha20Poly1305,
    CounterKdf,
    Des3Cbc,
    Des3Ecb,
    Dsa,
    Ecdh,
    Ecdsa,
    EdDsa,
    Hash,
    Hkdf,
    Hmac,
    Mechanism,
    MlDsa,
    MlDsa44Ed25519,
    MlKem,
    Pbkdf2,
    RsaOaep,
    RsaPkcs1,
    RsaPkcs1Encryption,
    RsaPss,
    RsaRaw,
    SecurityKey,
    Value,
    Vendor,
    Verb,
)
from keyholm.core.model import Algorithm, OtherAlgorithm, SecretType
from keyholm.core.secret import Secret
from keyholm.stores.software import running, using
from keyholm.stores.software.families import Family, family, is_public
from keyholm.stores.software.secret_keys import SecretValue

AES, XTS = secret_key(SecretType.AES, 32), secret_key(SecretType.AES, 64)
DES3, GENERIC = secret_key(SecretType.DES3, 24), secret_key(SecretType.GENERIC, 40)
CHACHA20 = secret_key(SecretType.CHACHA20, 32)
RSA, EC = key(Algorithm.RSA_2048), key(Algorithm.ECDSA_P256)
SOFTWARE = Software()
K = 256  # bytes of RSA

# A key, how it encrypts, and which lengths it takes.
ANY, BLOCKS = range(2000), range(0, 2000, 16)
CIPHERS: list[tuple[Any, Mechanism, range]] = [
    (AES, AesEcb(), BLOCKS),
    (AES, AesCbc(bytes(16), padded=False), BLOCKS),
    (AES, AesCbc(bytes(16), padded=True), ANY),
    (AES, AesCtr(bytes(16), 128), ANY),
    (AES, AesCtr(b"\xff" * 12 + bytes(4), 32), ANY),
    (AES, AesGcm(bytes(12), b"aad", 16), ANY),
    (AES, AesGcm(bytes(8), b"", 4), ANY),
    (AES, AesKeyWrap(padded=False), range(16, 2000, 8)),
    (AES, AesKeyWrap(padded=True), range(1, 2000)),
    (AES, AesXts(bytes(16)), range(16, 2000)),
    (XTS, AesXts(bytes(16)), range(16, 2000)),
    (CHACHA20, ChaCha20Poly1305(bytes(12), b"aad"), ANY),
    (DES3, Des3Ecb(), range(0, 2000, 8)),
    (DES3, Des3Cbc(bytes(8), padded=False), range(0, 2000, 8)),
    (DES3, Des3Cbc(bytes(8), padded=True), ANY),
    (RSA, RsaPkcs1Encryption(), range(K - 11 + 1)),
    (RSA, RsaOaep(Hash.SHA256, Hash.SHA1, b"label"), range(K - 2 * 32 - 2 + 1)),
]
RANDOM = [
    each for each in CIPHERS if isinstance(each[1], RsaPkcs1Encryption | RsaOaep)
]  # gives others each time
SIGNATURES: list[tuple[Any, Mechanism]] = [
    (RSA, RsaPkcs1(Hash.SHA256)),
    (RSA, RsaPkcs1(Hash.SHA3_512)),
    (RSA, RsaPkcs1()),
    (RSA, RsaPss(Hash.SHA256, Hash.SHA256, 32)),
    (EC, Ecdsa(Hash.SHA512)),
    (EC, Ecdsa()),
    (key(OtherAlgorithm.SECP256K1), Ecdsa(Hash.SHA3_256)),
    (key(OtherAlgorithm.ECDSA_P224), Ecdsa()),
    (key(Algorithm.ECDSA_P521), Ecdsa()),
    (key(Algorithm.ED25519), EdDsa()),
    (key(OtherAlgorithm.ED448), EdDsa()),
    (key(OtherAlgorithm.ML_DSA_44), MlDsa()),
    (key(OtherAlgorithm.ML_DSA_87), MlDsa(b"context")),
    (GENERIC, Hmac(Hash.SHA3_384, 48)),
    (AES, AesCmac(16)),
]


# --- encryption ----------------------------------------------------------------------


@pytest.mark.parametrize(("used", "mechanism", "sizes"), CIPHERS)
@settings(max_examples=25)
@given(data=st.data())
def test_what_was_encrypted_is_decrypted_in_whatever_parts(
    used: Any, mechanism: Mechanism, sizes: range, data: st.DataObject
) -> None:
    size = data.draw(st.sampled_from(sizes))
    plain = (data.draw(st.binary(min_size=1, max_size=64)) * size)[:size]
    one, other = data.draw(st.integers(1, 300)), data.draw(st.integers(1, 300))
    encrypted = SOFTWARE.in_parts(used, Verb.ENCRYPT, mechanism, plain, one)

    assert SOFTWARE.in_parts(used, Verb.DECRYPT, mechanism, encrypted, other) == plain
    if (used, mechanism, sizes) not in RANDOM:
        assert SOFTWARE.done(used, Verb.ENCRYPT, mechanism, plain) == encrypted


@pytest.mark.parametrize(("used", "mechanism", "sizes"), CIPHERS)
def test_the_longest_and_the_shortest_fit_and_others_do_not(
    used: Any, mechanism: Mechanism, sizes: range
) -> None:
    for size in {sizes[0], sizes[1], sizes[-1]}:
        encrypted = SOFTWARE.done(used, Verb.ENCRYPT, mechanism, bytes(size))
        assert SOFTWARE.done(used, Verb.DECRYPT, mechanism, encrypted) == bytes(size)
    wrong = {size for size in (0, 1, 8, 15, 17, 24, 33) if size not in sizes and size < sizes[-1]}
    if isinstance(mechanism, RsaPkcs1Encryption | RsaOaep):
        wrong |= {sizes[-1] + 1, K, K + 1}
    for size in wrong:
        with pytest.raises(DataLengthInvalid):
            SOFTWARE.done(used, Verb.ENCRYPT, mechanism, bytes(size))


@pytest.mark.parametrize(
    ("used", "mechanism"),
    [(used, mechanism) for used, mechanism, _ in CIPHERS]
    + [(AES, AesCcm(bytes(12), b"aad", 8, 40))],
)
def test_what_was_changed_gives_an_error_of_ours_or_other_bytes(
    used: Any, mechanism: Mechanism
) -> None:
    encrypted = SOFTWARE.done(used, Verb.ENCRYPT, mechanism, bytes(fitting(mechanism)))
    authentic = isinstance(mechanism, AesGcm | AesCcm | AesKeyWrap | ChaCha20Poly1305)
    for at in range(0, len(encrypted), 3):
        changed = bytearray(encrypted)
        changed[at] ^= 1
        try:
            plain = SOFTWARE.done(used, Verb.DECRYPT, mechanism, bytes(changed))
        except DataInvalid:
            continue
        assert not authentic
        assert plain != bytes(fitting(mechanism))
    for size in range(len(encrypted)):
        try:
            plain = SOFTWARE.done(used, Verb.DECRYPT, mechanism, encrypted[:size])
        except (DataInvalid, DataLengthInvalid):
            continue
        assert not authentic
        assert len(plain) <= size


def fitting(mechanism: Mechanism) -> int:
    return 32 if isinstance(mechanism, AesEcb | AesCbc) else 40


def test_another_key_or_other_data_beside_it_decrypts_nothing() -> None:
    mechanism = AesGcm(bytes(12), b"", 16)
    encrypted = SOFTWARE.done(AES, Verb.ENCRYPT, mechanism, b"secret")
    for used, by in (
        (secret_key(SecretType.AES, 16), mechanism),
        (AES, AesGcm(bytes(12), b"x", 16)),
        (AES, AesGcm(bytes(11) + b"x", b"", 16)),
    ):
        with pytest.raises(DataInvalid):
            SOFTWARE.done(used, Verb.DECRYPT, by, encrypted)


def test_nothing_decrypted_leaves_before_its_tag_was_found_right() -> None:
    for used, mechanism in (
        (AES, AesGcm(bytes(12), b"", 16)),
        (AES, AesCcm(bytes(12), b"", 16, 1000)),
        (CHACHA20, ChaCha20Poly1305(bytes(12), b"")),
    ):
        encrypted = SOFTWARE.done(used, Verb.ENCRYPT, mechanism, bytes(1000))
        begun = using.begin(used, Verb.DECRYPT, mechanism)
        assert begun.update(encrypted) == b""
        assert begun.finish() == bytes(1000)


def test_ciphertexts_of_another_length_than_there_can_be_are_refused() -> None:
    for used, mechanism, data in (
        (AES, AesCbc(bytes(16), padded=True), b""),
        (DES3, Des3Cbc(bytes(8), padded=True), b""),
        (AES, AesCcm(bytes(12), b"", 16, 40), bytes(40 + 15)),
        (AES, AesCcm(bytes(12), b"", 16, 40), bytes(40 + 17)),
        (AES, AesCcm(bytes(12), b"", 16, 40), bytes(15)),
        (AES, AesGcm(bytes(12), b"", 16), bytes(15)),
        (CHACHA20, ChaCha20Poly1305(bytes(12), b""), bytes(15)),
    ):
        with pytest.raises(DataLengthInvalid):
            SOFTWARE.done(used, Verb.DECRYPT, mechanism, data)


def test_what_can_leave_early_does() -> None:
    for mechanism in (
        AesGcm(bytes(12), b"", 16),
        AesCbc(bytes(16), padded=True),
        AesCtr(bytes(16), 128),
    ):
        begun = using.begin(AES, Verb.ENCRYPT, mechanism)
        assert len(begun.update(bytes(1024))) >= 1008


def test_a_counter_does_not_run_over() -> None:
    for bits, counter, blocks in ((1, 0, 2), (4, 13, 3), (8, 255, 1), (128, 2**128 - 2, 2)):
        mechanism = AesCtr(counter.to_bytes(16), bits)
        assert len(SOFTWARE.done(AES, Verb.ENCRYPT, mechanism, bytes(blocks * 16))) == blocks * 16
        with pytest.raises(DataLengthInvalid):
            SOFTWARE.done(AES, Verb.ENCRYPT, mechanism, bytes(blocks * 16 + 1))
        with pytest.raises(DataLengthInvalid):
            SOFTWARE.in_parts(AES, Verb.DECRYPT, mechanism, bytes(blocks * 16 + 1), 16)


def test_pkcs1_says_nothing_about_its_padding() -> None:
    """Bleichenbacher's question is not answered: other bytes come, the same each time."""
    for number in range(2, 40):
        answer = SOFTWARE.done(RSA, Verb.DECRYPT, RsaPkcs1Encryption(), number.to_bytes(K))
        assert answer == SOFTWARE.done(RSA, Verb.DECRYPT, RsaPkcs1Encryption(), number.to_bytes(K))
        assert len(answer) <= K - 11


@pytest.mark.parametrize("mechanism", [RsaPkcs1Encryption(), RsaOaep(Hash.SHA1, Hash.SHA1)])
def test_rsa_decrypts_its_own_length_only(mechanism: Mechanism) -> None:
    for size in (0, 1, K - 1):
        with pytest.raises(DataLengthInvalid):
            SOFTWARE.done(RSA, Verb.DECRYPT, mechanism, bytes(size))
    with pytest.raises(DataLengthInvalid):
        SOFTWARE.done(RSA, Verb.DECRYPT, mechanism, bytes(K + 1))
    with pytest.raises(DataInvalid):  # larger than the modulus
        SOFTWARE.done(RSA, Verb.DECRYPT, mechanism, b"\xff" * K)


def test_raw_rsa_takes_one_number_below_the_modulus() -> None:
    plain = b"\1\2\3"
    encrypted = SOFTWARE.done(RSA, Verb.ENCRYPT, RsaRaw(), plain)
    assert SOFTWARE.done(RSA, Verb.DECRYPT, RsaRaw(), encrypted) == plain.rjust(K, b"\0")
    signature = SOFTWARE.done(RSA, Verb.SIGN, RsaRaw(), plain)
    SOFTWARE.done(RSA, Verb.VERIFY, RsaRaw(), plain, signature)
    for number in (0, 1):
        assert SOFTWARE.done(RSA, Verb.DECRYPT, RsaRaw(), bytes([number])) == number.to_bytes(K)
    for verb in (Verb.ENCRYPT, Verb.DECRYPT, Verb.SIGN):
        for size in (0, K + 1):
            with pytest.raises(DataLengthInvalid):
                SOFTWARE.done(RSA, verb, RsaRaw(), bytes(size))
        modulus = RSA.public_key().public_numbers().n
        with pytest.raises(DataInvalid):
            SOFTWARE.done(RSA, verb, RsaRaw(), modulus.to_bytes(K))
    for bad in (b"", signature[:-1], signature + b"\0", b"\xff" * K, bytes(K)):
        with pytest.raises(SignatureInvalid):
            SOFTWARE.done(RSA, Verb.VERIFY, RsaRaw(), plain, bad)


# --- signatures ----------------------------------------------------------------------


@pytest.mark.parametrize(("used", "mechanism"), SIGNATURES)
@settings(max_examples=15)
@given(data=st.data())
def test_what_was_signed_is_verified_in_whatever_parts(
    used: Any, mechanism: Mechanism, data: st.DataObject
) -> None:
    message = data.draw(st.binary(min_size=1, max_size=200))
    one, other = data.draw(st.integers(1, 250)), data.draw(st.integers(1, 250))
    signature = SOFTWARE.in_parts(used, Verb.SIGN, mechanism, message, one)
    halves = [used] if isinstance(used, SecretValue) else [used, used.public_key()]
    for half in halves:
        SOFTWARE.in_parts(half, Verb.VERIFY, mechanism, message, other, signature)
        with pytest.raises(SignatureInvalid):
            SOFTWARE.in_parts(half, Verb.VERIFY, mechanism, flipped(message), other, signature)


def flipped(message: bytes) -> bytes:
    return bytes([message[0] ^ 0x80]) + message[1:]


@pytest.mark.parametrize(("used", "mechanism"), SIGNATURES)
def test_a_signature_that_was_changed_or_cut_is_none(used: Any, mechanism: Mechanism) -> None:
    message = b"what is signed"
    signature = SOFTWARE.done(used, Verb.SIGN, mechanism, message)
    for at in {0, len(signature) // 2, len(signature) - 1}:
        changed = bytearray(signature)
        changed[at] ^= 1
        with pytest.raises(SignatureInvalid):
            SOFTWARE.done(used, Verb.VERIFY, mechanism, message, bytes(changed))
    cut = (b"", signature[:1], signature[:-1], signature + b"\0", b"\0" + signature)
    for bad in (*cut, bytes(len(signature)), b"\xff" * len(signature)):
        with pytest.raises(SignatureInvalid):
            SOFTWARE.done(used, Verb.VERIFY, mechanism, message, bad)


def test_r_and_s_have_the_width_of_the_curve() -> None:
    """Else whoever sees a signature could write another for the same message."""
    signature = SOFTWARE.done(EC, Verb.SIGN, Ecdsa(Hash.SHA256), b"what is signed")
    wider = b"\0" + signature[:32] + b"\0" + signature[32:]
    with pytest.raises(SignatureInvalid):
        SOFTWARE.done(EC, Verb.VERIFY, Ecdsa(Hash.SHA256), b"what is signed", wider)


@pytest.mark.parametrize(
    ("used", "mechanism"),
    [each for each in SIGNATURES if each[1] not in (Ecdsa(), RsaPkcs1())],
)
def test_an_empty_message_is_signed(used: Any, mechanism: Mechanism) -> None:
    signature = SOFTWARE.done(used, Verb.SIGN, mechanism, b"")
    SOFTWARE.done(used, Verb.VERIFY, mechanism, b"", signature)


def test_raw_signatures_take_what_fits() -> None:
    signature = SOFTWARE.done(RSA, Verb.SIGN, RsaPkcs1(), b"")
    SOFTWARE.done(RSA, Verb.VERIFY, RsaPkcs1(), b"", signature)
    longest = SOFTWARE.done(RSA, Verb.SIGN, RsaPkcs1(), bytes(K - 11))
    SOFTWARE.done(RSA, Verb.VERIFY, RsaPkcs1(), bytes(K - 11), longest)
    for verb in (Verb.SIGN, Verb.VERIFY):
        with pytest.raises(DataLengthInvalid):
            SOFTWARE.done(RSA, verb, RsaPkcs1(), bytes(K - 10), longest)
        for size in (0, 1025):
            with pytest.raises(DataLengthInvalid):
                SOFTWARE.done(EC, verb, Ecdsa(), bytes(size), bytes(64))
        prehashed = RsaPss(Hash.SHA256, Hash.SHA256, 32, prehashed=True)
        for size in (0, 31, 33):
            with pytest.raises(DataLengthInvalid):
                SOFTWARE.done(RSA, verb, prehashed, bytes(size), bytes(K))


# --- what a key cannot ---------------------------------------------------------------

MECHANISMS: tuple[Mechanism, ...] = (
    EdDsa(),
    Ecdsa(),
    Ecdsa(Hash.SHA256),
    RsaPkcs1(),
    RsaPkcs1(Hash.SHA256),
    RsaPss(Hash.SHA256, Hash.SHA256, 32),
    Dsa(),
    MlDsa44Ed25519(),
    MlDsa(),
    SecurityKey(),
    Hmac(Hash.SHA256, 32),
    AesCmac(),
    RsaPkcs1Encryption(),
    RsaOaep(Hash.SHA1, Hash.SHA1),
    RsaRaw(),
    AesEcb(),
    AesCbc(bytes(16), padded=True),
    AesCtr(bytes(16), 128),
    AesGcm(bytes(12), b"", 16),
    AesCcm(bytes(12), b"", 16, 0),
    AesXts(bytes(16)),
    AesKeyWrap(padded=True),
    ChaCha20Poly1305(bytes(12), b""),
    Des3Ecb(),
    Des3Cbc(bytes(8), padded=True),
    Ecdh(b""),
    Hkdf(Hash.SHA256, extract=True, expand=True, salt=None, info=b""),
    Pbkdf2(Hash.SHA256, b"", 1),
    CounterKdf(Hash.SHA256, b"", b"", 4),
    MlKem(),
    Value(),
    Vendor(0x80000001),
)
SIGNING = {
    (Family.RSA, RsaPkcs1),
    (Family.RSA, RsaPss),
    (Family.RSA, RsaRaw),
    (Family.EC, Ecdsa),
    (Family.EDWARDS, EdDsa),
    (Family.ML_DSA, MlDsa),
    (Family.COMPOSITE, MlDsa44Ed25519),
    (Family.GENERIC, Hmac),
    (Family.AES, AesCmac),
}
ENCRYPTING = {(family(used), type(mechanism)) for used, mechanism, _ in CIPHERS} | {
    (Family.AES, AesCcm),
    (Family.RSA, RsaRaw),
}


def every_use() -> Iterator[tuple[Any, Verb, Mechanism, bool]]:
    """With whether it may be; that is written down here and not taken from the tables."""
    for wanted in ALL:
        used = key(wanted)
        halves = [used, used.public_key()] if hasattr(used, "public_key") else [used]
        for half in halves:
            for mechanism in MECHANISMS:
                way = (family(half), type(mechanism))
                public = is_public(half)
                yield half, Verb.SIGN, mechanism, way in SIGNING and not public
                verifies = way in SIGNING and way[0] is not Family.COMPOSITE
                yield half, Verb.VERIFY, mechanism, verifies
                yield half, Verb.ENCRYPT, mechanism, way in ENCRYPTING
                yield half, Verb.DECRYPT, mechanism, way in ENCRYPTING and not public
                for verb in (Verb.DERIVE, Verb.EXPORT, Verb.ENCAPSULATE):
                    yield half, verb, mechanism, False


def for_xts_only(used: Any, mechanism: Mechanism) -> bool:
    """An AES key of 64 bytes, and those of 24, which are no two keys."""
    if not isinstance(used, SecretValue) or used.type is not SecretType.AES:
        return False
    size = len(used.view)
    return size in (16, 24) if isinstance(mechanism, AesXts) else size == 64


def test_every_key_does_what_it_should_and_says_what_it_does_not() -> None:
    count = 0
    for used, verb, mechanism, allowed in every_use():
        count += 1
        if allowed and not for_xts_only(used, mechanism):
            using.begin(used, verb, mechanism)
            continue
        with pytest.raises(MechanismUnsupported) as caught:
            using.begin(used, verb, mechanism)
        assert caught.value.what.endswith(".")
    assert count > 5000


@pytest.mark.parametrize("verb", [Verb.SIGN, Verb.VERIFY, Verb.ENCRYPT, Verb.DECRYPT])
@pytest.mark.parametrize(
    ("used", "mechanism"),
    [
        (AES, AesCbc(bytes(15), padded=True)),
        (AES, AesCbc(b"", padded=False)),
        (AES, AesCtr(bytes(15), 128)),
        (AES, AesCtr(bytes(16), 0)),
        (AES, AesCtr(bytes(16), 129)),
        (AES, AesGcm(b"", b"", 16)),
        (AES, AesGcm(bytes(7), b"", 16)),
        (AES, AesGcm(bytes(129), b"", 16)),
        (AES, AesGcm(bytes(12), b"", 0)),
        (AES, AesGcm(bytes(12), b"", 5)),
        (AES, AesGcm(bytes(12), b"", 17)),
        (AES, AesCcm(bytes(6), b"", 16, 0)),
        (AES, AesCcm(bytes(14), b"", 16, 0)),
        (AES, AesCcm(bytes(12), b"", 5, 0)),
        (AES, AesCcm(bytes(12), b"", 0, 0)),
        (AES, AesCcm(bytes(12), b"", 18, 0)),
        (AES, AesXts(bytes(15))),
        (CHACHA20, ChaCha20Poly1305(bytes(8), b"")),
        (DES3, Des3Cbc(bytes(16), padded=True)),
        (AES, AesCmac(0)),
        (AES, AesCmac(3)),
        (AES, AesCmac(17)),
        (GENERIC, Hmac(Hash.SHA256, 0)),
        (GENERIC, Hmac(Hash.SHA256, 33)),
        (GENERIC, Hmac(Hash.SHA256, -4)),
        (key(OtherAlgorithm.ML_DSA_44), MlDsa(bytes(256))),
        (RSA, RsaPss(Hash.SHA256, Hash.SHA256, K)),
        (RSA, RsaPss(Hash.SHA256, Hash.SHA256, -1)),
        (RSA, RsaOaep(Hash.SHA3_256, Hash.SHA3_256)),
        (RSA, RsaOaep(Hash.SHA256, Hash.SHA3_256)),
    ],
)
def test_parameters_that_cannot_be_are_refused(used: Any, mechanism: Mechanism, verb: Verb) -> None:
    with pytest.raises(MechanismUnsupported):
        using.begin(used, verb, mechanism)


def test_a_hash_too_long_for_a_key_is_refused() -> None:
    short = rsa.generate_private_key(65537, 1024)
    with pytest.raises(MechanismUnsupported, match="too short"):
        using.begin(short, Verb.ENCRYPT, RsaOaep(Hash.SHA512, Hash.SHA512))


@pytest.mark.parametrize("length", [-1, 2**24, running.MOST + 1])
def test_a_length_that_ccm_cannot_have_is_refused(length: int) -> None:
    with pytest.raises(DataLengthInvalid):
        using.begin(AES, Verb.ENCRYPT, AesCcm(bytes(12), b"", 16, length))


def test_what_is_collected_has_a_bound() -> None:
    collected = running.Collected(lambda data, _: bytes(data), most=100)
    collected.update(bytes(100))
    with pytest.raises(DataLengthInvalid, match="at most 100"):
        collected.update(b"x")
    begun = using.begin(key(Algorithm.ED25519), Verb.SIGN, EdDsa())
    for _ in range(64):
        begun.update(bytes(1 << 20))
    with pytest.raises(DataLengthInvalid, match="at most 67108864"):
        begun.update(b"x")


def test_xts_wants_two_keys_that_differ() -> None:
    twice = SecretValue(SecretType.AES, Secret.of(bytes(16) * 2))
    with pytest.raises(MechanismUnsupported, match="differ"):
        using.begin(twice, Verb.ENCRYPT, AesXts(bytes(16)))


def test_errors_are_ours() -> None:
    """Whatever a program sends: an answer or an error that has a name."""
    for used, verb, mechanism, allowed in every_use():
        if not allowed or for_xts_only(used, mechanism):
            continue
        if family(used) is Family.RSA and isinstance(mechanism, RsaRaw):
            continue  # slow, and done above
        for data in (b"", b"\0" * 16, b"\xff" * 300):
            try:
                SOFTWARE.done(used, verb, mechanism, data, data)
            except KeyholmError:
                continue

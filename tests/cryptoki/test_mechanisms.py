"""What each mechanism is in the core, and which parameters it can have."""

import hashlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyholm.core import mechanisms as core
from keyholm.core.mechanisms import Digest, Hash, Kdf, Message, Opaque
from keyholm.cryptoki import mechanisms
from keyholm.cryptoki.mechanisms import ROWS, Chosen, chosen, hasher, info, listed
from keyholm.cryptoki.parameters import HASH_SIZES
from keyholm.cryptoki.wrong import Wrong
from keyholm.wire import der
from keyholm.wire.pkcs11 import parameters
from keyholm.wire.pkcs11.constants import CK, CKD, CKF, CKG, CKH, CKK, CKM, CKP, CKR, CKZ
from keyholm.wire.pkcs11.mechanisms import FORMS, PARAMETERLESS, Mechanism
from keyholm.wire.pkcs11.parameters import CounterFormat, DataParam, DkmLength, Parameter

FUNCTIONS = {
    *(CKF.SIGN, CKF.VERIFY, CKF.ENCRYPT, CKF.DECRYPT, CKF.WRAP, CKF.UNWRAP, CKF.DERIVE),
    *(CKF.GENERATE, CKF.GENERATE_KEY_PAIR, CKF.DIGEST, CKF.ENCAPSULATE, CKF.DECAPSULATE),
}
POINT = b"\4" + bytes(64)
IV16 = parameters.Iv(bytes(16))
KDF = parameters.CounterKdf(
    CKM.SHA256_HMAC,
    (
        DataParam(CK.SP800_108_BYTE_ARRAY, b"a"),
        DataParam(CK.SP800_108_ITERATION_VARIABLE, CounterFormat(False, 32)),
        DataParam(CK.SP800_108_BYTE_ARRAY, b"b"),
    ),
    0,
)
PBKDF2 = parameters.Pbkdf2(
    CKZ.SALT_SPECIFIED, b"salt", 1000, CKP.PKCS5_PBKD2_HMAC_SHA256, b"", memoryview(b"pw")
)
# A good parameter of each kind, and what comes of it with one mechanism.
GOOD: list[tuple[int, int, Parameter | None, object]] = [
    (CKM.RSA_PKCS, CKF.SIGN, None, core.RsaPkcs1()),
    (CKM.RSA_PKCS, CKF.VERIFY, None, core.RsaPkcs1()),
    (CKM.RSA_PKCS, CKF.ENCRYPT, None, core.RsaPkcs1Encryption()),
    (CKM.RSA_PKCS, CKF.UNWRAP, None, core.RsaPkcs1Encryption()),
    (CKM.SHA1_RSA_PKCS, CKF.SIGN, None, core.RsaPkcs1(Hash.SHA1)),
    (CKM.SHA3_384_RSA_PKCS, CKF.SIGN, None, core.RsaPkcs1(Hash.SHA3_384)),
    (
        CKM.RSA_PKCS_PSS,
        CKF.SIGN,
        parameters.Pss(CKM.SHA256, CKG.MGF1_SHA384, 20),
        core.RsaPss(Hash.SHA256, Hash.SHA384, 20, prehashed=True),
    ),
    (
        CKM.SHA1_RSA_PKCS_PSS,
        CKF.SIGN,
        parameters.Pss(CKM.SHA_1, CKG.MGF1_SHA1, 0),
        core.RsaPss(Hash.SHA1, Hash.SHA1, 0),
    ),
    (
        CKM.RSA_PKCS_OAEP,
        CKF.DECRYPT,
        parameters.Oaep(CKM.SHA_1, CKG.MGF1_SHA256, CKZ.DATA_SPECIFIED, b"label"),
        core.RsaOaep(Hash.SHA1, Hash.SHA256, b"label"),
    ),
    (
        CKM.RSA_PKCS_OAEP,
        CKF.WRAP,
        parameters.Oaep(CKM.SHA512, CKG.MGF1_SHA512, 0, b""),
        core.RsaOaep(Hash.SHA512, Hash.SHA512),
    ),
    (CKM.ECDSA, CKF.SIGN, None, core.Ecdsa()),
    (CKM.ECDSA_SHA1, CKF.SIGN, None, core.Ecdsa(Hash.SHA1)),
    (CKM.ECDSA_SHA3_224, CKF.VERIFY, None, core.Ecdsa(Hash.SHA3_224)),
    (CKM.EDDSA, CKF.SIGN, None, core.EdDsa()),
    (CKM.EDDSA, CKF.SIGN, parameters.Eddsa(False, b""), core.EdDsa()),
    (CKM.ML_DSA, CKF.SIGN, None, core.MlDsa()),
    (
        CKM.ML_DSA,
        CKF.SIGN,
        parameters.SignContext(CKH.HEDGE_REQUIRED, b"ctx"),
        core.MlDsa(b"ctx"),
    ),
    (CKM.ML_KEM, CKF.ENCAPSULATE, None, core.MlKem()),
    (CKM.SHA_1_HMAC, CKF.SIGN, None, core.Hmac(Hash.SHA1, 20)),
    (CKM.SHA3_512_HMAC, CKF.VERIFY, None, core.Hmac(Hash.SHA3_512, 64)),
    (CKM.SHA256_HMAC_GENERAL, CKF.SIGN, parameters.Number(16), core.Hmac(Hash.SHA256, 16)),
    (CKM.AES_CMAC, CKF.SIGN, None, core.AesCmac(16)),
    (CKM.AES_CMAC_GENERAL, CKF.SIGN, parameters.Number(8), core.AesCmac(8)),
    (CKM.AES_ECB, CKF.ENCRYPT, None, core.AesEcb()),
    (CKM.AES_CBC, CKF.ENCRYPT, IV16, core.AesCbc(bytes(16), False)),
    (CKM.AES_CBC_PAD, CKF.WRAP, IV16, core.AesCbc(bytes(16), True)),
    (CKM.AES_CTR, CKF.DECRYPT, parameters.Counter(32, bytes(16)), core.AesCtr(bytes(16), 32)),
    (
        CKM.AES_GCM,
        CKF.ENCRYPT,
        parameters.Gcm(bytes(12), 0, b"aad", 128),
        core.AesGcm(bytes(12), b"aad", 16),
    ),
    (
        CKM.AES_CCM,
        CKF.ENCRYPT,
        parameters.Ccm(100, bytes(13), b"aad", 8),
        core.AesCcm(bytes(13), b"aad", 8, 100),
    ),
    (CKM.AES_XTS, CKF.ENCRYPT, IV16, core.AesXts(bytes(16))),
    (CKM.AES_KEY_WRAP, CKF.WRAP, None, core.AesKeyWrap(False)),
    (CKM.AES_KEY_WRAP, CKF.WRAP, parameters.Iv(b"\xa6" * 8), core.AesKeyWrap(False)),
    (CKM.AES_KEY_WRAP_PAD, CKF.UNWRAP, None, core.AesKeyWrap(True)),
    (CKM.AES_KEY_WRAP_KWP, CKF.WRAP, parameters.Iv(b"\xa6YY\xa6"), core.AesKeyWrap(True)),
    (
        CKM.CHACHA20_POLY1305,
        CKF.ENCRYPT,
        parameters.ChaCha20Poly1305(bytes(12), b"aad"),
        core.ChaCha20Poly1305(bytes(12), b"aad"),
    ),
    (
        CKM.ECDH1_DERIVE,
        CKF.DERIVE,
        parameters.Ecdh1(CKD.NULL, b"", POINT),
        core.Ecdh(POINT),
    ),
    (  # many programs wrap the point
        CKM.ECDH1_DERIVE,
        CKF.DERIVE,
        parameters.Ecdh1(CKD.SHA1_KDF, b"shared", der.octet_string(POINT)),
        core.Ecdh(POINT, Kdf.X963, Hash.SHA1, b"shared"),
    ),
    (
        CKM.ECDH1_COFACTOR_DERIVE,
        CKF.DERIVE,
        parameters.Ecdh1(CKD.SHA3_256_KDF_SP800, b"", bytes(32)),
        core.Ecdh(bytes(32), Kdf.SP800_56A, Hash.SHA3_256, b"", True),
    ),
    (
        CKM.HKDF_DERIVE,
        CKF.DERIVE,
        parameters.Hkdf(True, True, CKM.SHA256, CKF.HKDF_SALT_DATA, b"salt", 0, b"info"),
        core.Hkdf(Hash.SHA256, True, True, b"salt", b"info"),
    ),
    (
        CKM.HKDF_DERIVE,
        CKF.DERIVE,
        parameters.Hkdf(True, False, CKM.SHA384, CKF.HKDF_SALT_NULL, b"", 0, b""),
        core.Hkdf(Hash.SHA384, True, False, None, b""),
    ),
    (CKM.PKCS5_PBKD2, CKF.GENERATE, PBKDF2, core.Pbkdf2(Hash.SHA256, b"salt", 1000)),
    (CKM.SP800_108_COUNTER_KDF, CKF.DERIVE, KDF, core.CounterKdf(Hash.SHA256, b"a", b"b", 4)),
    (
        CKM.SP800_108_COUNTER_KDF,
        CKF.DERIVE,
        msgspec.structs.replace(KDF, prf=CKM.AES_CMAC),
        core.CounterKdf(None, b"a", b"b", 4),
    ),
    (CKM.AES_KEY_GEN, CKF.GENERATE, None, None),
    (CKM.EC_KEY_PAIR_GEN, CKF.GENERATE_KEY_PAIR, None, None),
    (CKM.SHA256, CKF.DIGEST, None, None),
]
LEGACY: list[tuple[int, int, Parameter | None, object]] = [
    (CKM.RSA_X_509, CKF.SIGN, None, core.RsaRaw()),
    (CKM.DES3_ECB, CKF.ENCRYPT, None, core.Des3Ecb()),
    (CKM.DES3_CBC, CKF.ENCRYPT, parameters.Iv(bytes(8)), core.Des3Cbc(bytes(8), False)),
    (CKM.DES3_CBC_PAD, CKF.DECRYPT, parameters.Iv(bytes(8)), core.Des3Cbc(bytes(8), True)),
]


@pytest.mark.parametrize(("ckm", "function", "parameter", "mechanism"), GOOD)
def test_what_a_mechanism_is_in_the_core(
    ckm: int, function: int, parameter: Parameter | None, mechanism: object
) -> None:
    assert chosen(Mechanism(ckm, parameter), function).mechanism == mechanism


@pytest.mark.parametrize(("ckm", "function", "parameter", "mechanism"), LEGACY)
def test_old_mechanisms_are_on_tokens_for_old_programs_only(
    ckm: int, function: int, parameter: Parameter | None, mechanism: object
) -> None:
    asked = Mechanism(ckm, parameter)
    assert chosen(asked, function, legacy=True).mechanism == mechanism
    assert ckm in listed(legacy=True)
    assert ckm not in listed()
    for refused in (lambda: chosen(asked, function), lambda: info(ckm)):
        with pytest.raises(Wrong) as wrong:
            refused()
        assert wrong.value.code == CKR.MECHANISM_INVALID


def test_the_wire_has_a_form_for_every_mechanism_that_is_served() -> None:
    assert set(ROWS) <= set(FORMS) | set(PARAMETERLESS)


def test_every_mechanism_has_a_function_and_a_good_parameter_of_its_form() -> None:
    tried = {FORMS[ckm].structure for ckm, _, parameter, _ in GOOD + LEGACY if parameter}
    for ckm, row in ROWS.items():
        assert any(row.flags & function for function in FUNCTIONS), CKM.name(ckm)
        assert ckm not in FORMS or FORMS[ckm].structure in tried, CKM.name(ckm)


# --- as programs ask -----------------------------------------------------------------


def test_the_same_mechanism_is_the_same_object() -> None:
    """The gate remembers what it decided by it."""
    for ckm, function, parameter, _ in GOOD:
        if function == CKF.SIGN:
            first = chosen(Mechanism(ckm, parameter), CKF.SIGN).mechanism
            again = Mechanism(
                ckm, parameter and type(parameter)(*msgspec.structs.astuple(parameter))
            )
            assert chosen(again, CKF.SIGN).mechanism is first, CKM.name(ckm)


def test_what_is_kept_is_bounded() -> None:
    for size in range(2 * mechanisms.KEPT):
        pss = parameters.Pss(CKM.SHA256, CKG.MGF1_SHA256, size)
        chosen(Mechanism(CKM.RSA_PKCS_PSS, pss), CKF.SIGN)
    assert mechanisms._kept.cache_info().currsize <= mechanisms.KEPT


def test_a_mechanism_that_is_not_known_is_told_from_one_that_does_something_else() -> None:
    for ckm, function in (
        (0x8000_0001, CKF.SIGN),
        (CKM.MD5, CKF.DIGEST),
        (CKM.ECDSA, CKF.ENCRYPT),
        (CKM.AES_CBC, CKF.SIGN),
        (CKM.SHA256, CKF.SIGN),
        (CKM.RSA_PKCS_PSS, CKF.ENCRYPT),
    ):
        with pytest.raises(Wrong) as wrong:
            chosen(Mechanism(ckm), function)
        assert wrong.value.code == CKR.MECHANISM_INVALID


def test_sizes_and_flags() -> None:
    assert info(CKM.ECDSA) == (
        *(224, 521),
        CKF.SIGN
        | CKF.VERIFY
        | CKF.MESSAGE_SIGN
        | CKF.MESSAGE_VERIFY
        | CKF.EC_F_P
        | CKF.EC_OID
        | CKF.EC_UNCOMPRESS,
    )
    assert info(CKM.RSA_PKCS_KEY_PAIR_GEN) == (2048, 8192, CKF.GENERATE_KEY_PAIR)
    assert info(CKM.SHA256) == (0, 0, CKF.DIGEST)
    smallest, largest, flags = info(CKM.AES_GCM)
    assert (smallest, largest) == (16, 32)
    assert flags & CKF.ENCRYPT
    assert flags & CKF.WRAP


def test_keys_of_another_type_are_not_taken() -> None:
    assert chosen(Mechanism(CKM.ECDSA), CKF.SIGN).takes(CKK.EC)
    assert not chosen(Mechanism(CKM.ECDSA), CKF.SIGN).takes(CKK.EC_EDWARDS)
    hmac = chosen(Mechanism(CKM.SHA256_HMAC), CKF.SIGN)
    assert hmac.takes(CKK.GENERIC_SECRET)
    assert hmac.takes(CKK.SHA256_HMAC)
    assert not hmac.takes(CKK.SHA512_HMAC)


@pytest.mark.parametrize("hashed", Hash)
def test_digests_are_those_of_hashlib(hashed: Hash) -> None:
    name = "SHA_1" if hashed is Hash.SHA1 else hashed.upper().replace("-", "_")
    digest = hasher(chosen(Mechanism(getattr(CKM, name)), CKF.DIGEST))
    digest.update(b"abc")
    reference = hashlib.new(hashed.replace("sha3-", "sha3_"), b"abc", usedforsecurity=False)
    assert digest.digest() == reference.digest()
    assert len(digest.digest()) == HASH_SIZES[hashed]


# --- parameters that cannot be -------------------------------------------------------

BAD: list[tuple[int, int, Any]] = [
    (CKM.ECDSA, CKF.SIGN, b"x"),
    (CKM.ECDSA, CKF.SIGN, parameters.Number(1)),
    (CKM.AES_KEY_GEN, CKF.GENERATE, b"x"),
    (CKM.RSA_PKCS_PSS, CKF.SIGN, None),
    (CKM.RSA_PKCS_PSS, CKF.SIGN, b"x"),
    (CKM.RSA_PKCS_PSS, CKF.SIGN, parameters.Pss(CKM.MD5, CKG.MGF1_SHA1, 20)),
    (CKM.RSA_PKCS_PSS, CKF.SIGN, parameters.Pss(CKM.SHA_1, 99, 20)),
    (CKM.RSA_PKCS_PSS, CKF.SIGN, parameters.Pss(CKM.SHA_1, CKG.MGF1_SHA1, 2049)),
    (CKM.SHA256_RSA_PKCS_PSS, CKF.SIGN, parameters.Pss(CKM.SHA_1, CKG.MGF1_SHA1, 20)),
    (CKM.RSA_PKCS_OAEP, CKF.ENCRYPT, parameters.Oaep(CKM.SHA_1, CKG.MGF1_SHA1, 0, b"label")),
    (CKM.RSA_PKCS_OAEP, CKF.ENCRYPT, parameters.Oaep(CKM.SHA_1, CKG.MGF1_SHA1, 2, b"")),
    (CKM.RSA_PKCS_OAEP, CKF.ENCRYPT, parameters.Oaep(0, CKG.MGF1_SHA1, 1, b"")),
    (CKM.EDDSA, CKF.SIGN, parameters.Eddsa(True, b"")),
    (CKM.EDDSA, CKF.SIGN, parameters.Eddsa(False, b"c")),
    (CKM.ML_DSA, CKF.SIGN, parameters.SignContext(CKH.DETERMINISTIC_REQUIRED, b"")),
    (CKM.ML_DSA, CKF.SIGN, parameters.SignContext(CKH.HEDGE_PREFERRED, bytes(256))),
    (CKM.SHA256_HMAC_GENERAL, CKF.SIGN, parameters.Number(0)),
    (CKM.SHA256_HMAC_GENERAL, CKF.SIGN, parameters.Number(33)),
    (CKM.AES_CMAC_GENERAL, CKF.SIGN, parameters.Number(17)),
    (CKM.AES_CBC, CKF.ENCRYPT, None),
    (CKM.AES_CBC, CKF.ENCRYPT, parameters.Iv(bytes(15))),
    (CKM.AES_CTR, CKF.ENCRYPT, parameters.Counter(0, bytes(16))),
    (CKM.AES_CTR, CKF.ENCRYPT, parameters.Counter(129, bytes(16))),
    (CKM.AES_CTR, CKF.ENCRYPT, parameters.Counter(32, bytes(8))),
    (CKM.AES_GCM, CKF.ENCRYPT, parameters.Gcm(b"", 0, b"", 128)),
    (CKM.AES_GCM, CKF.ENCRYPT, parameters.Gcm(bytes(12), 96, b"", 0)),
    (CKM.AES_GCM, CKF.ENCRYPT, parameters.Gcm(bytes(12), 96, b"", 100)),
    (CKM.AES_CCM, CKF.ENCRYPT, parameters.Ccm(10, bytes(6), b"", 8)),
    (CKM.AES_CCM, CKF.ENCRYPT, parameters.Ccm(10, bytes(14), b"", 8)),
    (CKM.AES_CCM, CKF.ENCRYPT, parameters.Ccm(10, bytes(12), b"", 7)),
    (CKM.AES_CCM, CKF.ENCRYPT, parameters.Ccm(1 << 16, bytes(13), b"", 8)),
    (CKM.AES_KEY_WRAP, CKF.WRAP, parameters.Iv(bytes(8))),
    (CKM.CHACHA20_POLY1305, CKF.ENCRYPT, parameters.ChaCha20Poly1305(bytes(8), b"")),
    (CKM.ECDH1_DERIVE, CKF.DERIVE, parameters.Ecdh1(CKD.NULL, b"shared", POINT)),
    (CKM.ECDH1_DERIVE, CKF.DERIVE, parameters.Ecdh1(99, b"", POINT)),
    (CKM.ECDH1_DERIVE, CKF.DERIVE, parameters.Ecdh1(CKD.NULL, b"", b"")),
    (CKM.ECDH1_DERIVE, CKF.DERIVE, parameters.Ecdh1(CKD.NULL, b"", b"\5" + bytes(64))),
    (
        CKM.HKDF_DERIVE,
        CKF.DERIVE,
        parameters.Hkdf(False, False, CKM.SHA256, CKF.HKDF_SALT_NULL, b"", 0, b""),
    ),
    (
        CKM.HKDF_DERIVE,
        CKF.DERIVE,
        parameters.Hkdf(True, True, CKM.SHA256, CKF.HKDF_SALT_KEY, b"", 7, b""),
    ),
    (CKM.PKCS5_PBKD2, CKF.GENERATE, msgspec.structs.replace(PBKDF2, iterations=0)),
    (CKM.PKCS5_PBKD2, CKF.GENERATE, msgspec.structs.replace(PBKDF2, iterations=1 << 40)),
    (CKM.PKCS5_PBKD2, CKF.GENERATE, msgspec.structs.replace(PBKDF2, prf=99)),
    (CKM.PKCS5_PBKD2, CKF.GENERATE, msgspec.structs.replace(PBKDF2, prf_data=b"x")),
    (CKM.PKCS5_PBKD2, CKF.GENERATE, msgspec.structs.replace(PBKDF2, salt_source=0)),
    (CKM.SP800_108_COUNTER_KDF, CKF.DERIVE, msgspec.structs.replace(KDF, additional_keys=1)),
    (CKM.SP800_108_COUNTER_KDF, CKF.DERIVE, msgspec.structs.replace(KDF, prf=CKM.SHA256)),
    (CKM.SP800_108_COUNTER_KDF, CKF.DERIVE, msgspec.structs.replace(KDF, data=())),
    (CKM.SP800_108_COUNTER_KDF, CKF.DERIVE, msgspec.structs.replace(KDF, data=2 * KDF.data)),
    *(
        (
            CKM.SP800_108_COUNTER_KDF,
            CKF.DERIVE,
            msgspec.structs.replace(KDF, data=(DataParam(CK.SP800_108_ITERATION_VARIABLE, value),)),
        )
        for value in (None, CounterFormat(True, 32), CounterFormat(False, 31))
    ),
    (
        CKM.SP800_108_COUNTER_KDF,
        CKF.DERIVE,
        msgspec.structs.replace(
            KDF, data=(*KDF.data, DataParam(CK.SP800_108_DKM_LENGTH, DkmLength(1, False, 32)))
        ),
    ),
]


@pytest.mark.parametrize(("ckm", "function", "parameter"), BAD)
def test_a_parameter_that_cannot_be_is_refused(ckm: int, function: int, parameter: Any) -> None:
    with pytest.raises(Wrong) as wrong:
        chosen(Mechanism(ckm, parameter), function)
    assert wrong.value.code == CKR.MECHANISM_PARAM_INVALID


NUMBERS = st.one_of(
    st.integers(0, 40),
    st.sampled_from([CKM.SHA256, CKM.SHA256_HMAC, CKM.AES_CMAC, 128, 96]),
    st.integers(0, 2**64 - 1),
)
OCTETS = st.binary(max_size=300)
DATA_PARAMS = st.builds(
    DataParam,
    st.integers(0, 6),
    st.one_of(
        st.none(),
        OCTETS,
        NUMBERS,
        st.builds(CounterFormat, st.booleans(), NUMBERS),
        st.builds(DkmLength, NUMBERS, st.booleans(), NUMBERS),
    ),
)


VIEWS: st.SearchStrategy[memoryview] = OCTETS.map(lambda data: memoryview(data))
FIELDS: dict[Any, st.SearchStrategy[Any]] = {
    int: NUMBERS,
    bool: st.booleans(),
    bytes: OCTETS,
    memoryview: VIEWS,
    bytes | memoryview: VIEWS,
    parameters.Oaep: st.builds(parameters.Oaep, NUMBERS, NUMBERS, NUMBERS, OCTETS),
    tuple[DataParam, ...]: st.lists(DATA_PARAMS, max_size=4).map(tuple),
}


def _any(kind: type[Parameter]) -> st.SearchStrategy[Parameter]:
    return st.builds(kind, *(FIELDS[hint] for hint in kind.__annotations__.values()))


ANY_PARAMETER = st.one_of(
    st.none(),
    OCTETS,
    *(_any(kind) for kind in sorted({form.kind for form in FORMS.values()}, key=str)),
)


def outcome(ckm: int, parameter: Any, function: int) -> int:
    try:
        found = chosen(Mechanism(ckm, parameter), function, legacy=True)
    except Wrong as wrong:
        return wrong.code
    assert isinstance(found, Chosen)
    return CKR.OK


@given(st.sampled_from(sorted(ROWS)), ANY_PARAMETER, st.sampled_from(sorted(FUNCTIONS)))
def test_any_parameter_gives_a_mechanism_or_is_wrong(
    ckm: int, parameter: Any, function: int
) -> None:
    expected = {CKR.OK, CKR.MECHANISM_INVALID, CKR.MECHANISM_PARAM_INVALID}
    assert outcome(ckm, parameter, function) in expected


@given(st.data())
def test_any_parameter_of_its_own_kind_gives_a_mechanism_or_is_wrong(data: st.DataObject) -> None:
    ckm = data.draw(st.sampled_from(sorted(set(ROWS) & set(FORMS))))
    parameter = data.draw(_any(FORMS[ckm].kind))
    function = ROWS[ckm].flags & -ROWS[ckm].flags
    assert outcome(ckm, parameter, function) in {CKR.OK, CKR.MECHANISM_PARAM_INVALID}


# --- as what data reaches the gate ---------------------------------------------------

HASH_OIDS = {
    Hash.SHA1: "1.3.14.3.2.26",
    Hash.SHA224: "2.16.840.1.101.3.4.2.4",
    Hash.SHA256: "2.16.840.1.101.3.4.2.1",
    Hash.SHA384: "2.16.840.1.101.3.4.2.2",
    Hash.SHA512: "2.16.840.1.101.3.4.2.3",
    Hash.SHA3_224: "2.16.840.1.101.3.4.2.7",
    Hash.SHA3_256: "2.16.840.1.101.3.4.2.8",
    Hash.SHA3_384: "2.16.840.1.101.3.4.2.9",
    Hash.SHA3_512: "2.16.840.1.101.3.4.2.10",
}


@pytest.mark.parametrize("hashed", Hash)
def test_a_digest_info_is_known_for_what_it_is(hashed: Hash) -> None:
    digest = bytes(range(HASH_SIZES[hashed]))
    algorithm = der.sequence(der.oid(HASH_OIDS[hashed]) + der.NULL)
    whole = der.sequence(algorithm, der.octet_string(digest))
    rsa = chosen(Mechanism(CKM.RSA_PKCS), CKF.SIGN)
    assert rsa.input(whole) == Digest(hashed, digest)
    for other in (whole + b"\0", whole[:-1], b"\x31" + whole[1:], digest, b""):
        assert rsa.input(other) == Opaque(other)


@pytest.mark.parametrize(
    ("ckm", "data"),
    [
        (CKM.ECDSA, Opaque(b"x")),
        (CKM.ECDSA_SHA256, Message(b"x")),
        (CKM.EDDSA, Message(b"x")),
        (CKM.ML_DSA, Message(b"x")),
        (CKM.SHA256_RSA_PKCS, Message(b"x")),
        (CKM.SHA256_HMAC, Message(b"x")),
        (CKM.RSA_PKCS, Opaque(b"x")),
    ],
)
def test_as_what_data_reaches_the_gate(ckm: int, data: object) -> None:
    assert chosen(Mechanism(ckm), CKF.SIGN).input(b"x") == data


def test_pss_over_a_digest_says_of_which_hash() -> None:
    pss = parameters.Pss(CKM.SHA384, CKG.MGF1_SHA384, 48)
    assert chosen(Mechanism(CKM.RSA_PKCS_PSS, pss), CKF.SIGN).input(b"x") == Digest(
        Hash.SHA384, b"x"
    )
    assert chosen(Mechanism(CKM.SHA384_RSA_PKCS_PSS, pss), CKF.SIGN).input(b"x") == Message(b"x")

"""Keys out of keys as published: CAVP, RFC 5869, 6070, 7748, SP 800-108, FIPS 203."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x448, x25519
from tests.stores.software.published import Record, number, octets, records, secret, some

from keyholm.core.errors import DataInvalid
from keyholm.core.mechanisms import CounterKdf, Ecdh, Hash, Hkdf, Kdf, Mechanism, MlKem, Pbkdf2
from keyholm.core.model import SecretType
from keyholm.stores.software import deriving
from keyholm.stores.software.deriving import derive
from keyholm.stores.software.encapsulating import decapsulate, encapsulate

CURVES: dict[str, type[ec.EllipticCurve]] = {
    "EB": ec.SECP224R1,
    "EC": ec.SECP256R1,
    "ED": ec.SECP384R1,
    "EE": ec.SECP521R1,
}
KAS = "asymmetric/ECDH/KASValidityTest_ECCStaticUnified_"


def derived(key: Any, mechanism: Mechanism, size: int) -> bytes:
    with derive(key, mechanism, size) as made:
        assert len(made) == size or not size
        return bytes(made.view)


def of_hash(name: str) -> Hash:
    return Hash(name.lower().replace("-", ""))


# --- agreement -----------------------------------------------------------------------


def agreement(each: Record) -> tuple[ec.EllipticCurvePrivateKey, bytes, Hash] | None:
    curve, algorithm = each["word"].split(" - ")
    # There are wrong halves of our own as well, which never get to be loaded.
    if curve not in CURVES or not each["result"].startswith(("P", "F (1 -", "F (2 -")):
        return None
    key = ec.derive_private_key(number(each, "dsiut"), CURVES[curve]())
    width = (key.curve.key_size + 7) // 8
    x, y = number(each, "qscavsx"), number(each, "qscavsy")
    return key, b"\4" + x.to_bytes(width) + y.to_bytes(width), of_hash(algorithm)


@pytest.mark.parametrize("role", ["init", "resp"])
def test_ecdh_is_that_of_nist(role: str) -> None:
    right = wrong = 0
    for each in records(f"{KAS}NOKC_ZZOnly_{role}.fax"):
        found = agreement(each)
        if found is None:
            continue
        (key, point, _), z = found, octets(each, "z")
        if each["result"].startswith("P"):
            right += 1
            assert derived(key, Ecdh(point), 0) == z
            assert derived(key, Ecdh(point, cofactor=True), 0) == z
            # What is too much is cut off in front.
            assert derived(key, Ecdh(point), 16) == z[-16:]
        else:  # the other side's x or y was changed
            wrong += 1
            with pytest.raises(DataInvalid):
                derive(key, Ecdh(point), 0)
    assert right > 50
    assert wrong > 4


@pytest.mark.parametrize("role", ["init", "resp"])
def test_ecdh_with_the_kdf_of_sp_800_56a_is_that_of_nist(role: str) -> None:
    right = 0
    for each in records(f"{KAS}KDFConcat_NOKC_{role}.fax"):
        found = agreement(each)
        if found is None or not each["result"].startswith("P"):
            continue
        key, point, algorithm = found
        mechanism = Ecdh(point, Kdf.SP800_56A, algorithm, octets(each, "oi"))
        assert derived(key, mechanism, len(octets(each, "dkm"))) == octets(each, "dkm")
        right += 1
    assert right > 50


def test_the_kdf_of_x9_63_is_that_of_nist() -> None:
    """The vectors begin with the shared secret, so the step that it is for is taken alone."""
    for each in some(records("KDF/ansx963_2001.txt"), 400):
        mechanism = Ecdh(b"", Kdf.X963, of_hash(each["word"]), octets(each, "sharedinfo"))
        size = int(each["key data length"]) // 8
        with deriving._x963(memoryview(octets(each, "z")), mechanism, size) as made:
            assert bytes(made.view) == octets(each, "key_data")


@pytest.mark.parametrize(
    ("name", "kind"), [("X25519", x25519.X25519PrivateKey), ("X448", x448.X448PrivateKey)]
)
def test_montgomery_curves_are_those_of_rfc_7748(name: str, kind: Any) -> None:
    for each in records(f"asymmetric/{name}/rfc7748.txt"):
        key = kind.from_private_bytes(octets(each, "input_scalar"))
        assert derived(key, Ecdh(octets(each, "input_u")), 0) == octets(each, "output_u")


# --- from a secret -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rfc-5869-HKDF-SHA1", "rfc-5869-HKDF-SHA256", "hkdf-generated"])
def test_hkdf_is_that_of_rfc_5869(name: str) -> None:
    for each in records(f"KDF/{name}.txt"):
        algorithm, size = of_hash(each["hash"]), int(each["l"])
        salt, info = octets(each, "salt"), octets(each, "info")
        key = secret(SecretType.GENERIC, octets(each, "ikm"))
        both = Hkdf(algorithm, extract=True, expand=True, salt=salt, info=info)
        assert derived(key, both, size) == octets(each, "okm")
        if not salt:
            none = Hkdf(algorithm, extract=True, expand=True, salt=None, info=info)
            assert derived(key, none, size) == octets(each, "okm")
        if "prk" in each:
            first = Hkdf(algorithm, extract=True, expand=False, salt=salt, info=b"")
            assert derived(key, first, 0) == octets(each, "prk")
            second = Hkdf(algorithm, extract=False, expand=True, salt=None, info=info)
            middle = secret(SecretType.GENERIC, octets(each, "prk"))
            assert derived(middle, second, size) == octets(each, "okm")


def test_pbkdf2_is_that_of_rfc_6070() -> None:
    used = 0
    for each in records("KDF/rfc-6070-PBKDF2-SHA1.txt"):
        rounds = int(each["iterations"])
        if rounds > deriving.MOST_ROUNDS:  # one of 16 million rounds
            continue
        password, salt = (each[name].replace("\\0", "\0").encode() for name in ("password", "salt"))
        mechanism = Pbkdf2(Hash.SHA1, salt, rounds)
        made = derived(secret(SecretType.GENERIC, password), mechanism, int(each["length"]))
        assert made == octets(each, "derived_key")
        used += 1
    assert used == 5


def test_the_counter_kdf_is_that_of_nist() -> None:
    places = set()
    for each in records("KDF/nist-800-108-KBKDF-CTR.txt"):
        mac, name = each["prf"].split("_")
        if name.startswith("TDES"):
            continue
        kind = SecretType.GENERIC if mac == "HMAC" else SecretType.AES
        place = each["ctrlocation"]
        if place == "MIDDLE_FIXED":
            before, after = octets(each, "databeforectrdata"), octets(each, "dataafterctrdata")
        else:
            fixed = octets(each, "fixedinputdata")
            before, after = (b"", fixed) if place == "BEFORE_FIXED" else (fixed, b"")
        mechanism = CounterKdf(
            of_hash(name) if mac == "HMAC" else None,
            before,
            after,
            int(each["rlen"].split("_")[0]) // 8,
        )
        key = secret(kind, octets(each, "ki"))
        assert derived(key, mechanism, int(each["l"]) // 8) == octets(each, "ko")
        places.add((mac, place))
    assert len(places) == 6


# --- encapsulation -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "kind"), [(768, mlkem.MLKEM768PrivateKey), (1024, mlkem.MLKEM1024PrivateKey)]
)
def test_ml_kem_is_that_of_fips_203(size: int, kind: Any) -> None:
    for each in some(records(f"asymmetric/MLKEM/kat_MLKEM_{size}.rsp"), 60):
        key = kind.from_seed_bytes(octets(each, "d", "z"))
        assert key.public_key().public_bytes_raw() == octets(each, "pk")
        with decapsulate(key, MlKem(), octets(each, "ct")) as shared:
            assert bytes(shared.view) == octets(each, "ss")
        # One that nobody made for this key gives what only this key knows.
        with decapsulate(key, MlKem(), octets(each, "ct_n")) as other:
            assert bytes(other.view) == octets(each, "ss_n")
        ciphertext, ours = encapsulate(key.public_key(), MlKem())
        with ours, decapsulate(key, MlKem(), ciphertext) as again:
            assert again == ours

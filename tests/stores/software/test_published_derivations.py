"""Keys out of keys as published: CAVP, RFC 5869, 6070, 7748, SP 800-108, FIPS 203."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x448, x25519
from tests.stores.software.published import (
    ALL,
    Doing,
    Record,
    Software,
    number,
    octets,
    records,
    secret,
    some,
)

from keyholm.core.errors import DataInvalid
from keyholm.core.mechanisms import CounterKdf, Ecdh, Hash, Hkdf, Kdf, MlKem, Pbkdf2
from keyholm.core.model import SecretType
from keyholm.stores.software import deriving

CURVES: dict[str, type[ec.EllipticCurve]] = {
    "EB": ec.SECP224R1,
    "EC": ec.SECP256R1,
    "ED": ec.SECP384R1,
    "EE": ec.SECP521R1,
}
KAS = "asymmetric/ECDH/KASValidityTest_ECCStaticUnified_"


def of_hash(name: str) -> Hash:
    return Hash(name.lower().replace("-", ""))


# --- agreement -----------------------------------------------------------------------


Agreement = tuple[ec.EllipticCurvePrivateKey, bytes, Hash]


def agreement(each: Record) -> Agreement | None:
    curve, algorithm = each["word"].split(" - ")
    # There are wrong halves of our own as well, which never get to be loaded.
    if curve not in CURVES or not each["result"].startswith(("P", "F (1 -", "F (2 -")):
        return None
    key = ec.derive_private_key(number(each, "dsiut"), CURVES[curve]())
    width = (key.curve.key_size + 7) // 8
    x, y = number(each, "qscavsx"), number(each, "qscavsy")
    return key, b"\4" + x.to_bytes(width) + y.to_bytes(width), of_hash(algorithm)


def agreements(name: str) -> tuple[list[tuple[Agreement, Record]], list[Agreement]]:
    """Those that come to something, with what; and those of which the other half is wrong."""
    right, wrong = [], []
    for each in records(f"{KAS}{name}.fax"):
        found = agreement(each)
        if found is not None and each["result"].startswith("P"):
            right.append((found, each))
        elif found is not None:
            wrong.append(found)
    assert len(right) > 50
    assert len(wrong) > 4
    return right, wrong


@pytest.mark.parametrize("role", ["init", "resp"])
def test_ecdh_is_that_of_nist(doing: Doing, role: str) -> None:
    right, wrong = agreements(f"NOKC_ZZOnly_{role}")
    for (key, point, _), each in some(doing, right, ALL):
        z = octets(each, "z")
        assert doing.derived(key, Ecdh(point), 0) == z
        assert doing.derived(key, Ecdh(point, cofactor=True), 0) == z
        # What is too much is cut off in front.
        assert doing.derived(key, Ecdh(point), 16) == z[-16:]
    for key, point, _ in wrong:  # the other side's x or y was changed
        with pytest.raises(DataInvalid):
            doing.derived(key, Ecdh(point), 0)


@pytest.mark.parametrize("role", ["init", "resp"])
def test_ecdh_with_the_kdf_of_sp_800_56a_is_that_of_nist(doing: Doing, role: str) -> None:
    right, _ = agreements(f"KDFConcat_NOKC_{role}")
    for (key, point, algorithm), each in some(doing, right, ALL):
        mechanism = Ecdh(point, Kdf.SP800_56A, algorithm, octets(each, "oi"))
        assert doing.derived(key, mechanism, len(octets(each, "dkm"))) == octets(each, "dkm")


def test_the_kdf_of_x9_63_is_that_of_nist() -> None:
    """The vectors begin with the shared secret, so the step that it is for is taken alone."""
    for each in some(Software(), records("KDF/ansx963_2001.txt"), 400):
        mechanism = Ecdh(b"", Kdf.X963, of_hash(each["word"]), octets(each, "sharedinfo"))
        size = int(each["key data length"]) // 8
        with deriving._x963(memoryview(octets(each, "z")), mechanism, size) as made:
            assert bytes(made.view) == octets(each, "key_data")


@pytest.mark.parametrize(
    ("name", "kind"), [("X25519", x25519.X25519PrivateKey), ("X448", x448.X448PrivateKey)]
)
def test_montgomery_curves_are_those_of_rfc_7748(doing: Doing, name: str, kind: Any) -> None:
    for each in some(doing, records(f"asymmetric/{name}/rfc7748.txt"), ALL):
        key = kind.from_private_bytes(octets(each, "input_scalar"))
        assert doing.derived(key, Ecdh(octets(each, "input_u")), 0) == octets(each, "output_u")


# --- from a secret -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rfc-5869-HKDF-SHA1", "rfc-5869-HKDF-SHA256", "hkdf-generated"])
def test_hkdf_is_that_of_rfc_5869(doing: Doing, name: str) -> None:
    for each in some(doing, records(f"KDF/{name}.txt"), ALL):
        algorithm, size = of_hash(each["hash"]), int(each["l"])
        salt, info = octets(each, "salt"), octets(each, "info")
        key = secret(SecretType.GENERIC, octets(each, "ikm"))
        both = Hkdf(algorithm, extract=True, expand=True, salt=salt, info=info)
        assert doing.derived(key, both, size) == octets(each, "okm")
        if not salt:
            none = Hkdf(algorithm, extract=True, expand=True, salt=None, info=info)
            assert doing.derived(key, none, size) == octets(each, "okm")
        if "prk" in each:
            first = Hkdf(algorithm, extract=True, expand=False, salt=salt, info=b"")
            assert doing.derived(key, first, 0) == octets(each, "prk")
            second = Hkdf(algorithm, extract=False, expand=True, salt=None, info=info)
            middle = secret(SecretType.GENERIC, octets(each, "prk"))
            assert doing.derived(middle, second, size) == octets(each, "okm")


def test_pbkdf2_is_that_of_rfc_6070(doing: Doing) -> None:
    used = 0
    for each in some(doing, records("KDF/rfc-6070-PBKDF2-SHA1.txt"), ALL):
        rounds = int(each["iterations"])
        if rounds > deriving.MOST_ROUNDS:  # one of 16 million rounds
            continue
        password, salt = (each[name].replace("\\0", "\0").encode() for name in ("password", "salt"))
        mechanism = Pbkdf2(Hash.SHA1, salt, rounds)
        made = doing.derived(secret(SecretType.GENERIC, password), mechanism, int(each["length"]))
        assert made == octets(each, "derived_key")
        used += 1
    assert used == 5


def test_the_counter_kdf_is_that_of_nist(doing: Doing) -> None:
    groups: dict[tuple[str, str], list[Record]] = {}
    for each in records("KDF/nist-800-108-KBKDF-CTR.txt"):
        mac, name = each["prf"].split("_")
        if not name.startswith("TDES"):
            groups.setdefault((mac, each["ctrlocation"]), []).append(each)
    assert len(groups) == 6
    for each in (one for group in groups.values() for one in some(doing, group, ALL)):
        mac, name = each["prf"].split("_")
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
        assert doing.derived(key, mechanism, int(each["l"]) // 8) == octets(each, "ko")


# --- encapsulation -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "kind"), [(768, mlkem.MLKEM768PrivateKey), (1024, mlkem.MLKEM1024PrivateKey)]
)
def test_ml_kem_is_that_of_fips_203(doing: Doing, size: int, kind: Any) -> None:
    for each in some(doing, records(f"asymmetric/MLKEM/kat_MLKEM_{size}.rsp"), 60):
        key = kind.from_seed_bytes(octets(each, "d", "z"))
        assert key.public_key().public_bytes_raw() == octets(each, "pk")
        assert doing.decapsulated(key, MlKem(), octets(each, "ct")) == octets(each, "ss")
        # One that nobody made for this key gives what only this key knows.
        assert doing.decapsulated(key, MlKem(), octets(each, "ct_n")) == octets(each, "ss_n")
        ciphertext, ours = doing.encapsulated(key.public_key(), MlKem())
        assert doing.decapsulated(key, MlKem(), ciphertext) == ours

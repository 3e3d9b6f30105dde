"""Mechanisms: what each CKM that we serve is in the core, and what can be done with it.

`ROWS` is the one table. A row says which functions a mechanism has (as CKF flags, since
C_GetMechanismInfo tells them so), which types of keys it takes, their sizes, how its parameter
becomes a mechanism of the core, and as what its data reaches the gate. What is not listed is not
served, and what is listed works: a test does each (mechanism, function) with a token on disk.

The gate remembers what it decided by the identity of a mechanism: the same number with the same
parameter gives the same object as long as it is in use.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Final, NamedTuple

from keyholm.core import mechanisms as core
from keyholm.core.mechanisms import Digest, Hash, Input, Mechanism, Message, Opaque
from keyholm.core.store import MechanismInfo
from keyholm.cryptoki import parameters as made
from keyholm.cryptoki.parameters import DIGESTS, HASH_SIZES, NAMES, Make, constant
from keyholm.cryptoki.wrong import Wrong
from keyholm.wire.pkcs11 import mechanisms as wire
from keyholm.wire.pkcs11 import parameters as fields
from keyholm.wire.pkcs11.constants import CKF, CKK, CKM, CKR

Take = Callable[[Mechanism | None, bytes], Input]

KEPT: Final = 512  # mechanisms with parameters that keep their identity


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    ckm: int
    flags: int  # CKF_SIGN and its like, and what C_GetMechanismInfo says besides
    key_types: frozenset[int]  # of the key that is used; of the key that is made
    make: Make
    take: Take
    sizes: tuple[int, int] = (0, 0)  # as the standard counts them: bits, or bytes
    whole: bool = False  # takes its data at once: there are no parts of it
    legacy: bool = False  # only on tokens that were made for old programs
    encrypts: Make | None = None  # where encrypting is another mechanism than signing
    digest: str = ""  # hashlib's name of it


class Chosen(NamedTuple):
    """A mechanism as a program chose it, for one function."""

    row: Row
    mechanism: Mechanism | None  # None: it digests, or makes a key of nothing

    @property
    def ckm(self) -> int:
        return self.row.ckm

    def input(self, data: bytes) -> Input:
        """As what `data`, all of it, reaches the gate."""
        return self.row.take(self.mechanism, data)

    def takes(self, key_type: int) -> bool:
        return key_type in self.row.key_types


# --- what data is --------------------------------------------------------------------


def _message(mechanism: Mechanism | None, data: bytes) -> Input:
    return Message(data)


def _opaque(mechanism: Mechanism | None, data: bytes) -> Input:
    """Of a digest to be signed by ECDSA nobody says by which hash it was made."""
    return Opaque(data)


def _hash_of_pss(mechanism: Mechanism | None, data: bytes) -> Input:
    assert isinstance(mechanism, core.RsaPss)  # noqa: S101 - its row makes no other
    return Digest(mechanism.hash, data)


# DigestInfo as RFC 8017, section 9.2, writes it, up to the digest; SHA-3 by its OIDs at NIST.
INFOS: Final[dict[bytes, Hash]] = {
    bytes.fromhex(prefix): hashed
    for hashed, prefix in {
        Hash.SHA1: "3021300906052b0e03021a05000414",
        Hash.SHA224: "302d300d06096086480165030402040500041c",
        Hash.SHA256: "3031300d060960864801650304020105000420",
        Hash.SHA384: "3041300d060960864801650304020205000430",
        Hash.SHA512: "3051300d060960864801650304020305000440",
        Hash.SHA3_224: "302d300d06096086480165030402070500041c",
        Hash.SHA3_256: "3031300d060960864801650304020805000420",
        Hash.SHA3_384: "3041300d060960864801650304020905000430",
        Hash.SHA3_512: "3051300d060960864801650304020a05000440",
    }.items()
}
_INFO_SIZES: Final = {len(prefix) + HASH_SIZES[hashed] for prefix, hashed in INFOS.items()}


def _digest_info(mechanism: Mechanism | None, data: bytes) -> Input:
    """What is a DigestInfo to the last byte is a digest; all else is padded as it is."""
    if len(data) in _INFO_SIZES:
        for size in (19, 15):
            hashed = INFOS.get(data[:size])
            if hashed is not None and len(data) == size + HASH_SIZES[hashed]:
                return Digest(hashed, data[size:])
    return Opaque(data)


# --- the table -----------------------------------------------------------------------

_SIGN: Final = CKF.SIGN | CKF.VERIFY | CKF.MESSAGE_SIGN | CKF.MESSAGE_VERIFY
_CRYPT: Final = CKF.ENCRYPT | CKF.DECRYPT
_MESSAGES: Final = CKF.MESSAGE_ENCRYPT | CKF.MESSAGE_DECRYPT
_RECOVER: Final = CKF.SIGN_RECOVER | CKF.VERIFY_RECOVER
_WRAP: Final = CKF.WRAP | CKF.UNWRAP
_CURVES: Final = CKF.EC_F_P | CKF.EC_OID | CKF.EC_UNCOMPRESS

_RSA: Final = frozenset({CKK.RSA})
_EC: Final = frozenset({CKK.EC})
_AES: Final = frozenset({CKK.AES})
_DES3: Final = frozenset({CKK.DES3})
_RSA_BITS: Final = (1024, 16384)
_EC_BITS: Final = (224, 521)
_AES_BYTES: Final = (16, 32)
_GENERIC_BYTES: Final = (1, 4096)
_NO_KEY: Final[frozenset[int]] = frozenset()
_IV: Final = 16
_NOTHING: Final = constant(None)


def named(pattern: str, hashed: Hash) -> int:
    """The number whose name has this hash in it; SHA-1 has an underscore in some of them."""
    number = getattr(CKM, pattern.format(NAMES[hashed]), None)
    if number is None:
        number = getattr(CKM, pattern.format("SHA_1"))
    return int(number)


def _hmac_types(hashed: Hash) -> frozenset[int]:
    own = "SHA_1" if hashed is Hash.SHA1 else NAMES[hashed]
    return frozenset({CKK.GENERIC_SECRET, getattr(CKK, f"{own}_HMAC")})


HMAC_TYPES: Final = frozenset[int]().union(*map(_hmac_types, Hash))


def _generation() -> Iterable[Row]:
    pair, secret = CKF.GENERATE_KEY_PAIR, CKF.GENERATE

    def row(ckm: int, flags: int, key_type: int, sizes: tuple[int, int]) -> Row:
        return Row(ckm, flags, frozenset({key_type}), _NOTHING, _opaque, sizes)

    yield row(CKM.RSA_PKCS_KEY_PAIR_GEN, pair, CKK.RSA, (2048, 8192))
    yield row(CKM.EC_KEY_PAIR_GEN, pair | _CURVES, CKK.EC, _EC_BITS)
    curves = pair | CKF.EC_OID | CKF.EC_CURVENAME
    yield row(CKM.EC_EDWARDS_KEY_PAIR_GEN, curves, CKK.EC_EDWARDS, (255, 448))
    yield row(CKM.EC_MONTGOMERY_KEY_PAIR_GEN, curves, CKK.EC_MONTGOMERY, (255, 448))
    yield row(CKM.ML_DSA_KEY_PAIR_GEN, pair, CKK.ML_DSA, (1312, 2592))
    yield row(CKM.ML_KEM_KEY_PAIR_GEN, pair, CKK.ML_KEM, (1184, 1568))
    yield row(CKM.AES_KEY_GEN, secret, CKK.AES, _AES_BYTES)
    yield row(CKM.AES_XTS_KEY_GEN, secret, CKK.AES_XTS, (32, 64))
    yield row(CKM.CHACHA20_KEY_GEN, secret, CKK.CHACHA20, (32, 32))
    yield row(CKM.GENERIC_SECRET_KEY_GEN, secret, CKK.GENERIC_SECRET, _GENERIC_BYTES)
    yield row(CKM.HKDF_KEY_GEN, secret, CKK.HKDF, _GENERIC_BYTES)
    for hashed in Hash:
        [own] = _hmac_types(hashed) - {CKK.GENERIC_SECRET}
        yield row(named("{}_KEY_GEN", hashed), secret, own, _GENERIC_BYTES)
    yield replace(row(CKM.DES3_KEY_GEN, secret, CKK.DES3, (24, 24)), legacy=True)
    yield Row(
        CKM.PKCS5_PBKD2,
        secret,
        frozenset({CKK.GENERIC_SECRET, CKK.AES}),
        made.pbkdf2,
        _opaque,
        _GENERIC_BYTES,
    )


def _rsa() -> Iterable[Row]:
    yield Row(
        CKM.RSA_PKCS,
        _SIGN | _RECOVER | _CRYPT | _WRAP,
        _RSA,
        constant(core.RsaPkcs1()),
        _digest_info,
        _RSA_BITS,
        whole=True,
        encrypts=constant(core.RsaPkcs1Encryption()),
    )
    yield Row(CKM.RSA_PKCS_OAEP, _CRYPT | _WRAP, _RSA, made.oaep, _opaque, _RSA_BITS, whole=True)
    yield Row(
        CKM.RSA_X_509,
        _SIGN | _RECOVER | _CRYPT,
        _RSA,
        constant(core.RsaRaw()),
        _opaque,
        _RSA_BITS,
        whole=True,
        legacy=True,
    )
    yield Row(CKM.RSA_PKCS_PSS, _SIGN, _RSA, made.pss(None), _hash_of_pss, _RSA_BITS, whole=True)
    for hashed in Hash:
        plain, pss = named("{}_RSA_PKCS", hashed), named("{}_RSA_PKCS_PSS", hashed)
        yield Row(plain, _SIGN, _RSA, constant(core.RsaPkcs1(hashed)), _message, _RSA_BITS)
        yield Row(pss, _SIGN, _RSA, made.pss(hashed), _message, _RSA_BITS)


def _curves() -> Iterable[Row]:
    flags = _SIGN | _CURVES
    yield Row(CKM.ECDSA, flags, _EC, constant(core.Ecdsa()), _opaque, _EC_BITS, whole=True)
    for hashed in Hash:
        own = constant(core.Ecdsa(hashed))
        yield Row(named("ECDSA_{}", hashed), flags, _EC, own, _message, _EC_BITS)
    yield Row(
        CKM.EDDSA,
        _SIGN | CKF.EC_OID | CKF.EC_CURVENAME,
        frozenset({CKK.EC_EDWARDS}),
        made.eddsa,
        _message,
        (255, 448),
    )
    derive = CKF.DERIVE | _CURVES
    agreeing = frozenset({CKK.EC, CKK.EC_MONTGOMERY})
    plain, cofactor = made.ecdh(cofactor=False), made.ecdh(cofactor=True)
    yield Row(CKM.ECDH1_DERIVE, derive, agreeing, plain, _opaque, _EC_BITS)
    yield Row(CKM.ECDH1_COFACTOR_DERIVE, derive, agreeing, cofactor, _opaque, _EC_BITS)


def _lattices() -> Iterable[Row]:
    ml_dsa, ml_kem = frozenset({CKK.ML_DSA}), frozenset({CKK.ML_KEM})
    yield Row(CKM.ML_DSA, _SIGN, ml_dsa, made.ml_dsa, _message, (1312, 2592))
    both = CKF.ENCAPSULATE | CKF.DECAPSULATE
    yield Row(CKM.ML_KEM, both, ml_kem, constant(core.MlKem()), _opaque, (1184, 1568))


def _macs() -> Iterable[Row]:
    for hashed in Hash:
        size = HASH_SIZES[hashed]
        types = _hmac_types(hashed)
        full = constant(core.Hmac(hashed, size))
        cut = made.mac(size, partial(core.Hmac, hashed))
        yield Row(named("{}_HMAC", hashed), _SIGN, types, full, _message, _GENERIC_BYTES)
        yield Row(named("{}_HMAC_GENERAL", hashed), _SIGN, types, cut, _message, _GENERIC_BYTES)
    cmac, cut_cmac = constant(core.AesCmac()), made.mac(16, core.AesCmac)
    yield Row(CKM.AES_CMAC, _SIGN, _AES, cmac, _message, _AES_BYTES)
    yield Row(CKM.AES_CMAC_GENERAL, _SIGN, _AES, cut_cmac, _message, _AES_BYTES)


def _ciphers() -> Iterable[Row]:
    def aes(ckm: int, make: Make, flags: int = _CRYPT) -> Row:
        return Row(ckm, flags, _AES, make, _opaque, _AES_BYTES)

    yield aes(CKM.AES_ECB, constant(core.AesEcb()))
    yield aes(CKM.AES_CBC, made.iv(_IV, lambda iv: core.AesCbc(iv, False)))
    yield aes(CKM.AES_CBC_PAD, made.iv(_IV, lambda iv: core.AesCbc(iv, True)), _CRYPT | _WRAP)
    yield aes(CKM.AES_CTR, made.ctr)
    yield aes(CKM.AES_GCM, made.gcm, _CRYPT | _MESSAGES | _WRAP)
    yield aes(CKM.AES_CCM, made.ccm, _CRYPT | _MESSAGES | _WRAP)
    yield aes(CKM.AES_KEY_WRAP, made.key_wrap(padded=False), _CRYPT | _WRAP)
    padded = made.key_wrap(padded=True)
    yield aes(CKM.AES_KEY_WRAP_PAD, padded, _CRYPT | _WRAP)
    yield aes(CKM.AES_KEY_WRAP_KWP, padded, _CRYPT | _WRAP)
    xts = frozenset({CKK.AES_XTS})
    yield Row(CKM.AES_XTS, _CRYPT, xts, made.iv(_IV, core.AesXts), _opaque, (32, 64))
    yield Row(
        CKM.CHACHA20_POLY1305,
        _CRYPT | _MESSAGES | _WRAP,
        frozenset({CKK.CHACHA20}),
        made.chacha20_poly1305,
        _opaque,
        (32, 32),
    )
    for ckm, make in (
        (CKM.DES3_ECB, constant(core.Des3Ecb())),
        (CKM.DES3_CBC, made.iv(8, lambda iv: core.Des3Cbc(iv, False))),
        (CKM.DES3_CBC_PAD, made.iv(8, lambda iv: core.Des3Cbc(iv, True))),
    ):
        yield Row(ckm, _CRYPT, _DES3, make, _opaque, (24, 24), legacy=True)


def _kdfs() -> Iterable[Row]:
    hkdf = frozenset({CKK.HKDF, CKK.GENERIC_SECRET}) | HMAC_TYPES
    yield Row(CKM.HKDF_DERIVE, CKF.DERIVE, hkdf, made.hkdf, _opaque, _GENERIC_BYTES)
    counter = _AES | HMAC_TYPES
    yield Row(
        CKM.SP800_108_COUNTER_KDF, CKF.DERIVE, counter, made.counter_kdf, _opaque, _GENERIC_BYTES
    )


def _digests() -> Iterable[Row]:
    for ckm, hashed in DIGESTS.items():
        name = str(hashed).replace("-", "_") if hashed.startswith("sha3") else str(hashed)
        yield Row(ckm, CKF.DIGEST, _NO_KEY, _NOTHING, _message, digest=name)
    yield Row(CKM.MD5, CKF.DIGEST, _NO_KEY, _NOTHING, _message, legacy=True, digest="md5")


ROWS: Final[dict[int, Row]] = {
    row.ckm: row
    for rows in (_generation, _rsa, _curves, _lattices, _macs, _ciphers, _kdfs, _digests)
    for row in rows()
}
_LISTED: Final = {
    legacy: tuple(sorted(row.ckm for row in ROWS.values() if legacy or not row.legacy))
    for legacy in (False, True)
}


# --- what programs ask ---------------------------------------------------------------


def listed(*, legacy: bool = False) -> tuple[int, ...]:
    """For C_GetMechanismList; `legacy`: of a token that was made for old programs."""
    return _LISTED[legacy]


def info(ckm: int, *, legacy: bool = False) -> tuple[int, int, int]:
    """For C_GetMechanismInfo: smallest and largest key, flags."""
    row = _row(ckm, legacy=legacy)
    return *row.sizes, row.flags


def _row(ckm: int, *, legacy: bool) -> Row:
    row = ROWS.get(ckm)
    if row is None:
        raise Wrong(CKR.MECHANISM_INVALID, f"{CKM.name(ckm)} is not served here.")
    if row.legacy and not legacy:
        raise Wrong(
            CKR.MECHANISM_INVALID,
            f"{CKM.name(ckm)} is not safe, so this token does not have it.",
            remedy="`keyholm token new --legacy` makes one for old programs.",
        )
    return row


def chosen(mechanism: wire.Mechanism, function: int, *, legacy: bool = False) -> Chosen:
    """What a program means by `mechanism` where it calls C_SignInit (`CKF.SIGN`) and its like.

    Raises `Wrong`: MECHANISM_INVALID, MECHANISM_PARAM_INVALID."""
    row = _row(mechanism.type, legacy=legacy)
    if not row.flags & function:
        raise Wrong(
            CKR.MECHANISM_INVALID,
            f"{CKM.name(mechanism.type)} does not do this.",
        )
    if _is_small(mechanism.parameter):
        return _kept(mechanism, bool(row.encrypts and function & _ENCRYPTING))
    return Chosen(row, _maker(row, function)(mechanism.parameter))


# Their parameters name other keys, by handles that mean nothing to anybody else.
_NAMING_KEYS: Final = frozenset({CKM.CONCATENATE_BASE_AND_KEY})


def passed(
    mechanism: wire.Mechanism, function: int, own: Mapping[int, MechanismInfo], takes: int
) -> Chosen:
    """The same with a token that has mechanisms of its `own`, for a key of the type `takes`.

    What the core has words for is said in them, so that a policy can tell what is done; the rest
    is passed on as it came. Raises `Wrong`."""
    known = own.get(mechanism.type)
    if known is None or not known.flags & function:
        raise Wrong(
            CKR.MECHANISM_INVALID, f"The token does not do this by {CKM.name(mechanism.type)}."
        )
    row = ROWS.get(mechanism.type)
    if row is not None and row.flags & function and takes in row.key_types:
        with suppress(Wrong):
            return chosen(mechanism, function, legacy=True)
    if mechanism.type in _NAMING_KEYS:
        raise Wrong(
            CKR.MECHANISM_PARAM_INVALID, f"{CKM.name(mechanism.type)} names a key by its handle."
        )
    return _passed(mechanism, known.flags)


def _passed(mechanism: wire.Mechanism, flags: int) -> Chosen:
    ckm = mechanism.type
    given = b"" if mechanism.parameter is None else wire.write_parameter(mechanism)
    row = Row(ckm, flags, _NO_KEY, _NOTHING, _opaque)
    return Chosen(row, core.Vendor(ckm, given))


def row_for(ckm: int, function: int, *, legacy: bool = False) -> Row:
    """For functions whose parameters come with each message. Raises `Wrong`."""
    row = _row(ckm, legacy=legacy)
    if not row.flags & function:
        raise Wrong(CKR.MECHANISM_INVALID, f"{CKM.name(ckm)} does not do this.")
    return row


_ENCRYPTING: Final = _CRYPT | _WRAP


def _maker(row: Row, function: int) -> Make:
    return row.encrypts if row.encrypts is not None and function & _ENCRYPTING else row.make


@lru_cache(maxsize=KEPT)
def _kept(mechanism: wire.Mechanism, encrypts: bool) -> Chosen:
    row = ROWS[mechanism.type]
    return Chosen(row, _maker(row, CKF.ENCRYPT if encrypts else CKF.SIGN)(mechanism.parameter))


def _is_small(parameter: fields.Parameter | bytes | None) -> bool:
    """Whether it is worth keeping, and cannot fill the memory: those of signatures are."""
    match parameter:
        case None | fields.Pss() | fields.Number():
            return True
        case fields.Eddsa(_, context) | fields.SignContext(_, context):
            return len(context) <= made.MAX_CONTEXT
        case _:
            return False


def hasher(chosen_: Chosen) -> "hashlib._Hash":
    """For C_DigestInit."""
    return hashlib.new(chosen_.row.digest, usedforsecurity=False)

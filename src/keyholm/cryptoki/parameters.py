"""How the parameter of a mechanism becomes a mechanism of the core.

One function a family. Each takes the decoded parameter and raises `Wrong` where it is none that
the mechanism can have; what the parameter says of the key itself is for the store to see.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from keyholm.core import mechanisms as core
from keyholm.core.mechanisms import Hash, Kdf, Mechanism
from keyholm.cryptoki.points import plain_point
from keyholm.cryptoki.wrong import Wrong
from keyholm.wire.pkcs11 import parameters
from keyholm.wire.pkcs11.constants import CK, CKD, CKF, CKG, CKH, CKM, CKP, CKR, CKZ
from keyholm.wire.pkcs11.parameters import Parameter

Make = Callable[[Parameter | bytes | None], Mechanism | None]
Kind = TypeVar("Kind", bound=Parameter)

HASH_SIZES: Final[dict[Hash, int]] = {
    Hash.SHA1: 20,
    Hash.SHA224: 28,
    Hash.SHA256: 32,
    Hash.SHA384: 48,
    Hash.SHA512: 64,
    Hash.SHA3_224: 28,
    Hash.SHA3_256: 32,
    Hash.SHA3_384: 48,
    Hash.SHA3_512: 64,
}
# How the standard spells each hash in the names of its numbers.
NAMES: Final[dict[Hash, str]] = {
    Hash.SHA1: "SHA1",
    Hash.SHA224: "SHA224",
    Hash.SHA256: "SHA256",
    Hash.SHA384: "SHA384",
    Hash.SHA512: "SHA512",
    Hash.SHA3_224: "SHA3_224",
    Hash.SHA3_256: "SHA3_256",
    Hash.SHA3_384: "SHA3_384",
    Hash.SHA3_512: "SHA3_512",
}
DIGESTS: Final[dict[int, Hash]] = {
    getattr(CKM, "SHA_1" if name == "SHA1" else name): hashed for hashed, name in NAMES.items()
}
HMACS: Final[dict[int, Hash]] = {
    getattr(CKM, "SHA_1_HMAC" if name == "SHA1" else f"{name}_HMAC"): hashed
    for hashed, name in NAMES.items()
}
MGFS: Final[dict[int, Hash]] = {
    getattr(CKG, f"MGF1_{name}"): hashed for hashed, name in NAMES.items()
}
KDFS: Final[dict[int, tuple[Kdf, Hash | None]]] = {
    CKD.NULL: (Kdf.NONE, None),
    **{getattr(CKD, f"{name}_KDF"): (Kdf.X963, hashed) for hashed, name in NAMES.items()},
    **{
        getattr(CKD, f"{name}_KDF_SP800"): (Kdf.SP800_56A, hashed) for hashed, name in NAMES.items()
    },
}
_PRFS: Final[dict[int, Hash]] = {
    CKP.PKCS5_PBKD2_HMAC_SHA1: Hash.SHA1,
    CKP.PKCS5_PBKD2_HMAC_SHA224: Hash.SHA224,
    CKP.PKCS5_PBKD2_HMAC_SHA256: Hash.SHA256,
    CKP.PKCS5_PBKD2_HMAC_SHA384: Hash.SHA384,
    CKP.PKCS5_PBKD2_HMAC_SHA512: Hash.SHA512,
}
MAX_CONTEXT: Final = 255  # of ML-DSA (FIPS 204, section 5.2)
MAX_SALT: Final = 16384 // 8  # of PSS: no longer than the longest modulus
MAX_ROUNDS: Final = 10_000_000  # some seconds; a frame must not buy more
BLOCK: Final = 16
_KW_IV: Final = b"\xa6" * 8  # RFC 3394, section 2.2.3.1
_KWP_IV: Final = b"\xa6\x59\x59\xa6"  # RFC 5649, section 3
_CCM_TAGS: Final = range(4, 17, 2)
_GCM_TAGS: Final = frozenset({32, 64, 96, 104, 112, 120, 128})  # bits (SP 800-38D, 5.2.1.2)


def invalid(what: str) -> Wrong:
    return Wrong(CKR.MECHANISM_PARAM_INVALID, what)


def _the(kind: type[Kind], parameter: Parameter | bytes | None) -> Kind:
    if not isinstance(parameter, kind):
        raise invalid("The mechanism wants its own kind of parameter.")
    return parameter


def _check(fits: bool, what: str) -> None:
    if not fits:
        raise invalid(what)


def _known(table: dict[int, Any], number: int, what: str) -> Any:
    if number not in table:
        raise invalid(f"{number:#x} is no {what} that we know.")
    return table[number]


def constant(mechanism: Mechanism | None) -> Make:
    """Of a mechanism without a parameter: always the same object."""

    def make(parameter: Parameter | bytes | None) -> Mechanism | None:
        if parameter not in (None, b""):
            raise invalid("This mechanism takes no parameter.")
        return mechanism

    return make


# --- signatures ----------------------------------------------------------------------


def pss(own: Hash | None) -> Make:
    """`own` is the hash that the mechanism names; without one the digest comes ready made."""

    def make(parameter: Parameter | bytes | None) -> Mechanism:
        given = _the(parameters.Pss, parameter)
        hashed = _known(DIGESTS, given.hash, "hash")
        _check(own in (None, hashed), "PSS with another hash than the mechanism's own.")
        _check(given.salt_length <= MAX_SALT, "A salt longer than any RSA key.")
        mgf = _known(MGFS, given.mgf, "mask generation function")
        return core.RsaPss(hashed, mgf, given.salt_length, prehashed=own is None)

    return make


def eddsa(parameter: Parameter | bytes | None) -> Mechanism:
    if parameter not in (None, b""):
        given = _the(parameters.Eddsa, parameter)
        _check(not given.prehash and not given.context, "EdDSA is pure here, without a context.")
    return core.EdDsa()


def ml_dsa(parameter: Parameter | bytes | None) -> Mechanism:
    if parameter in (None, b""):
        return core.MlDsa()
    given = _the(parameters.SignContext, parameter)
    _check(len(given.context) <= MAX_CONTEXT, "A context of more than 255 bytes.")
    _check(
        given.hedge in (CKH.HEDGE_PREFERRED, CKH.HEDGE_REQUIRED), "ML-DSA is always hedged here."
    )
    return core.MlDsa(given.context)


def mac(largest: int, mechanism: Callable[[int], Mechanism]) -> Make:
    """Of a MAC that is cut to the length that the parameter says."""

    def make(parameter: Parameter | bytes | None) -> Mechanism:
        size = _the(parameters.Number, parameter).number
        _check(0 < size <= largest, f"A MAC of {size} bytes, where it has 1 to {largest}.")
        return mechanism(size)

    return make


# --- encryption ----------------------------------------------------------------------


def oaep(parameter: Parameter | bytes | None) -> Mechanism:
    given = _the(parameters.Oaep, parameter)
    if given.source != CKZ.DATA_SPECIFIED:  # many programs leave it 0 where there is no label
        _check(given.source == 0 and not given.label, "A label from nowhere.")
    return core.RsaOaep(
        _known(DIGESTS, given.hash, "hash"),
        _known(MGFS, given.mgf, "mask generation function"),
        given.label,
    )


def iv(size: int, mechanism: Callable[[bytes], Mechanism]) -> Make:
    def make(parameter: Parameter | bytes | None) -> Mechanism:
        given = _the(parameters.Iv, parameter).iv
        _check(len(given) == size, f"An IV of {len(given)} bytes, not {size}.")
        return mechanism(given)

    return make


def ctr(parameter: Parameter | bytes | None) -> Mechanism:
    given = _the(parameters.Counter, parameter)
    _check(len(given.block) == BLOCK, "A counter block of another size.")
    _check(0 < given.counter_bits <= 8 * BLOCK, "A counter of 1 to 128 bits.")
    return core.AesCtr(given.block, given.counter_bits)


def gcm(parameter: Parameter | bytes | None) -> Mechanism:
    """`ulIvBits` is not looked at: some programs leave it empty, and the length says the same."""
    given = _the(parameters.Gcm, parameter)
    _check(len(given.iv) > 0, "GCM without an IV.")
    _check(given.tag_bits in _GCM_TAGS, f"A tag of {given.tag_bits} bits.")
    return core.AesGcm(given.iv, given.associated_data, given.tag_bits // 8)


def ccm(parameter: Parameter | bytes | None) -> Mechanism:
    given = _the(parameters.Ccm, parameter)
    _check(7 <= len(given.nonce) <= 13, "A nonce of 7 to 13 bytes.")
    _check(given.mac_length in _CCM_TAGS, f"A MAC of {given.mac_length} bytes.")
    most = 1 << 8 * (15 - len(given.nonce))
    _check(given.data_length < most, "Too much data for so long a nonce.")
    return core.AesCcm(given.nonce, given.associated_data, given.mac_length, given.data_length)


def chacha20_poly1305(parameter: Parameter | bytes | None) -> Mechanism:
    given = _the(parameters.ChaCha20Poly1305, parameter)
    _check(len(given.nonce) == 12, "A nonce of 12 bytes.")
    return core.ChaCha20Poly1305(given.nonce, given.associated_data)


def key_wrap(*, padded: bool) -> Make:
    """Only with the IV of the RFC, which is also what NULL means."""

    def make(parameter: Parameter | bytes | None) -> Mechanism:
        if parameter not in (None, b""):
            given = _the(parameters.Iv, parameter).iv
            _check(given in (b"", _KWP_IV if padded else _KW_IV), "Key wrap with an IV of its own.")
        return core.AesKeyWrap(padded)

    return make


# --- keys from keys ------------------------------------------------------------------


def ecdh(*, cofactor: bool) -> Make:
    def make(parameter: Parameter | bytes | None) -> Mechanism:
        given = _the(parameters.Ecdh1, parameter)
        kdf, hashed = _known(KDFS, given.kdf, "key derivation function")
        _check(kdf is not Kdf.NONE or not given.shared_data, "Shared data that nothing takes.")
        point = plain_point(given.public_data)
        if point is None:
            raise invalid("This is no public value of any curve.")
        return core.Ecdh(point, kdf, hashed, given.shared_data, cofactor)

    return make


def hkdf(parameter: Parameter | bytes | None) -> Mechanism:
    given = _the(parameters.Hkdf, parameter)
    _check(given.extract or given.expand, "HKDF must extract, or expand, or both.")
    salts = {CKF.HKDF_SALT_NULL: None, CKF.HKDF_SALT_DATA: given.salt}
    salt = _known(salts, given.salt_type, "kind of salt") if given.extract else None
    hashed = _known(DIGESTS, given.hash, "hash")
    return core.Hkdf(hashed, given.extract, given.expand, salt, given.info)


def pbkdf2(parameter: Parameter | bytes | None) -> Mechanism:
    given = _the(parameters.Pbkdf2, parameter)
    _check(given.salt_source == CKZ.SALT_SPECIFIED, "A salt from nowhere.")
    _check(0 < given.iterations <= MAX_ROUNDS, f"1 to {MAX_ROUNDS} iterations.")
    _check(not given.prf_data, "A pseudo-random function with data of its own.")
    hashed = _known(_PRFS, given.prf, "pseudo-random function")
    return core.Pbkdf2(hashed, given.salt, given.iterations)


def counter_kdf(parameter: Parameter | bytes | None) -> Mechanism:
    """One counter, with fixed input before and after it (SP 800-108, section 4.1)."""
    given = _the(parameters.CounterKdf, parameter)
    _check(not given.additional_keys, "One key is derived at a time.")
    prfs: dict[int, Hash | None] = {**HMACS, CKM.AES_CMAC: None}
    hashed = _known(prfs, given.prf, "pseudo-random function")
    kinds = [each.type for each in given.data]
    _check(kinds.count(CK.SP800_108_ITERATION_VARIABLE) == 1, "There must be one counter.")
    at = kinds.index(CK.SP800_108_ITERATION_VARIABLE)
    width = _counter_width(given.data[at].value)
    before, after = map(_fixed, (given.data[:at], given.data[at + 1 :]))
    return core.CounterKdf(hashed, before, after, width)


def _counter_width(value: object) -> int:
    if not isinstance(value, parameters.CounterFormat):
        raise invalid("A counter without its format.")
    _check(not value.little_endian, "A counter that is little-endian.")
    _check(value.width_in_bits in (8, 16, 24, 32), "A counter of 8, 16, 24 or 32 bits.")
    return value.width_in_bits // 8


def _fixed(data: tuple[parameters.DataParam, ...]) -> bytes:
    parts = []
    for each in data:
        if each.type != CK.SP800_108_BYTE_ARRAY or not isinstance(each.value, bytes):
            raise invalid("Beside the counter there is fixed input only.")
        parts.append(each.value)
    return b"".join(parts)

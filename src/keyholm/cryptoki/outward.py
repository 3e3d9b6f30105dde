"""The core's mechanisms as PKCS#11 has them: the way back of `mechanisms` and `parameters`.

What a module is asked for is the exact counterpart; a store that knows that a token has not
got it may ask for another (`digest_info` and the hash are ours to make).
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from keyholm.core import mechanisms as core
from keyholm.core.errors import MechanismUnsupported
from keyholm.core.mechanisms import Hash, Kdf, Mechanism, spelling
from keyholm.cryptoki.mechanisms import INFOS, named
from keyholm.cryptoki.parameters import DIGESTS, HASH_SIZES, KDFS, MGFS
from keyholm.wire.pkcs11 import mechanisms as wire
from keyholm.wire.pkcs11 import parameters as fields
from keyholm.wire.pkcs11.constants import CK, CKF, CKH, CKM, CKZ
from keyholm.wire.pkcs11.parameters import Parameter

_DIGEST_OF: Final = {hashed: ckm for ckm, hashed in DIGESTS.items()}
_MGF_OF: Final = {hashed: ckg for ckg, hashed in MGFS.items()}
_KDF_OF: Final = {kdf: ckd for ckd, kdf in KDFS.items()}
_INFO_OF: Final = {hashed: prefix for prefix, hashed in INFOS.items()}

Named = tuple[int, Parameter | bytes | None]


def outward(mechanism: Mechanism) -> wire.Mechanism:
    """Raises `MechanismUnsupported` where PKCS#11 has no words for it."""
    name = _NAMES.get(type(mechanism))
    if name is None:
        raise MechanismUnsupported(f"PKCS#11 has no words for {spelling(mechanism)}.")
    ckm, parameter = name(mechanism)
    return wire.Mechanism(ckm, parameter)


def digest_info(hashed: Hash, digest: bytes) -> bytes:
    """What PKCS#1 pads of a digest (RFC 8017, section 9.2)."""
    return _INFO_OF[hashed] + digest


# --- signatures ----------------------------------------------------------------------


def _ecdsa(mechanism: core.Ecdsa) -> Named:
    return (CKM.ECDSA if mechanism.hash is None else named("ECDSA_{}", mechanism.hash)), None


def _pkcs1(mechanism: core.RsaPkcs1) -> Named:
    if mechanism.hash is None:
        return CKM.RSA_PKCS, None
    return named("{}_RSA_PKCS", mechanism.hash), None


def _pss(mechanism: core.RsaPss) -> Named:
    parameter = fields.Pss(_DIGEST_OF[mechanism.hash], _MGF_OF[mechanism.mgf], mechanism.salt)
    if mechanism.prehashed:
        return CKM.RSA_PKCS_PSS, parameter
    return named("{}_RSA_PKCS_PSS", mechanism.hash), parameter


def _ml_dsa(mechanism: core.MlDsa) -> Named:
    if not mechanism.context:
        return CKM.ML_DSA, None
    return CKM.ML_DSA, fields.SignContext(CKH.HEDGE_PREFERRED, mechanism.context)


def _hmac(mechanism: core.Hmac) -> Named:
    if mechanism.size == HASH_SIZES[mechanism.hash]:
        return named("{}_HMAC", mechanism.hash), None
    return named("{}_HMAC_GENERAL", mechanism.hash), fields.Number(mechanism.size)


def _cmac(mechanism: core.AesCmac) -> Named:
    if mechanism.size == 16:
        return CKM.AES_CMAC, None
    return CKM.AES_CMAC_GENERAL, fields.Number(mechanism.size)


# --- encryption ----------------------------------------------------------------------


def _oaep(mechanism: core.RsaOaep) -> Named:
    return CKM.RSA_PKCS_OAEP, fields.Oaep(
        _DIGEST_OF[mechanism.hash], _MGF_OF[mechanism.mgf], CKZ.DATA_SPECIFIED, mechanism.label
    )


def _cbc(mechanism: core.AesCbc) -> Named:
    return (CKM.AES_CBC_PAD if mechanism.padded else CKM.AES_CBC), fields.Iv(mechanism.iv)


def _gcm(mechanism: core.AesGcm) -> Named:
    iv = mechanism.iv
    return CKM.AES_GCM, fields.Gcm(iv, 8 * len(iv), mechanism.aad, 8 * mechanism.tag)


def _ccm(mechanism: core.AesCcm) -> Named:
    return CKM.AES_CCM, fields.Ccm(mechanism.length, mechanism.nonce, mechanism.aad, mechanism.tag)


def _des3_cbc(mechanism: core.Des3Cbc) -> Named:
    return (CKM.DES3_CBC_PAD if mechanism.padded else CKM.DES3_CBC), fields.Iv(mechanism.iv)


# --- keys from keys ------------------------------------------------------------------


def _ecdh(mechanism: core.Ecdh) -> Named:
    ckm = CKM.ECDH1_COFACTOR_DERIVE if mechanism.cofactor else CKM.ECDH1_DERIVE
    kdf = _KDF_OF[mechanism.kdf, None if mechanism.kdf is Kdf.NONE else mechanism.hash]
    return ckm, fields.Ecdh1(kdf, mechanism.shared, mechanism.public)


def _hkdf(mechanism: core.Hkdf) -> Named:
    kind = CKF.HKDF_SALT_NULL if mechanism.salt is None else CKF.HKDF_SALT_DATA
    return CKM.HKDF_DERIVE, fields.Hkdf(
        mechanism.extract,
        mechanism.expand,
        _DIGEST_OF[mechanism.hash],
        kind,
        mechanism.salt or b"",
        0,
        mechanism.info,
    )


def _counter_kdf(mechanism: core.CounterKdf) -> Named:
    prf = CKM.AES_CMAC if mechanism.hash is None else named("{}_HMAC", mechanism.hash)
    counter = fields.CounterFormat(False, 8 * mechanism.counter)
    parts = (
        *_fixed(mechanism.before),
        fields.DataParam(CK.SP800_108_ITERATION_VARIABLE, counter),
        *_fixed(mechanism.after),
    )
    return CKM.SP800_108_COUNTER_KDF, fields.CounterKdf(prf, parts, 0)


def _fixed(data: bytes) -> tuple[fields.DataParam, ...]:
    return (fields.DataParam(CK.SP800_108_BYTE_ARRAY, data),) if data else ()


def _vendor(mechanism: core.Vendor) -> Named:
    given = mechanism.parameter
    return mechanism.ckm, wire.with_parameter(mechanism.ckm, given).parameter if given else None


def _always(ckm: int) -> Callable[[Any], Named]:
    return lambda mechanism: (ckm, None)


_NAMES: Final[dict[type[msgspec.Struct], Callable[[Any], Named]]] = {
    core.EdDsa: _always(CKM.EDDSA),
    core.Ecdsa: _ecdsa,
    core.RsaPkcs1: _pkcs1,
    core.RsaPss: _pss,
    core.MlDsa: _ml_dsa,
    core.Hmac: _hmac,
    core.AesCmac: _cmac,
    core.RsaPkcs1Encryption: _always(CKM.RSA_PKCS),
    core.RsaOaep: _oaep,
    core.RsaRaw: _always(CKM.RSA_X_509),
    core.AesEcb: _always(CKM.AES_ECB),
    core.AesCbc: _cbc,
    core.AesCtr: lambda m: (CKM.AES_CTR, fields.Counter(m.bits, m.counter)),
    core.AesGcm: _gcm,
    core.AesCcm: _ccm,
    core.AesXts: lambda m: (CKM.AES_XTS, fields.Iv(m.tweak)),
    core.AesKeyWrap: lambda m: (CKM.AES_KEY_WRAP_KWP if m.padded else CKM.AES_KEY_WRAP, None),
    core.ChaCha20Poly1305: lambda m: (
        CKM.CHACHA20_POLY1305,
        fields.ChaCha20Poly1305(m.nonce, m.aad),
    ),
    core.Des3Ecb: _always(CKM.DES3_ECB),
    core.Des3Cbc: _des3_cbc,
    core.Ecdh: _ecdh,
    core.Hkdf: _hkdf,
    core.CounterKdf: _counter_kdf,
    core.MlKem: _always(CKM.ML_KEM),
    core.Vendor: _vendor,
}

"""Numbers of TPM 2.0, named as Part 2 names them, without their prefix."""

from enum import IntEnum, IntFlag, unique
from typing import Final


@unique
class ALG(IntEnum):
    """TPM_ALG_ID (Part 2, 6.3)."""

    RSA = 0x0001
    SHA1 = 0x0004
    HMAC = 0x0005
    AES = 0x0006
    MGF1 = 0x0007
    KEYEDHASH = 0x0008
    XOR = 0x000A
    SHA256 = 0x000B
    SHA384 = 0x000C
    SHA512 = 0x000D
    NULL = 0x0010
    SM3_256 = 0x0012
    SM4 = 0x0013
    RSASSA = 0x0014
    RSAES = 0x0015
    RSAPSS = 0x0016
    OAEP = 0x0017
    ECDSA = 0x0018
    ECDH = 0x0019
    ECDAA = 0x001A
    SM2 = 0x001B
    ECSCHNORR = 0x001C
    ECMQV = 0x001D
    KDF1_SP800_56A = 0x0020
    KDF2 = 0x0021
    KDF1_SP800_108 = 0x0022
    ECC = 0x0023
    SYMCIPHER = 0x0025
    CAMELLIA = 0x0026
    SHA3_256 = 0x0027
    SHA3_384 = 0x0028
    SHA3_512 = 0x0029
    CTR = 0x0040
    OFB = 0x0041
    CBC = 0x0042
    CFB = 0x0043
    ECB = 0x0044


@unique
class CURVE(IntEnum):
    """TPM_ECC_CURVE (6.4)."""

    NIST_P192 = 0x0001
    NIST_P224 = 0x0002
    NIST_P256 = 0x0003
    NIST_P384 = 0x0004
    NIST_P521 = 0x0005
    BN_P256 = 0x0010
    BN_P638 = 0x0011
    SM2_P256 = 0x0020


@unique
class CC(IntEnum):
    """TPM_CC (6.5): the commands that we send, and those that name what a policy allows."""

    EvictControl = 0x0120
    Clear = 0x0126
    NV_DefineSpace = 0x012A
    CreatePrimary = 0x0131
    NV_Write = 0x0137
    DictionaryAttackLockReset = 0x0139
    DictionaryAttackParameters = 0x013A
    PCR_Reset = 0x013D
    SelfTest = 0x0143
    Startup = 0x0144
    Shutdown = 0x0145
    ActivateCredential = 0x0147
    Certify = 0x0148
    CertifyCreation = 0x014A
    NV_Read = 0x014E
    ObjectChangeAuth = 0x0150
    PolicySecret = 0x0151
    Create = 0x0153
    ECDH_ZGen = 0x0154
    Import = 0x0156
    Load = 0x0157
    Quote = 0x0158
    RSA_Decrypt = 0x0159
    Sign = 0x015D
    Unseal = 0x015E
    PolicySigned = 0x0160
    ContextLoad = 0x0161
    ContextSave = 0x0162
    FlushContext = 0x0165
    LoadExternal = 0x0167
    NV_ReadPublic = 0x0169
    PolicyAuthorize = 0x016A
    PolicyAuthValue = 0x016B
    PolicyCommandCode = 0x016C
    PolicyOR = 0x0171
    ReadPublic = 0x0173
    StartAuthSession = 0x0176
    VerifySignature = 0x0177
    GetCapability = 0x017A
    GetRandom = 0x017B
    PCR_Read = 0x017E
    PolicyPCR = 0x017F
    ReadClock = 0x0181
    PCR_Extend = 0x0182
    PolicyGetDigest = 0x0189
    PolicyPassword = 0x018C


@unique
class ST(IntEnum):
    """TPM_ST (6.9)."""

    NULL = 0x8000
    NO_SESSIONS = 0x8001
    SESSIONS = 0x8002
    ATTEST_NV = 0x8014
    ATTEST_COMMAND_AUDIT = 0x8015
    ATTEST_SESSION_AUDIT = 0x8016
    ATTEST_CERTIFY = 0x8017
    ATTEST_QUOTE = 0x8018
    ATTEST_TIME = 0x8019
    ATTEST_CREATION = 0x801A
    CREATION = 0x8021
    VERIFIED = 0x8022
    AUTH_SECRET = 0x8023
    HASHCHECK = 0x8024
    AUTH_SIGNED = 0x8025


@unique
class SE(IntEnum):
    """TPM_SE (6.11): what a session is for."""

    HMAC = 0x00
    POLICY = 0x01
    TRIAL = 0x03


@unique
class CAP(IntEnum):
    """TPM_CAP (6.12)."""

    ALGS = 0
    HANDLES = 1
    COMMANDS = 2
    PCRS = 5
    TPM_PROPERTIES = 6
    ECC_CURVES = 8


@unique
class PT(IntEnum):
    """TPM_PT (6.13): those that we ask for."""

    FAMILY_INDICATOR = 0x100
    REVISION = 0x102
    MANUFACTURER = 0x105
    VENDOR_STRING_1 = 0x106
    VENDOR_STRING_2 = 0x107
    VENDOR_STRING_3 = 0x108
    VENDOR_STRING_4 = 0x109
    FIRMWARE_VERSION_1 = 0x10B
    FIRMWARE_VERSION_2 = 0x10C
    HR_TRANSIENT_MIN = 0x10E
    HR_LOADED_MIN = 0x110
    MAX_COMMAND_SIZE = 0x11E
    MAX_RESPONSE_SIZE = 0x11F
    MAX_DIGEST = 0x120
    NV_BUFFER_MAX = 0x12C
    PERMANENT = 0x200
    HR_TRANSIENT_AVAIL = 0x207
    LOCKOUT_COUNTER = 0x20E
    MAX_AUTH_FAIL = 0x20F
    LOCKOUT_INTERVAL = 0x210
    LOCKOUT_RECOVERY = 0x211


class HANDLE:
    """Handles that are always there (7.4), and where the others begin (7.2)."""

    OWNER: Final = 0x40000001
    NULL: Final = 0x40000007
    PASSWORD: Final = 0x40000009
    LOCKOUT: Final = 0x4000000A
    ENDORSEMENT: Final = 0x4000000B
    PLATFORM: Final = 0x4000000C
    NV_INDEX: Final = 0x01000000
    HMAC_SESSION: Final = 0x02000000
    POLICY_SESSION: Final = 0x03000000
    TRANSIENT: Final = 0x80000000
    PERSISTENT: Final = 0x81000000


GENERATED: Final = 0xFF544347
"""TPM_GENERATED_VALUE (6.2): begins what a TPM attests, and nothing else that it signs."""


class OBJECT(IntFlag):
    """TPMA_OBJECT (8.3)."""

    FIXEDTPM = 0x00000002
    STCLEAR = 0x00000004
    FIXEDPARENT = 0x00000010
    SENSITIVEDATAORIGIN = 0x00000020
    USERWITHAUTH = 0x00000040
    ADMINWITHPOLICY = 0x00000080
    NODA = 0x00000400
    ENCRYPTEDDUPLICATION = 0x00000800
    RESTRICTED = 0x00010000
    DECRYPT = 0x00020000
    SIGN_ENCRYPT = 0x00040000
    X509SIGN = 0x00080000


class SESSION(IntFlag):
    """TPMA_SESSION (8.4)."""

    CONTINUESESSION = 0x01
    AUDITEXCLUSIVE = 0x02
    AUDITRESET = 0x04
    DECRYPT = 0x20
    ENCRYPT = 0x40
    AUDIT = 0x80


HASHES: Final[dict[ALG, str]] = {
    ALG.SHA1: "sha1",
    ALG.SHA256: "sha256",
    ALG.SHA384: "sha384",
    ALG.SHA512: "sha512",
    ALG.SHA3_256: "sha3_256",
    ALG.SHA3_384: "sha3_384",
    ALG.SHA3_512: "sha3_512",
}
"""hashlib's names."""

COORDINATES: Final[dict[CURVE, int]] = {
    CURVE.NIST_P192: 24,
    CURVE.NIST_P224: 28,
    CURVE.NIST_P256: 32,
    CURVE.NIST_P384: 48,
    CURVE.NIST_P521: 66,
}
"""Bytes of a coordinate."""

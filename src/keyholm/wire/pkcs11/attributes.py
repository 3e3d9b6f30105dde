"""Attributes of objects: what each one is.

Its kind decides how its value crosses (templates.py) and what it is in Python:

| kind | value |
|---|---|
| BOOL | a bool |
| ULONG | an int |
| TEXT, NUMBER, DER, BYTES, DATE | bytes; of a secret attribute, a view of the frame |
| ULONGS | a tuple of int |
| TEMPLATE | a tuple of attributes |

So a value does not depend on the word size of the client. `None` stands for no value: in an answer,
that the attribute is not told (unknown, sensitive); in a request, that what the caller has there
does not fit the type (CKR_ATTRIBUTE_VALUE_INVALID).
"""

from enum import StrEnum
from typing import Final

from keyholm.wire.pkcs11.constants import CKA

Value = int | bytes | memoryview | tuple[int, ...] | tuple["Attribute", ...] | None
Attribute = tuple[int, Value]
Template = tuple[Attribute, ...]
# An attribute that is asked for, and the bytes that the caller has space for: 0 asks for the
# length. The daemon answers in full either way; it is the client that copies or does not.
Wanted = tuple[int, int]


class Kind(StrEnum):
    """What the standard says that an attribute is."""

    BOOL = "CK_BBOOL"
    ULONG = "CK_ULONG"
    ULONGS = "array of CK_ULONG"
    TEMPLATE = "template"
    DATE = "CK_DATE"
    TEXT = "UTF-8 text"
    NUMBER = "big integer"
    DER = "DER"
    BYTES = "bytes"


_BY_KIND: Final[dict[Kind, tuple[int, ...]]] = {
    Kind.BOOL: (
        CKA.TOKEN,
        CKA.PRIVATE,
        CKA.TRUSTED,
        CKA.SENSITIVE,
        CKA.ENCRYPT,
        CKA.DECRYPT,
        CKA.WRAP,
        CKA.UNWRAP,
        CKA.SIGN,
        CKA.SIGN_RECOVER,
        CKA.VERIFY,
        CKA.VERIFY_RECOVER,
        CKA.DERIVE,
        CKA.EXTRACTABLE,
        CKA.LOCAL,
        CKA.NEVER_EXTRACTABLE,
        CKA.ALWAYS_SENSITIVE,
        CKA.MODIFIABLE,
        CKA.COPYABLE,
        CKA.DESTROYABLE,
        CKA.ALWAYS_AUTHENTICATE,
        CKA.WRAP_WITH_TRUSTED,
        CKA.SECONDARY_AUTH,
        CKA.OTP_USER_FRIENDLY_MODE,
        CKA.RESET_ON_INIT,
        CKA.HAS_RESET,
        CKA.COLOR,
        CKA.ENCAPSULATE,
        CKA.DECAPSULATE,
        CKA.X2RATCHET_BOBS1STMSG,
        CKA.X2RATCHET_ISALICE,
    ),
    Kind.ULONG: (
        CKA.CLASS,
        CKA.CERTIFICATE_TYPE,
        CKA.CERTIFICATE_CATEGORY,
        CKA.JAVA_MIDP_SECURITY_DOMAIN,
        CKA.NAME_HASH_ALGORITHM,
        CKA.KEY_TYPE,
        CKA.MODULUS_BITS,
        CKA.PRIME_BITS,
        CKA.SUBPRIME_BITS,
        CKA.VALUE_BITS,
        CKA.VALUE_LEN,
        CKA.KEY_GEN_MECHANISM,
        CKA.AUTH_PIN_FLAGS,
        CKA.OTP_FORMAT,
        CKA.OTP_LENGTH,
        CKA.OTP_TIME_INTERVAL,
        CKA.OTP_CHALLENGE_REQUIREMENT,
        CKA.OTP_TIME_REQUIREMENT,
        CKA.OTP_COUNTER_REQUIREMENT,
        CKA.OTP_PIN_REQUIREMENT,
        CKA.HW_FEATURE_TYPE,
        CKA.PIXEL_X,
        CKA.PIXEL_Y,
        CKA.RESOLUTION,
        CKA.CHAR_ROWS,
        CKA.CHAR_COLUMNS,
        CKA.BITS_PER_PIXEL,
        CKA.MECHANISM_TYPE,
        CKA.PROFILE_ID,
        CKA.PARAMETER_SET,
        CKA.OBJECT_VALIDATION_FLAGS,
        CKA.VALIDATION_TYPE,
        CKA.VALIDATION_LEVEL,
        CKA.VALIDATION_FLAG,
        CKA.VALIDATION_AUTHORITY_TYPE,
        CKA.TRUST_SERVER_AUTH,
        CKA.TRUST_CLIENT_AUTH,
        CKA.TRUST_CODE_SIGNING,
        CKA.TRUST_EMAIL_PROTECTION,
        CKA.TRUST_IPSEC_IKE,
        CKA.TRUST_TIME_STAMPING,
        CKA.TRUST_OCSP_SIGNING,
        CKA.HSS_LEVELS,
        CKA.HSS_LMS_TYPE,
        CKA.HSS_LMOTS_TYPE,
        CKA.HSS_KEYS_REMAINING,
        CKA.X2RATCHET_BAGSIZE,
        CKA.X2RATCHET_NR,
        CKA.X2RATCHET_NS,
        CKA.X2RATCHET_PNS,
    ),
    Kind.ULONGS: (CKA.ALLOWED_MECHANISMS, CKA.HSS_LMS_TYPES, CKA.HSS_LMOTS_TYPES),
    Kind.TEMPLATE: (
        CKA.WRAP_TEMPLATE,
        CKA.UNWRAP_TEMPLATE,
        CKA.DERIVE_TEMPLATE,
        CKA.ENCAPSULATE_TEMPLATE,
        CKA.DECAPSULATE_TEMPLATE,
    ),
    Kind.DATE: (CKA.START_DATE, CKA.END_DATE),
    Kind.TEXT: (
        CKA.LABEL,
        CKA.UNIQUE_ID,
        CKA.APPLICATION,
        CKA.URL,
        CKA.CHAR_SETS,
        CKA.ENCODING_METHODS,
        CKA.MIME_TYPES,
        CKA.OTP_TIME,
        CKA.OTP_USER_IDENTIFIER,
        CKA.OTP_SERVICE_IDENTIFIER,
        CKA.OTP_SERVICE_LOGO_TYPE,
        CKA.VALIDATION_MODULE_ID,
        CKA.VALIDATION_COUNTRY,
        CKA.VALIDATION_CERTIFICATE_IDENTIFIER,
        CKA.VALIDATION_CERTIFICATE_URI,
        CKA.VALIDATION_VENDOR_URI,
        CKA.VALIDATION_PROFILE,
    ),
    Kind.NUMBER: (
        CKA.MODULUS,
        CKA.PUBLIC_EXPONENT,
        CKA.PRIVATE_EXPONENT,
        CKA.PRIME_1,
        CKA.PRIME_2,
        CKA.EXPONENT_1,
        CKA.EXPONENT_2,
        CKA.COEFFICIENT,
        CKA.PRIME,
        CKA.SUBPRIME,
        CKA.BASE,
    ),
    Kind.DER: (
        CKA.OBJECT_ID,
        CKA.ISSUER,
        CKA.SERIAL_NUMBER,
        CKA.AC_ISSUER,
        CKA.OWNER,
        CKA.ATTR_TYPES,
        CKA.SUBJECT,
        CKA.PUBLIC_KEY_INFO,
        CKA.EC_PARAMS,
        CKA.EC_POINT,
        CKA.GOSTR3410_PARAMS,
        CKA.GOSTR3411_PARAMS,
        CKA.GOST28147_PARAMS,
    ),
    Kind.BYTES: (
        CKA.VALUE,
        CKA.ID,
        CKA.CHECK_VALUE,
        CKA.HASH_OF_SUBJECT_PUBLIC_KEY,
        CKA.HASH_OF_ISSUER_PUBLIC_KEY,
        CKA.HASH_OF_CERTIFICATE,
        CKA.PUBLIC_CRC64_VALUE,
        CKA.SEED,
        CKA.OTP_COUNTER,
        CKA.OTP_SERVICE_LOGO,
        CKA.REQUIRED_CMS_ATTRIBUTES,
        CKA.DEFAULT_CMS_ATTRIBUTES,
        CKA.SUPPORTED_CMS_ATTRIBUTES,
        CKA.VALIDATION_VERSION,
        CKA.X2RATCHET_BAG,
        CKA.X2RATCHET_CKR,
        CKA.X2RATCHET_CKS,
        CKA.X2RATCHET_DHP,
        CKA.X2RATCHET_DHR,
        CKA.X2RATCHET_DHS,
        CKA.X2RATCHET_HKR,
        CKA.X2RATCHET_HKS,
        CKA.X2RATCHET_NHKR,
        CKA.X2RATCHET_NHKS,
        CKA.X2RATCHET_RK,
    ),
}
# What is in none of them, vendors' own, is bytes.
KINDS: Final[dict[int, Kind]] = {
    number: kind for kind, numbers in _BY_KIND.items() for number in numbers
}
# Read as views of the frame, whose owner wipes it. CKA_VALUE is that of secret and private keys,
# but of certificates, too: whoever keeps it makes bytes of it.
SECRET: Final = frozenset(
    (
        CKA.VALUE,
        CKA.PRIVATE_EXPONENT,
        CKA.PRIME_1,
        CKA.PRIME_2,
        CKA.EXPONENT_1,
        CKA.EXPONENT_2,
        CKA.COEFFICIENT,
        CKA.SEED,
        CKA.X2RATCHET_CKR,
        CKA.X2RATCHET_CKS,
        CKA.X2RATCHET_DHS,
        CKA.X2RATCHET_RK,
    )
)
# p11-kit gives a form to these alone (0.24.1 to 0.26.4; to CKA_DERIVE_TEMPLATE since its version
# 1). It sends all others as the bytes that the caller has in memory, whatever they are.
STOCK: Final = frozenset(
    (
        CKA.TOKEN,
        CKA.PRIVATE,
        CKA.TRUSTED,
        CKA.SENSITIVE,
        CKA.ENCRYPT,
        CKA.DECRYPT,
        CKA.WRAP,
        CKA.UNWRAP,
        CKA.SIGN,
        CKA.SIGN_RECOVER,
        CKA.VERIFY,
        CKA.VERIFY_RECOVER,
        CKA.DERIVE,
        CKA.EXTRACTABLE,
        CKA.LOCAL,
        CKA.NEVER_EXTRACTABLE,
        CKA.ALWAYS_SENSITIVE,
        CKA.MODIFIABLE,
        CKA.COPYABLE,
        CKA.SECONDARY_AUTH,
        CKA.ALWAYS_AUTHENTICATE,
        CKA.WRAP_WITH_TRUSTED,
        CKA.RESET_ON_INIT,
        CKA.HAS_RESET,
        CKA.COLOR,
        CKA.CLASS,
        CKA.CERTIFICATE_TYPE,
        CKA.CERTIFICATE_CATEGORY,
        CKA.JAVA_MIDP_SECURITY_DOMAIN,
        CKA.KEY_TYPE,
        CKA.MODULUS_BITS,
        CKA.PRIME_BITS,
        CKA.SUBPRIME_BITS,
        CKA.VALUE_BITS,
        CKA.VALUE_LEN,
        CKA.KEY_GEN_MECHANISM,
        CKA.AUTH_PIN_FLAGS,
        CKA.HW_FEATURE_TYPE,
        CKA.PIXEL_X,
        CKA.PIXEL_Y,
        CKA.RESOLUTION,
        CKA.CHAR_ROWS,
        CKA.CHAR_COLUMNS,
        CKA.BITS_PER_PIXEL,
        CKA.MECHANISM_TYPE,
        CKA.WRAP_TEMPLATE,
        CKA.UNWRAP_TEMPLATE,
        CKA.DERIVE_TEMPLATE,
        CKA.ALLOWED_MECHANISMS,
        CKA.START_DATE,
        CKA.END_DATE,
    )
)

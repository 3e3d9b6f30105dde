"""Which attributes each class of objects keeps as programs give them, and which may change."""

from typing import Final

from keyholm.core.model import Value
from keyholm.cryptoki.wrong import Wrong
from keyholm.doors.pkcs11.making.given import Given
from keyholm.wire.pkcs11.constants import CKA, CKO, CKR

_STORED: Final = frozenset({CKA.PRIVATE, CKA.MODIFIABLE, CKA.COPYABLE, CKA.DESTROYABLE, CKA.LABEL})
_KEY: Final = _STORED | {
    CKA.ID,
    CKA.START_DATE,
    CKA.END_DATE,
    CKA.DERIVE,
    CKA.ALLOWED_MECHANISMS,
}
_PROTECTED: Final = frozenset({CKA.WRAP_WITH_TRUSTED, CKA.UNWRAP_TEMPLATE, CKA.DERIVE_TEMPLATE})
# SENSITIVE and EXTRACTABLE are in none of them: `protection` takes those.
KEPT: Final[dict[int, frozenset[int]]] = {
    CKO.PUBLIC_KEY: _KEY
    | {
        CKA.SUBJECT,
        CKA.ENCRYPT,
        CKA.VERIFY,
        CKA.VERIFY_RECOVER,
        CKA.WRAP,
        CKA.ENCAPSULATE,
        CKA.WRAP_TEMPLATE,
        CKA.ENCAPSULATE_TEMPLATE,
    },
    CKO.PRIVATE_KEY: _KEY
    | _PROTECTED
    | {
        CKA.SUBJECT,
        CKA.DECRYPT,
        CKA.SIGN,
        CKA.SIGN_RECOVER,
        CKA.UNWRAP,
        CKA.DECAPSULATE,
        CKA.ALWAYS_AUTHENTICATE,
        CKA.DECAPSULATE_TEMPLATE,
    },
    CKO.SECRET_KEY: _KEY
    | _PROTECTED
    | {
        CKA.ENCRYPT,
        CKA.DECRYPT,
        CKA.SIGN,
        CKA.VERIFY,
        CKA.WRAP,
        CKA.UNWRAP,
        CKA.WRAP_TEMPLATE,
    },
    CKO.CERTIFICATE: _STORED
    | {
        CKA.ID,
        CKA.CERTIFICATE_CATEGORY,
        CKA.START_DATE,
        CKA.END_DATE,
        CKA.URL,
        CKA.HASH_OF_SUBJECT_PUBLIC_KEY,
        CKA.HASH_OF_ISSUER_PUBLIC_KEY,
        CKA.NAME_HASH_ALGORITHM,
        CKA.JAVA_MIDP_SECURITY_DOMAIN,
    },
    CKO.DATA: _STORED | {CKA.APPLICATION, CKA.OBJECT_ID, CKA.VALUE},
}
# What C_SetAttributeValue may change (PKCS#11 3.1, tables 11 to 34: all that has note 8).
CHANGEABLE: Final[dict[int, frozenset[int]]] = {
    **{
        cko: KEPT[cko]
        - _STORED
        - {
            CKA.ALLOWED_MECHANISMS,
            CKA.ALWAYS_AUTHENTICATE,
            CKA.WRAP_WITH_TRUSTED,
            CKA.WRAP_TEMPLATE,
            CKA.UNWRAP_TEMPLATE,
            CKA.DERIVE_TEMPLATE,
            CKA.ENCAPSULATE_TEMPLATE,
            CKA.DECAPSULATE_TEMPLATE,
        }
        | {CKA.LABEL}
        for cko in (CKO.PUBLIC_KEY, CKO.PRIVATE_KEY, CKO.SECRET_KEY)
    },
    CKO.CERTIFICATE: frozenset({CKA.ID, CKA.LABEL}),
    CKO.DATA: frozenset({CKA.LABEL, CKA.APPLICATION, CKA.OBJECT_ID, CKA.VALUE}),
}
# What may change in one direction only: to this value.
ONE_WAY: Final[dict[int, bool]] = {
    CKA.SENSITIVE: True,
    CKA.EXTRACTABLE: False,
    CKA.WRAP_WITH_TRUSTED: True,
    CKA.COPYABLE: False,
}
# What a copy may have otherwise than its original, besides.
OF_COPIES: Final = frozenset({CKA.TOKEN, CKA.PRIVATE, CKA.MODIFIABLE, CKA.DESTROYABLE})


def trust(given: Given) -> dict[int, Value]:
    """Takes TRUSTED, which is kept where the officer says so. Nobody else can."""
    if not given.flag(CKA.TRUSTED, False):
        return {}
    if not given.officer:
        raise Wrong(
            CKR.ATTRIBUTE_READ_ONLY,
            "Only the security officer can say that a key or a certificate is trusted.",
        )
    return {CKA.TRUSTED: True}


def protection(given: Given, kept: dict[int, Value]) -> bool:
    """Takes SENSITIVE, which is kept where it is not as usual, and EXTRACTABLE, which it gives."""
    if not given.flag(CKA.SENSITIVE, True):
        kept[CKA.SENSITIVE] = False
    return given.flag(CKA.EXTRACTABLE, False)


def label(attributes: dict[int, Value]) -> str:
    """What people are shown."""
    found = attributes.get(CKA.LABEL, b"")
    return found.decode("utf-8", "replace") if isinstance(found, bytes) else ""

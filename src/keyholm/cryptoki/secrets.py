"""Types of secret keys: what each CKK is in the core. Keys of one HMAC, and of HKDF, are generic."""

from typing import Final

from keyholm.core.model import SecretType
from keyholm.cryptoki.mechanisms import HMAC_TYPES
from keyholm.wire.pkcs11.constants import CKK, CKM

TYPES: Final[dict[int, SecretType]] = {
    CKK.AES: SecretType.AES,
    CKK.AES_XTS: SecretType.AES,
    CKK.CHACHA20: SecretType.CHACHA20,
    CKK.DES3: SecretType.DES3,
    CKK.GENERIC_SECRET: SecretType.GENERIC,
    CKK.HKDF: SecretType.GENERIC,
    **dict.fromkeys(
        (key_type for key_type in HMAC_TYPES if key_type != CKK.GENERIC_SECRET),
        SecretType.GENERIC,
    ),
}
# The one that has no other name.
PLAIN: Final[dict[SecretType, int]] = {
    SecretType.AES: CKK.AES,
    SecretType.CHACHA20: CKK.CHACHA20,
    SecretType.DES3: CKK.DES3,
    SecretType.GENERIC: CKK.GENERIC_SECRET,
}
MAKES: Final[dict[SecretType, int]] = {
    SecretType.AES: CKM.AES_KEY_GEN,
    SecretType.CHACHA20: CKM.CHACHA20_KEY_GEN,
    SecretType.DES3: CKM.DES3_KEY_GEN,
    SecretType.GENERIC: CKM.GENERIC_SECRET_KEY_GEN,
}

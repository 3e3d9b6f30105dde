"""Authenticated encryption: nothing that was decrypted leaves before its tag was found right.

So what is decrypted is collected, and so is what is encrypted where the mode, or cryptography,
wants it whole. The tag follows the ciphertext, as PKCS#11 has it.

What is collected keeps its `SecretValue` and makes the cipher of it at the end: ciphers only
refer to the key's memory, which is wiped when the last `SecretValue` is gone.
"""

from collections.abc import Callable
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305 as _ChaCha20Poly1305

from keyholm.core.errors import DataInvalid, DataLengthInvalid, MechanismUnsupported
from keyholm.core.mechanisms import AesCcm, AesGcm, ChaCha20Poly1305
from keyholm.core.store import Running
from keyholm.stores.software.ciphers import AES_BLOCK, Ways, aes, check_iv
from keyholm.stores.software.families import Family
from keyholm.stores.software.running import MOST, Collected
from keyholm.stores.software.secret_keys import SecretValue

GCM_TAGS: Final = (4, 8, 12, 13, 14, 15, 16)  # SP 800-38D, 5.2.1.2
GCM_IVS: Final = range(8, 129)  # what OpenSSL takes
CCM_TAGS: Final = range(4, 17, 2)  # SP 800-38C, A.1
CCM_NONCES: Final = range(7, 14)
POLY1305_TAG: Final = 16
CHACHA20_NONCE: Final = 12


def _wrong() -> DataInvalid:
    return DataInvalid("This was changed, or was not encrypted with this key and these parameters.")


def _too_short(tag: int) -> DataLengthInvalid:
    return DataLengthInvalid(f"There is no tag of {tag} bytes at the end.")


# --- GCM -----------------------------------------------------------------------------


def _check_gcm(mechanism: AesGcm) -> None:
    check_iv("The IV of AES-GCM", mechanism.iv, GCM_IVS)
    if mechanism.tag not in GCM_TAGS:
        raise MechanismUnsupported(f"AES-GCM has no tag of {mechanism.tag} bytes.")


class _GcmEncrypting:
    def __init__(self, key: SecretValue, mechanism: AesGcm) -> None:
        _check_gcm(mechanism)
        self._tag = mechanism.tag
        self._context = Cipher(aes(key), modes.GCM(mechanism.iv)).encryptor()
        self._context.authenticate_additional_data(mechanism.aad)

    def update(self, data: bytes) -> bytes:
        try:
            return self._context.update(data)
        except ValueError:  # 64 GiB
            raise DataLengthInvalid("AES-GCM encrypts no more with one IV.") from None

    def finish(self, signature: bytes = b"") -> bytes:
        return self._context.finalize() + self._context.tag[: self._tag]


def _gcm_decrypting(key: SecretValue, mechanism: AesGcm) -> Running:
    _check_gcm(mechanism)
    aes(key)
    size = mechanism.tag

    def decrypt(data: bytearray, _: bytes) -> bytes:
        if len(data) < size:
            raise _too_short(size)
        end = len(data) - size
        mode = modes.GCM(mechanism.iv, bytes(data[end:]), min_tag_length=size)
        context = Cipher(aes(key), mode).decryptor()
        context.authenticate_additional_data(mechanism.aad)
        plain = bytearray(end + AES_BLOCK)
        try:
            written = context.update_into(memoryview(data)[:end], plain)
            context.finalize()
            return bytes(memoryview(plain)[:written])
        except InvalidTag:
            raise _wrong() from None
        finally:
            plain[:] = bytes(len(plain))

    return Collected(decrypt)


# --- whole ---------------------------------------------------------------------------


def _decrypted(
    decrypt: Callable[[bytes, bytearray, bytes], bytes], nonce: bytes, data: bytearray, aad: bytes
) -> bytes:
    try:
        return decrypt(nonce, data, aad)
    except InvalidTag:
        raise _wrong() from None


def _ccm(key: SecretValue, mechanism: AesCcm) -> AESCCM:
    aes(key)
    check_iv("The nonce of AES-CCM", mechanism.nonce, CCM_NONCES)
    if mechanism.tag not in CCM_TAGS:
        raise MechanismUnsupported(f"AES-CCM has no tag of {mechanism.tag} bytes.")
    # The length is written in what the nonce leaves of a block (SP 800-38C, A.1).
    if not 0 <= mechanism.length <= min(MOST, 256 ** (15 - len(mechanism.nonce)) - 1):
        raise DataLengthInvalid(f"AES-CCM does not take {mechanism.length} bytes with this nonce.")
    return AESCCM(key.view, mechanism.tag)


def _ccm_encrypting(key: SecretValue, mechanism: AesCcm) -> Running:
    _ccm(key, mechanism)

    def encrypt(data: bytearray, _: bytes) -> bytes:
        if len(data) != mechanism.length:
            raise DataLengthInvalid(f"{mechanism.length} bytes were announced, not {len(data)}.")
        return _ccm(key, mechanism).encrypt(mechanism.nonce, data, mechanism.aad)

    return Collected(encrypt)


def _ccm_decrypting(key: SecretValue, mechanism: AesCcm) -> Running:
    _ccm(key, mechanism)

    def decrypt(data: bytearray, _: bytes) -> bytes:
        if len(data) < mechanism.tag:
            raise _too_short(mechanism.tag)
        if len(data) - mechanism.tag != mechanism.length:
            raise DataLengthInvalid(f"{mechanism.length} bytes and a tag were announced.")
        return _decrypted(_ccm(key, mechanism).decrypt, mechanism.nonce, data, mechanism.aad)

    return Collected(decrypt)


def _chacha20(key: SecretValue, mechanism: ChaCha20Poly1305) -> _ChaCha20Poly1305:
    check_iv("The nonce of ChaCha20-Poly1305", mechanism.nonce, (CHACHA20_NONCE,))
    return _ChaCha20Poly1305(key.view)


def _chacha20_encrypting(key: SecretValue, mechanism: ChaCha20Poly1305) -> Running:
    _chacha20(key, mechanism)

    def encrypt(data: bytearray, _: bytes) -> bytes:
        return _chacha20(key, mechanism).encrypt(mechanism.nonce, data, mechanism.aad)

    return Collected(encrypt)


def _chacha20_decrypting(key: SecretValue, mechanism: ChaCha20Poly1305) -> Running:
    _chacha20(key, mechanism)

    def decrypt(data: bytearray, _: bytes) -> bytes:
        if len(data) < POLY1305_TAG:
            raise _too_short(POLY1305_TAG)
        return _decrypted(_chacha20(key, mechanism).decrypt, mechanism.nonce, data, mechanism.aad)

    return Collected(decrypt)


AEADS: Final[dict[tuple[Family, type], Ways]] = {
    (Family.AES, AesGcm): (_GcmEncrypting, _gcm_decrypting),
    (Family.AES, AesCcm): (_ccm_encrypting, _ccm_decrypting),
    (Family.CHACHA20, ChaCha20Poly1305): (_chacha20_encrypting, _chacha20_decrypting),
}

"""AES-KW (RFC 3394) and AES-KWP (RFC 5649): keys encrypted so that a change of them is seen."""

from typing import Final

from cryptography.hazmat.primitives import keywrap

from keyholm.core.errors import DataInvalid, DataLengthInvalid
from keyholm.core.mechanisms import AesKeyWrap
from keyholm.core.store import Running
from keyholm.stores.software.ciphers import Ways, aes
from keyholm.stores.software.families import Family
from keyholm.stores.software.running import Collected
from keyholm.stores.software.secret_keys import SecretValue

HALF_BLOCK: Final = 8
LARGEST: Final = 64 * 1024  # no key is longer; the time is six rounds over all of it


def _wrapping(key: SecretValue, mechanism: AesKeyWrap) -> Running:
    aes(key)

    def wrap(data: bytearray, _: bytes) -> bytes:
        if mechanism.padded:
            if not data:
                raise DataLengthInvalid("AES-KWP wraps at least one byte.")
            return keywrap.aes_key_wrap_with_padding(key.view, data)
        if len(data) < 2 * HALF_BLOCK or len(data) % HALF_BLOCK:
            raise DataLengthInvalid("AES-KW wraps a multiple of 8 bytes, and 16 at least.")
        return keywrap.aes_key_wrap(key.view, data)

    return Collected(wrap, LARGEST)


def _unwrapping(key: SecretValue, mechanism: AesKeyWrap) -> Running:
    aes(key)
    unwrap = keywrap.aes_key_unwrap_with_padding if mechanism.padded else keywrap.aes_key_unwrap
    least = 2 * HALF_BLOCK if mechanism.padded else 3 * HALF_BLOCK

    def work(data: bytearray, _: bytes) -> bytes:
        if len(data) < least or len(data) % HALF_BLOCK:
            raise DataLengthInvalid(f"A wrapped key is a multiple of 8 bytes, {least} at least.")
        try:
            return unwrap(key.view, data)
        except keywrap.InvalidUnwrap:
            raise DataInvalid("This was changed, or was not wrapped with this key.") from None

    return Collected(work, LARGEST + 2 * HALF_BLOCK)


KEY_WRAPS: Final[dict[tuple[Family, type], Ways]] = {
    (Family.AES, AesKeyWrap): (_wrapping, _unwrapping),
}

"""Block ciphers, as they encrypt and decrypt what comes in parts (SP 800-38A, SP 800-38E)."""

from collections.abc import Callable
from typing import Any, Final

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from keyholm.core.errors import DataInvalid, DataLengthInvalid, MechanismUnsupported
from keyholm.core.mechanisms import AesCbc, AesCtr, AesEcb, AesXts, Des3Cbc, Des3Ecb
from keyholm.core.store import Running
from keyholm.stores.software.families import Family
from keyholm.stores.software.running import Collected, Through
from keyholm.stores.software.secret_keys import SecretValue

AES_BLOCK: Final = 16
DES3_BLOCK: Final = 8
XTS_LARGEST: Final = AES_BLOCK << 20  # of a data unit: SP 800-38E, 4
LONGEST_SINGLE: Final = 32  # an AES key of 64 bytes is two, for XTS

Maker = Callable[[Any, Any], Running]
Ways = tuple[Maker, Maker]
"""How a key encrypts by a mechanism, and how it decrypts."""


def aes(key: SecretValue) -> AES:
    if len(key.view) > LONGEST_SINGLE:
        raise MechanismUnsupported("An AES key of 64 bytes is for XTS only.")
    return AES(key.view)


def check_iv(name: str, iv: bytes, sizes: range | tuple[int, ...]) -> None:
    if len(iv) not in sizes:
        told = f"{min(sizes)} to {max(sizes)}" if len(sizes) > 1 else f"{sizes[0]}"
        raise MechanismUnsupported(f"{name} takes {told} bytes here, not {len(iv)}.")


# --- whole blocks --------------------------------------------------------------------


def _end_of_blocks(context: Any) -> bytes:
    try:
        rest: bytes = context.finalize()
    except ValueError:
        raise DataLengthInvalid("The data is no whole number of blocks.") from None
    return rest


def _both(cipher: Callable[[Any, Any], Any]) -> Ways:
    return (
        lambda key, mechanism: Through(cipher(key, mechanism).encryptor(), _end_of_blocks),
        lambda key, mechanism: Through(cipher(key, mechanism).decryptor(), _end_of_blocks),
    )


def _aes_ecb(key: SecretValue, mechanism: AesEcb) -> Any:
    return Cipher(aes(key), modes.ECB())  # noqa: S305 - what it is good for is the caller's to know


def _des3_ecb(key: SecretValue, mechanism: Des3Ecb) -> Any:
    return Cipher(_des3(key), modes.ECB())  # noqa: S305


def _aes_cbc(key: SecretValue, mechanism: AesCbc) -> Any:
    check_iv("The IV of AES-CBC", mechanism.iv, (AES_BLOCK,))
    return Cipher(aes(key), modes.CBC(mechanism.iv))


def _des3_cbc(key: SecretValue, mechanism: Des3Cbc) -> Any:
    check_iv("The IV of DES3-CBC", mechanism.iv, (DES3_BLOCK,))
    return Cipher(_des3(key), modes.CBC(mechanism.iv))


def _des3(key: SecretValue) -> TripleDES:
    return TripleDES(key.view)  # type: ignore[arg-type]  # it takes any buffer


# --- padded --------------------------------------------------------------------------


class _Padding:
    def __init__(self, encryptor: Any, block: int) -> None:
        self._encryptor, self._padder = encryptor, padding.PKCS7(block * 8).padder()

    def update(self, data: bytes) -> bytes:
        encrypted: bytes = self._encryptor.update(self._padder.update(data))
        return encrypted

    def finish(self, signature: bytes = b"") -> bytes:
        last: bytes = self._encryptor.update(self._padder.finalize())
        return last + _end_of_blocks(self._encryptor)


class _Unpadding:
    """Who may send ciphertexts and sees whether the padding was right can decrypt without the
    key (SECURITY.md). The mode has no other way to end."""

    def __init__(self, decryptor: Any, block: int) -> None:
        self._decryptor, self._unpadder = decryptor, padding.PKCS7(block * 8).unpadder()
        self._empty = True

    def update(self, data: bytes) -> bytes:
        self._empty = self._empty and not data
        decrypted: bytes = self._unpadder.update(self._decryptor.update(data))
        return decrypted

    def finish(self, signature: bytes = b"") -> bytes:
        if self._empty:
            raise DataLengthInvalid("Padded data is at least one block.")
        last = self._unpadder.update(_end_of_blocks(self._decryptor))
        try:
            return last + self._unpadder.finalize()
        except ValueError:
            raise DataInvalid("This was not encrypted with this key and IV.") from None


def _maybe_padded(cipher: Callable[[Any, Any], Any], block: int) -> Ways:
    encrypt, decrypt = _both(cipher)

    def encrypting(key: SecretValue, mechanism: Any) -> Running:
        if not mechanism.padded:
            return encrypt(key, mechanism)
        return _Padding(cipher(key, mechanism).encryptor(), block)

    def decrypting(key: SecretValue, mechanism: Any) -> Running:
        if not mechanism.padded:
            return decrypt(key, mechanism)
        return _Unpadding(cipher(key, mechanism).decryptor(), block)

    return encrypting, decrypting


# --- counted -------------------------------------------------------------------------


class _Counting:
    """CTR until its counter would run over: what follows would be encrypted as the beginning."""

    def __init__(self, key: SecretValue, mechanism: AesCtr) -> None:
        check_iv("The counter block of AES-CTR", mechanism.counter, (AES_BLOCK,))
        if not 1 <= mechanism.bits <= AES_BLOCK * 8:
            raise MechanismUnsupported("The counter of AES-CTR has 1 to 128 bits.")
        # While it does not run over, to count with the whole block is the same.
        values = 1 << mechanism.bits
        self._left = (values - int.from_bytes(mechanism.counter) % values) * AES_BLOCK
        # Both directions are one.
        self._stream = Cipher(aes(key), modes.CTR(mechanism.counter)).encryptor()

    def update(self, data: bytes) -> bytes:
        self._left -= len(data)
        if self._left < 0:
            raise DataLengthInvalid("The counter has not enough bits for so much data.")
        return self._stream.update(data)

    def finish(self, signature: bytes = b"") -> bytes:
        return self._stream.finalize()


# --- data units ----------------------------------------------------------------------


def _xts(begin: Callable[[Any], Any]) -> Maker:
    def make(key: SecretValue, mechanism: AesXts) -> Running:
        check_iv("The tweak of AES-XTS", mechanism.tweak, (AES_BLOCK,))
        if len(key.view) not in (32, 64):
            raise MechanismUnsupported("A key for AES-XTS has 32 or 64 bytes, for two of AES.")
        try:
            context = begin(Cipher(AES(key.view), modes.XTS(mechanism.tweak)))
        except ValueError:
            raise MechanismUnsupported("The two halves of a key for AES-XTS differ.") from None

        def work(data: bytearray, _: bytes) -> bytes:
            if len(data) < AES_BLOCK:
                raise DataLengthInvalid("AES-XTS takes at least 16 bytes.")
            return bytes(context.update(data)) + bytes(context.finalize())

        return Collected(work, XTS_LARGEST)

    return make


CIPHERS: Final[dict[tuple[Family, type], Ways]] = {
    (Family.AES, AesEcb): _both(_aes_ecb),
    (Family.AES, AesCbc): _maybe_padded(_aes_cbc, AES_BLOCK),
    (Family.AES, AesCtr): (_Counting, _Counting),
    (Family.AES, AesXts): (
        _xts(lambda cipher: cipher.encryptor()),
        _xts(lambda cipher: cipher.decryptor()),
    ),
    (Family.DES3, Des3Ecb): _both(_des3_ecb),
    (Family.DES3, Des3Cbc): _maybe_padded(_des3_cbc, DES3_BLOCK),
}

"""Secret keys: their bytes, which lie in locked memory for as long as anybody uses them."""

from typing import Final

from msgspec import Struct

from keyholm.core.errors import AlgorithmUnsupported
from keyholm.core.model import SecretType
from keyholm.core.secret import Secret

LARGEST_GENERIC: Final = 4096
# 64 bytes are two keys of AES-256, for XTS.
_SIZES: Final[dict[SecretType, range | tuple[int, ...]]] = {
    SecretType.AES: (16, 24, 32, 64),
    SecretType.CHACHA20: (32,),
    SecretType.DES3: (24,),
    SecretType.GENERIC: range(1, LARGEST_GENERIC + 1),
}


class SecretValue(Struct, frozen=True, eq=False):
    """A secret key as it is used. What OpenSSL copies for itself it cleans itself.

    Nobody closes `secret`: an operation may still need it when the key is sealed again, and it
    wipes itself when the last of them lets go of it."""

    type: SecretType
    secret: Secret

    @property
    def view(self) -> memoryview:
        return self.secret.view


def check_size(type_: SecretType, size: int) -> None:
    """Raises `AlgorithmUnsupported`."""
    sizes = _SIZES[type_]
    if size in sizes:
        return
    if isinstance(sizes, range):
        told = f"{sizes.start} to {sizes.stop - 1}"
    else:
        told = " or ".join(map(str, sizes))
    raise AlgorithmUnsupported(f"A key of type {type_} has {told} bytes, not {size}.")

"""What a module says of itself when it is loaded: what its worker tells before any call."""

from msgspec import Struct
from msgspec.msgpack import Decoder, Encoder


class ModuleInfo(Struct, frozen=True):
    """CK_INFO, and what the module has of the standard."""

    cryptoki_version: tuple[int, int]
    manufacturer: str
    library_description: str
    library_version: tuple[int, int]
    interface_version: tuple[int, int]
    functions: tuple[str, ...]
    """Those that it has, without C_."""

    is_serial: bool = False
    """It has no locks: one call at a time."""


encode_info = Encoder().encode
decode_info = Decoder(ModuleInfo).decode

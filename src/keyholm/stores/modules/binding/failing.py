"""What a call fails with: a code of the standard or the vendor's, and a sentence."""

from typing import Final

from keyholm.wire.pkcs11.constants import CKR, names

_KNOWN: Final = frozenset(names(CKR))
_VENDORS: Final = range(CKR.VENDOR_DEFINED, 1 << 32)


class Failed(Exception):
    def __init__(self, code: int, what: str = "") -> None:
        super().__init__(CKR.name(code), what)
        self.code = code
        self.what = what


def broken(function: str, what: str) -> Failed:
    """A module that answers what cannot be."""
    return Failed(CKR.DEVICE_ERROR, f"{function} of the module {what}.")


def refused(function: str, rv: int) -> Failed:
    if rv in _KNOWN or rv in _VENDORS:
        return Failed(rv, f"{function} of the module said {CKR.name(rv)}.")
    return broken(function, f"returned 0x{rv:X}, which is no code of the standard")


def check(function: str, rv: int) -> None:
    if rv:
        raise refused(function, rv)

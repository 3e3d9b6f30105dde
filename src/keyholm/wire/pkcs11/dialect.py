"""Who is spoken with: p11-kit in one of its versions, or our own module."""

from typing import Final, NamedTuple

OWN_VERSION: Final = 0x80
NEWEST_STOCK_VERSION: Final = 2


class Dialect(NamedTuple):
    version: int  # the first byte that the client sent
    ulong: int = 8  # bytes of its CK_ULONG: 4 or 8

    @property
    def is_ours(self) -> bool:
        return self.version == OWN_VERSION

    @property
    def attribute_size(self) -> int:
        """Bytes of a CK_ATTRIBUTE, which templates in templates are counted in: two CK_ULONG
        and a pointer. A client of narrow CK_ULONG is taken for a 32-bit program."""
        return 3 * self.ulong

"""A template as a program gave it, taken apart attribute by attribute."""

from collections.abc import Container, Iterable
from typing import Final, NoReturn, cast

from keyholm.core.model import Value
from keyholm.cryptoki.wrong import Wrong
from keyholm.wire.pkcs11 import attributes as wire
from keyholm.wire.pkcs11.attributes import KINDS, Kind, Template
from keyholm.wire.pkcs11.constants import CKA, CKR

# What only the token itself says. Nobody else may, not even that it is as it is.
READ_ONLY: Final = frozenset(
    {
        CKA.UNIQUE_ID,
        CKA.LOCAL,
        CKA.KEY_GEN_MECHANISM,
        CKA.ALWAYS_SENSITIVE,
        CKA.NEVER_EXTRACTABLE,
    }
)
_DATE: Final = 8


def incomplete(cka: int) -> Wrong:
    return Wrong(CKR.TEMPLATE_INCOMPLETE, f"The template has no {CKA.name(cka)}.")


def inconsistent(what: str) -> Wrong:
    return Wrong(CKR.TEMPLATE_INCONSISTENT, what)


def bad_value(cka: int, what: str = "") -> Wrong:
    name = CKA.name(cka)
    return Wrong(CKR.ATTRIBUTE_VALUE_INVALID, what or f"{name} cannot have such a value.")


class Given:
    """Each attribute is taken once; what nobody took does not belong to such an object.

    `officer`: the template is the security officer's, who may say what can be trusted."""

    def __init__(self, template: Template, *, officer: bool = False) -> None:
        self.officer = officer
        self._left: dict[int, wire.Value] = {}
        for cka, value in template:
            if cka in self._left:
                raise inconsistent(f"The template has {CKA.name(cka)} twice.")
            if not _fits(cka, value):
                raise bad_value(cka)
            self._left[cka] = value

    def __contains__(self, cka: int) -> bool:
        return cka in self._left

    # --- one attribute -------------------------------------------------------------------

    def flag(self, cka: int, default: bool) -> bool:
        return bool(self._left.pop(cka, default))

    def number(self, cka: int) -> int | None:
        return cast("int | None", self._left.pop(cka, None))

    def needed(self, cka: int) -> int:
        found = self.number(cka)
        if found is None:
            raise incomplete(cka)
        return found

    def octets(self, cka: int) -> bytes | None:
        """Bytes that are no secret."""
        found = self._left.pop(cka, None)
        return None if found is None else bytes(cast("bytes | memoryview", found))

    def secret(self, cka: int) -> memoryview | None:
        """Where it lies."""
        found = self._left.pop(cka, None)
        return None if found is None else memoryview(cast("bytes | memoryview", found))

    def must_be(self, cka: int, *values: int) -> None:
        """Where the attribute is given, it says one of these."""
        found = self.number(cka)
        if found is not None and found not in values:
            raise inconsistent(f"{CKA.name(cka)} says something else than all the rest.")

    # --- all that is kept as it is -------------------------------------------------------

    def kept(self, known: Container[int]) -> dict[int, Value]:
        """All that is left, which such an object keeps as it was given."""
        found: dict[int, Value] = {}
        for cka, value in self._left.items():
            if cka not in known:
                _refuse(cka)
            found[cka] = plain(value)
        self._left.clear()
        return found


def _refuse(cka: int) -> NoReturn:
    if cka in READ_ONLY:
        raise Wrong(CKR.ATTRIBUTE_READ_ONLY, f"The token says {CKA.name(cka)} itself.")
    raise Wrong(CKR.ATTRIBUTE_TYPE_INVALID, f"Such an object has no {CKA.name(cka)}.")


def plain(value: wire.Value) -> Value:
    """As the core keeps it."""
    if isinstance(value, memoryview):
        return bytes(value)
    if isinstance(value, tuple):
        return tuple(
            (each[0], plain(each[1])) if isinstance(each, tuple) else each
            for each in cast("Iterable[int | wire.Attribute]", value)
        )
    return cast("Value", value)


def _fits(cka: int, value: object) -> bool:
    """Whether the value is of the kind that its attribute has."""
    kind = KINDS.get(cka, Kind.BYTES)
    match kind:
        case Kind.BOOL:
            return isinstance(value, bool)
        case Kind.ULONG:
            return isinstance(value, int) and not isinstance(value, bool)
        case Kind.ULONGS:
            return isinstance(value, tuple) and all(isinstance(each, int) for each in value)
        case Kind.TEMPLATE:
            return isinstance(value, tuple) and all(map(_is_attribute, value))
        case Kind.DATE:
            return isinstance(value, bytes) and _is_date(value)
        case _:
            return isinstance(value, bytes | memoryview)


def _is_attribute(each: object) -> bool:
    match each:
        case (int() as cka, value):
            return _fits(cka, value)
        case _:
            return False


def _is_date(value: bytes) -> bool:
    return not value or (len(value) == _DATE and value.isdigit())

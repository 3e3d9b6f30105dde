"""Objects of a token as the module tells of them, before anybody says what they are together.

One `Seen` an object: its handle, which holds until the session or the worker ends, and those of
its attributes that the core or a door has a use for. Secrets are never asked for.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from keyholm.core.model import Value
from keyholm.stores.modules.errors import Answered
from keyholm.stores.modules.line import COUNT, Line
from keyholm.wire.pkcs11.attributes import Template
from keyholm.wire.pkcs11.constants import CKA, CKO, CKR

MOST_OBJECTS: Final = 65_536  # of a token
MOST_VALUE: Final = 256 * 1024  # bytes of one attribute
AT_ONCE: Final = 1024  # handles in one answer

_STORED: Final = (
    CKA.PRIVATE,
    CKA.MODIFIABLE,
    CKA.COPYABLE,
    CKA.DESTROYABLE,
    CKA.LABEL,
    CKA.UNIQUE_ID,
)
_KEY: Final = (
    *_STORED,
    CKA.KEY_TYPE,
    CKA.ID,
    CKA.DERIVE,
    CKA.LOCAL,
    CKA.START_DATE,
    CKA.END_DATE,
    CKA.ALLOWED_MECHANISMS,
    CKA.KEY_GEN_MECHANISM,
)
_PROTECTED: Final = (
    CKA.SENSITIVE,
    CKA.EXTRACTABLE,
    CKA.ALWAYS_SENSITIVE,
    CKA.NEVER_EXTRACTABLE,
    CKA.WRAP_WITH_TRUSTED,
)
_PUBLIC_PARTS: Final = (
    CKA.EC_PARAMS,
    CKA.EC_POINT,
    CKA.MODULUS,
    CKA.MODULUS_BITS,
    CKA.PUBLIC_EXPONENT,
    CKA.PARAMETER_SET,
    CKA.PUBLIC_KEY_INFO,
)
ATTRIBUTES: Final[Mapping[int, tuple[int, ...]]] = {
    CKO.PRIVATE_KEY: (
        *_KEY,
        *_PROTECTED,
        *_PUBLIC_PARTS,
        CKA.SUBJECT,
        CKA.SIGN,
        CKA.SIGN_RECOVER,
        CKA.DECRYPT,
        CKA.UNWRAP,
        CKA.DECAPSULATE,
        CKA.ALWAYS_AUTHENTICATE,
    ),
    CKO.PUBLIC_KEY: (
        *_KEY,
        *_PUBLIC_PARTS,
        CKA.SUBJECT,
        CKA.VERIFY,
        CKA.VERIFY_RECOVER,
        CKA.ENCRYPT,
        CKA.WRAP,
        CKA.ENCAPSULATE,
        CKA.TRUSTED,
        CKA.VALUE,  # of the lattices' keys: a public one
    ),
    CKO.SECRET_KEY: (
        *_KEY,
        *_PROTECTED,
        CKA.VALUE_LEN,
        CKA.CHECK_VALUE,
        CKA.SIGN,
        CKA.VERIFY,
        CKA.ENCRYPT,
        CKA.DECRYPT,
        CKA.WRAP,
        CKA.UNWRAP,
        CKA.TRUSTED,
    ),
    CKO.CERTIFICATE: (
        *_STORED,
        CKA.CERTIFICATE_TYPE,
        CKA.CERTIFICATE_CATEGORY,
        CKA.TRUSTED,
        CKA.ID,
        CKA.CHECK_VALUE,
        CKA.PUBLIC_KEY_INFO,
        CKA.SUBJECT,
        CKA.ISSUER,
        CKA.SERIAL_NUMBER,
        CKA.VALUE,
        CKA.URL,
        CKA.START_DATE,
        CKA.END_DATE,
    ),
    CKO.DATA: (*_STORED, CKA.APPLICATION, CKA.OBJECT_ID, CKA.VALUE),
}
# Of all other classes, such as profiles and what NSS says of trust: what one is found by.
_OF_OTHERS: Final = (
    *_STORED,
    CKA.ID,
    CKA.SUBJECT,
    CKA.ISSUER,
    CKA.SERIAL_NUMBER,
    CKA.APPLICATION,
    CKA.OBJECT_ID,
    CKA.CHECK_VALUE,
    CKA.PROFILE_ID,
)
# What a module says that could not read one object, and can go on with the next.
_OF_ONE_OBJECT: Final = frozenset({CKR.GENERAL_ERROR, CKR.FUNCTION_FAILED, CKR.DATA_INVALID})


class Seen(NamedTuple):
    handle: int
    cko: int
    told: Mapping[int, Value]

    def octets(self, cka: int) -> bytes:
        value = self.told.get(cka)
        return value if isinstance(value, bytes) else b""

    def flag(self, cka: int, default: bool) -> bool:
        value = self.told.get(cka)
        return value if isinstance(value, bool) else default


def handles(line: Line, session: int, template: Template = ()) -> list[int]:
    """All objects that the session sees. Raises `Answered`."""
    line.call("FindObjectsInit", session, template)
    found: list[int] = []
    try:
        while len(found) < MOST_OBJECTS:
            (part,) = line.call("FindObjects", session, min(AT_ONCE, COUNT))
            if not part or isinstance(part, int):
                break
            found += part
    finally:
        # Before anything else: SoftHSM2 signs nothing while a search is open.
        line.call("FindObjectsFinal", session)
    return list(dict.fromkeys(found[:MOST_OBJECTS]))


def seen(line: Line, session: int, which: Iterable[int]) -> Iterator[Seen]:
    """What can be told of each."""
    for handle in which:
        cko = attributes(line, session, handle, (CKA.CLASS,)).get(CKA.CLASS)
        if isinstance(cko, int):
            told = _told(line, session, handle, cko)
            if told is not None:
                yield Seen(handle, cko, told)


def _told(line: Line, session: int, handle: int, cko: int) -> dict[int, Value] | None:
    types = ATTRIBUTES.get(cko, _OF_OTHERS)
    try:
        found = attributes(line, session, handle, types)
        if CKA.KEY_TYPE in types and CKA.KEY_TYPE not in found:
            # NSS keeps back every number when any attribute in the same question is not there.
            found |= attributes(line, session, handle, (CKA.KEY_TYPE,))
        return found
    except Answered as answered:
        if answered.status not in _OF_ONE_OBJECT:
            raise
    # OpenSC shows every data object that a PIV card may have, and notices only now that this
    # card does not have it.
    return None if cko == CKO.DATA else _one_by_one(line, session, handle, types)


def _one_by_one(line: Line, session: int, handle: int, types: Iterable[int]) -> dict[int, Value]:
    found: dict[int, Value] = {}
    for cka in types:
        try:
            found |= attributes(line, session, handle, (cka,))
        except Answered as answered:
            if answered.status not in _OF_ONE_OBJECT:
                raise
    return found


def attributes(line: Line, session: int, handle: int, types: Iterable[int]) -> dict[int, Value]:
    """Those that the module tells; of one that it does not there is nothing. Raises `Answered`."""
    wanted = tuple((cka, MOST_VALUE) for cka in types)
    told, _status = line.call("GetAttributeValue", session, handle, wanted)
    return {cka: _own(value) for cka, value in told if _is_good(value)}


def _is_good(value: object) -> bool:
    return value is not None and not (
        isinstance(value, bytes | memoryview) and len(value) > MOST_VALUE
    )


def _own(value: object) -> Value:
    # A view is of the frame, which goes.
    return bytes(value) if isinstance(value, memoryview) else value  # type: ignore[return-value]

"""C_SetAttributeValue and C_CopyObject: what may be otherwise than it is."""

from typing import Final

from keyholm.core.caller import Caller
from keyholm.core.gate import Gate
from keyholm.core.model import Attributes, Kind, NewObject, Value
from keyholm.cryptoki.forms import spki_of
from keyholm.cryptoki.wrong import Wrong
from keyholm.doors.pkcs11.making.given import Given, inconsistent, plain
from keyholm.doors.pkcs11.making.keeping import CHANGEABLE, OF_COPIES, ONE_WAY
from keyholm.doors.pkcs11.objects import Shown, Untold
from keyholm.doors.pkcs11.showing import Passed
from keyholm.wire.pkcs11.attributes import Template
from keyholm.wire.pkcs11.constants import CKA, CKO, CKR


def changed(shown: Shown, template: Template, *, officer: bool = False) -> Attributes:
    """All attributes that are kept with it from now on. `officer`: the caller's role."""
    if isinstance(shown, Passed):  # what may change of it, its token knows
        return {**shown.stored, **{cka: plain(value) for cka, value in template}}
    if not shown.flag(CKA.MODIFIABLE):
        raise Wrong(CKR.ACTION_PROHIBITED, "The object was made so that it does not change.")
    return {**shown.stored, **_changes(shown, template, frozenset(), officer=officer)}


def _changes(
    shown: Shown, template: Template, more: frozenset[int], *, officer: bool
) -> dict[int, Value]:
    given = Given(template)
    found: dict[int, Value] = {}
    for cka, value in _asked(shown, template, given).items():
        if shown.value(cka) == value:
            continue
        if not _may_change(shown, cka, value, more, officer=officer):
            raise Wrong(CKR.ATTRIBUTE_READ_ONLY, f"{CKA.name(cka)} of this object stays as it is.")
        found[cka] = value
    return found | _history(shown, found)


def _asked(shown: Shown, template: Template, given: Given) -> dict[int, Value]:
    for cka, _ in template:
        told = shown.value(cka)
        if told is Untold.INVALID:
            raise Wrong(CKR.ATTRIBUTE_TYPE_INVALID, f"This object has no {CKA.name(cka)}.")
        if isinstance(told, Untold):
            raise Wrong(CKR.ATTRIBUTE_READ_ONLY, "A key stays what it is.")
    return given.kept(shown.table)


def _may_change(
    shown: Shown, cka: int, value: Value, more: frozenset[int], *, officer: bool
) -> bool:
    if cka == CKA.TRUSTED:
        return officer
    if cka in ONE_WAY:
        return value is ONE_WAY[cka]
    return cka in more or cka in CHANGEABLE.get(shown.cko, ())


def _history(shown: Shown, changes: dict[int, Value]) -> dict[int, Value]:
    """What was not always so is not said to have been."""
    found: dict[int, Value] = {}
    if CKA.SENSITIVE in changes:
        found[CKA.ALWAYS_SENSITIVE] = False
    if CKA.EXTRACTABLE in changes:
        found[CKA.NEVER_EXTRACTABLE] = False
    return found


# --- copies --------------------------------------------------------------------------

_KINDS: Final = {
    CKO.PUBLIC_KEY: Kind.PUBLIC,
    CKO.CERTIFICATE: Kind.CERTIFICATE,
    CKO.DATA: Kind.DATA,
}
_SAFETY: Final = (CKA.LOCAL, CKA.ALWAYS_SENSITIVE, CKA.NEVER_EXTRACTABLE)


def copied(gate: Gate, caller: Caller, shown: Shown, template: Template) -> NewObject:
    """A second object like it. To copy a key is to export it, which the gate decides and
    records; the caller closes the `material`."""
    if not shown.flag(CKA.COPYABLE) or shown.cko == CKO.PROFILE:
        raise Wrong(CKR.ACTION_PROHIBITED, "The object was made so that it is not copied.")
    changes = _changes(shown, template, OF_COPIES, officer=False)
    session = not changes.pop(CKA.TOKEN, shown.flag(CKA.TOKEN))
    private = changes.get(CKA.PRIVATE, shown.is_private) is True
    if shown.is_private and not private:
        raise inconsistent("What is private has no public copy.")
    attributes: dict[int, Value] = {**shown.stored, **changes}
    key = shown.key
    if key is None or shown.cko == CKO.PUBLIC_KEY:
        attributes.pop(CKA.PRIVATE, None)
        if key is not None:
            attributes[CKA.PUBLIC_KEY_INFO] = spki_of(key)
        return NewObject(_KINDS[shown.cko], attributes, private=private, session=session)
    if shown.stored.get(CKA.EXTRACTABLE) is False:
        raise Wrong(CKR.ACTION_PROHIBITED, "The key was told not to leave any more.")
    for cka in _SAFETY:
        attributes[cka] = shown.flag(cka) and changes.get(cka) is not False
    attributes.setdefault(CKA.LABEL, key.label.encode())
    exportable = changes.get(CKA.EXTRACTABLE, shown.flag(CKA.EXTRACTABLE)) is True
    return NewObject(
        key.kind,
        attributes,
        gate.value(caller, key),
        key.secret,
        exportable=exportable,
        session=session,
    )

"""C_DeriveKey, C_UnwrapKey and their like: what the key that comes of another one shall be."""

from typing import Final

from msgspec.structs import replace

from keyholm.core.mechanisms import Ecdh, Hkdf, Kdf, Mechanism, MlKem
from keyholm.core.model import Key, Kind, NewObject, Object, SecretKey, SecretType, Value
from keyholm.core.secret import Secret
from keyholm.cryptoki import forms
from keyholm.cryptoki.mechanisms import Chosen
from keyholm.cryptoki.secrets import TYPES
from keyholm.cryptoki.wrong import Wrong
from keyholm.doors.pkcs11.making import keeping
from keyholm.doors.pkcs11.making.generating import secret_attributes, secret_size
from keyholm.doors.pkcs11.making.given import Given, bad_value, incomplete, inconsistent
from keyholm.doors.pkcs11.objects import Shown
from keyholm.wire.pkcs11.attributes import Attribute, Template
from keyholm.wire.pkcs11.constants import CKA, CKK, CKO, CKR
from keyholm.wire.pkcs11.parameters import Pbkdf2

CLASSES: Final[dict[Kind, int]] = {
    Kind.PRIVATE: CKO.PRIVATE_KEY,
    Kind.PUBLIC: CKO.PUBLIC_KEY,
    Kind.SECRET: CKO.SECRET_KEY,
    Kind.CERTIFICATE: CKO.CERTIFICATE,
    Kind.DATA: CKO.DATA,
}


def class_of(made: Key | Object) -> int:
    return CLASSES[made.kind]


# --- derived -------------------------------------------------------------------------


def derived(chosen: Chosen, base: Shown, template: Template) -> NewObject:
    """The secret key that is derived from `base`, or encapsulated for it."""
    bound = _bound(base, _template_of(chosen.mechanism, base), template)
    new = _new_secret(bound, needs_length=not _has_a_length(chosen.mechanism))
    # As safe as its parent ever was, no safer (PKCS#11 3.1, section 6.3.17 and its like).
    sensitive = new.attributes.get(CKA.SENSITIVE, True) is True
    safety: dict[int, Value] = {
        CKA.ALWAYS_SENSITIVE: sensitive and base.flag(CKA.ALWAYS_SENSITIVE),
        CKA.NEVER_EXTRACTABLE: not new.exportable and base.flag(CKA.NEVER_EXTRACTABLE),
    }
    return replace(new, attributes={**new.attributes, **safety})


def stretched(template: Template) -> NewObject:
    """The secret key that CKM_PKCS5_PBKD2 makes of a password."""
    return _new_secret(template, needs_length=True)


def _new_secret(template: Template, *, needs_length: bool) -> NewObject:
    given = Given(template)
    given.must_be(CKA.CLASS, CKO.SECRET_KEY)
    key_type = given.number(CKA.KEY_TYPE)
    key_type = _known_type(CKK.GENERIC_SECRET if key_type is None else key_type)
    size = secret_size(given, key_type)
    if size is None and needs_length:
        raise incomplete(CKA.VALUE_LEN)
    session = not given.flag(CKA.TOKEN, False)
    attributes, exportable = secret_attributes(given, key_type)
    wanted = SecretKey(TYPES[key_type], size or 0)
    return NewObject(
        Kind.SECRET,
        attributes | FROM_OUTSIDE,
        type=wanted,
        exportable=exportable,
        session=session,
    )


def _has_a_length(mechanism: Mechanism | None) -> bool:
    """Whether what comes out is as long as it is, unless somebody wants less."""
    match mechanism:
        case Ecdh(kdf=Kdf.NONE) | MlKem():
            return True
        case Hkdf(expand=False):
            return True
        case _:
            return False


def _template_of(mechanism: Mechanism | None, base: Shown) -> int:
    if not isinstance(mechanism, MlKem):
        return CKA.DERIVE_TEMPLATE
    is_public = base.cko == CKO.PUBLIC_KEY
    return CKA.ENCAPSULATE_TEMPLATE if is_public else CKA.DECAPSULATE_TEMPLATE


def _bound(base: Shown, cka: int, template: Template) -> Template:
    """`template` with all that `base` wants of keys that come of it."""
    wanted = base.value(cka)
    if not isinstance(wanted, tuple) or not wanted:
        return template
    given = dict(template)
    more: list[Attribute] = []
    for each in wanted:
        if not isinstance(each, tuple):
            continue
        number, value = each
        if number not in given:
            more.append((number, value))  # type: ignore[arg-type]  # what the core keeps is narrower
        elif given[number] != value:
            raise inconsistent(f"The key wants another {CKA.name(number)} of what comes of it.")
    return (*template, *more)


def _known_type(key_type: int) -> int:
    if key_type not in TYPES:
        raise bad_value(CKA.KEY_TYPE, "There are no secret keys of this type here.")
    return key_type


def password_key(parameter: Pbkdf2) -> NewObject:
    """The password of CKM_PKCS5_PBKD2 as the key that it is to the core, for as long as that
    takes."""
    if not parameter.password:
        raise Wrong(CKR.MECHANISM_PARAM_INVALID, "An empty password makes no key.")
    attributes: dict[int, Value] = {CKA.LABEL: b"", CKA.LOCAL: False}
    wanted = SecretKey(SecretType.GENERIC, len(parameter.password))
    material = Secret.of(parameter.password)
    return NewObject(Kind.SECRET, attributes, material=material, type=wanted, session=True)


# --- wrapped -------------------------------------------------------------------------


def check_wrappable(wrapping: Shown, key: Shown) -> None:
    """Raises `Wrong` where `key` may not leave, or not by way of `wrapping`."""
    if key.cko not in (CKO.SECRET_KEY, CKO.PRIVATE_KEY):
        raise Wrong(CKR.KEY_NOT_WRAPPABLE, "Only secret and private keys are wrapped.")
    if not key.flag(CKA.EXTRACTABLE):
        raise Wrong(CKR.KEY_UNEXTRACTABLE, "The key was made so that it cannot leave.")
    if key.flag(CKA.WRAP_WITH_TRUSTED) and not wrapping.flag(CKA.TRUSTED):
        raise Wrong(CKR.KEY_NOT_WRAPPABLE, "The key leaves with a trusted key only.")
    wanted = wrapping.value(CKA.WRAP_TEMPLATE)
    for each in wanted if isinstance(wanted, tuple) else ():
        if isinstance(each, tuple) and key.value(each[0]) != each[1]:
            raise Wrong(
                CKR.KEY_HANDLE_INVALID,
                f"The wrapping key takes no key with such a {CKA.name(each[0])}.",
            )


def unwrapped(unwrapping: Shown, template: Template) -> NewObject:
    """The key that is inside, of which nothing is known yet but what the template says."""
    bound = _bound(unwrapping, CKA.UNWRAP_TEMPLATE, template)
    given = Given(bound)
    cko, key_type = given.needed(CKA.CLASS), given.needed(CKA.KEY_TYPE)
    if cko == CKO.SECRET_KEY:
        return _new_secret(bound, needs_length=False)
    if cko == CKO.PRIVATE_KEY:
        return _unwrapped_private(given, key_type)
    raise bad_value(CKA.CLASS, "Only secret and private keys are unwrapped.")


def _unwrapped_private(given: Given, key_type: int) -> NewObject:
    if all(form.key_type != key_type for form in forms.FORMS):
        raise bad_value(CKA.KEY_TYPE, "There are no private keys of this type here.")
    session = not given.flag(CKA.TOKEN, False)
    attributes, exportable = private_attributes(given)
    return NewObject(Kind.PRIVATE, attributes, exportable=exportable, session=session)


# Of a key that somebody had before.
FROM_OUTSIDE: Final[dict[int, Value]] = {
    CKA.LOCAL: False,
    CKA.ALWAYS_SENSITIVE: False,
    CKA.NEVER_EXTRACTABLE: False,
}


def private_attributes(given: Given) -> tuple[dict[int, Value], bool]:
    """What is kept of the template of a private key that comes in, and whether it may leave."""
    kept: dict[int, Value] = {CKA.LABEL: b"", **FROM_OUTSIDE}
    exportable = keeping.protection(given, kept)
    kept.update(given.kept(keeping.KEPT[CKO.PRIVATE_KEY]))
    return kept, exportable

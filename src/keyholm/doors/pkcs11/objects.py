"""Objects as programs see them: what each attribute of each one is.

A `Shown` is one object: the private or the public half of a key pair, a secret key, a
certificate, data, a profile. It holds what the core knows and answers each attribute from
there: from the key itself, from its facts, from what was stored with it, else from a default.
One table a kind of object says how; what is not in it, the object does not have.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from enum import Enum, auto
from functools import cache, lru_cache, partial
from typing import Final, cast

from msgspec.structs import replace

from keyholm.core.certificates import Held
from keyholm.core.model import Attributes, Key, Kind, Object, Origin, SecretType, Value
from keyholm.core.naming import cka_id, label_of
from keyholm.core.store import Token
from keyholm.cryptoki import forms
from keyholm.cryptoki.forms import Form
from keyholm.cryptoki.secrets import MAKES, PLAIN
from keyholm.wire import x509
from keyholm.wire.codec import Malformed
from keyholm.wire.pkcs11.constants import CK, CKA, CKC, CKK, CKM, CKO, CKP


class Untold(Enum):
    """Why an attribute has no value."""

    SENSITIVE = auto()  # it has one that never leaves
    INVALID = auto()  # this object has no such attribute
    SECRET = auto()  # it may leave, by way of the gate: reading it is an export


SENSITIVE: Final = Untold.SENSITIVE
INVALID: Final = Untold.INVALID
SECRET: Final = Untold.SECRET

INDEXED: Final = frozenset(
    {
        CKA.CLASS,
        CKA.KEY_TYPE,
        CKA.ID,
        CKA.LABEL,
        CKA.UNIQUE_ID,
        CKA.SUBJECT,
        CKA.ISSUER,
        CKA.SERIAL_NUMBER,
        CKA.VALUE,
        CKA.MODULUS,
        CKA.EC_POINT,
        CKA.PUBLIC_KEY_INFO,
        CKA.APPLICATION,
        CKA.OBJECT_ID,
        CKA.CHECK_VALUE,
        CKA.PROFILE_ID,
    }
)
"""By which objects are searched."""

Told = Value | Untold
Tell = Callable[["Shown"], Told]
Table = Mapping[int, Tell]
NO_DATE: Final = b""


class Shown:
    """One object of `token`. `held` is what the core knows of it; profiles have nothing."""

    __slots__ = ("cko", "form", "held", "is_private", "stored", "table", "token")

    def __init__(
        self,
        token: Token,
        held: Key | Object | int,
        cko: int,
        stored: Attributes,
        table: Table,
        is_private: bool = False,
        form: Form | None = None,
    ) -> None:
        self.token, self.held, self.cko = token, held, cko
        self.stored, self.table = stored, table
        self.is_private, self.form = is_private, form

    @property
    def name(self) -> tuple[str, str, str, int]:
        """The same for the same object, as long as there is one."""
        token, held = self.token, self.held
        own = f"profile-{held}" if isinstance(held, int) else held.place.object
        return token.store, token.name, own, self.cko

    @property
    def key(self) -> Key | None:
        return self.held if isinstance(self.held, Key) else None

    @property
    def is_session(self) -> bool:
        return not isinstance(self.held, int) and self.held.place.is_session

    def value(self, cka: int) -> Told:
        tell = self.table.get(cka)
        return INVALID if tell is None else tell(self)

    def attributes(self) -> Iterator[tuple[int, Value]]:
        """All that can be told of it without the gate."""
        for cka, tell in self.table.items():
            value = tell(self)
            if not isinstance(value, Untold):
                yield cka, value

    def flag(self, cka: int) -> bool:
        return self.value(cka) is True

    def __repr__(self) -> str:
        return f"<Shown {CKO.name(self.cko)} {'/'.join(self.name[:3])}>"


# --- ways to tell --------------------------------------------------------------------


def _always(value: Value) -> Tell:
    return lambda shown: value


def _stored(cka: int, default: Told) -> Tell:
    return lambda shown: shown.stored.get(cka, default)


def _use(cka: int) -> Tell:
    """A flag of use, which its kind of key has unless it was made without."""

    def tell(shown: Shown) -> Told:
        return shown.stored.get(cka, cka in _natural(shown))

    return tell


def _natural(shown: Shown) -> frozenset[int]:
    form = shown.form
    if form is None:
        return _SECRET_USES
    return form.private_uses if shown.cko == CKO.PRIVATE_KEY else form.public_uses


def _key(shown: Shown) -> Key:
    held = shown.held
    assert isinstance(held, Key)  # noqa: S101 - the tables of keys are given to keys only
    return held


# These two are asked of every key that is listed.
def _label(shown: Shown) -> Told:
    found = shown.stored.get(CKA.LABEL)
    return cast(Key, shown.held).label.encode() if found is None else found


def _id(shown: Shown) -> Told:
    return cka_id(cast(Key, shown.held), shown.stored)


def _is_local(shown: Shown) -> bool:
    key = _key(shown)
    return bool(key.attributes.get(CKA.LOCAL, key.origin is Origin.GENERATED))


def _generation(shown: Shown) -> Told:
    if not _is_local(shown):
        return CK.UNAVAILABLE_INFORMATION
    form = shown.form
    if form is not None:
        return form.generation
    return _key(shown).attributes.get(CKA.KEY_GEN_MECHANISM) or MAKES[_secret_type(shown)]


def _is_sensitive(shown: Shown) -> bool:
    return shown.stored.get(CKA.SENSITIVE, True) is True


def _is_extractable(shown: Shown) -> bool:
    return _key(shown).exportable and shown.stored.get(CKA.EXTRACTABLE, True) is True


def _was_always_sensitive(shown: Shown) -> Told:
    return shown.stored.get(CKA.ALWAYS_SENSITIVE, _is_local(shown) and _is_sensitive(shown))


def _was_never_extractable(shown: Shown) -> Told:
    never = _is_local(shown) and not _is_extractable(shown)
    return shown.stored.get(CKA.NEVER_EXTRACTABLE, never)


def _secret(shown: Shown) -> Told:
    return SECRET if _is_extractable(shown) and not _is_sensitive(shown) else SENSITIVE


def _always_sensitive(shown: Shown) -> Told:
    return SENSITIVE


def _spki(shown: Shown) -> bytes:
    held = shown.held
    if isinstance(held, Key):
        return forms.spki_of(held)
    found = shown.stored.get(CKA.PUBLIC_KEY_INFO, b"")
    return found if isinstance(found, bytes) else b""


@lru_cache(maxsize=256)
def _bits(spki: bytes) -> forms.Bits:
    try:
        return forms.form_and_bits(spki)[1]
    except Malformed:
        return {}


def _bit(cka: int) -> Tell:
    return lambda shown: _bits(_spki(shown)).get(cka, INVALID)


# --- tables --------------------------------------------------------------------------

_SECRET_USES: Final = frozenset(
    {CKA.ENCRYPT, CKA.DECRYPT, CKA.SIGN, CKA.VERIFY, CKA.WRAP, CKA.UNWRAP, CKA.DERIVE}
)


def _secret_type(shown: Shown) -> SecretType:
    secret = _key(shown).secret
    return secret.type if secret is not None else SecretType.GENERIC


def _secret_key_type(shown: Shown) -> Told:
    """A generic secret may have been made as the key of one HMAC."""
    return shown.stored.get(CKA.KEY_TYPE) or PLAIN[_secret_type(shown)]


def _secret_size(shown: Shown) -> Told:
    secret = _key(shown).secret
    return secret.size if secret is not None else INVALID


def _common(cko: int) -> dict[int, Tell]:
    return {
        CKA.CLASS: _always(cko),
        CKA.TOKEN: lambda shown: not shown.is_session,
        CKA.PRIVATE: lambda shown: shown.is_private,
        CKA.MODIFIABLE: _stored(CKA.MODIFIABLE, True),
        CKA.COPYABLE: _stored(CKA.COPYABLE, True),
        CKA.DESTROYABLE: _stored(CKA.DESTROYABLE, True),
        CKA.LABEL: _stored(CKA.LABEL, b""),
        CKA.UNIQUE_ID: lambda shown: "-".join(map(str, shown.name[2:])).encode(),
    }


_KEY: Final[dict[int, Tell]] = {
    CKA.ID: _stored(CKA.ID, b""),
    CKA.START_DATE: _stored(CKA.START_DATE, NO_DATE),
    CKA.END_DATE: _stored(CKA.END_DATE, NO_DATE),
    CKA.DERIVE: _use(CKA.DERIVE),
    CKA.LOCAL: _always(False),
    CKA.KEY_GEN_MECHANISM: _always(CK.UNAVAILABLE_INFORMATION),
    CKA.ALLOWED_MECHANISMS: _stored(CKA.ALLOWED_MECHANISMS, ()),
}
# Of keys that the core holds as such: private, secret, and public halves.
_HELD_KEY: Final[dict[int, Tell]] = {
    CKA.LABEL: _label,
    CKA.ID: _id,
    CKA.LOCAL: _is_local,
    CKA.KEY_GEN_MECHANISM: _generation,
}
_PROTECTED: Final[dict[int, Tell]] = {
    CKA.SENSITIVE: _is_sensitive,
    CKA.EXTRACTABLE: _is_extractable,
    CKA.ALWAYS_SENSITIVE: _was_always_sensitive,
    CKA.NEVER_EXTRACTABLE: _was_never_extractable,
    CKA.WRAP_WITH_TRUSTED: _stored(CKA.WRAP_WITH_TRUSTED, False),
    CKA.UNWRAP_TEMPLATE: _stored(CKA.UNWRAP_TEMPLATE, ()),
    CKA.DERIVE_TEMPLATE: _stored(CKA.DERIVE_TEMPLATE, ()),
}
_PUBLIC: Final[dict[int, Tell]] = {
    CKA.SUBJECT: _stored(CKA.SUBJECT, b""),
    CKA.ENCRYPT: _use(CKA.ENCRYPT),
    CKA.VERIFY: _use(CKA.VERIFY),
    CKA.VERIFY_RECOVER: _use(CKA.VERIFY_RECOVER),
    CKA.WRAP: _use(CKA.WRAP),
    CKA.ENCAPSULATE: _use(CKA.ENCAPSULATE),
    CKA.TRUSTED: _stored(CKA.TRUSTED, False),
    CKA.WRAP_TEMPLATE: _stored(CKA.WRAP_TEMPLATE, ()),
    CKA.ENCAPSULATE_TEMPLATE: _stored(CKA.ENCAPSULATE_TEMPLATE, ()),
    CKA.PUBLIC_KEY_INFO: _spki,
}
_PRIVATE: Final[dict[int, Tell]] = {
    CKA.SUBJECT: _stored(CKA.SUBJECT, b""),
    CKA.DECRYPT: _use(CKA.DECRYPT),
    CKA.SIGN: _use(CKA.SIGN),
    CKA.SIGN_RECOVER: _use(CKA.SIGN_RECOVER),
    CKA.UNWRAP: _use(CKA.UNWRAP),
    CKA.DECAPSULATE: _use(CKA.DECAPSULATE),
    CKA.ALWAYS_AUTHENTICATE: _stored(CKA.ALWAYS_AUTHENTICATE, False),
    CKA.DECAPSULATE_TEMPLATE: _stored(CKA.DECAPSULATE_TEMPLATE, ()),
    CKA.PUBLIC_KEY_INFO: _spki,
}


def _form_attributes(form: Form) -> dict[int, Tell]:
    return {
        CKA.KEY_TYPE: _always(form.key_type),
        **{cka: _always(value) for cka, value in form.parameters},
    }


_RSA_BITS: Final = (CKA.MODULUS, CKA.MODULUS_BITS, CKA.PUBLIC_EXPONENT)
_SHARED_BITS: Final[dict[int, tuple[int, ...]]] = {
    CKK.RSA: _RSA_BITS,
    CKK.EC: (CKA.EC_POINT,),
    CKK.EC_EDWARDS: (CKA.EC_POINT,),
    CKK.EC_MONTGOMERY: (CKA.EC_POINT,),
    CKK.ML_DSA: (),
    CKK.ML_KEM: (),
}
_PUBLIC_BITS: Final[dict[int, tuple[int, ...]]] = {
    CKK.ML_DSA: (CKA.VALUE,),
    CKK.ML_KEM: (CKA.VALUE,),
}


@cache
def _private_table(form: Form) -> Table:
    return {
        **_common(CKO.PRIVATE_KEY),
        **_KEY,
        **_HELD_KEY,
        **_PROTECTED,
        **_PRIVATE,
        **_form_attributes(form),
        **{cka: _bit(cka) for cka in _SHARED_BITS[form.key_type]},
        **dict.fromkeys(form.secret, _secret),
        **dict.fromkeys(form.untold, _always_sensitive),
    }


@cache
def _lone_public_table(form: Form) -> Table:
    bits = (*_SHARED_BITS[form.key_type], *_PUBLIC_BITS.get(form.key_type, ()))
    return {
        **_common(CKO.PUBLIC_KEY),
        **_KEY,
        **_PUBLIC,
        **_form_attributes(form),
        **{cka: _bit(cka) for cka in bits},
    }


@cache
def _public_table(form: Form) -> Table:
    return {**_lone_public_table(form), **_HELD_KEY}


_SECRET_TABLE: Final[Table] = {
    **_common(CKO.SECRET_KEY),
    **_KEY,
    **_HELD_KEY,
    **_PROTECTED,
    **{cka: _use(cka) for cka in _SECRET_USES},
    CKA.KEY_TYPE: _secret_key_type,
    CKA.TRUSTED: _stored(CKA.TRUSTED, False),
    CKA.WRAP_TEMPLATE: _stored(CKA.WRAP_TEMPLATE, ()),
    CKA.VALUE: _secret,
    CKA.VALUE_LEN: _secret_size,
}
_DATA_TABLE: Final[Table] = {
    **_common(CKO.DATA),
    CKA.APPLICATION: _stored(CKA.APPLICATION, b""),
    CKA.OBJECT_ID: _stored(CKA.OBJECT_ID, b""),
    CKA.VALUE: _stored(CKA.VALUE, b""),
}


# --- certificates --------------------------------------------------------------------


@lru_cache(maxsize=256)
def parsed(certificate: bytes) -> x509.Certificate | None:
    try:
        return x509.read(certificate)
    except Malformed:
        return None


def _der(shown: Shown) -> bytes:
    value = shown.stored.get(CKA.VALUE, b"")
    return value if isinstance(value, bytes) else b""


def _read_off(cka: int, part: Callable[[x509.Certificate], Value], default: Value) -> Tell:
    """What was stored, else what the certificate says itself."""

    def tell(shown: Shown) -> Told:
        found = shown.stored.get(cka)
        if found is not None:
            return found
        certificate = parsed(_der(shown))
        return default if certificate is None else part(certificate)

    return tell


def category(certificate: x509.Certificate) -> int:
    if certificate.is_authority:
        return CK.CERTIFICATE_CATEGORY_AUTHORITY
    return CK.CERTIFICATE_CATEGORY_UNSPECIFIED


def _check_value(shown: Shown) -> Told:
    """PKCS#11 3.1, section 4.6.2: the first three bytes of the SHA-1 of the certificate."""
    return hashlib.sha1(_der(shown), usedforsecurity=False).digest()[:3]


_CERTIFICATE_TABLE: Final[Table] = {
    **_common(CKO.CERTIFICATE),
    CKA.CERTIFICATE_TYPE: _always(CKC.X_509),
    CKA.TRUSTED: _stored(CKA.TRUSTED, False),
    CKA.CERTIFICATE_CATEGORY: _read_off(CKA.CERTIFICATE_CATEGORY, category, 0),
    CKA.CHECK_VALUE: _check_value,
    CKA.START_DATE: _read_off(CKA.START_DATE, lambda read: read.not_before, NO_DATE),
    CKA.END_DATE: _read_off(CKA.END_DATE, lambda read: read.not_after, NO_DATE),
    CKA.PUBLIC_KEY_INFO: _read_off(CKA.PUBLIC_KEY_INFO, lambda read: read.spki, b""),
    CKA.SUBJECT: _read_off(CKA.SUBJECT, lambda read: read.subject, b""),
    CKA.ISSUER: _read_off(CKA.ISSUER, lambda read: read.issuer, b""),
    CKA.SERIAL_NUMBER: _read_off(CKA.SERIAL_NUMBER, lambda read: read.serial, b""),
    CKA.ID: _stored(CKA.ID, b""),
    CKA.VALUE: _der,
    CKA.URL: _stored(CKA.URL, b""),
    CKA.HASH_OF_SUBJECT_PUBLIC_KEY: _stored(CKA.HASH_OF_SUBJECT_PUBLIC_KEY, b""),
    CKA.HASH_OF_ISSUER_PUBLIC_KEY: _stored(CKA.HASH_OF_ISSUER_PUBLIC_KEY, b""),
    CKA.NAME_HASH_ALGORITHM: _stored(CKA.NAME_HASH_ALGORITHM, CKM.SHA_1),
    CKA.JAVA_MIDP_SECURITY_DOMAIN: _stored(CKA.JAVA_MIDP_SECURITY_DOMAIN, 0),
}


# --- profiles ------------------------------------------------------------------------

_PROFILE_TABLE: Final[Table] = {
    **_common(CKO.PROFILE),
    **{cka: _always(False) for cka in (CKA.MODIFIABLE, CKA.COPYABLE, CKA.DESTROYABLE)},
    CKA.PROFILE_ID: lambda shown: shown.held if isinstance(shown.held, int) else INVALID,
}
PROFILES: Final = (CKP.BASELINE_PROVIDER, CKP.EXTENDED_PROVIDER, CKP.PUBLIC_CERTIFICATES_TOKEN)


def profile(token: Token, number: int) -> Shown:
    return Shown(token, number, CKO.PROFILE, {}, _PROFILE_TABLE)


# --- what the core knows, as objects -------------------------------------------------


def shown_key(token: Token, key: Key) -> tuple[Shown, ...]:
    """The objects that a key is: its private and its public half, a secret key, or none."""
    own, public = key.attributes, key.public_attributes
    is_private = own.get(CKA.PRIVATE, True) is True
    if key.kind is Kind.SECRET:
        return (Shown(token, key, CKO.SECRET_KEY, own, _SECRET_TABLE, is_private),)
    form = forms.form_of(key)
    if form is None:
        return ()
    private_half = Shown(token, key, CKO.PRIVATE_KEY, own, _private_table(form), is_private, form)
    if public is None:
        return (private_half,)
    is_private = public.get(CKA.PRIVATE, False) is True
    table = _public_table(form)
    return private_half, Shown(token, key, CKO.PUBLIC_KEY, public, table, is_private, form)


def shown_object(token: Token, held: Object) -> tuple[Shown, ...]:
    """The same of an object that is no key of its own."""
    show = partial(Shown, token, held, stored=held.attributes, is_private=held.private)
    match held.kind:
        case Kind.CERTIFICATE:
            return (show(cko=CKO.CERTIFICATE, table=_CERTIFICATE_TABLE),)
        case Kind.DATA:
            return (show(cko=CKO.DATA, table=_DATA_TABLE),)
        case Kind.PUBLIC:
            info = held.attributes.get(CKA.PUBLIC_KEY_INFO)
            form = forms.form_of_spki(info) if isinstance(info, bytes) else None
            if form is None:
                return ()
            return (show(cko=CKO.PUBLIC_KEY, table=_lone_public_table(form), form=form),)
        case _:
            return ()


def beside(key: Key, certificate: Held) -> Object:
    """A certificate that lies in a file beside its key: found with it, and changed by its file."""
    attributes: dict[int, Value] = {
        CKA.VALUE: certificate.blob,
        CKA.ID: cka_id(key),
        CKA.LABEL: label_of(key).encode(),
        CKA.MODIFIABLE: False,
        CKA.DESTROYABLE: False,
    }
    place = replace(key.place, object=f"{key.place.object}-{certificate.name}")
    return Object(place, Kind.CERTIFICATE, attributes, verified=key.verified, order=key.order)

"""Templates for what is made on a token: what the core wants, in attributes.

What a program said is passed on; what it did not say and tokens decide differently is said
here. What only a token can say of itself (CKA_LOCAL, CKA_ALWAYS_SENSITIVE) is left to it.
"""

import secrets
from collections.abc import Iterable, Mapping
from typing import Any, Final

from keyholm.core.errors import AlgorithmUnsupported, BadRequest
from keyholm.core.model import (
    Algorithm,
    Attributes,
    KeyType,
    Kind,
    NewKey,
    NewObject,
    RsaKey,
    SecretKey,
    SecretType,
    Value,
    spelled,
)
from keyholm.cryptoki import forms
from keyholm.cryptoki.forms import Form
from keyholm.cryptoki.secrets import PLAIN
from keyholm.wire.codec import Malformed
from keyholm.wire.pkcs11.constants import CKA, CKC, CKO

Template = tuple[tuple[int, Any], ...]
ID_SIZE: Final = 16  # bytes of a CKA_ID that nobody gave
_RSA: Final = {
    Algorithm.RSA_2048: 2048,
    Algorithm.RSA_3072: 3072,
    Algorithm.RSA_4096: 4096,
}
_USUAL_EXPONENT: Final = 65537
# What a token says of an object itself.
_ITS_OWN: Final = frozenset(
    {
        CKA.LOCAL,
        CKA.ALWAYS_SENSITIVE,
        CKA.NEVER_EXTRACTABLE,
        CKA.KEY_GEN_MECHANISM,
        CKA.UNIQUE_ID,
        CKA.CHECK_VALUE,
    }
)
_CLASSES: Final = {
    Kind.PRIVATE: CKO.PRIVATE_KEY,
    Kind.PUBLIC: CKO.PUBLIC_KEY,
    Kind.SECRET: CKO.SECRET_KEY,
    Kind.CERTIFICATE: CKO.CERTIFICATE,
    Kind.DATA: CKO.DATA,
}
_SECRET_USES: Final = {
    SecretType.AES: (CKA.ENCRYPT, CKA.DECRYPT, CKA.SIGN, CKA.VERIFY, CKA.WRAP, CKA.UNWRAP),
    SecretType.DES3: (CKA.ENCRYPT, CKA.DECRYPT),
    SecretType.CHACHA20: (CKA.ENCRYPT, CKA.DECRYPT),
    SecretType.GENERIC: (CKA.SIGN, CKA.VERIFY, CKA.DERIVE),
}


def form_of(wanted: KeyType) -> Form:
    """Raises `AlgorithmUnsupported` where PKCS#11 has no such key pair."""
    if isinstance(wanted, RsaKey) or wanted in _RSA:
        return forms.RSA
    found = next((form for form in forms.FORMS if form.made == wanted), None)
    if found is None:
        raise AlgorithmUnsupported(f"PKCS#11 has no words for {spelled(wanted)} keys.")
    return found


def pair(new: NewKey, form: Form) -> tuple[Template, Template]:
    """Of the public and of the private half."""
    own = _named(new.attributes, new.label)
    # Both halves are found by one CKA_ID.
    shared = {cka: own[cka] for cka in (CKA.LABEL, CKA.ID)}
    shown: dict[int, Value] = {**shared, **(new.public_attributes or {})}
    public = {
        **_of_all(shown, new.session, private=False),
        **_uses(form.public_uses, new.public_attributes),
        **_parameters(new.algorithm, form),
        **_given(shown),
    }
    private = {
        **_of_all(own, new.session, private=True),
        **_uses(form.private_uses, new.attributes),
        **_protection(own, new.exportable),
        **_given(own),
    }
    return _template(public), _template(private)


def secret(new: NewKey, wanted: SecretKey) -> Template:
    own = _named(new.attributes, new.label)
    sized = {} if wanted.type is SecretType.DES3 else {CKA.VALUE_LEN: wanted.size}
    return _template(
        {
            CKA.CLASS: CKO.SECRET_KEY,
            CKA.KEY_TYPE: PLAIN[wanted.type],
            **_of_all(own, new.session, private=True),
            **_uses(_SECRET_USES[wanted.type], new.attributes),
            **_protection(own, new.exportable),
            **sized,
            **_given(own),
        }
    )


def object_of(new: NewObject) -> Template:
    """A certificate, data, or a public key alone."""
    attributes: dict[int, Value] = dict(_given(new.attributes))
    own: dict[int, Value] = {CKA.CLASS: _CLASSES[new.kind]}
    if new.kind is Kind.CERTIFICATE:
        own[CKA.CERTIFICATE_TYPE] = CKC.X_509
    if new.kind is Kind.PUBLIC:
        own |= _public_parts(attributes.pop(CKA.PUBLIC_KEY_INFO, b""))
    return _template({**own, **_of_all(attributes, new.session, private=new.private), **attributes})


def _public_parts(spki: Value) -> dict[int, Value]:
    try:
        form, bits = forms.form_and_bits(spki if isinstance(spki, bytes) else b"")
    except Malformed as error:
        raise BadRequest(f"This is no public key: {error}.") from error
    bits.pop(CKA.MODULUS_BITS, None)  # the token counts them itself
    return {CKA.KEY_TYPE: form.key_type, **dict(form.parameters), **bits}


def public_of(form: Form, spki: bytes, attributes: Attributes, *, session: bool) -> Template:
    """The public half of a private key that is brought in."""
    return _template(
        {
            CKA.CLASS: CKO.PUBLIC_KEY,
            **_of_all(attributes, session, private=False),
            **_uses(form.public_uses, None),
            **_public_parts(spki),
            **_given(attributes),
        }
    )


def private_of(
    form: Form, parts: Mapping[int, Any], new: NewObject, attributes: Attributes
) -> Template:
    return _template(
        {
            CKA.CLASS: CKO.PRIVATE_KEY,
            CKA.KEY_TYPE: form.key_type,
            **dict(form.parameters),
            **_of_all(attributes, new.session, private=True),
            **_uses(form.private_uses, new.attributes),
            **_protection(attributes, new.exportable),
            **_given(attributes),
            **parts,
        }
    )


def secret_of(new: NewObject, value: Any, kind: SecretType) -> Template:
    return _template(
        {
            CKA.CLASS: CKO.SECRET_KEY,
            CKA.KEY_TYPE: PLAIN[kind],
            **_of_all(new.attributes, new.session, private=True),
            **_uses(_SECRET_USES[kind], new.attributes),
            **_protection(new.attributes, new.exportable),
            **_given(new.attributes),
            CKA.VALUE: value,
        }
    )


def made_of(new: NewObject, *, sized: bool) -> Template:
    """Of a key that is derived or unwrapped. `sized`: its length is not what is in the wrapping."""
    own: dict[int, Value] = {CKA.CLASS: _CLASSES[new.kind]}
    uses: dict[int, Value] = {}
    if new.type is not None:
        own[CKA.KEY_TYPE] = PLAIN[new.type.type]
        if sized and new.type.size and new.type.type is not SecretType.DES3:
            own[CKA.VALUE_LEN] = new.type.size
        uses = _uses(_SECRET_USES[new.type.type], new.attributes)
    return _template(
        {
            **own,
            **_of_all(new.attributes, new.session, private=True),
            **uses,
            **_protection(new.attributes, new.exportable),
            **_given(new.attributes),
        }
    )


# --- parts ---------------------------------------------------------------------------


def _named(attributes: Attributes, label: str) -> dict[int, Value]:
    return {
        CKA.LABEL: label.encode(),
        CKA.ID: secrets.token_bytes(ID_SIZE),
        **attributes,
    }


def _of_all(attributes: Attributes, session: bool, *, private: bool) -> dict[int, Value]:
    return {CKA.TOKEN: not session, CKA.PRIVATE: attributes.get(CKA.PRIVATE, private)}


def _uses(uses: Iterable[int], given: Attributes | None) -> dict[int, Value]:
    """Where a program says nothing of any use, the key is for all that its kind can."""
    named = set(uses) - _RARE
    if given and any(cka in given for cka in _ALL_USES):
        return {}
    return dict.fromkeys(sorted(named), True)


def _protection(attributes: Attributes, exportable: bool) -> dict[int, Value]:
    return {
        CKA.SENSITIVE: attributes.get(CKA.SENSITIVE, not exportable),
        CKA.EXTRACTABLE: exportable,
    }


def _given(attributes: Attributes) -> dict[int, Value]:
    return {
        cka: value
        for cka, value in attributes.items()
        if cka not in _ITS_OWN and not _is_empty(cka, value)
    }


def _is_empty(cka: int, value: Value) -> bool:
    """Said without being meant: some modules stumble over a list or a date of nothing."""
    return value == () or (cka in _DATES and value == b"")


def _template(attributes: Mapping[int, Any]) -> Template:
    return tuple(attributes.items())


def _parameters(wanted: KeyType, form: Form) -> dict[int, Value]:
    if form is not forms.RSA:
        return dict(form.parameters)
    bits, exponent = _USUAL_EXPONENT, _USUAL_EXPONENT
    if isinstance(wanted, RsaKey):
        bits, exponent = wanted.bits, wanted.exponent
    elif isinstance(wanted, Algorithm):
        bits = _RSA[wanted]
    return {CKA.MODULUS_BITS: bits, CKA.PUBLIC_EXPONENT: forms.number(exponent)}


_DATES: Final = frozenset({CKA.START_DATE, CKA.END_DATE})
# Of 3.2, or of no use to anybody: not asked for unless a program does.
_RARE: Final = frozenset({CKA.SIGN_RECOVER, CKA.VERIFY_RECOVER, CKA.ENCAPSULATE, CKA.DECAPSULATE})
_ALL_USES: Final = frozenset(
    {CKA.SIGN, CKA.VERIFY, CKA.ENCRYPT, CKA.DECRYPT, CKA.WRAP, CKA.UNWRAP, CKA.DERIVE}
)

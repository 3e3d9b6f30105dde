"""C_CreateObject: certificates, data and keys that a program brings along."""

from collections.abc import Callable
from typing import Final

from keyholm.core.model import Kind, NewObject, SecretKey, Value
from keyholm.core.secret import Secret
from keyholm.cryptoki import forms
from keyholm.cryptoki.points import plain_point
from keyholm.cryptoki.secrets import TYPES
from keyholm.doors.pkcs11.making import keeping
from keyholm.doors.pkcs11.making.deriving import FROM_OUTSIDE, private_attributes
from keyholm.doors.pkcs11.making.generating import check_size, named_form, secret_attributes
from keyholm.doors.pkcs11.making.given import Given, bad_value, incomplete, inconsistent
from keyholm.doors.pkcs11.making.private_keys import pkcs8
from keyholm.wire import x509
from keyholm.wire.codec import Malformed
from keyholm.wire.pkcs11.attributes import Template
from keyholm.wire.pkcs11.constants import CKA, CKC, CKK, CKO

_RSA_BITS: Final = range(1024, 16385)
_NETSCAPE_DB: Final = 0xD5A0DB00  # where Java and NSS put the public value of a private key


def new_object(template: Template, *, officer: bool = False) -> NewObject:
    """The caller closes its `material`. `officer`: who asks is the security officer."""
    given = Given(template, officer=officer)
    make = _MAKERS.get(given.needed(CKA.CLASS))
    if make is None:
        raise bad_value(CKA.CLASS, "Objects of this class are not made by programs.")
    return make(given, not given.flag(CKA.TOKEN, False))


# --- certificates and data -----------------------------------------------------------


def _data(given: Given, session: bool) -> NewObject:
    private = given.flag(CKA.PRIVATE, False)
    return NewObject(
        Kind.DATA, given.kept(keeping.KEPT[CKO.DATA]), private=private, session=session
    )


def _certificate(given: Given, session: bool) -> NewObject:
    if given.needed(CKA.CERTIFICATE_TYPE) != CKC.X_509:
        raise bad_value(CKA.CERTIFICATE_TYPE, "Only X.509 certificates are kept.")
    certificate = given.octets(CKA.VALUE)
    if certificate is None:
        raise incomplete(CKA.VALUE)
    try:
        read = x509.read(certificate)
    except Malformed as error:
        raise bad_value(CKA.VALUE, f"This is no X.509 certificate: {error}.") from error
    _check_names(given, read)
    _check_number(given, read.serial)
    trusted = keeping.trust(given)
    given.octets(CKA.CHECK_VALUE)  # follows from the certificate
    private = given.flag(CKA.PRIVATE, False)
    attributes = given.kept(keeping.KEPT[CKO.CERTIFICATE]) | trusted
    attributes |= {
        CKA.VALUE: certificate,
        CKA.SUBJECT: read.subject,
        CKA.ISSUER: read.issuer,
        CKA.SERIAL_NUMBER: read.serial,
    }
    return NewObject(Kind.CERTIFICATE, attributes, private=private, session=session)


def _check_names(given: Given, read: x509.Certificate) -> None:
    for cka, own in (
        (CKA.SUBJECT, read.subject),
        (CKA.ISSUER, read.issuer),
        (CKA.PUBLIC_KEY_INFO, read.spki),
    ):
        if given.octets(cka) not in (None, b"", own):
            raise inconsistent(f"{CKA.name(cka)} is not that of the certificate.")


def _check_number(given: Given, own: bytes) -> None:
    """Some programs give the bare number, which is kept as the standard wants it."""
    bare = own[2:]
    if given.octets(CKA.SERIAL_NUMBER) not in (None, b"", own, bare, bare.lstrip(b"\0")):
        raise inconsistent("CKA_SERIAL_NUMBER is not that of the certificate.")


# --- keys ----------------------------------------------------------------------------


def _public(given: Given, session: bool) -> NewObject:
    key_type = given.needed(CKA.KEY_TYPE)
    spki = _spki(key_type, given)
    if given.octets(CKA.PUBLIC_KEY_INFO) not in (None, b"", spki):
        raise inconsistent("CKA_PUBLIC_KEY_INFO is of another key.")
    trusted = keeping.trust(given)
    private = given.flag(CKA.PRIVATE, False)
    attributes = given.kept(keeping.KEPT[CKO.PUBLIC_KEY]) | trusted
    attributes[CKA.PUBLIC_KEY_INFO] = spki
    return NewObject(Kind.PUBLIC, attributes, private=private, session=session)


def _spki(key_type: int, given: Given) -> bytes:
    match key_type:
        case CKK.RSA:
            return _rsa_spki(given)
        case CKK.EC | CKK.EC_EDWARDS | CKK.EC_MONTGOMERY:
            form, cka = named_form(key_type, given), CKA.EC_POINT
            bits = plain_point(_octets(given, cka))
        case CKK.ML_DSA | CKK.ML_KEM:
            form, cka = named_form(key_type, given), CKA.VALUE
            bits = _octets(given, cka)
        case _:
            raise bad_value(CKA.KEY_TYPE, "There are no public keys of this type here.")
    if bits is None or len(bits) != form.size:
        raise bad_value(cka, "This is no public key of its kind.")
    return forms.spki(form, bits)


def _octets(given: Given, cka: int) -> bytes:
    value = given.octets(cka)
    if value is None:
        raise incomplete(cka)
    return value


def _rsa_spki(given: Given) -> bytes:
    modulus, exponent = (
        int.from_bytes(_octets(given, cka)) for cka in (CKA.MODULUS, CKA.PUBLIC_EXPONENT)
    )
    given.must_be(CKA.MODULUS_BITS, modulus.bit_length())
    if modulus.bit_length() not in _RSA_BITS or not modulus & 1:
        raise bad_value(CKA.MODULUS, "RSA keys of 1024 to 16384 bits are taken.")
    if not 3 <= exponent < modulus or not exponent & 1:
        raise bad_value(CKA.PUBLIC_EXPONENT)
    return forms.rsa_spki(modulus, exponent)


def _private(given: Given, session: bool) -> NewObject:
    """Its public half is an object of its own, which programs bring along if they want it."""
    key_type = given.needed(CKA.KEY_TYPE)
    material = pkcs8(key_type, given)
    try:
        # Beside the private key they say nothing new.
        for cka in (CKA.EC_POINT, CKA.PUBLIC_KEY_INFO, _NETSCAPE_DB):
            given.octets(cka)
        attributes, exportable = private_attributes(given)
    except BaseException:
        material.close()
        raise
    return NewObject(Kind.PRIVATE, attributes, material, exportable=exportable, session=session)


def _secret(given: Given, session: bool) -> NewObject:
    key_type = given.needed(CKA.KEY_TYPE)
    if key_type not in TYPES:
        raise bad_value(CKA.KEY_TYPE, "There are no secret keys of this type here.")
    value = given.secret(CKA.VALUE)
    if value is None:
        raise incomplete(CKA.VALUE)
    given.must_be(CKA.VALUE_LEN, len(value))
    check_size(key_type, len(value), CKA.VALUE)
    attributes, exportable = secret_attributes(given, key_type)
    kept: dict[int, Value] = attributes | FROM_OUTSIDE
    return NewObject(
        Kind.SECRET,
        kept,
        Secret.of(value),
        SecretKey(TYPES[key_type], len(value)),
        exportable=exportable,
        session=session,
    )


_MAKERS: Final[dict[int, Callable[[Given, bool], NewObject]]] = {
    CKO.DATA: _data,
    CKO.CERTIFICATE: _certificate,
    CKO.PUBLIC_KEY: _public,
    CKO.PRIVATE_KEY: _private,
    CKO.SECRET_KEY: _secret,
}

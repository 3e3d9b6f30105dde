"""Which key it is that a token has: its SubjectPublicKeyInfo, from whatever the token tells.

Tokens tell it in many ways: modulus and exponent, a point as the OCTET STRING that the standard
wants or as it is, a whole SubjectPublicKeyInfo (3.0), or a certificate with the same CKA_ID.
"""

import hashlib
from typing import Final

from keyholm.core.model import Attributes, KeyId
from keyholm.cryptoki import forms
from keyholm.cryptoki.forms import Form
from keyholm.wire import der, x509
from keyholm.wire.codec import Malformed, Reader
from keyholm.wire.pkcs11.constants import CKA, CKK
from keyholm.wire.ssh import keys
from keyholm.wire.ssh.keys import PublicKey

MOST: Final = 64 * 1024  # bytes of a public key
RSA_BITS: Final = range(512, 16385)
_CURVES: Final = (CKK.EC, CKK.EC_EDWARDS, CKK.EC_MONTGOMERY)
_LATTICES: Final = (CKK.ML_DSA, CKK.ML_KEM)
_EC_PUBLIC_KEY: Final = der.oid("1.2.840.10045.2.1")
_P256, _P384 = "1.2.840.10045.3.1.7", "1.3.132.0.34"
_X962: Final = frozenset({2, 3, 4})  # how points begin
# A curve that is told by all its numbers, as YKCS11 does, and not by its name: by the hash of
# what `openssl ecparam -param_enc explicit` writes. Only these very bytes: a curve that merely
# has the same size could be one to which somebody knows every private key (CVE-2020-0601).
_WRITTEN_OUT: Final = {
    "40c3c405abfc62e096cb6491f85f967d6d75ede716604629654910c475d4b846": der.oid(_P256),
    "5f619bbe9633b196eaaf367bac88d37c27a26b393f2c5a0eea0f6e5671d0d1da": der.oid(_P256),
    "19a03321b63c6490867791325fc61a4df548ffaf40b94e499793a6267e5a72dd": der.oid(_P384),
    "3c2855e154f036070f1294cdd743e1e9315a3579ef8b5c81a25f9a3380ce1a5b": der.oid(_P384),
}


def spki_of(told: Attributes) -> bytes:
    """From the attributes of a private or a public key; empty where they do not say enough."""
    try:
        return _whole(told) or _made(told)
    except Malformed:
        return b""


def spki_of_certificate(certificate: bytes) -> bytes:
    try:
        return x509.read(certificate).spki
    except Malformed:
        return b""


def _whole(told: Attributes) -> bytes:
    info = told.get(CKA.PUBLIC_KEY_INFO)
    if not isinstance(info, bytes) or not 0 < len(info) <= MOST:
        return b""
    try:
        forms.public_bits(info)
    except Malformed:
        return b""
    return info


def _made(told: Attributes) -> bytes:
    key_type = told.get(CKA.KEY_TYPE)
    if key_type == CKK.RSA:
        return _rsa(told)
    if key_type in _CURVES:
        return _on_curve(int(key_type), told)
    if key_type in _LATTICES:
        return _lattice(int(key_type), told)
    return b""


def _rsa(told: Attributes) -> bytes:
    modulus, exponent = told.get(CKA.MODULUS), told.get(CKA.PUBLIC_EXPONENT)
    if not isinstance(modulus, bytes) or not isinstance(exponent, bytes):
        return b""
    n, e = int.from_bytes(modulus), int.from_bytes(exponent)
    if n.bit_length() not in RSA_BITS or not 1 < e < n:
        return b""
    return forms.rsa_spki(n, e)


def _on_curve(key_type: int, told: Attributes) -> bytes:
    curve, point = told.get(CKA.EC_PARAMS), told.get(CKA.EC_POINT)
    if not isinstance(curve, bytes) or not isinstance(point, bytes) or len(point) > MOST:
        return b""
    form = form_of_curve(key_type, curve)
    if form is not None:
        bits = _sized(point, form.size)
        return forms.spki(form, bits) if bits else b""
    if key_type != CKK.EC:
        return b""
    # A curve that we have no words for, such as brainpool's: the key is one all the same.
    found = _x962(point)
    algorithm = der.sequence(_EC_PUBLIC_KEY + curve)
    return der.tlv(der.SEQUENCE, algorithm + der.bit_string(found)) if found else b""


def form_of_curve(key_type: int, curve: bytes) -> Form | None:
    curve = _WRITTEN_OUT.get(hashlib.sha256(curve).hexdigest(), curve)
    found = forms.parameters_of(key_type, CKA.EC_PARAMS, curve)
    if found is None and key_type == CKK.EC:  # what came before there were types for them
        for other in (CKK.EC_EDWARDS, CKK.EC_MONTGOMERY):
            found = found or forms.parameters_of(other, CKA.EC_PARAMS, curve)
    return found


def _sized(point: bytes, size: int) -> bytes:
    """The point of that size, plain or in an OCTET STRING; or in a BIT STRING, as some have it."""
    if len(point) == size:
        return point
    for tag in (der.OCTET_STRING, der.BIT_STRING):
        inner = _inside(point, tag)
        if tag == der.BIT_STRING:
            inner = inner[1:]
        if len(inner) == size:
            return inner
    return b""


def _x962(point: bytes) -> bytes:
    """Both a plain point and an OCTET STRING begin with 4; only one of them has its own length
    after it."""
    inner = _inside(point, der.OCTET_STRING)
    if inner and inner[0] in _X962:
        return inner
    return point if point and point[0] in _X962 else b""


def _inside(data: bytes, tag: int) -> bytes:
    reader = Reader(data)
    try:
        inner = der.read_tlv(reader, tag)
        reader.end()
    except Malformed:
        return b""
    return inner


def _lattice(key_type: int, told: Attributes) -> bytes:
    parameter_set, value = told.get(CKA.PARAMETER_SET), told.get(CKA.VALUE)
    if not isinstance(parameter_set, int) or not isinstance(value, bytes):
        return b""
    form = forms.parameters_of(key_type, CKA.PARAMETER_SET, parameter_set)
    return forms.spki(form, value) if form is not None and len(value) == form.size else b""


def form_by_attributes(told: Attributes) -> Form | None:
    """Of a private key, whether or not it tells its public half."""
    key_type, curve = told.get(CKA.KEY_TYPE), told.get(CKA.EC_PARAMS)
    if key_type == CKK.RSA:
        return forms.RSA
    if isinstance(key_type, int) and isinstance(curve, bytes):
        return form_of_curve(key_type, curve)
    spki = _whole(told)
    return forms.form_of_spki(spki) if spki else None


# --- as the core and SSH name it -----------------------------------------------------


def key_id(spki: bytes) -> KeyId:
    return KeyId(hashlib.sha256(spki).hexdigest())


def ssh_of(spki: bytes) -> PublicKey | None:
    """None where SSH has no words for it."""
    try:
        form = forms.form_of_spki(spki)
        bits = forms.public_bits(spki)
        return _ssh(form, bits) if form is not None else None
    except (Malformed, ValueError):
        return None


def _ssh(form: Form, bits: bytes) -> PublicKey | None:
    found: PublicKey | None = None
    if form is forms.ED25519:
        found = keys.Ed25519(bits)
    elif form in _SSH_CURVES:
        found = keys.Ecdsa(_SSH_CURVES[form], bits)
    elif form is forms.RSA:
        numbers = der.read_sequence(bits)
        modulus, exponent = der.read_integer(numbers), der.read_integer(numbers)
        found = keys.Rsa(exponent, modulus)
    # What cannot be read again is no key for SSH: a point of the wrong size, a short modulus.
    return None if found is None else keys.decode(keys.encode(found))


_SSH_CURVES: Final = {
    forms.P256: keys.Curve.NISTP256,
    forms.P384: keys.Curve.NISTP384,
    forms.P521: keys.Curve.NISTP521,
}

"""OpenSSH certificates, of users and of hosts (PROTOCOL.certkeys).

Any key can sign one: `sign` takes a function, so a CA key may live in any store. Options that we
do not know keep their order and their bytes; what they mean is for whoever accepts the
certificate to decide.
"""

from collections.abc import Callable
from enum import IntEnum
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from keyholm.wire.codec import (
    STRING,
    TEXT,
    UINT32,
    UINT64,
    Bytes,
    Codec,
    Malformed,
    Reader,
    nested,
    record,
    repeated,
)
from keyholm.wire.ssh import keys, signatures
from keyholm.wire.ssh.keys import FIELDS, PublicKey

FOREVER = 2**64 - 1
# As OpenSSH: SSHKEY_CERT_MAX_PRINCIPALS, and a bound where it has none.
_MAX_PRINCIPALS = 256
_MAX_OPTIONS = 256


class Kind(IntEnum):
    USER = 1
    HOST = 2


class Option(Struct, frozen=True):
    """A critical option or an extension; `data` as it stands, often a string in itself."""

    name: str
    data: bytes = b""


class Certificate(Struct, frozen=True, kw_only=True):
    nonce: bytes
    public: PublicKey
    serial: int = 0
    kind: Kind = Kind.USER
    key_id: str = ""
    # Empty: good for every user or host. Hardly ever what a CA wants.
    principals: tuple[str, ...] = ()
    valid_after: int = 0
    valid_before: int = FOREVER
    critical_options: tuple[Option, ...] = ()
    extensions: tuple[Option, ...] = ()
    reserved: bytes = b""
    signature_key: bytes
    signature: bytes = b""

    @property
    def type_name(self) -> str:
        return certified(keys.type_name(self.public))

    def valid_at(self, seconds: int) -> bool:
        """Whether it is in force that many seconds after the epoch."""
        return self.valid_after <= seconds < self.valid_before


_VENDOR, _SUFFIX = "@openssh.com", "-cert-v01@openssh.com"


def certified(type_name: str) -> str:
    """The type of a certificate of keys of the type `type_name`."""
    return type_name.removesuffix(_VENDOR) + _SUFFIX


# The plain type of every certificate type.
PLAIN_TYPES = {certified(name): name for name in FIELDS}


def _read_kind(reader: Reader) -> Kind:
    number = UINT32.read(reader)
    if number not in (Kind.USER, Kind.HOST):
        raise Malformed(f"a certificate of kind {number}")
    return Kind(number)


def _read_name(reader: Reader) -> str:
    name = TEXT.read(reader)
    # Others read it as a string of C: what follows a NUL would go unseen there.
    if "\0" in name:
        raise Malformed("a name with a NUL in it")
    return name


_KIND: Codec[Kind] = Codec(write=UINT32.write, read=_read_kind)
_NAME: Codec[str] = Codec(write=TEXT.write, read=_read_name)
_OPTIONS = nested(repeated(record(Option, name=_NAME, data=STRING), most=_MAX_OPTIONS))

# What follows the public key, up to the signature.
_BODY: dict[str, Codec[Any]] = {
    "serial": UINT64,
    "kind": _KIND,
    "key_id": _NAME,
    "principals": nested(repeated(_NAME, most=_MAX_PRINCIPALS)),
    "valid_after": UINT64,
    "valid_before": UINT64,
    "critical_options": _OPTIONS,
    "extensions": _OPTIONS,
    "reserved": STRING,
    "signature_key": STRING,
}


def is_certificate(blob: Bytes) -> bool:
    try:
        return keys.blob_type(blob) in PLAIN_TYPES
    except Malformed:
        return False


def signed_part(certificate: Certificate) -> bytes:
    """What the CA signs: everything before the signature."""
    head = TEXT.write(certificate.type_name) + STRING.write(certificate.nonce)
    public = FIELDS[keys.type_name(certificate.public)].write(certificate.public)
    body = [codec.write(getattr(certificate, name)) for name, codec in _BODY.items()]
    return b"".join((head, public, *body))


def encode(certificate: Certificate) -> bytes:
    return signed_part(certificate) + STRING.write(certificate.signature)


def decode(blob: Bytes) -> Certificate:
    """Read a certificate. That its CA signed it is for `verify` to say."""
    reader = Reader(blob)
    name = TEXT.read(reader)
    plain = PLAIN_TYPES.get(name)
    if plain is None:
        raise Malformed(f"no certificate has the type {name[:80]!r}")
    nonce = STRING.read(reader)
    public = FIELDS[plain].read(reader)
    body = {field: codec.read(reader) for field, codec in _BODY.items()}
    # A CA's key is a plain one: no chains (PROTOCOL.certkeys).
    keys.decode(body["signature_key"])
    signature = STRING.read(reader)
    reader.end()
    return Certificate(nonce=nonce, public=public, signature=signature, **body)


def plain_blob(blob: bytes) -> bytes:
    """The blob of the key: that of its public half if it is a certificate."""
    return keys.encode(decode(blob).public) if is_certificate(blob) else blob


def sign(certificate: Certificate, signer: Callable[[bytes], bytes]) -> Certificate:
    """The certificate with the signature blob that `signer` makes over it."""
    return replace(certificate, signature=signer(signed_part(certificate)))


def verify(certificate: Certificate) -> signatures.Verified:
    """Raise `BadSignature` unless the key it names as its CA signed it.

    Whether to believe that CA, and whether the certificate is in force, are other questions.
    """
    authority = keys.decode(certificate.signature_key)
    return signatures.verify(authority, certificate.signature, signed_part(certificate))

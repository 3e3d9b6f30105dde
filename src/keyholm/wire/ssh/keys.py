"""SSH public keys: blobs and `authorized_keys` lines (RFC 4253 6.6, RFC 5656, RFC 8709,
PROTOCOL.u2f, draft-miller-sshm-mldsa44-ed25519-composite-sigs-00).

`decode` checks lengths and ranges; whether a point lies on its curve is found out by the first
use of the key, since that costs more than everything else here.

A key's identity in keyholm is `key_id`; a blob is how SSH spells the key.
"""

import base64
import binascii
import hashlib
import re
from enum import StrEnum
from typing import Any, Literal

from msgspec import Struct

from keyholm.wire import der
from keyholm.wire.codec import (
    MPINT,
    STRING,
    TEXT,
    Bytes,
    Codec,
    Malformed,
    Reader,
    fixed,
    record,
)

MLDSA44_PUBLIC_SIZE = 1312
RSA_MAX_BITS = 16384


class Curve(StrEnum):
    NISTP256 = "nistp256"
    NISTP384 = "nistp384"
    NISTP521 = "nistp521"

    @property
    def width(self) -> int:
        """Bytes of a coordinate, of a scalar, of either half of a signature."""
        return _WIDTHS[self]


_WIDTHS = {Curve.NISTP256: 32, Curve.NISTP384: 48, Curve.NISTP521: 66}


class Ed25519(Struct, frozen=True):
    point: bytes


class Ecdsa(Struct, frozen=True):
    curve: Curve
    point: bytes


class Rsa(Struct, frozen=True):
    exponent: int
    modulus: int


class Dsa(Struct, frozen=True):
    p: int
    q: int
    g: int
    y: int


class SkEd25519(Struct, frozen=True):
    """An Ed25519 key on a FIDO authenticator."""

    point: bytes
    application: bytes


class SkEcdsa(Struct, frozen=True):
    """A P-256 key on a FIDO authenticator."""

    point: bytes
    application: bytes


class MlDsa44Ed25519(Struct, frozen=True):
    """Two keys that sign together; a signature is good when both of its halves are."""

    mldsa: bytes
    ed25519: bytes


PublicKey = Ed25519 | Ecdsa | Rsa | Dsa | SkEd25519 | SkEcdsa | MlDsa44Ed25519


def _point(curve: Curve) -> Codec[bytes]:
    def read(reader: Reader) -> bytes:
        point = STRING.read(reader)
        if len(point) != 1 + 2 * curve.width or point[0] != 4:
            raise Malformed(f"not an uncompressed point of {curve}")
        return point

    return Codec(write=STRING.write, read=read)


def _curve_name(curve: Curve) -> Codec[Curve]:
    def read(reader: Reader) -> Curve:
        if STRING.read(reader) != curve.encode():
            raise Malformed(f"a key for {curve} that names another curve")
        return curve

    return Codec(write=TEXT.write, read=read)


def _read_application(reader: Reader) -> bytes:
    application = STRING.read(reader)
    # A string of C in every other implementation: what follows a NUL would go unseen there.
    if b"\0" in application:
        raise Malformed("an application with a NUL in it")
    return application


APPLICATION: Codec[bytes] = Codec(write=STRING.write, read=_read_application)


def _sk_ecdsa() -> Codec[SkEcdsa]:
    curve, point = _curve_name(Curve.NISTP256), _point(Curve.NISTP256)

    def read(reader: Reader) -> SkEcdsa:
        curve.read(reader)
        return SkEcdsa(point.read(reader), APPLICATION.read(reader))

    return Codec(
        write=lambda key: (
            curve.write(Curve.NISTP256)
            + point.write(key.point)
            + APPLICATION.write(key.application)
        ),
        read=read,
    )


def _composite() -> Codec[MlDsa44Ed25519]:
    both = fixed(MLDSA44_PUBLIC_SIZE + 32, "an ML-DSA-44 with Ed25519 key")

    def read(reader: Reader) -> MlDsa44Ed25519:
        halves = both.read(reader)
        return MlDsa44Ed25519(halves[:MLDSA44_PUBLIC_SIZE], halves[MLDSA44_PUBLIC_SIZE:])

    return Codec(write=lambda key: both.write(key.mldsa + key.ed25519), read=read)


def _rsa() -> Codec[Rsa]:
    fields = record(Rsa, exponent=MPINT, modulus=MPINT)

    def read(reader: Reader) -> Rsa:
        key = fields.read(reader)
        if not key.exponent & 1 or key.exponent < 3 or key.exponent >= key.modulus:
            raise Malformed("an RSA exponent that cannot be")
        if not key.modulus & 1:
            raise Malformed("an even RSA modulus")
        return key

    return Codec(write=fields.write, read=read)


def _dsa() -> Codec[Dsa]:
    fields = record(Dsa, p=MPINT, q=MPINT, g=MPINT, y=MPINT)

    def read(reader: Reader) -> Dsa:
        key = fields.read(reader)
        # OpenSSH only ever had this size, and the signature format holds no other.
        if key.p.bit_length() != 1024 or key.q.bit_length() != 160:
            raise Malformed("a DSA key that is not 1024 bits with 160")
        if not 1 < key.g < key.p or not 1 < key.y < key.p:
            raise Malformed("DSA numbers out of range")
        return key

    return Codec(write=fields.write, read=read)


# What follows the type name in a blob; certificates and private keys hold the same fields.
FIELDS: dict[str, Codec[Any]] = {
    "ssh-ed25519": record(Ed25519, point=fixed(32, "an Ed25519 key")),
    **{
        f"ecdsa-sha2-{curve}": record(Ecdsa, curve=_curve_name(curve), point=_point(curve))
        for curve in Curve
    },
    "ssh-rsa": _rsa(),
    "ssh-dss": _dsa(),
    "sk-ssh-ed25519@openssh.com": record(
        SkEd25519, point=fixed(32, "an Ed25519 key"), application=APPLICATION
    ),
    "sk-ecdsa-sha2-nistp256@openssh.com": _sk_ecdsa(),
    "ssh-mldsa44-ed25519@openssh.com": _composite(),
}

_TYPE_NAMES: dict[type[Any], str] = {
    Ed25519: "ssh-ed25519",
    Rsa: "ssh-rsa",
    Dsa: "ssh-dss",
    SkEd25519: "sk-ssh-ed25519@openssh.com",
    SkEcdsa: "sk-ecdsa-sha2-nistp256@openssh.com",
    MlDsa44Ed25519: "ssh-mldsa44-ed25519@openssh.com",
}


def type_name(key: PublicKey) -> str:
    if isinstance(key, Ecdsa):
        return "ecdsa-sha2-" + key.curve
    return _TYPE_NAMES[type(key)]


def blob_type(blob: Bytes) -> str:
    """The type name that `blob` begins with, whether or not we know it."""
    return TEXT.read(Reader(blob))


def _write(key: PublicKey) -> bytes:
    name = type_name(key)
    return TEXT.write(name) + FIELDS[name].write(key)


def _read(reader: Reader) -> PublicKey:
    name = TEXT.read(reader)
    fields = FIELDS.get(name)
    if fields is None:
        raise Malformed(f"no plain public key has the type {name[:80]!r}")
    key: PublicKey = fields.read(reader)
    return key


PUBLIC: Codec[PublicKey] = Codec(write=_write, read=_read)


def encode(key: PublicKey) -> bytes:
    return _write(key)


def decode(blob: Bytes) -> PublicKey:
    reader = Reader(blob)
    key = _read(reader)
    reader.end()
    return key


def fingerprint(blob: Bytes, hash: Literal["sha256", "md5"] = "sha256") -> str:  # noqa: A002
    """As `ssh-keygen -l` prints it. Of a certificate, OpenSSH shows that of its plain key."""
    if hash == "md5":
        digest = hashlib.md5(blob, usedforsecurity=False).digest()
        return "MD5:" + digest.hex(":")
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


_EC_PUBLIC_KEY = der.oid("1.2.840.10045.2.1")
_RSA_ENCRYPTION = der.oid("1.2.840.113549.1.1.1")
_DSA = der.oid("1.2.840.10040.4.1")
_ED25519 = der.oid("1.3.101.112")
_CURVES = {
    Curve.NISTP256: der.oid("1.2.840.10045.3.1.7"),
    Curve.NISTP384: der.oid("1.3.132.0.34"),
    Curve.NISTP521: der.oid("1.3.132.0.35"),
}


def _info(algorithm: bytes, key: bytes) -> bytes:
    return der.sequence(der.sequence(algorithm), der.bit_string(key))


def spki(key: PublicKey) -> bytes | None:
    """The SubjectPublicKeyInfo (RFC 5280, 3279, 5480, 8410); the composite key has none."""
    match key:
        case Ed25519(point) | SkEd25519(point):
            return _info(_ED25519, point)
        case Ecdsa(curve, point):
            return _info(_EC_PUBLIC_KEY + _CURVES[curve], point)
        case SkEcdsa(point):
            return _info(_EC_PUBLIC_KEY + _CURVES[Curve.NISTP256], point)
        case Rsa(exponent, modulus):
            numbers = der.sequence(der.integer(modulus), der.integer(exponent))
            return _info(_RSA_ENCRYPTION + der.NULL, numbers)
        case Dsa(p, q, g, y):
            parameters = der.sequence(der.integer(p), der.integer(q), der.integer(g))
            return _info(_DSA + parameters, der.integer(y))
        case MlDsa44Ed25519():
            return None


def key_id(key: PublicKey) -> str:
    """Which key this is, everywhere in keyholm: the SHA-256 of its SubjectPublicKeyInfo.

    The application of a FIDO key is hashed after it, since the same point under another
    application is another credential. The composite key has no SubjectPublicKeyInfo that
    others agree on: its SSH blob is hashed.
    """
    info = spki(key)
    if info is None:
        return hashlib.sha256(encode(key)).hexdigest()
    if isinstance(key, SkEd25519 | SkEcdsa):
        info += key.application
    return hashlib.sha256(info).hexdigest()


_NOT_IN_A_LINE = re.compile(r"[\r\n\0]")


def format_line(key: PublicKey | bytes, comment: str = "") -> str:
    """A line for a `.pub` file or `authorized_keys`, without its newline."""
    blob = key if isinstance(key, bytes) else encode(key)
    if _NOT_IN_A_LINE.search(comment):
        raise ValueError("a comment must fit in one line")
    line = f"{blob_type(blob)} {base64.b64encode(blob).decode()}"
    return f"{line} {comment}" if comment else line


# One option of authorized_keys: words, with spaces only between quotes, \" inside them.
_OPTIONS = re.compile(r'(?:[^\s"]|"(?:[^"\\]|\\.)*")+[ \t]+')
_KEY_TYPE = re.compile(r"[!-~]{1,64}")


def parse_line(text: str) -> tuple[bytes, str]:
    """The blob and comment of a `.pub` or `authorized_keys` line; options are passed over."""
    line = text.strip()
    if _NOT_IN_A_LINE.search(line):
        raise Malformed("more than one line")
    try:
        return _key_and_comment(line)
    except Malformed:
        options = _OPTIONS.match(line)
        if options is None:
            raise
        return _key_and_comment(line[options.end() :])


def _key_and_comment(line: str) -> tuple[bytes, str]:
    words = line.split(None, 2)
    if len(words) < 2 or not _KEY_TYPE.fullmatch(words[0]):
        raise Malformed("not a line with a public key")
    try:
        blob = base64.b64decode(words[1], validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("a public key that is not base64") from None
    if blob_type(blob) != words[0]:
        raise Malformed("a line whose type is not its key's")
    return blob, words[2] if len(words) == 3 else ""

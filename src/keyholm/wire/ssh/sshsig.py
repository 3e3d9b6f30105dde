"""SSHSIG: signatures over files, as `ssh-keygen -Y` and git make them (PROTOCOL.sshsig)."""

import base64
import binascii
import hashlib
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from keyholm.wire.codec import (
    STRING,
    TEXT,
    UINT32,
    Bytes,
    Codec,
    Malformed,
    Reader,
    record,
)
from keyholm.wire.codec import decode as decode_whole
from keyholm.wire.ssh import certificates, keys, signatures
from keyholm.wire.ssh.signatures import BadSignature, Verified

MAGIC = b"SSHSIG"
VERSION = 1
_HASHES: dict[str, Callable[[Bytes], Any]] = {
    "sha256": hashlib.sha256,
    "sha512": hashlib.sha512,
}
_SIZES = {"sha256": 32, "sha512": 64}
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"


def _read_namespace(reader: Reader) -> str:
    namespace = TEXT.read(reader)
    # The namespace keeps a signature for one purpose from serving another.
    if not namespace or "\0" in namespace:
        raise Malformed("a signature without a namespace")
    return namespace


def _read_hash(reader: Reader) -> str:
    name = TEXT.read(reader)
    if name not in _HASHES:
        raise Malformed(f"no SSHSIG hash is called {name[:80]!r}")
    return name


def _read_nothing(reader: Reader) -> bytes:
    if STRING.read(reader):
        raise Malformed("a reserved field that is in use")
    return b""


_NAMESPACE: Codec[str] = Codec(write=TEXT.write, read=_read_namespace)
_RESERVED: Codec[bytes] = Codec(write=STRING.write, read=_read_nothing)
_HASH: Codec[str] = Codec(write=TEXT.write, read=_read_hash)


class SshSig(Struct, frozen=True):
    """What a signer is given: a digest, and what the signature is for."""

    namespace: str
    hash: str
    digest: bytes


class SignatureFile(Struct, frozen=True):
    """What `ssh-keygen -Y sign` writes."""

    key_blob: bytes
    namespace: str
    hash: str
    signature: bytes


class _Signed(Struct, frozen=True):
    namespace: str
    reserved: bytes
    hash: str
    digest: bytes


class _File(Struct, frozen=True):
    version: int
    key_blob: bytes
    namespace: str
    reserved: bytes
    hash: str
    signature: bytes


_SIGNED = record(_Signed, namespace=_NAMESPACE, reserved=_RESERVED, hash=_HASH, digest=STRING)
_FILE = record(
    _File,
    version=UINT32,
    key_blob=STRING,
    namespace=_NAMESPACE,
    reserved=_RESERVED,
    hash=_HASH,
    signature=STRING,
)


def _after_magic(data: Bytes) -> memoryview:
    if bytes(data[: len(MAGIC)]) != MAGIC:
        raise Malformed("not an SSHSIG")
    return memoryview(data)[len(MAGIC) :]


def parse_signed(data: Bytes) -> SshSig:
    """Read the bytes that a signer is asked to sign."""
    signed = decode_whole(_SIGNED, _after_magic(data))
    if len(signed.digest) != _SIZES[signed.hash]:
        raise Malformed("a digest that is not of its hash")
    return SshSig(signed.namespace, signed.hash, signed.digest)


def to_be_signed(namespace: str, hash_name: str, message: Bytes) -> bytes:
    """The bytes to sign for `message`."""
    digest = _HASHES[hash_name](message).digest()
    return MAGIC + _SIGNED.write(_Signed(namespace, b"", hash_name, digest))


def encode(signature: SignatureFile) -> bytes:
    return MAGIC + _FILE.write(
        _File(
            VERSION,
            signature.key_blob,
            signature.namespace,
            b"",
            signature.hash,
            signature.signature,
        )
    )


def decode(data: Bytes) -> SignatureFile:
    read = decode_whole(_FILE, _after_magic(data))
    if read.version != VERSION:
        raise Malformed(f"SSHSIG version {read.version}")
    return SignatureFile(read.key_blob, read.namespace, read.hash, read.signature)


def armour(signature: SignatureFile) -> str:
    text = base64.b64encode(encode(signature)).decode()
    lines = [text[at : at + 70] for at in range(0, len(text), 70)]
    return "\n".join((_BEGIN, *lines, _END, ""))


def parse_armoured(text: str) -> SignatureFile:
    lines = text.strip().splitlines()
    if len(lines) < 3 or lines[0] != _BEGIN or lines[-1] != _END:
        raise Malformed("not an armoured SSH signature")
    try:
        data = base64.b64decode("".join(lines[1:-1]), validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("an armoured SSH signature that is not base64") from None
    return decode(data)


def verify(signature: SignatureFile, message: Bytes, namespace: str) -> Verified:
    """Raise `BadSignature` unless its key signed `message` for `namespace`.

    Whether that key may speak for anybody is another question.
    """
    if signature.namespace != namespace:
        raise BadSignature("a signature for another purpose")
    key = keys.decode(certificates.plain_blob(signature.key_blob))
    signed = to_be_signed(namespace, signature.hash, message)
    return signatures.verify(key, signature.signature, signed)

"""The file that OpenSSH keeps a private key in, encrypted or not (PROTOCOL.key).

This opens and seals the container; what a private key is inside it, `private_layouts` knows.
"""

import base64
import binascii
import re
from collections.abc import Callable
from typing import Protocol

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305
from msgspec import Struct

from keyholm.wire.bcrypt_pbkdf import Kdf
from keyholm.wire.codec import (
    STRING,
    TEXT,
    UINT32,
    VIEW,
    Bytes,
    HoldsSecrets,
    Malformed,
    Reader,
    record,
)
from keyholm.wire.codec import decode as decode_whole

# OpenSSH's MAX_KEY_FILE_SIZE.
MAX_FILE = 1024 * 1024
# A round costs its reader time; whoever writes 2**32 of them has no key to protect.
MAX_ROUNDS = 2048
MAGIC = b"openssh-key-v1\0"
BEGIN, END = b"-----BEGIN OPENSSH PRIVATE KEY-----", b"-----END OPENSSH PRIVATE KEY-----"
_ARMOUR = re.compile(rb"\s*" + BEGIN + rb"\s([A-Za-z0-9+/=\s]*)\s" + END + rb"\s*", re.ASCII)
_LINE = 70
_SALT_SIZE = 16
_PLAIN_BLOCK = 8

# Gives memory for so many bytes of secrets. Locked memory, if the caller has some.
Allocate = Callable[[int], memoryview]


class PassphraseNeeded(ValueError):
    """The key is encrypted."""


class PassphraseWrong(ValueError):
    """The passphrase does not open the key."""


class _Run(Protocol):
    def __call__(
        self, key: bytes, start: bytes, data: Bytes, tag: bytes, room: Allocate
    ) -> memoryview: ...


class _CipherKind(Struct, frozen=True):
    key_size: int
    start_size: int
    block: int
    tag_size: int
    decrypt: _Run


class _Header(Struct, frozen=True):
    cipher: str
    kdf: str
    kdf_options: bytes
    count: int
    public: bytes


class _KdfOptions(Struct, frozen=True):
    salt: bytes
    rounds: int


class Opened(HoldsSecrets, frozen=True):
    """The public half, which anybody can read, and the secret part."""

    public: bytes
    secret: memoryview


_HEADER = record(_Header, cipher=TEXT, kdf=TEXT, kdf_options=STRING, count=UINT32, public=STRING)
_KDF_OPTIONS = record(_KdfOptions, salt=STRING, rounds=UINT32)


def _aes(mode: Callable[[bytes], modes.CTR | modes.CBC]) -> _Run:
    def run(key: bytes, start: bytes, data: Bytes, tag: bytes, room: Allocate) -> memoryview:
        return _into(Cipher(algorithms.AES(key), mode(start)), data, room)

    return run


def _aes_gcm(key: bytes, start: bytes, data: Bytes, tag: bytes, room: Allocate) -> memoryview:
    decryptor = Cipher(algorithms.AES(key), modes.GCM(start)).decryptor()
    plain = room(len(data) + 15)
    written = decryptor.update_into(data, plain)
    try:
        decryptor.finalize_with_tag(tag)
    except InvalidTag:
        raise PassphraseWrong("the passphrase does not open this key") from None
    return plain[:written]


def _chacha(key: bytes, start: bytes, data: Bytes, tag: bytes, room: Allocate) -> memoryview:
    # OpenSSH's own construction, as on the wire (PROTOCOL.chacha20poly1305) but without a
    # length, so that the second half of the key goes unused.
    block_0, block_1 = bytes(16), b"\1" + bytes(15)
    one_time = Cipher(algorithms.ChaCha20(key[:32], block_0), None).encryptor().update(bytes(32))
    try:
        Poly1305.verify_tag(one_time, bytes(data), tag)
    except InvalidSignature:
        raise PassphraseWrong("the passphrase does not open this key") from None
    return _into(Cipher(algorithms.ChaCha20(key[:32], block_1), None), data, room)


def _into(
    cipher: "Cipher[modes.CTR | modes.CBC | None]", data: Bytes, room: Allocate
) -> memoryview:
    # cryptography wants a block more than it writes.
    plain = room(len(data) + 15)
    return plain[: cipher.decryptor().update_into(data, plain)]


_CIPHERS = {
    **{
        f"aes{bits}-{name}": _CipherKind(bits // 8, 16, 16, 0, _aes(mode))
        for bits in (128, 192, 256)
        for name, mode in (("ctr", modes.CTR), ("cbc", modes.CBC))
    },
    **{
        f"aes{bits}-gcm@openssh.com": _CipherKind(bits // 8, 12, 16, 16, _aes_gcm)
        for bits in (128, 256)
    },
    "chacha20-poly1305@openssh.com": _CipherKind(64, 0, 8, 16, _chacha),
}


def is_openssh(data: Bytes) -> bool:
    return re.match(rb"\s*" + BEGIN, data) is not None


def open_file(data: Bytes, passphrase: Bytes | None, *, kdf: Kdf, allocate: Allocate) -> Opened:
    reader = Reader(_unarmoured(data))
    if reader.take(len(MAGIC)) != MAGIC:
        raise Malformed("not an OpenSSH private key")
    header = _HEADER.read(reader)
    if header.count != 1:
        raise Malformed(f"{header.count} keys in one file")
    sealed = VIEW.read(reader)
    tag = reader.rest()
    if header.cipher == header.kdf == "none":
        return Opened(header.public, _checked(_copied(sealed, tag, allocate), encrypted=False))
    plain = _decrypted(header, sealed, tag, passphrase, kdf, allocate)
    return Opened(header.public, _checked(plain, encrypted=True))


def _unarmoured(data: Bytes) -> bytes:
    if len(data) > MAX_FILE:
        raise Malformed("a private key of more than a mebibyte")
    armour = _ARMOUR.fullmatch(data)
    if armour is None:
        raise Malformed("not an OpenSSH private key")
    try:
        return base64.b64decode(b"".join(armour[1].split()), validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("a private key that is not base64") from None


def _copied(plain: memoryview, tag: bytes, allocate: Allocate) -> memoryview:
    if tag or len(plain) % _PLAIN_BLOCK:
        raise Malformed("a private key with the wrong length")
    room = allocate(len(plain))
    room[: len(plain)] = plain
    return room[: len(plain)]


def _decrypted(
    header: _Header,
    sealed: memoryview,
    tag: bytes,
    passphrase: Bytes | None,
    kdf: Kdf,
    allocate: Allocate,
) -> memoryview:
    kind = _CIPHERS.get(header.cipher)
    if kind is None or header.kdf != "bcrypt":
        raise Malformed(f"encrypted in a way we do not know: {header.cipher[:40]!r}")
    options = decode_whole(_KDF_OPTIONS, header.kdf_options)
    if not options.salt or not 0 < options.rounds <= MAX_ROUNDS:
        raise Malformed(f"a passphrase to be hashed {options.rounds} times")
    if not sealed or len(sealed) % kind.block or len(tag) != kind.tag_size:
        raise Malformed("a private key with the wrong length")
    if not passphrase:
        raise PassphraseNeeded("this key is encrypted with a passphrase")
    key = kdf(passphrase, options.salt, kind.key_size + kind.start_size, options.rounds)
    return kind.decrypt(key[: kind.key_size], key[kind.key_size :], sealed, tag, allocate)


def _checked(plain: memoryview, *, encrypted: bool) -> memoryview:
    """What follows the number that stands there twice, to tell a wrong passphrase."""
    reader = Reader(plain)
    if reader.take(4) == reader.take(4):
        return plain[8:]
    if encrypted:
        raise PassphraseWrong("the passphrase does not open this key")
    raise Malformed("a damaged private key")


def padding_is_right(rest: bytes) -> bool:
    # A block at most, says the standard; PuTTY writes whole blocks more, and OpenSSH takes them.
    return len(rest) < 256 and rest == bytes(range(1, len(rest) + 1))


def seal_file(
    public: bytes,
    secret: bytes,
    passphrase: Bytes | None,
    *,
    rounds: int,
    kdf: Kdf,
    random: Callable[[int], bytes],
) -> bytes:
    """A file with `secret`, encrypted by AES-256-CTR if there is a passphrase."""
    kind = _CIPHERS["aes256-ctr"]
    block = kind.block if passphrase else _PLAIN_BLOCK
    check = random(4)
    plain = check + check + secret
    plain += bytes(range(1, -len(plain) % block + 1))
    if passphrase:
        salt = random(_SALT_SIZE)
        key = kdf(passphrase, salt, kind.key_size + kind.start_size, rounds)
        cipher = Cipher(algorithms.AES(key[: kind.key_size]), modes.CTR(key[kind.key_size :]))
        plain = cipher.encryptor().update(plain)
        options = _KDF_OPTIONS.write(_KdfOptions(salt, rounds))
        header = _Header("aes256-ctr", "bcrypt", options, 1, public)
    else:
        header = _Header("none", "none", b"", 1, public)
    text = base64.b64encode(MAGIC + _HEADER.write(header) + STRING.write(plain))
    lines = [text[at : at + _LINE] for at in range(0, len(text), _LINE)]
    return b"\n".join((BEGIN, *lines, END, b""))

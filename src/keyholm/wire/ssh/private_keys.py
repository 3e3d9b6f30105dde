"""Private SSH keys: values, their layout, and the files they are kept in.

Reads OpenSSH's own format and, through cryptography, PEM (PKCS#1, SEC 1, PKCS#8), encrypted or
not; writes OpenSSH's. Python and cryptography make copies of what passes through them: files are
best read in a process that does little else and ends soon.
"""

import secrets
from collections.abc import Callable

from keyholm.wire import bcrypt_pbkdf
from keyholm.wire.bcrypt_pbkdf import Kdf
from keyholm.wire.codec import STRING, TEXT, Bytes, Malformed, Reader
from keyholm.wire.ssh import certificates, keys
from keyholm.wire.ssh.openssh_file import (
    Allocate,
    is_openssh,
    open_file,
    padding_is_right,
    seal_file,
)
from keyholm.wire.ssh.openssh_file import PassphraseNeeded as PassphraseNeeded
from keyholm.wire.ssh.openssh_file import PassphraseWrong as PassphraseWrong
from keyholm.wire.ssh.pem import read_pem
from keyholm.wire.ssh.private_halves import halves_match as halves_match
from keyholm.wire.ssh.private_layouts import PRIVATE as PRIVATE
from keyholm.wire.ssh.private_layouts import parts
from keyholm.wire.ssh.private_types import Private as Private
from keyholm.wire.ssh.private_types import PrivateDsa as PrivateDsa
from keyholm.wire.ssh.private_types import PrivateEcdsa as PrivateEcdsa
from keyholm.wire.ssh.private_types import PrivateEd25519 as PrivateEd25519
from keyholm.wire.ssh.private_types import PrivateKey as PrivateKey
from keyholm.wire.ssh.private_types import PrivateMlDsa44Ed25519 as PrivateMlDsa44Ed25519
from keyholm.wire.ssh.private_types import PrivateRsa as PrivateRsa
from keyholm.wire.ssh.private_types import PrivateSkEcdsa as PrivateSkEcdsa
from keyholm.wire.ssh.private_types import PrivateSkEd25519 as PrivateSkEd25519
from keyholm.wire.ssh.private_types import PrivateWithCertificate as PrivateWithCertificate

# As ssh-keygen does from OpenSSH 9.4 on.
ROUNDS = 24


def write_into(private: Private, allocate: Allocate) -> memoryview:
    """The key as `PRIVATE` writes it, in memory that `allocate` gives and nowhere else."""
    pieces = parts(private)
    size = sum(map(len, pieces))
    room = allocate(size)[:size]
    at = 0
    for piece in pieces:
        room[at : at + len(piece)] = piece
        at += len(piece)
    return room


def _ordinary_memory(size: int) -> memoryview:
    return memoryview(bytearray(size))


def read_file(
    data: Bytes,
    passphrase: Bytes | None,
    *,
    kdf: Kdf = bcrypt_pbkdf.derive,
    allocate: Allocate = _ordinary_memory,
) -> tuple[Private, str]:
    """The key and its comment. Its secret fields lie in memory that `allocate` gave."""
    if not is_openssh(data):
        return read_pem(data, passphrase, allocate), ""
    opened = open_file(data, passphrase, kdf=kdf, allocate=allocate)
    reader = Reader(opened.secret)
    private = PRIVATE.read(reader)
    comment = STRING.read(reader)
    if not padding_is_right(reader.rest()):
        raise Malformed("a private key with other padding than it should have")
    # The outer half is there for all to read, and for all to change.
    if certificates.plain_blob(opened.public) != keys.encode(private.public):
        raise Malformed("a private key whose two public halves differ")
    return private, comment.decode(errors="replace")


def write_file(
    private: Private,
    comment: str,
    passphrase: Bytes | None,
    *,
    rounds: int = ROUNDS,
    kdf: Kdf = bcrypt_pbkdf.derive,
    random: Callable[[int], bytes] = secrets.token_bytes,
) -> bytes:
    """The key as `ssh-keygen` would write it, encrypted if there is a passphrase."""
    secret = PRIVATE.write(private) + TEXT.write(comment)
    certificate = private.certificate if isinstance(private, PrivateWithCertificate) else b""
    public = certificate or keys.encode(private.public)
    return seal_file(public, secret, passphrase, rounds=rounds, kdf=kdf, random=random)

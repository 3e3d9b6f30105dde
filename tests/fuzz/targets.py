"""What is fuzzed: every function that reads bytes from elsewhere.

A target takes any bytes and returns, or raises one of its `refusals`. Anything else is a finding:
another exception, a value that does not read as what it was written from, or too much time.
"""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fuzz import pkcs11_targets

from keyholm.wire import der, x509
from keyholm.wire.codec import STRING, Bytes, Codec, Malformed, Reader
from keyholm.wire.codec import decode as decode_whole
from keyholm.wire.pkcs11 import uri
from keyholm.wire.ssh import agent, certificates, keys, signatures, sshsig, userauth
from keyholm.wire.ssh.constraints import CONSTRAINTS, Constraint
from keyholm.wire.ssh.patterns import match_pattern_list
from keyholm.wire.ssh.private_keys import (
    PRIVATE,
    PassphraseNeeded,
    PassphraseWrong,
    halves_match,
    read_file,
    write_file,
)
from keyholm.wire.ssh.signatures import BadSignature

VECTORS = Path(__file__).parents[1] / "vectors" / "ssh"
PASSPHRASE = b"keyholm-test"
AUTHORITY = (VECTORS.parent / "pkcs11" / "authority.der").read_bytes()


@dataclass(frozen=True, slots=True)
class Target:
    run: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    refusals: tuple[type[Exception], ...] = (Malformed,)


def _data(*names: str) -> tuple[bytes, ...]:
    return tuple((VECTORS / name).read_bytes() for name in names)


def _blob(name: str) -> bytes:
    return keys.parse_line((VECTORS / f"{name}.pub").read_text())[0]


PLAIN = ("ed25519", "ecdsa256", "ecdsa384", "ecdsa521", "rsa", "dsa", "ed25519_sk", "ecdsa_sk")
CERTIFIED = ("ed25519", "ecdsa256", "ecdsa521", "rsa", "dsa", "ed25519_sk", "ecdsa_sk")
BLOBS = tuple(map(_blob, PLAIN))
CERTIFICATES = tuple(_blob(f"{name}-cert") for name in CERTIFIED)
PRIVATE_KEYS = tuple(read_file(data, None)[0] for data in _data(*PLAIN))
SIGNATURE_FILES = tuple(
    sshsig.parse_armoured(data.decode())
    for data in _data(*(f"{name}.sshsig" for name in PLAIN if name != "dsa"))
)
SIGNED = sshsig.to_be_signed("file", "sha512", b"message")
LOGINS = tuple(
    userauth.encode(userauth.UserAuth(b"session", "user", "ssh-connection", *more))
    for more in (
        ("publickey", "ssh-ed25519", BLOBS[0]),
        (userauth.HOSTBOUND, "ssh-ed25519", BLOBS[0], BLOBS[1]),
    )
)
BINDING = agent.SessionBind(BLOBS[0], b"session", SIGNATURE_FILES[0].signature, is_forwarding=True)
HOP = agent.Hop("", "host", (agent.HopKey(BLOBS[0], is_ca=True),))
CONSTRAINT_SETS: tuple[tuple[Constraint, ...], ...] = (
    (agent.Lifetime(60), agent.Confirm(), agent.MaxSign(1), agent.SkProvider("internal")),
    (agent.RestrictDestination((agent.DestinationConstraint(agent.Hop("", ""), HOP),)),),
    (agent.AssociatedCerts(certs_only=True, certs=(CERTIFICATES[0],)),),
)
SECRET = memoryview(b"secret")
MESSAGES: tuple[agent.Message, ...] = (
    agent.IdentitiesAnswer(tuple(agent.Identity(blob, b"comment") for blob in BLOBS)),
    agent.SignRequest(BLOBS[0], LOGINS[0], agent.SignFlag.RSA_SHA2_256),
    agent.SignResponse(SIGNATURE_FILES[0].signature),
    *(agent.AddIdentity(key, b"comment") for key in PRIVATE_KEYS),
    *(agent.AddIdentityConstrained(PRIVATE_KEYS[0], b"c", more) for more in CONSTRAINT_SETS),
    agent.RemoveIdentity(BLOBS[0]),
    agent.AddSmartcardKeyConstrained("/module", SECRET, CONSTRAINT_SETS[0]),
    agent.Lock(SECRET),
    agent.Extension(agent.SESSION_BIND, agent.encode_session_bind(BINDING)),
    agent.query_answer((agent.SESSION_BIND,)),
)


def _quick_kdf(passphrase: Bytes, salt: bytes, size: int, rounds: int) -> bytes:
    """The real one takes a third of a second a round: far too slow to find anything."""
    return hashlib.scrypt(bytes(passphrase), salt=salt, n=2, r=1, p=1, dklen=size)


def _message(data: bytes) -> None:
    message = agent.decode(data)
    assert agent.decode(agent.encode(message)) == message
    repr(message)


def _canonical(codec: Codec[Any]) -> Callable[[bytes], None]:
    """One value has one spelling."""

    def run(data: bytes) -> None:
        assert codec.write(decode_whole(codec, data)) == data

    return run


def _stable(codec: Codec[Any]) -> Callable[[bytes], None]:
    """A value reads as what it was written from, though it may have several spellings."""

    def run(data: bytes) -> None:
        value = decode_whole(codec, data)
        assert decode_whole(codec, codec.write(value)) == value

    return run


def _public_key(data: bytes) -> None:
    key = keys.decode(data)
    assert keys.encode(key) == data
    keys.key_id(key)
    keys.spki(key)


def _line(data: bytes) -> None:
    blob, comment = keys.parse_line(data.decode("latin-1"))
    assert keys.parse_line(keys.format_line(blob, comment)) == (blob, comment)


def _certificate(data: bytes) -> None:
    certificate = certificates.decode(data)
    assert certificates.encode(certificate) == data
    certificates.verify(certificate)


def _signature(data: bytes) -> None:
    signature = signatures.decode(data)
    assert signatures.encode(signature.algorithm, signature.raw) == data


def _verification(data: bytes) -> None:
    """A key, a signature, and what it is said to be of."""
    reader = Reader(data)
    key = keys.PUBLIC.read(reader)
    blob = STRING.read(reader)
    signatures.verify(key, blob, reader.rest())


def _halves(data: bytes) -> None:
    halves_match(decode_whole(PRIVATE, data))


def _key_file(data: bytes) -> None:
    private, comment = read_file(data, PASSPHRASE, kdf=_quick_kdf)
    again = read_file(write_file(private, comment, None), None)
    assert again == (private, comment)


# The first byte says which block it is, so that changes reach what is inside the armour.
_LABELS = ("PRIVATE", "ENCRYPTED PRIVATE", "RSA PRIVATE", "EC PRIVATE", "DSA PRIVATE", "OPENSSH")


def _armoured_key(data: bytes) -> None:
    label = _LABELS[data[0] % len(_LABELS)] if data else _LABELS[0]
    label = "OPENSSH PRIVATE" if label == "OPENSSH" else label
    body = base64.encodebytes(data[1:]).decode()
    text = f"-----BEGIN {label} KEY-----\n{body}-----END {label} KEY-----\n"
    private, _ = read_file(text.encode(), PASSPHRASE, kdf=_quick_kdf)
    halves_match(private)


def _inside(label: str, name: str) -> bytes:
    lines = (VECTORS / name).read_bytes().splitlines()[1:-1]
    return bytes([_LABELS.index(label)]) + base64.b64decode(b"".join(lines))


def _login(data: bytes) -> None:
    assert userauth.encode(userauth.parse(data)) == data


def _signed(data: bytes) -> None:
    sshsig.parse_signed(data)


def _signature_file(data: bytes) -> None:
    file = sshsig.decode(data)
    assert sshsig.encode(file) == data
    sshsig.verify(file, b"message", file.namespace)


def _armoured(data: bytes) -> None:
    file = sshsig.parse_armoured(data.decode("latin-1"))
    assert sshsig.parse_armoured(sshsig.armour(file)) == file


def _binding(data: bytes) -> None:
    binding = agent.decode_session_bind(data)
    assert agent.decode_session_bind(agent.encode_session_bind(binding)) == binding


def _query(data: bytes) -> None:
    names = agent.decode_query_answer(data)
    assert agent.query_answer(names).contents == data


def _pattern(data: bytes) -> None:
    text, _, patterns = data.decode("latin-1").partition("\n")
    match_pattern_list(text, patterns, fold_case=True)


def _x509(data: bytes) -> None:
    """What is read of a certificate stands in it, byte by byte."""
    read = x509.read(data)
    assert all(part in data for part in (read.serial, read.issuer, read.subject, read.spki))


def _der(data: bytes) -> None:
    assert signatures.rs_to_der(signatures.der_to_rs(data, 66)) == data


_REFUSED_SIGNATURES = (Malformed, BadSignature)
_REFUSED_FILES = (Malformed, PassphraseNeeded, PassphraseWrong)
_KEY_FILES = (
    *PLAIN,
    "encrypted_aes256-ctr",
    "encrypted_aes256-gcm",
    "encrypted_chacha20-poly1305",
    "rsa.pem",
    "ecdsa256.pem_encrypted",
    "ecdsa256.pkcs8",
    "ecdsa256.pkcs8_encrypted",
    "openssl_ed25519.pkcs8_scrypt",
    "openssl_ec_with_parameters.pem",
)
_SIGNATURE = SIGNATURE_FILES[0].signature
_WRITTEN = tuple(map(PRIVATE.write, PRIVATE_KEYS))


def _uri(data: bytes) -> None:
    read = uri.parse(data.decode(errors="replace"))
    assert uri.parse(str(read)).path == read.path


TARGETS: dict[str, Target] = {
    "agent-message": Target(_message, tuple(map(agent.encode, MESSAGES))),
    "agent-constraints": Target(
        _stable(CONSTRAINTS), tuple(map(CONSTRAINTS.write, CONSTRAINT_SETS))
    ),
    "agent-session-bind": Target(_binding, (agent.encode_session_bind(BINDING),)),
    "agent-query-answer": Target(_query, (agent.query_answer(("a", "b")).contents,)),
    "public-key": Target(_public_key, BLOBS),
    "public-key-line": Target(_line, _data("ed25519.pub", "ecdsa_sk.pub")),
    "certificate": Target(_certificate, CERTIFICATES, _REFUSED_SIGNATURES),
    "signature": Target(_signature, tuple(file.signature for file in SIGNATURE_FILES)),
    "signature-verification": Target(
        _verification,
        tuple(file.key_blob + STRING.write(file.signature) + b"data" for file in SIGNATURE_FILES),
        _REFUSED_SIGNATURES,
    ),
    "private-key": Target(_canonical(PRIVATE), _WRITTEN),
    "private-key-halves": Target(_halves, _WRITTEN),
    "private-key-file": Target(_key_file, _data(*_KEY_FILES), _REFUSED_FILES),
    "private-key-armoured": Target(
        _armoured_key,
        (
            _inside("PRIVATE", "rsa.pkcs8"),
            _inside("PRIVATE", "ecdsa256.pkcs8"),
            _inside("PRIVATE", "openssl_ed25519.pkcs8"),
            _inside("ENCRYPTED PRIVATE", "ecdsa256.pkcs8_encrypted"),
            _inside("ENCRYPTED PRIVATE", "openssl_ed25519.pkcs8_scrypt"),
            _inside("RSA PRIVATE", "rsa.pem"),
            _inside("EC PRIVATE", "ecdsa521.pem"),
            _inside("DSA PRIVATE", "dsa.pem"),
            _inside("OPENSSH", "ecdsa384"),
            _inside("OPENSSH", "encrypted_aes128-gcm"),
        ),
        _REFUSED_FILES,
    ),
    "userauth": Target(_login, LOGINS),
    "sshsig-signed": Target(_signed, (SIGNED,)),
    "sshsig-file": Target(
        _signature_file, tuple(map(sshsig.encode, SIGNATURE_FILES)), _REFUSED_SIGNATURES
    ),
    "sshsig-armoured": Target(_armoured, _data("ed25519.sshsig")),
    "pattern": Target(_pattern, (b"user@host\n*@host,!root@*,?ser@*",)),
    "pkcs11-uri": Target(_uri, (b"pkcs11:token=a%20b;id=%00;slot-id=1;type=cert?pin-value=1",)),
    "pkcs11-request": Target(pkcs11_targets.request, pkcs11_targets.REQUESTS),
    "pkcs11-answer": Target(pkcs11_targets.answer, pkcs11_targets.ANSWERS),
    "pkcs11-hello": Target(pkcs11_targets.hello, pkcs11_targets.HELLOS),
    "pkcs11-head": Target(pkcs11_targets.head, pkcs11_targets.HEADS),
    "pkcs11-message-parameter": Target(pkcs11_targets.message_parameter, (pkcs11_targets.MESSAGE,)),
    "x509-certificate": Target(_x509, (AUTHORITY,)),
    "der-signature": Target(_der, (der.sequence(der.integer(2**520), der.integer(1)),)),
}

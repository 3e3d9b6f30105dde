"""Private keys in PEM: PKCS#1, SEC 1, PKCS#8, encrypted or not. cryptography does the reading."""

import base64
import binascii
import re
from functools import partial
from typing import TypeVar

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from keyholm.wire import der
from keyholm.wire.codec import Bytes, Malformed, Reader
from keyholm.wire.ssh import keys
from keyholm.wire.ssh.keys import Curve, Dsa, Ecdsa, Ed25519, PublicKey, Rsa
from keyholm.wire.ssh.openssh_file import MAX_FILE, Allocate, PassphraseNeeded, PassphraseWrong
from keyholm.wire.ssh.private_types import (
    PrivateDsa,
    PrivateEcdsa,
    PrivateEd25519,
    PrivateKey,
    PrivateRsa,
)

K = TypeVar("K", bound=PublicKey)

# Whoever asks for more wants us to hang or to run out of memory; cryptography would try. OWASP
# wants 1,300,000 rounds of PBKDF2, and of scrypt N = 2**17 with r = 8, which is 128 MiB.
MAX_ITERATIONS = 10_000_000
MAX_SCRYPT_MEMORY = 256 * 1024 * 1024
MAX_SCRYPT_WORK = 2**23
_SCRYPT = der.oid("1.3.6.1.4.1.11591.4.11")

_PEM = re.compile(
    rb"\s*-----BEGIN ((?:RSA |EC |DSA |ENCRYPTED )?PRIVATE KEY)-----\s"
    rb"([A-Za-z0-9+/=:,\-\s]*?)-----END \1-----\s*",
    re.ASCII,
)
# RFC 1421, as OpenSSL writes it. cryptography panics when the start value is short.
_DEK_INFO = re.compile(
    rb"Proc-Type: 4,ENCRYPTED\s+DEK-Info: "
    rb"(?:AES-(?:128|192|256)-CBC,[0-9A-Fa-f]{32}|DES-EDE3-CBC,[0-9A-Fa-f]{16})\s+"
    rb"[A-Za-z0-9+/=\s]*",
    re.ASCII,
)
_CURVES = {"secp256r1": Curve.NISTP256, "secp384r1": Curve.NISTP384, "secp521r1": Curve.NISTP521}


def read_pem(data: Bytes, passphrase: Bytes | None, allocate: Allocate) -> PrivateKey:
    if len(data) > MAX_FILE:
        raise Malformed("a private key of more than a mebibyte")
    found = _PEM.fullmatch(_only_key(bytes(data)))
    if found is None:
        raise Malformed("not a private key in a format we know")
    encrypted = _is_encrypted(found[1], found[2])
    if encrypted and not passphrase:
        raise PassphraseNeeded("this key is encrypted with a passphrase")
    key = _load(found[0].strip(), bytes(passphrase) if encrypted and passphrase else None)
    return private_of(key, allocate)


def _is_encrypted(label: bytes, body: bytes) -> bool:
    """And if so, in a way that cryptography can be trusted with."""
    if b":" in body:
        if not _DEK_INFO.fullmatch(body):
            raise Malformed("encrypted in a way we do not know")
        return True
    if label.startswith(b"ENCRYPTED"):
        _check_cost(body)
        return True
    return False


# `openssl ecparam -genkey` writes the curve first, in a block of its own.
_PARAMETERS = re.compile(
    rb"\s*-----BEGIN EC PARAMETERS-----[A-Za-z0-9+/=\s]*-----END EC PARAMETERS-----\s*"
)


def _only_key(data: bytes) -> bytes:
    parameters = _PARAMETERS.match(data)
    return data[parameters.end() :] if parameters else data


def _load(pem: bytes, passphrase: bytes | None) -> PrivateKeyTypes:
    try:
        return load_pem_private_key(pem, passphrase)
    except (UnsupportedAlgorithm, InternalError) as error:
        # The second is what OpenSSL's refusal of numbers that cannot be comes out as.
        raise Malformed("a private key of a kind that is not supported") from error
    except (TypeError, ValueError) as error:
        if passphrase is None:
            raise Malformed("a damaged private key") from error
        raise PassphraseWrong("the passphrase does not open this key") from error


def _check_cost(text: bytes) -> None:
    """Refuse an EncryptedPrivateKeyInfo (RFC 5958) that would be hashed for hours."""
    try:
        outer = Reader(base64.b64decode(b"".join(text.split()), validate=True))
    except (binascii.Error, ValueError):
        raise Malformed("a private key that is not base64") from None
    algorithm = der.read_tlv(Reader(der.read_tlv(outer, der.SEQUENCE)), der.SEQUENCE)
    elements = _elements(algorithm, depth=8)
    numbers = [int.from_bytes(value) for tag, value in elements if tag == der.INTEGER]
    if any(number > MAX_ITERATIONS for number in numbers):
        raise Malformed("a passphrase to be hashed for hours")
    if any(der.tlv(tag, value) == _SCRYPT for tag, value in elements):
        cost, block, parallel = (*numbers, 1, 1, 1)[:3]
        memory, work = 128 * cost * block, cost * block * parallel
        if memory > MAX_SCRYPT_MEMORY or work > MAX_SCRYPT_WORK:
            raise Malformed("a passphrase to be hashed with all there is of memory")


def _elements(data: bytes, depth: int) -> list[tuple[int, bytes]]:
    """Every element in `data`, also those inside sequences."""
    reader, found = Reader(data), []
    while reader.left:
        tag = reader.data[reader.at]
        value = der.read_tlv(reader, tag)
        found.append((tag, value))
        if tag == der.SEQUENCE and depth:
            found += _elements(value, depth - 1)
    return found


def private_of(key: PrivateKeyTypes, allocate: Allocate) -> PrivateKey:
    secret = partial(_number, allocate=allocate)
    match key:
        case ed25519.Ed25519PrivateKey():
            point = key.public_key().public_bytes_raw()
            return PrivateEd25519(Ed25519(point), _placed(key.private_bytes_raw(), allocate))
        case ec.EllipticCurvePrivateKey() if key.curve.name in _CURVES:
            point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
            scalar = key.private_numbers().private_value
            return PrivateEcdsa(Ecdsa(_CURVES[key.curve.name], point), secret(scalar))
        case rsa.RSAPrivateKey():
            numbers = key.private_numbers()
            public = numbers.public_numbers
            return PrivateRsa(
                _checked(Rsa(public.e, public.n)),
                *map(secret, (numbers.d, numbers.iqmp, numbers.p, numbers.q)),
            )
        case dsa.DSAPrivateKey():
            y = key.public_key().public_numbers().y
            group = key.parameters().parameter_numbers()
            public_dsa = _checked(Dsa(group.p, group.q, group.g, y))
            return PrivateDsa(public_dsa, secret(key.private_numbers().x))
        case _:
            raise Malformed("a private key of a kind that SSH has no name for")


def _checked(key: K) -> K:
    """The key, if SSH could carry it."""
    keys.decode(keys.encode(key))
    return key


def _number(value: int, allocate: Allocate) -> memoryview:
    return _placed(value.to_bytes((value.bit_length() + 7) // 8), allocate)


def _placed(secret: bytes, allocate: Allocate) -> memoryview:
    room = allocate(len(secret))[: len(secret)]
    room[:] = secret
    return room

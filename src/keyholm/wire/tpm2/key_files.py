"""Key files: PEM "TSS2 PRIVATE KEY" (draft-bottomley-tpm2-keys), as tpm2-openssl and
ssh-tpm-agent write them.

    TPMKey ::= SEQUENCE {
        type         OBJECT IDENTIFIER,
        emptyAuth    [0] EXPLICIT BOOLEAN OPTIONAL,
        policy       [1] EXPLICIT SEQUENCE OF TPMPolicy OPTIONAL,
        secret       [2] EXPLICIT OCTET STRING OPTIONAL,
        authPolicy   [3] EXPLICIT SEQUENCE OF TPMAuthPolicy OPTIONAL,
        description  [4] EXPLICIT UTF8String OPTIONAL,
        rsaParent    [5] EXPLICIT BOOLEAN OPTIONAL,
        parent       INTEGER,
        pubkey       OCTET STRING,      -- TPM2B_PUBLIC
        privkey      OCTET STRING       -- TPM2B_PRIVATE
    }

The private part is encrypted by the TPM that it belongs to, so nothing here is secret.
"""

import base64
import binascii
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final, TypeVar

from keyholm.wire import der
from keyholm.wire.codec import Bytes, Malformed, Reader, decode
from keyholm.wire.tpm2.constants import HANDLE
from keyholm.wire.tpm2.structures import PUBLIC_2B, Public
from keyholm.wire.tpm2.types import BUFFER, write_sized

T = TypeVar("T")
MOST: Final = 64 * 1024
BOOLEAN, UTF8_STRING = 0x01, 0x0C
_PEM: Final = re.compile(
    rb"-----BEGIN TSS2 PRIVATE KEY-----\s([A-Za-z0-9+/=\s]*)-----END TSS2 PRIVATE KEY-----",
    re.ASCII,
)


@unique
class Kind(Enum):
    LOADABLE = "2.23.133.10.1.3"
    IMPORTABLE = "2.23.133.10.1.4"  # encrypted to its parent by somebody else
    SEALED = "2.23.133.10.1.5"  # data, no key
    OLD_LOADABLE = "2.23.133.10.2"  # before the draft had numbers


_KINDS: Final = {der.oid(kind.value): kind for kind in Kind}


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a policy (TPMPolicy): its code, and its parameters as they are sent."""

    code: int
    parameters: bytes


@dataclass(frozen=True, slots=True)
class Alternative:
    """One way to satisfy a policy that its owner signs (TPMAuthPolicy, PolicyAuthorize)."""

    name: str
    policy: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class KeyFile:
    public: Public
    private: bytes
    parent: int = HANDLE.OWNER  # a hierarchy, whose primary key it is under; or a persistent key
    kind: Kind = Kind.LOADABLE
    empty_auth: bool = True  # False: it has a PIN
    policy: tuple[Step, ...] = ()
    secret: bytes = b""  # of an importable one: the encrypted seed
    alternatives: tuple[Alternative, ...] = ()
    description: str = ""
    rsa_parent: bool = False


# --- reading ---------------------------------------------------------------------------


def looks_like_one(data: Bytes) -> bool:
    return b"-----BEGIN TSS2 PRIVATE KEY-----" in bytes(data[:MOST])


def read_pem(data: Bytes) -> KeyFile:
    """Raises `Malformed`."""
    if len(data) > MOST:
        raise Malformed(f"a key file of more than {MOST >> 10} KiB")
    found = _PEM.search(bytes(data))
    if found is None:
        raise Malformed("there is no TSS2 PRIVATE KEY in it")
    try:
        return read(base64.b64decode(b"".join(found[1].split()), validate=True))
    except binascii.Error as error:
        raise Malformed(f"it is no base64: {error}") from error


def read(data: Bytes) -> KeyFile:
    """The same of the DER. Raises `Malformed`."""
    reader = der.read_sequence(data)
    kind = _KINDS.get(der.read_element(reader, der.OBJECT_IDENTIFIER))
    if kind is None:
        raise Malformed("it is no kind of key file that we know")
    empty_auth = _optional(reader, 0, _read_boolean)
    policy = _optional(reader, 1, _read_policy)
    secret = _optional(reader, 2, _read_octets)
    alternatives = _optional(reader, 3, _read_alternatives)
    description = _optional(reader, 4, _read_text)
    rsa_parent = _optional(reader, 5, _read_boolean)
    parent = der.read_integer(reader)
    public = decode(PUBLIC_2B, _read_octets(reader))
    private = decode(BUFFER, _read_octets(reader))
    reader.end()
    if parent > 0xFFFFFFFF:
        raise Malformed("its parent is no handle")
    if (kind is Kind.IMPORTABLE) != (secret is not None):
        raise Malformed("only an importable key has a seed, and each has")
    return KeyFile(
        public,
        private,
        parent or HANDLE.OWNER,  # as the older writers say it
        kind,
        empty_auth or False,
        policy or (),
        decode(BUFFER, secret) if secret is not None else b"",
        alternatives or (),
        description or "",
        rsa_parent or False,
    )


def _optional(reader: Reader, number: int, read_: Callable[[Reader], T]) -> T | None:
    if not reader.left or reader.data[reader.at] != _tag(number):
        return None
    inner = Reader(der.read_tlv(reader, _tag(number)))
    value = read_(inner)
    inner.end()
    return value


def _tag(number: int) -> int:
    return 0xA0 | number


def _read_boolean(reader: Reader) -> bool:
    value = der.read_tlv(reader, BOOLEAN)
    if value not in (b"\0", b"\1", b"\xff"):  # tpm2-openssl writes a 1, which is not DER
        raise Malformed("a boolean that is neither true nor false")
    return value != b"\0"


def _read_octets(reader: Reader) -> bytes:
    return der.read_tlv(reader, der.OCTET_STRING)


def _read_text(reader: Reader) -> str:
    try:
        return der.read_tlv(reader, UTF8_STRING).decode()
    except UnicodeDecodeError:
        raise Malformed("text that is not UTF-8") from None


def _items(reader: Reader, read_: Callable[[Reader], T]) -> tuple[T, ...]:
    found, inner = [], Reader(der.read_tlv(reader, der.SEQUENCE))
    while inner.left:
        item = Reader(der.read_tlv(inner, der.SEQUENCE))
        found.append(read_(item))
        item.end()
    return tuple(found)


def _read_policy(reader: Reader) -> tuple[Step, ...]:
    return _items(reader, _read_step)


def _read_step(reader: Reader) -> Step:
    code = _optional(reader, 0, der.read_integer)
    parameters = _optional(reader, 1, _read_octets)
    if code is None or parameters is None or code > 0xFFFFFFFF:
        raise Malformed("a step of a policy without its command")
    return Step(code, parameters)


def _read_alternatives(reader: Reader) -> tuple[Alternative, ...]:
    return _items(reader, _read_alternative)


def _read_alternative(reader: Reader) -> Alternative:
    name = _optional(reader, 0, _read_text)
    policy = _optional(reader, 1, _read_policy)
    if policy is None:
        raise Malformed("an alternative without a policy")
    return Alternative(name or "", policy)


# --- writing ---------------------------------------------------------------------------


def write_pem(key: KeyFile) -> bytes:
    body = "\n".join(textwrap.wrap(base64.b64encode(write(key)).decode(), 64))
    label = "TSS2 PRIVATE KEY"
    return f"-----BEGIN {label}-----\n{body}\n-----END {label}-----\n".encode()


def write(key: KeyFile) -> bytes:
    return der.sequence(
        der.oid(key.kind.value),
        _written(0, _boolean(True) if key.empty_auth else b""),
        _written(1, _policy(key.policy) if key.policy else b""),
        _written(2, der.octet_string(write_sized(key.secret)) if key.secret else b""),
        _written(3, _alternatives(key.alternatives) if key.alternatives else b""),
        _written(4, _text(key.description) if key.description else b""),
        _written(5, _boolean(True) if key.rsa_parent else b""),
        der.integer(key.parent),
        der.octet_string(PUBLIC_2B.write(key.public)),
        der.octet_string(write_sized(key.private)),
    )


def _written(number: int, value: bytes) -> bytes:
    return der.tlv(_tag(number), value) if value else b""


def _boolean(value: bool) -> bytes:
    return der.tlv(BOOLEAN, b"\xff" if value else b"\0")


def _text(value: str) -> bytes:
    return der.tlv(UTF8_STRING, value.encode())


def _policy(steps: tuple[Step, ...]) -> bytes:
    return der.sequence(
        *(
            der.sequence(
                _written(0, der.integer(step.code)), _written(1, der.octet_string(step.parameters))
            )
            for step in steps
        )
    )


def _alternatives(found: tuple[Alternative, ...]) -> bytes:
    return der.sequence(
        *(
            der.sequence(
                _written(0, _text(each.name) if each.name else b""),
                _written(1, _policy(each.policy)),
            )
            for each in found
        )
    )

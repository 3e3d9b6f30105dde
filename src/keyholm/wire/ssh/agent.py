"""SSH agent messages: bytes in, dataclasses out, and back (RFC 9987, PROTOCOL.agent).

Pure: no socket, no clock, no key. The ssh-agent door hands whole frames to `decode` and sends
what `encode` returns. Secrets (private keys, passwords, PINs) are slices of the frame that came
in: keep it while the message is in use, wipe it afterwards.
"""

from enum import IntFlag
from typing import Any

from msgspec import Struct

from keyholm.wire.codec import (
    BOOLEAN,
    REST,
    STRING,
    TEXT,
    VIEW,
    Bytes,
    Codec,
    HoldsSecrets,
    Malformed,
    Reader,
    Record,
    flag_set,
    many,
    record,
    repeated,
)
from keyholm.wire.codec import decode as decode_whole
from keyholm.wire.ssh.constraints import CONSTRAINTS, Constraint
from keyholm.wire.ssh.constraints import AssociatedCerts as AssociatedCerts
from keyholm.wire.ssh.constraints import Confirm as Confirm
from keyholm.wire.ssh.constraints import DestinationConstraint as DestinationConstraint
from keyholm.wire.ssh.constraints import Hop as Hop
from keyholm.wire.ssh.constraints import HopKey as HopKey
from keyholm.wire.ssh.constraints import Lifetime as Lifetime
from keyholm.wire.ssh.constraints import MaxSign as MaxSign
from keyholm.wire.ssh.constraints import RestrictDestination as RestrictDestination
from keyholm.wire.ssh.constraints import SkProvider as SkProvider
from keyholm.wire.ssh.private_keys import PRIVATE, Private

# OpenSSH's AGENT_MAX_LEN: what a frame may have, its length prefix not counted.
MAX_FRAME = 256 * 1024


class UnknownMessage(Malformed):
    """No agent message has this number."""


class SignFlag(IntFlag):
    RESERVED = 1
    RSA_SHA2_256 = 2
    RSA_SHA2_512 = 4


class Failure(Struct, frozen=True):
    """Refused. The wire has no room for the reason; the trail has it."""


class Success(Struct, frozen=True):
    """Done."""


class RemoveAllV1(Struct, frozen=True):
    """Forget all keys of SSH 1. OpenSSH forgets every key."""


class RequestIdentities(Struct, frozen=True):
    """Which keys can you sign with?"""


class Identity(Struct, frozen=True):
    key_blob: bytes
    comment: bytes


class IdentitiesAnswer(Struct, frozen=True):
    identities: tuple[Identity, ...]


class SignRequest(Struct, frozen=True):
    """Sign `data` with the identity `key_blob`; for RSA, `flags` choose the hash."""

    key_blob: bytes
    data: bytes
    flags: SignFlag


class SignResponse(Struct, frozen=True):
    signature: bytes


class AddIdentity(Struct, frozen=True):
    private: Private
    comment: bytes
    # The older message has room for them, and OpenSSH reads them there as well.
    constraints: tuple[Constraint, ...] = ()


class AddIdentityConstrained(Struct, frozen=True):
    private: Private
    comment: bytes
    constraints: tuple[Constraint, ...] = ()


class RemoveIdentity(Struct, frozen=True):
    key_blob: bytes


class RemoveAll(Struct, frozen=True):
    """Forget all keys."""


class AddSmartcardKey(HoldsSecrets, frozen=True):
    """Load a PKCS#11 module and offer its keys."""

    provider: str
    pin: memoryview


class AddSmartcardKeyConstrained(HoldsSecrets, frozen=True):
    provider: str
    pin: memoryview
    constraints: tuple[Constraint, ...] = ()


class RemoveSmartcardKey(HoldsSecrets, frozen=True):
    provider: str
    pin: memoryview


class Lock(HoldsSecrets, frozen=True):
    password: memoryview


class Unlock(HoldsSecrets, frozen=True):
    password: memoryview


class Extension(Struct, frozen=True):
    """What a name says it is; `contents` is everything that follows the name."""

    name: str
    contents: bytes = b""


class ExtensionFailure(Struct, frozen=True):
    """The extension is known, and refused."""


class ExtensionResponse(Struct, frozen=True):
    """Always names the extension that it answers."""

    name: str
    contents: bytes = b""


Message = (
    Failure
    | Success
    | RemoveAllV1
    | RequestIdentities
    | IdentitiesAnswer
    | SignRequest
    | SignResponse
    | AddIdentity
    | RemoveIdentity
    | RemoveAll
    | AddSmartcardKey
    | RemoveSmartcardKey
    | Lock
    | Unlock
    | AddIdentityConstrained
    | AddSmartcardKeyConstrained
    | Extension
    | ExtensionFailure
    | ExtensionResponse
)


def _sign_request() -> Record[SignRequest]:
    """As OpenSSH: whatever follows the flags is ignored."""
    fields = record(SignRequest, key_blob=STRING, data=STRING, flags=flag_set(SignFlag))

    def read(reader: Reader) -> SignRequest:
        request = fields.read(reader)
        reader.at = reader.size
        return request

    return Record(write=fields.write, read=read, kind=SignRequest)


# The protocol, one line a message: its number, its class, its fields in wire order.
MESSAGES: dict[int, Record[Any]] = {
    5: record(Failure),
    6: record(Success),
    9: record(RemoveAllV1),
    11: record(RequestIdentities),
    12: record(
        IdentitiesAnswer, identities=many(record(Identity, key_blob=STRING, comment=STRING))
    ),
    13: _sign_request(),
    14: record(SignResponse, signature=STRING),
    17: record(AddIdentity, private=PRIVATE, comment=STRING, constraints=CONSTRAINTS),
    18: record(RemoveIdentity, key_blob=STRING),
    19: record(RemoveAll),
    20: record(AddSmartcardKey, provider=TEXT, pin=VIEW),
    21: record(RemoveSmartcardKey, provider=TEXT, pin=VIEW),
    22: record(Lock, password=VIEW),
    23: record(Unlock, password=VIEW),
    25: record(AddIdentityConstrained, private=PRIVATE, comment=STRING, constraints=CONSTRAINTS),
    26: record(AddSmartcardKeyConstrained, provider=TEXT, pin=VIEW, constraints=CONSTRAINTS),
    27: record(Extension, name=TEXT, contents=REST),
    28: record(ExtensionFailure),
    29: record(ExtensionResponse, name=TEXT, contents=REST),
}
NUMBERS: dict[type[Any], int] = {message.kind: number for number, message in MESSAGES.items()}

_WRITERS = {
    message.kind: (number.to_bytes(1), message.write) for number, message in MESSAGES.items()
}
_READERS = {number: message.read for number, message in MESSAGES.items()}


def encode(message: Message) -> bytes:
    """A whole frame without its length prefix."""
    number, write = _WRITERS[type(message)]
    return number + write(message)


def decode(frame: Bytes) -> Message:
    """Read one frame, given without its length prefix."""
    reader = Reader(frame)
    if not frame:
        raise Malformed("a frame of no bytes")
    read = _READERS.get(frame[0])
    if read is None:
        raise UnknownMessage(f"no agent message has the number {frame[0]}")
    reader.at = 1
    message: Message = read(reader)
    if reader.at != reader.size:
        reader.end()
    return message


SESSION_BIND = "session-bind@openssh.com"
QUERY = "query"


class SessionBind(Struct, frozen=True):
    """The contents of the extension `SESSION_BIND`: which server a connection speaks for."""

    host_key: bytes
    session_id: bytes
    signature: bytes
    is_forwarding: bool


_SESSION_BIND = record(
    SessionBind,
    host_key=STRING,
    session_id=STRING,
    signature=STRING,
    is_forwarding=BOOLEAN,
)
_EXTENSION_NAMES: Codec[tuple[str, ...]] = repeated(TEXT)


def decode_session_bind(contents: Bytes) -> SessionBind:
    return decode_whole(_SESSION_BIND, contents)


def encode_session_bind(binding: SessionBind) -> bytes:
    return _SESSION_BIND.write(binding)


def query_answer(names: tuple[str, ...]) -> ExtensionResponse:
    """The answer to the extension `QUERY`: which extensions there are."""
    return ExtensionResponse(QUERY, _EXTENSION_NAMES.write(names))


def decode_query_answer(contents: Bytes) -> tuple[str, ...]:
    return decode_whole(_EXTENSION_NAMES, contents)

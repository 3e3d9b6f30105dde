"""What is under way in a session: an init that was called, and what came after it."""

from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Final, Protocol

from keyholm.core.errors import LimitExceeded
from keyholm.core.mechanisms import Mechanism, Verb
from keyholm.core.operation import Operation
from keyholm.cryptoki.mechanisms import Chosen, Row
from keyholm.cryptoki.wrong import Wrong
from keyholm.doors.pkcs11.objects import Shown
from keyholm.wire.pkcs11.constants import CKR
from keyholm.wire.pkcs11.messages import NO_BYTES
from keyholm.wire.pkcs11.parameters import Parameter

MAX_SINGLE: Final = 1 << 20  # of data that a mechanism takes as a whole


@unique
class Kind(StrEnum):
    """What a session can do at the same time, each once (PKCS#11 3.1, section 5.7)."""

    SIGN = "sign"
    VERIFY = "verify"
    ENCRYPT = "encrypt"
    DECRYPT = "decrypt"
    SIGN_RECOVER = "sign-recover"
    VERIFY_RECOVER = "verify-recover"
    MESSAGE_SIGN = "message-sign"
    MESSAGE_VERIFY = "message-verify"
    MESSAGE_ENCRYPT = "message-encrypt"
    MESSAGE_DECRYPT = "message-decrypt"


VERBS: Final[dict[Kind, Verb]] = {
    Kind.SIGN: Verb.SIGN,
    Kind.VERIFY: Verb.VERIFY,
    Kind.ENCRYPT: Verb.ENCRYPT,
    Kind.DECRYPT: Verb.DECRYPT,
    Kind.SIGN_RECOVER: Verb.SIGN,
    Kind.VERIFY_RECOVER: Verb.VERIFY,
    Kind.MESSAGE_SIGN: Verb.SIGN,
    Kind.MESSAGE_VERIFY: Verb.VERIFY,
}


def fits(size: int, room: int) -> bool:
    """Whether a caller who has so much room can be given so many bytes."""
    return room != 0 and size <= (0 if room == NO_BYTES else room)


class Hasher(Protocol):
    """As hashlib gives it."""

    @property
    def digest_size(self) -> int: ...
    def update(self, data: bytes | memoryview, /) -> None: ...
    def digest(self) -> bytes: ...


@dataclass(eq=False, slots=True)
class Active:
    """One operation of a session, from its init until its result has left."""

    kind: Kind
    shown: Shown  # the key
    chosen: Chosen
    wants_pin: bool = False  # CKA_ALWAYS_AUTHENTICATE, and nobody has logged in for it yet
    operation: Operation | None = None  # once it is streamed
    parts: list[bytes] = field(default_factory=list)  # of what a mechanism takes as a whole
    size: int = 0
    streamed: bool = False  # a part came: what takes all at once is not for it any more
    result: bytes | None = None  # that did not fit, and waits for a larger buffer
    signature: bytes = b""  # that is to be verified, where it comes first (3.2)

    @property
    def mechanism(self) -> Mechanism:
        return core_of(self.chosen)

    @property
    def verb(self) -> Verb:
        return VERBS[self.kind]

    def keep(self, part: bytes) -> None:
        self.size += len(part)
        if self.size > MAX_SINGLE:
            raise LimitExceeded(f"This mechanism takes at most {MAX_SINGLE >> 20} MiB at once.")
        self.parts.append(part)

    def forget(self) -> None:
        """The parts that came."""
        self.parts.clear()
        self.size = 0

    def abort(self) -> None:
        self.forget()
        self.result = None
        if self.operation is not None:
            self.operation.abort()
            self.operation = None


@dataclass(eq=False, slots=True)
class Digesting:
    """A digest of a session: no key, and nothing to be decided."""

    hasher: Hasher
    streamed: bool = False


@dataclass(eq=False, slots=True)
class Message:
    """What the messages of a session are encrypted or decrypted with, and the one under way."""

    shown: Shown
    row: Row
    parameter: Parameter | None = None
    operation: Operation | None = None
    waiting: int = 0  # bytes that went in and did not come out yet

    def begin(self, parameter: Parameter, operation: Operation) -> None:
        if self.operation is not None:
            operation.abort()
            raise Wrong(CKR.OPERATION_ACTIVE)
        self.parameter, self.operation, self.waiting = parameter, operation, 0

    def end(self) -> None:
        self.parameter = self.operation = None


def refuse_parts(active: Active | Digesting) -> None:
    """What takes all at once is not for an operation that was given parts."""
    if active.streamed:
        raise Wrong(CKR.OPERATION_ACTIVE, "Parts came already: finish it with the last one.")


def core_of(chosen: Chosen) -> Mechanism:
    """What a key is used by. Only digests and the making of keys have nothing there."""
    if chosen.mechanism is None:
        raise Wrong(CKR.MECHANISM_INVALID)
    return chosen.mechanism

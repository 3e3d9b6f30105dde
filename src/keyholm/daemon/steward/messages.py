"""What the keeper asks the steward, and what it answers: values and their bytes.

Each message is a number and a record, one line each, as in the agent protocol. Both
processes run the same release, so nothing here needs a version.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

from keyholm.core.caller import Executable, Process
from keyholm.core.prompt import Kind, Question
from keyholm.wire.codec import (
    BOOLEAN,
    BYTE,
    STRING,
    TEXT,
    UINT32,
    UINT64,
    Codec,
    Malformed,
    Reader,
    Record,
    many,
    record,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Identify:
    """Who is this process?"""

    pid: int


@dataclass(frozen=True, slots=True)
class Identified:
    """`ours`: the steward started it, or one of its parents. `uid`: whose it is, if known."""

    process: Process
    uid: int | None
    ours: bool


@dataclass(frozen=True, slots=True)
class Resolve:
    """Which file is at this path of an executable rule?"""

    path: str


@dataclass(frozen=True, slots=True)
class Resolved:
    executable: Executable | None


@dataclass(frozen=True, slots=True)
class Ask:
    question: Question


@dataclass(frozen=True, slots=True)
class Answered:
    """`Answer`; its secret lies beside the message."""

    granted: bool
    prompter: str
    reason: str


@dataclass(frozen=True, slots=True)
class Show:
    """Show a notice until the keeper closes this channel."""

    question: Question


@dataclass(frozen=True, slots=True)
class Examine:
    """Which prompters could ask right now?"""


@dataclass(frozen=True, slots=True)
class Usable:
    name: str
    reason: str  # empty: it can ask


@dataclass(frozen=True, slots=True)
class Examined:
    prompters: tuple[Usable, ...]


@dataclass(frozen=True, slots=True)
class SignWithKey:
    """A request for `ssh-sk-helper`; the PIN, if there is one, lies beside the message."""

    private: bytes  # as the agent protocol spells it; holds a key handle, no key
    provider: str
    data: bytes
    seconds: int


@dataclass(frozen=True, slots=True)
class Signed:
    signature: bytes


@dataclass(frozen=True, slots=True)
class CheckProvider:
    """May this middleware drive a security key?"""

    path: str


@dataclass(frozen=True, slots=True)
class ProviderAllowed:
    path: str  # the real one


@dataclass(frozen=True, slots=True)
class Witness:
    """Give this checkpoint to the configured witness command."""

    checkpoint: bytes


@dataclass(frozen=True, slots=True)
class Reload:
    """Read the configuration file again."""


@dataclass(frozen=True, slots=True)
class Done:
    """It was done; there is nothing to tell."""


@dataclass(frozen=True, slots=True)
class Failed:
    """An error of `core.errors`, to be raised in the keeper."""

    name: str
    what: str
    remedy: str


Request = Identify | Resolve | Ask | Show | Examine | SignWithKey | CheckProvider | Witness | Reload
Reply = Identified | Resolved | Answered | Examined | Signed | ProviderAllowed | Done | Failed
Message = Request | Reply


def _optional(inner: Codec[T]) -> Codec[T | None]:
    def read(reader: Reader) -> T | None:
        return inner.read(reader) if BOOLEAN.read(reader) else None

    return Codec(
        write=lambda value: b"\0" if value is None else b"\1" + inner.write(value),
        read=read,
    )


def _seconds(reader: Reader) -> float:
    return UINT64.read(reader) / 1000


def _kind(reader: Reader) -> Kind:
    try:
        return Kind(TEXT.read(reader))
    except ValueError:
        raise Malformed("no such kind of question") from None


SECONDS: Codec[float] = Codec(
    write=lambda value: UINT64.write(max(0, round(value * 1000))), read=_seconds
)
KIND: Codec[Kind] = Codec(write=TEXT.write, read=_kind)
EXECUTABLE = record(
    Executable, path=TEXT, device=UINT64, inode=UINT64, trusted=BOOLEAN, interpreter=BOOLEAN
)
PROCESS = record(
    Process,
    pid=UINT32,
    start=UINT64,
    executable=_optional(EXECUTABLE),
    unit=TEXT,
    cgroup=TEXT,
    tty=TEXT,
    command=TEXT,
    parents=many(TEXT),
    relay=BOOLEAN,
)
QUESTION = record(
    Question,
    kind=KIND,
    title=TEXT,
    text=TEXT,
    prompt=TEXT,
    attempts_left=_optional(UINT32),
    pid=UINT32,
    uid=UINT32,
    seconds=SECONDS,
)

# One line a message: its number, its class, its fields.
MESSAGES: dict[int, Record[Any]] = {
    1: record(Identify, pid=UINT32),
    2: record(Identified, process=PROCESS, uid=_optional(UINT32), ours=BOOLEAN),
    3: record(Resolve, path=TEXT),
    4: record(Resolved, executable=_optional(EXECUTABLE)),
    5: record(Ask, question=QUESTION),
    6: record(Answered, granted=BOOLEAN, prompter=TEXT, reason=TEXT),
    7: record(Show, question=QUESTION),
    8: record(Examine),
    9: record(Examined, prompters=many(record(Usable, name=TEXT, reason=TEXT))),
    10: record(SignWithKey, private=STRING, provider=TEXT, data=STRING, seconds=UINT32),
    11: record(Signed, signature=STRING),
    12: record(CheckProvider, path=TEXT),
    13: record(ProviderAllowed, path=TEXT),
    14: record(Witness, checkpoint=STRING),
    15: record(Reload),
    16: record(Done),
    17: record(Failed, name=TEXT, what=TEXT, remedy=TEXT),
}
NUMBERS = {message.kind: number for number, message in MESSAGES.items()}


def encode(message: Message) -> bytes:
    number = NUMBERS[type(message)]
    return BYTE.write(number) + MESSAGES[number].write(message)


def decode(body: bytes) -> Any:
    """The message that `body` is. Raises `Malformed`."""
    reader = Reader(body)
    number = BYTE.read(reader)
    if number not in MESSAGES:
        raise Malformed(f"no message between keeper and steward has the number {number}")
    message = MESSAGES[number].read(reader)
    reader.end()
    return message

"""What the keeper asks the steward, and what it answers: values and their bytes.

One class a message, told apart by its name; MessagePack, checked against the fields' types.
Both processes run the same release, so nothing here needs a version.
"""

from typing import Final

from msgspec import MsgspecError, Struct
from msgspec.msgpack import Decoder, Encoder

from keyholm.core.caller import Executable, Process
from keyholm.core.prompt import Question
from keyholm.wire.codec import Malformed
from keyholm.worker.spec import Isolation


class Message(Struct, frozen=True, gc=False, array_like=True, forbid_unknown_fields=True, tag=True):
    pass


class Identify(Message, frozen=True):
    """Who is this process? And `whose`, if that is wanted: the kernel told it of a caller."""

    pid: int
    whose: bool = False


class Identified(Message, frozen=True):
    """`ours`: the steward started it, or one of its parents. `uid`: whose it is, if asked
    and known."""

    process: Process
    uid: int | None
    ours: bool


class Resolve(Message, frozen=True):
    """Which file is at this path of an executable rule?"""

    path: str


class Resolved(Message, frozen=True):
    executable: Executable | None


class Ask(Message, frozen=True):
    question: Question


class Answered(Message, frozen=True):
    """`Answer`; its secret lies beside the message."""

    granted: bool
    prompter: str
    reason: str


class Show(Message, frozen=True):
    """Show a notice until the keeper closes this channel."""

    question: Question


class Examine(Message, frozen=True):
    """Which prompters could ask right now?"""


class Usable(Struct, frozen=True):
    name: str
    reason: str  # empty: it can ask


class Examined(Message, frozen=True):
    prompters: tuple[Usable, ...]


class SignWithKey(Message, frozen=True):
    """A request for `ssh-sk-helper`; the PIN, if there is one, lies beside the message."""

    private: bytes  # as the agent protocol spells it; holds a key handle, no key
    provider: str
    data: bytes
    seconds: int


class Signed(Message, frozen=True):
    signature: bytes


class CheckProvider(Message, frozen=True):
    """May this middleware drive a security key?"""

    path: str


class ProviderAllowed(Message, frozen=True):
    path: str  # the real one


class Witness(Message, frozen=True):
    """Give this checkpoint to the configured witnesses."""

    checkpoint: bytes


class StartWorker(Message, frozen=True):
    """Start the worker of the configured module `name`; without a name, of the library `path`,
    if that is one of the allowed providers."""

    name: str
    path: str


class WorkerStarted(Message, frozen=True):
    """The worker's master socket lies beside the message. `pid` is the process to watch,
    `inner` the one in which the library is."""

    pid: int
    inner: int
    isolation: Isolation


class WorkerEnded(Message, frozen=True):
    """How did this worker end?"""

    pid: int


class Ended(Message, frozen=True):
    """`status` as waitpid gives it, None while it runs; `lines`: the last it wrote to stderr."""

    status: int | None
    lines: tuple[str, ...]


class EndWorker(Message, frozen=True):
    """Kill this worker."""

    pid: int


class TryWorker(Message, frozen=True):
    """How well can a worker be closed in here?"""


class Tried(Message, frozen=True):
    isolation: Isolation


class Reload(Message, frozen=True):
    """Read the configuration file again."""


class Done(Message, frozen=True):
    """It was done; there is nothing to tell."""


class Failed(Message, frozen=True):
    """An error of `core.errors`, to be raised in the keeper."""

    name: str
    what: str
    remedy: str


encode = Encoder().encode
# By name and not from the tuples above: a type checker reads this.
_requests: Final[Decoder[Message]] = Decoder(
    Identify
    | Resolve
    | Ask
    | Show
    | Examine
    | SignWithKey
    | CheckProvider
    | Witness
    | StartWorker
    | WorkerEnded
    | EndWorker
    | TryWorker
    | Reload
)
_replies: Final[Decoder[Message]] = Decoder(
    Identified
    | Resolved
    | Answered
    | Examined
    | Signed
    | ProviderAllowed
    | WorkerStarted
    | Ended
    | Tried
    | Done
    | Failed
)


def decode_request(body: bytes) -> Message:
    """Raises `Malformed`."""
    return _decode(_requests, body)


def decode_reply(body: bytes) -> Message:
    """Raises `Malformed`."""
    return _decode(_replies, body)


def _decode(decoder: Decoder[Message], body: bytes) -> Message:
    try:
        return decoder.decode(body)
    except (MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(str(error)) from error

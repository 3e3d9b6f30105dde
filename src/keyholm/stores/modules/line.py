"""One channel to a module's worker, in terms of the functions of PKCS#11.

    line.call("GetTokenInfo", slot)  →  the values of the answer, as wire.pkcs11.messages has them

One request at a time on each: whoever calls holds the lock of what the line is for.
"""

from collections.abc import Callable
from typing import Any, Final

from keyholm.core.errors import StoreFailed
from keyholm.core.secret import Secret
from keyholm.stores.modules.errors import Answered, function
from keyholm.wire.codec import Malformed
from keyholm.wire.pkcs11.calls import OURS, Call
from keyholm.wire.pkcs11.dialect import OWN_VERSION, Dialect
from keyholm.wire.pkcs11.messages import Protocol as Codec
from keyholm.wire.pkcs11.messages import Refusal
from keyholm.worker.proxy import Channel, WorkerFailed

CALLS: Final[dict[str, Call]] = {call.name: call for call in OURS.values()}
ROOM: Final = 1 << 16  # bytes that a result may have, or be longer than what it is made of
COUNT: Final = 1 << 16  # of slots, mechanisms or objects in one answer


class Line:
    """`seconds` is what one call may take; a worker that takes longer is ended."""

    def __init__(self, channel: Channel, seconds: float) -> None:
        self._channel, self._seconds = channel, seconds
        self._codec = Codec(Dialect(OWN_VERSION))
        self.generation = channel.generation
        self.asked = 0  # so many calls
        self.unsent = False  # the last of them: the worker had ended before
        self.encode: Callable[..., bytes] = self._codec.encode_request

    @property
    def alive(self) -> bool:
        return self._channel.alive

    def call(self, name: str, *values: Any, seconds: float | None = None) -> Any:
        """Raises `Answered`, and `StoreFailed` where the worker gave no answer."""
        call = CALLS[name]
        return self.sent(call, self.encode(call, *values), seconds)

    def call_secretly(self, name: str, *values: Any, seconds: float | None = None) -> Any:
        """The same where a value is a `Secret` (or holds some): the frame is wiped after it."""
        call = CALLS[name]
        frame = with_secrets(lambda values: self.encode(call, *values), values)
        try:
            return self.sent(call, frame, seconds)
        finally:
            frame[:] = bytes(len(frame))

    def sent(self, call: Call, frame: bytes | bytearray, seconds: float | None = None) -> Any:
        what = function(call.name)
        self.asked += 1
        try:
            answer = self._channel.call(frame, seconds or self._seconds, what)
        except WorkerFailed as error:
            self.unsent = error.unsent
            raise failed(error) from error
        try:
            values = self._codec.decode_answer(call, answer)
        except Malformed as error:
            raise StoreFailed(f"The module gave no answer to {what} but {error}.") from error
        if isinstance(values, Refusal):
            raise Answered(call.name, values.status, values.what, values.remedy)
        return values

    def close(self) -> None:
        self._channel.close()


def failed(error: WorkerFailed) -> StoreFailed:
    """What became of the worker, for whoever asked something of it."""
    return StoreFailed(error.what, remedy="Try again; `keyholm doctor` looks at the module.")


# --- frames with secrets in them -----------------------------------------------------


def with_secrets(encode: Callable[[Any], bytes], values: Any) -> bytearray:
    """What `encode` makes of `values`, with each `Secret` in its place.

    The encoder makes copies that nobody can wipe. So it is given as many other bytes instead,
    twice: where the two frames differ, and nowhere else, there is the secret."""
    frame = bytearray(encode(_filled(values, 0x00)))
    other = encode(_filled(values, 0xFF))
    at = 0
    for secret in _secrets(values):
        while len(secret) and frame[at] == other[at]:
            at += 1
        frame[at : at + len(secret)] = secret.view
        at += len(secret)
    return frame


def _filled(value: Any, byte: int) -> Any:
    if isinstance(value, Secret):
        return bytes((byte,)) * len(value)
    if isinstance(value, tuple) and type(value) is tuple:
        return tuple(_filled(each, byte) for each in value)
    return value


def _secrets(value: Any) -> list[Secret]:
    if isinstance(value, Secret):
        return [value]
    if isinstance(value, tuple):
        return [secret for each in value for secret in _secrets(each)]
    return []

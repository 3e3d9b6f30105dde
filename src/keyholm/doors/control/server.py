"""The control door: the command line and the Python API speak to it.

A frame is a length of four bytes and that much JSON; the secrets and blobs whose lengths
it names follow as they are, secrets straight into locked memory. docs/protocols/control.md
has it field by field.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from socket import socket
from typing import Any, Final

import msgspec

from keyholm.core.actions import Withdraws
from keyholm.core.caller import Caller, Door, Peer, Process
from keyholm.core.errors import BadRequest, KeyholmError, LimitExceeded, name_in
from keyholm.core.gate import Gate
from keyholm.core.prompt import Prompters
from keyholm.core.secret import Secret
from keyholm.doors.control import schema
from keyholm.doors.control.errors import KINDS
from keyholm.doors.control.exchange import Given, Method, Request, Result
from keyholm.doors.serving import Connection

CHUNK: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Facts:
    """What the daemon says about itself."""

    version: str
    pid: int
    uid: int
    started: float
    doors: list[schema.Door]
    trail: schema.Trail
    sandbox: dict[str, str]
    isolation: str
    memory_locked: bool
    steward: bool
    prompters: dict[str, str]


@dataclass(frozen=True, slots=True)
class Reply:
    frame: bytes
    attached: tuple[bytes | memoryview, ...] = field(default=(), repr=False)
    go_on: bool = True


@dataclass(eq=False)
class ControlDoor:
    gate: Gate
    identify: Callable[[Peer, socket], Process]
    look_up: Callable[[int], tuple[int, Process]]  # of a pid: its uid and the rest
    facts: Callable[[], Facts]
    agent: Withdraws
    prompters: Prompters
    owner: int  # the daemon's user
    modules: Callable[[], list[schema.Module]] = list
    reload: Callable[[], None] = lambda: None
    name: str = "control"

    def serve(self, connection: Connection) -> None:
        identify = partial(self.identify, connection.peer, connection.socket)
        caller = Caller(Door.CONTROL, connection.peer, identify)
        for frame in connection.frames():
            with ExitStack() as secrets:
                reply = self.answer(caller, bytes(frame), connection, secrets)
                connection.send(reply.frame)
                for part in reply.attached:
                    connection.send_raw(part)
            if not reply.go_on:
                return

    def answer(
        self, caller: Caller, frame: bytes, connection: Connection, stack: ExitStack
    ) -> Reply:
        go_on = False
        try:
            call = _call(frame)
            method = _method(call)
            params = _params(call, method)
            given = _attached(call, connection, stack)
            # From here on it is known where the next frame begins, whatever comes.
            go_on = True
            return success(method.handler(Request(self, caller, params, given, stack)))
        except KeyholmError as error:
            return failure(error, go_on=go_on)


def success(result: Result | schema.Answer) -> Reply:
    if isinstance(result, schema.Answer):
        result = Result(result)
    head: dict[str, Any] = {"v": schema.VERSION, "result": result.value}
    if result.secrets:
        head["secrets"] = [len(secret) for secret in result.secrets]
    if result.blobs:
        head["blobs"] = [len(blob) for blob in result.blobs]
    parts: list[bytes | memoryview] = [secret.view for secret in result.secrets]
    parts += result.blobs
    return Reply(msgspec.json.encode(head), tuple(parts))


def failure(error: KeyholmError, *, go_on: bool) -> Reply:
    told = {"kind": name_in(KINDS, error), "what": error.what, "remedy": error.remedy}
    return Reply(msgspec.json.encode({"v": schema.VERSION, "error": told}), go_on=go_on)


# --- requests, and how they can be wrong ---------------------------------------------


def _call(frame: bytes) -> schema.Call:
    try:
        call = msgspec.json.decode(frame, type=schema.Call)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"The request cannot be read: {error}.") from error
    if call.v != schema.VERSION:
        raise BadRequest(
            f"This daemon speaks version {schema.VERSION} of the protocol, not {call.v}.",
            remedy="Use the `keyholm` command of the daemon's version.",
        )
    return call


def _method(call: schema.Call) -> Method:
    # Not at the top: a daemon listens before it has imported what its methods need.
    from keyholm.doors.control.methods import METHODS

    method = METHODS.get(call.method)
    if method is None:
        raise BadRequest(
            f"There is no method {call.method[:64]!r}.", remedy="`keyholm schema` lists them."
        )
    return method


def _params(call: schema.Call, method: Method) -> schema.Shape:
    try:
        return msgspec.json.decode(call.params, type=method.params)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"{call.method}: {error}.") from error


def _attached(call: schema.Call, connection: Connection, stack: ExitStack) -> Given:
    method = _method(call)
    _check_lengths(call.secrets, len(method.secrets), schema.MAX_SECRET, call.method)
    _check_lengths(call.blobs, 1 if method.blob else 0, schema.MAX_BLOB, call.method)
    secrets = [stack.enter_context(Secret(length)) for length in call.secrets]
    for secret in secrets:
        _receive(connection, secret.view)
    return Given(tuple(secrets), tuple(_blob(connection, length) for length in call.blobs))


def _check_lengths(lengths: list[int], most: int, longest: int, method: str) -> None:
    if len(lengths) > most:
        raise BadRequest(f"{method} takes {most} of what is attached, not {len(lengths)}.")
    if any(not 0 <= length <= longest for length in lengths):
        raise LimitExceeded(f"What is attached to {method} is larger than {longest} bytes.")


def _receive(connection: Connection, target: memoryview) -> None:
    if not connection.receive_into(target):
        raise BadRequest("The request was cut off.")


def _blob(connection: Connection, length: int) -> bytes:
    """Grows with what comes, not with what was announced."""
    blob = bytearray()
    while len(blob) < length:
        part = bytearray(min(CHUNK, length - len(blob)))
        _receive(connection, memoryview(part))
        blob += part
    return bytes(blob)

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
    memory_locked: bool
    steward: bool
    prompters: dict[str, str]


@dataclass(eq=False)
class ControlDoor:
    gate: Gate
    identify: Callable[[Peer, socket], Process]
    look_up: Callable[[int], tuple[int, Process]]  # of a pid: its uid and the rest
    facts: Callable[[], Facts]
    agent: Withdraws
    prompters: Prompters
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
    ) -> "Reply":
        try:
            call = _call(frame)
        except KeyholmError as error:
            # What would follow cannot be told from the next frame.
            return failure(error, go_on=False)
        try:
            given = _attached(call, connection, stack)
        except ConnectionError:
            return failure(BadRequest("The request was cut off."), go_on=False)
        try:
            from keyholm.doors.control.handlers import METHODS

            method = METHODS.get(call.method)
            if method is None:
                raise BadRequest(f"There is no method {call.method[:64]!r}.")
            params = _params(call, method.params)
            result = method.handler(Request(self, caller, params, given, stack))
        except KeyholmError as error:
            return failure(error)
        return success(result)


@dataclass(frozen=True, slots=True)
class Given:
    """What followed the JSON."""

    secrets: tuple[Secret, ...] = ()
    blobs: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    door: ControlDoor
    caller: Caller
    params: Any
    given: Given
    stack: ExitStack  # closes secrets once the reply is sent

    def secret(self, number: int = 0) -> Secret | None:
        secrets = self.given.secrets
        return secrets[number] if number < len(secrets) else None

    def needed(self, what: str, number: int = 0) -> Secret:
        secret = self.secret(number)
        if secret is None:
            raise BadRequest(f"This method needs {what}.")
        return secret


@dataclass(frozen=True, slots=True)
class Result:
    """What a method gives, with what follows its JSON."""

    value: schema.Answer
    secrets: tuple[Secret, ...] = ()
    blobs: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Method:
    params: type[schema.Shape]
    result: type[schema.Answer]
    handler: Callable[[Request], "Result | schema.Answer"]
    secrets: str = ""  # what they are, for the documentation
    about: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    frame: bytes
    attached: tuple[bytes | memoryview, ...] = field(default=(), repr=False)
    go_on: bool = True


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


def failure(error: KeyholmError, *, go_on: bool = True) -> Reply:
    told = {"kind": name_in(KINDS, error), "what": error.what, "remedy": error.remedy}
    return Reply(msgspec.json.encode({"v": schema.VERSION, "error": told}), go_on=go_on)


def _call(frame: bytes) -> schema.Call:
    try:
        call = msgspec.json.decode(frame, type=schema.Call)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"The request cannot be read: {error}.") from error
    if call.v != schema.VERSION:
        raise BadRequest(
            f"This daemon speaks version {schema.VERSION} of the protocol, not {call.v}.",
            remedy="Use the `keyholm` command of the same version as the daemon.",
        )
    lengths = [*call.secrets, *call.blobs]
    if (
        len(lengths) > schema.MAX_ATTACHMENTS
        or any(length < 0 for length in lengths)
        or any(length > schema.MAX_SECRET for length in call.secrets)
        or any(length > schema.MAX_BLOB for length in call.blobs)
    ):
        raise LimitExceeded("The request has too much attached to it.")
    return call


def _params(call: schema.Call, kind: type[schema.Shape]) -> schema.Shape:
    try:
        return msgspec.json.decode(call.params, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"{call.method}: {error}.") from error


def _attached(call: schema.Call, connection: Connection, stack: ExitStack) -> Given:
    secrets = []
    for length in call.secrets:
        secret = stack.enter_context(Secret(length))
        if not connection.receive_into(secret.view):
            raise ConnectionError
        secrets.append(secret)
    return Given(tuple(secrets), tuple(_blob(connection, length) for length in call.blobs))


def _blob(connection: Connection, length: int) -> bytes:
    """Grows with what comes, not with what was announced."""
    blob = bytearray()
    while len(blob) < length:
        part = bytearray(min(CHUNK, length - len(blob)))
        if not connection.receive_into(memoryview(part)):
            raise ConnectionError
        blob += part
    return bytes(blob)

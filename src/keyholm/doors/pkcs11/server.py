"""The PKCS#11 door: calls of one connection in, answers out (docs/protocols/pkcs11-rpc.md).

    first byte  →  hello (ours)  →  frame → call → handler → answer

What a call does is in the handlers; here is only how it comes and goes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from socket import socket
from typing import Final

from keyholm.core.caller import Caller, Door, Peer, Process
from keyholm.core.errors import KeyholmError
from keyholm.core.gate import Gate
from keyholm.core.visibility import Visibility
from keyholm.cryptoki.wrong import Wrong
from keyholm.doors.pkcs11 import errors
from keyholm.doors.pkcs11.application import Application, Applications
from keyholm.doors.pkcs11.client import Client
from keyholm.doors.pkcs11.handlers import HANDLERS, VERBS
from keyholm.doors.pkcs11.slots import Slots
from keyholm.doors.pkcs11.view import Views
from keyholm.doors.serving import Connection, Framing
from keyholm.version import VERSION
from keyholm.wire.codec import Malformed
from keyholm.wire.pkcs11 import handshake, messages
from keyholm.wire.pkcs11.calls import CALLS, Call, Type
from keyholm.wire.pkcs11.constants import CKR
from keyholm.wire.pkcs11.dialect import OWN_VERSION, Dialect
from keyholm.wire.pkcs11.handshake import ServerHello
from keyholm.wire.pkcs11.messages import CROWDED, NOT_CROWDED

RELAYED: Final = 0x81  # in front of the first byte: what follows is passed on for somebody
HEAD: Final = messages.HEAD.size
MAX_BODY: Final = 16 * 1024 * 1024
_MAJOR, _MINOR, _PATCH = (int(part) for part in VERSION.split("."))
OUR_VERSION: Final = (_MAJOR, _MINOR, _PATCH)
# A PIN, or a template that may hold a key.
SECRET_CALLS: Final = frozenset(
    call.name
    for call in CALLS
    if any(parameter.secret or parameter.type is Type.ATTRIBUTES for parameter in call.takes)
)


def _rest(head: memoryview) -> int:
    """Bytes of a frame after its head: options and body."""
    _, options, body = messages.HEAD.unpack(head)
    return int(options) + int(body)


FRAMES: Final = Framing(HEAD, 0, _rest)


@dataclass(eq=False)
class Pkcs11Door:
    """What all connections share."""

    gate: Gate
    identify: Callable[[Peer, socket], Process]
    visibility: Visibility = field(default_factory=Visibility)
    name: str = "pkcs11"
    applications: Applications = field(default_factory=Applications)

    def __post_init__(self) -> None:
        self.slots = Slots(self.gate)
        self.views = Views(self.gate)

    def serve(self, connection: Connection) -> None:
        """Answer one client until it leaves."""
        greeting = _greet(connection)
        if greeting is None:
            return
        application = self.applications.enter(connection.peer, greeting.token, self.slots.seen)
        identify = partial(self.identify, connection.peer, connection.socket)
        caller = Caller(
            Door.PKCS11,
            connection.peer,
            identify,
            greeting.relayed,
            logins=application.logins,
        )
        protocol = messages.protocol_of(greeting.dialect)
        client = Client(
            self.gate,
            self.slots,
            self.views,
            caller,
            application,
            protocol,
            self.visibility,
            connection.is_gone,
        )
        try:
            _welcome(connection, greeting.dialect, application)
            self._answer_all(connection, client)
        finally:
            if self.applications.leave(application):
                client.end()

    def _answer_all(self, connection: Connection, client: Client) -> None:
        connection.framing = FRAMES
        flags = client.dialect.is_ours
        for frame in connection.frames():
            try:
                code, options, _ = messages.read_head(frame[:HEAD], MAX_BODY)
            except Malformed:
                return
            body = answer(client, frame[HEAD + options :], connection)
            said = (NOT_CROWDED if connection.alone else CROWDED) if flags else b""
            connection.send_raw(messages.frame(code, body, said))


def answer(client: Client, body: memoryview, connection: Connection) -> bytes:
    """The answer to one request, for any bytes whatever. What held a secret is wiped."""
    protocol = client.protocol
    call: Call | None = None
    try:
        request = protocol.decode_request(body)
        call = request.call
        if call is None:
            return protocol.encode_error(CKR.FUNCTION_NOT_SUPPORTED)
        handler = HANDLERS.get(call.name)
        if handler is None:
            return protocol.encode_error(CKR.FUNCTION_NOT_SUPPORTED)
        return protocol.encode_answer(call, *(handler(client, *request.values) or ()))
    except Malformed as error:
        return protocol.encode_error(CKR.ARGUMENTS_BAD, f"The call cannot be read: {error}.")
    except Wrong as wrong:
        return protocol.encode_error(wrong.code, wrong.what, wrong.remedy)
    except KeyholmError as error:
        verb = VERBS.get(call.name) if call else None
        return protocol.encode_error(errors.code(error, verb), error.what, error.remedy)
    finally:
        if call is None or call.name in SECRET_CALLS:
            connection.wipe(body)


@dataclass(frozen=True, slots=True)
class _Greeting:
    dialect: Dialect
    token: bytes = b""
    relayed: bool = False


def _greet(connection: Connection) -> _Greeting | None:
    """What the client says first; None if it is nobody that we know."""
    first = _byte(connection)
    relayed = first == RELAYED
    if relayed:
        first = _byte(connection)
    if first is None:
        return None
    if first != OWN_VERSION:
        dialect = handshake.stock_dialect(first)
        return _Greeting(dialect, relayed=relayed) if dialect else None
    head = bytearray(handshake.HEAD.size)
    head[0] = first
    if not connection.receive_into(memoryview(head)[1:]):
        return None
    try:
        rest = bytearray(handshake.rest_of_hello(head))
        if not connection.receive_into(memoryview(rest)):
            return None
        hello = handshake.decode_client_hello(rest)
    except Malformed:
        return None
    return _Greeting(hello.dialect, hello.token, relayed)


def _byte(connection: Connection) -> int | None:
    one = bytearray(1)
    return one[0] if connection.receive_into(memoryview(one)) else None


def _welcome(connection: Connection, dialect: Dialect, application: Application) -> None:
    if dialect.is_ours:
        hello = ServerHello(0, OUR_VERSION, application.token, MAX_BODY)
        connection.send_raw(handshake.encode_server_hello(hello))
    else:
        connection.send_raw(dialect.version.to_bytes(1))

"""A daemon in miniature that speaks our dialect: a contract fake, for the native module alone.

It knows one token with a few objects, signs with a hash, and does as it is told where a test
wants it to be slow, to lie or to hang up. Every request is noted.
"""

import hashlib
import os
import re
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from keyholm.wire.pkcs11.attributes import KINDS, Kind
from keyholm.wire.pkcs11.calls import OURS, Call
from keyholm.wire.pkcs11.constants import CKA, CKK, CKM, CKO, CKR

NULL = 0xFFFFFFFF
SLOT = 7
LENGTH_UNKNOWN = (1 << 64) - 1
FOLDABLE = 1
SIGNATURE_LENGTH = 64

Handler = Callable[["Application", list[Any]], Sequence[Any]]


class Failure(Exception):
    """An answer that is an error."""

    def __init__(self, code: int, what: str = "", remedy: str = "") -> None:
        super().__init__(code)
        self.code, self.what, self.remedy = code, what, remedy


# --- values ---------------------------------------------------------------------------------------


class Input:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        assert self.at + size <= len(self.data), "the module sent less than it said"
        self.at += size
        return self.data[self.at - size : self.at]

    def byte(self) -> int:
        return self.take(1)[0]

    def uint32(self) -> int:
        return int.from_bytes(self.take(4))

    def ulong(self) -> int:
        return int.from_bytes(self.take(8))

    def string(self) -> bytes | None:
        size = self.uint32()
        return None if size == NULL else self.take(size)


def read_value(data: Input, number: int) -> Any:
    match KINDS.get(number):
        case Kind.BOOL:
            return data.byte() != 0
        case Kind.ULONG:
            return data.ulong()
        case Kind.ULONGS:
            return tuple(data.ulong() for _ in range(data.uint32()))
        case Kind.TEMPLATE:
            return read_attributes(data)
        case _:
            return data.string()


def read_attributes(data: Input) -> tuple[tuple[int, Any], ...]:
    found = []
    for _ in range(data.uint32()):
        number, valid = data.uint32(), data.byte()
        if valid:
            data.uint32()
        found.append((number, read_value(data, number) if valid else None))
    return tuple(found)


def read_rooms(data: Input) -> tuple[tuple[int, int], ...]:
    found = []
    for _ in range(data.uint32()):
        number, room = data.uint32(), data.uint32()
        if room and KINDS.get(number) is Kind.TEMPLATE:
            read_rooms(data)
        found.append((number, room))
    return tuple(found)


def read_mechanism(data: Input) -> tuple[int, int, bytes | None]:
    number, form = data.uint32(), data.byte()
    assert form in (0, 1, 2)
    return number, form, data.string() if form else None


def read_flagged_bytes(data: Input) -> bytes | None:
    assert data.byte() == 1
    return data.string()


def read_flagged_numbers(data: Input) -> tuple[int, ...]:
    assert data.byte() == 1
    return tuple(data.ulong() for _ in range(data.uint32()))


READ: dict[str, Callable[[Input], Any]] = {
    "y": Input.byte,
    "u": Input.ulong,
    "s": Input.string,
    "ay": read_flagged_bytes,
    "au": read_flagged_numbers,
    "fy": Input.uint32,
    "fu": Input.uint32,
    "aA": read_attributes,
    "fA": read_rooms,
    "M": read_mechanism,
    "Q": lambda data: data.string() if data.byte() else None,
}


def uint32(value: int) -> bytes:
    return value.to_bytes(4)


def ulong(value: int) -> bytes:
    return value.to_bytes(8)


def string(value: bytes) -> bytes:
    return uint32(len(value)) + value


def write_attribute(number: int, value: Any) -> bytes:
    if value is None:
        return uint32(number) + b"\0"
    match KINDS.get(number):
        case Kind.BOOL:
            told, form = 1, bytes([value])
        case Kind.ULONG:
            told, form = 8, ulong(value)
        case Kind.ULONGS:
            told, form = 8 * len(value), uint32(len(value)) + b"".join(map(ulong, value))
        case Kind.TEMPLATE:
            told, form = 24 * len(value), write_attributes(value)
        case _:
            told, form = len(value), string(value)
    return uint32(number) + b"\1" + uint32(told) + form


def write_attributes(attributes: Sequence[tuple[int, Any]]) -> bytes:
    return uint32(len(attributes)) + b"".join(write_attribute(*each) for each in attributes)


def write_bytes(value: bytes | int) -> bytes:
    """A number stands for the length alone."""
    return b"\0" + uint32(value) if isinstance(value, int) else b"\1" + string(value)


def write_numbers(value: Sequence[int] | int) -> bytes:
    if isinstance(value, int):
        return b"\0" + uint32(value)
    return b"\1" + uint32(len(value)) + b"".join(map(ulong, value))


WRITE: dict[str, Callable[[Any], bytes]] = {
    "u": ulong,
    "v": bytes,
    "s": string,
    "ay": write_bytes,
    "au": write_numbers,
    "aA": write_attributes,
    "Q": lambda value: b"\0" if value is None else b"\1" + string(value),
}


# --- what it does ---------------------------------------------------------------------------------


@dataclass
class Application:
    token: bytes
    sessions: dict[int, dict[str, Any]] = field(default_factory=dict)
    connections: int = 0

    def session(self, number: int) -> dict[str, Any]:
        if number not in self.sessions:
            raise Failure(CKR.SESSION_HANDLE_INVALID)
        return self.sessions[number]


def signature(mechanism: tuple[int, int, bytes | None], key: int, data: bytes | None) -> bytes:
    seed = repr((mechanism, key, data or b"")).encode()
    return hashlib.sha512(seed).digest()


def objects() -> dict[int, dict[int, Any]]:
    return {
        number: {
            CKA.CLASS: CKO.PRIVATE_KEY,
            CKA.KEY_TYPE: CKK.EC,
            CKA.ID: bytes([number]),
            CKA.LABEL: b"key %d" % number,
            CKA.TOKEN: True,
            CKA.ALLOWED_MECHANISMS: (CKM.ECDSA, CKM.ECDSA_SHA256),
            CKA.WRAP_TEMPLATE: ((CKA.CLASS, CKO.SECRET_KEY), (CKA.LABEL, b"inner")),
            CKA.START_DATE: b"20261125",
            CKA.EC_POINT: b"",
        }
        for number in range(1, 6)
    }


class Frame(NamedTuple):
    bytes: bytes
    is_last: bool  # and then the fake hangs up


class FakeDaemon:
    """Listens at `path` while it is entered."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.handlers: dict[str, Handler] = {
            call.name: getattr(self, method)
            for call in OURS.values()
            if hasattr(
                self, method := "do_" + re.sub("(?<=[a-z])(?=[A-Z])", "_", call.name).lower()
            )
        }
        self.requests: list[tuple[str, list[Any]]] = []
        self.applications: dict[bytes, Application] = {}
        self.objects = objects()
        self.options = b"\0"
        self.largest = 1 << 20
        self.begin_flags = FOLDABLE
        self.begin_length = SIGNATURE_LENGTH
        self.mangle: Callable[[str, bytes], bytes | None] | None = None
        self.cut = False  # hang up after an answer that was mangled
        self.hello: bytes | None = None
        self.stop_after_hello = False
        self.hellos: list[bytes] = []
        self.raw_requests: list[bytes] = []
        self._next_session = 0
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self._threads: list[threading.Thread] = []

    # --- connections ---

    def __enter__(self) -> "FakeDaemon":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        self.path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.path))
        self._listener.listen(64)
        self._thread(self._accept, self._listener)

    def stop(self) -> None:
        """As if it was killed: everything is forgotten, connections are cut."""
        with self._lock:
            listener, self._listener = self._listener, None
            if listener:
                listener.shutdown(socket.SHUT_RDWR)
                listener.close()
            self.path.unlink(missing_ok=True)
            for connected in self._open:
                try:
                    connected.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue
            self.applications.clear()

        while self._threads:
            self._threads.pop().join()

    def _thread(self, work: Callable[..., None], argument: socket.socket) -> None:
        thread = threading.Thread(target=work, args=(argument,), daemon=True)
        self._threads.append(thread)
        thread.start()

    @property
    def connections(self) -> int:
        return len(self._open)

    def names(self) -> list[str]:
        return [name for name, _ in self.requests]

    def count(self, name: str) -> int:
        return self.names().count(name)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connected, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                if self._listener is not listener:  # it was stopped just now
                    connected.close()
                    return
                self._open.add(connected)
                self._thread(self._serve, connected)

    def _serve(self, connected: socket.socket) -> None:
        application = None
        try:
            application = self._greet(connected)
            while frame := self._frame(connected, application):
                connected.sendall(frame.bytes)
                if frame.is_last:
                    break
        except (OSError, EOFError):
            pass
        finally:
            with self._lock:
                self._open.discard(connected)
                if application:
                    application.connections -= 1
                    if not application.connections:
                        self.applications.pop(application.token, None)
            connected.close()

    def _greet(self, connected: socket.socket) -> Application:
        first = connected.recv(4096)
        if not first:
            raise EOFError
        self.hellos.append(first)
        data = Input(first)
        assert data.byte() == 0x80
        assert data.uint32() == len(first) - 5 == 33
        features, _version, width, pid = data.ulong(), data.uint32(), data.byte(), data.uint32()
        assert (features, width, pid != 0) == (0, struct.calcsize("L"), True)
        token = data.take(16)
        with self._lock:
            application = self.applications.get(token)
            if application is None:
                application = Application(os.urandom(16))
                self.applications[application.token] = application
            application.connections += 1
        rest = ulong(0) + uint32(0x00010000) + application.token + uint32(self.largest)
        connected.sendall(self.hello or b"\x80" + string(rest))
        if self.stop_after_hello:
            raise EOFError
        return application

    def _frame(self, connected: socket.socket, application: Application) -> "Frame | None":
        # One write a request: what the module sends comes in one piece, while it is small.
        head = connected.recv(1 << 20)
        if not head:
            return None
        code, options, size = struct.unpack_from(">III", head)
        assert code
        assert options == 0
        while len(head) < 12 + size:
            more = connected.recv(1 << 20)
            if not more:
                return None
            head += more
        self.raw_requests.append(head)
        name, body = self._answer(application, head[12:])
        frame = struct.pack(">III", code, len(self.options), len(body)) + self.options + body
        changed = self.mangle(name, frame) if self.mangle else frame
        return None if changed is None else Frame(changed, self.cut and changed != frame)

    def _answer(self, application: Application, body: bytes) -> tuple[str, bytes]:
        data = Input(body)
        call = OURS[data.uint32()]
        takes, gives = call.signature
        assert data.string() == takes.encode()
        arguments = [READ[parameter.type](data) for parameter in call.takes if parameter.type]
        assert data.at == len(body)
        self.requests.append((call.name, arguments))
        try:
            return call.name, self._success(call, gives, self._handle(call, application, arguments))
        except Failure as failure:
            texts = string(failure.what.encode()) + string(failure.remedy.encode())
            return call.name, uint32(0) + string(b"uzz") + ulong(failure.code) + texts

    def _handle(self, call: Call, application: Application, arguments: list[Any]) -> Sequence[Any]:
        handler = self.handlers.get(call.name)
        if handler is None:
            raise Failure(CKR.FUNCTION_NOT_SUPPORTED)
        return handler(application, arguments)

    @staticmethod
    def _success(call: Call, gives: str, values: Sequence[Any]) -> bytes:
        given = [parameter for parameter in call.gives if parameter.type]
        head = uint32(call.ours or 0) + string(gives.encode())
        pairs = zip(given, values, strict=True)
        return head + b"".join(WRITE[parameter.type](value) for parameter, value in pairs)

    # --- calls ---

    def do_get_slot_list(self, _: Application, arguments: list[Any]) -> Sequence[Any]:
        return ((SLOT,) if arguments[1] else 1,)

    def do_get_slot_info(self, _: Application, _arguments: list[Any]) -> Sequence[Any]:
        return (b"slot".ljust(64), b"fake".ljust(32), 1, (1, 0), (1, 0))

    def do_get_token_info(self, _: Application, _arguments: list[Any]) -> Sequence[Any]:
        texts = (b"token".ljust(32), b"fake".ljust(32), b"model".ljust(16), b"0001".ljust(16))
        return (*texts, 0x400, *[LENGTH_UNKNOWN] * 10, (1, 0), (1, 0), b" " * 16)

    def do_get_mechanism_list(self, _: Application, arguments: list[Any]) -> Sequence[Any]:
        return ((CKM.ECDSA, CKM.EDDSA) if arguments[1] else 2,)

    def do_open_session(self, application: Application, arguments: list[Any]) -> Sequence[Any]:
        if arguments[0] != SLOT:
            raise Failure(CKR.SLOT_ID_INVALID)
        with self._lock:
            self._next_session += 1
            application.sessions[self._next_session] = {"active": None}
            return (self._next_session,)

    def do_close_session(self, application: Application, arguments: list[Any]) -> Sequence[Any]:
        application.session(arguments[0])
        del application.sessions[arguments[0]]
        return ()

    def do_close_all_sessions(self, application: Application, _: list[Any]) -> Sequence[Any]:
        application.sessions.clear()
        return ()

    def do_login(self, application: Application, arguments: list[Any]) -> Sequence[Any]:
        application.session(arguments[0])
        if arguments[2] != b"1234":
            raise Failure(CKR.PIN_INCORRECT, "The PIN is wrong.", "Try again.")
        return ()

    def do_logout(self, application: Application, arguments: list[Any]) -> Sequence[Any]:
        application.session(arguments[0])
        return ()

    def do_set_attribute_value(self, _: Application, arguments: list[Any]) -> Sequence[Any]:
        if arguments[1] not in self.objects:
            raise Failure(CKR.OBJECT_HANDLE_INVALID)
        self.objects[arguments[1]].update(dict(arguments[2]))
        return ()

    def do_find_objects_init(self, application: Application, arguments: list[Any]) -> Sequence[Any]:
        session = application.session(arguments[0])
        session["found"] = [
            number
            for number, known in self.objects.items()
            if all(known.get(kind) == value for kind, value in arguments[1])
        ]
        return ()

    def do_find_objects(self, application: Application, arguments: list[Any]) -> Sequence[Any]:
        session = application.session(arguments[0])
        room = 0 if arguments[1] == NULL else arguments[1]
        given, session["found"] = session["found"][:room], session["found"][room:]
        return (given,)

    def do_find_objects_with(self, application: Application, arguments: list[Any]) -> Sequence[Any]:
        (given,) = self.do_find_objects(application, arguments)
        along = [(kind, self.objects[n].get(kind)) for n in given for kind in arguments[2]]
        return (given, along)

    def do_find_objects_final(
        self, application: Application, arguments: list[Any]
    ) -> Sequence[Any]:
        application.session(arguments[0])
        return ()

    def do_get_attribute_value(self, _: Application, arguments: list[Any]) -> Sequence[Any]:
        if arguments[1] not in self.objects:
            raise Failure(CKR.OBJECT_HANDLE_INVALID)
        known = self.objects[arguments[1]]
        values = [(kind, known.get(kind)) for kind, _ in arguments[2]]
        missing = any(value is None for _, value in values)
        return (values, CKR.ATTRIBUTE_TYPE_INVALID if missing else CKR.OK)

    def do_begin(self, application: Application, arguments: list[Any]) -> Sequence[Any]:
        session = application.session(arguments[0])
        if session["active"]:
            raise Failure(CKR.OPERATION_ACTIVE)
        if arguments[3] not in (0, *self.objects):
            raise Failure(CKR.KEY_HANDLE_INVALID)
        session["active"] = (arguments[2], arguments[3])
        session["parts"] = b""
        return (self.begin_length, self.begin_flags)

    def _finish(self, application: Application, number: int, data: bytes | None) -> bytes:
        session = application.session(number)
        if not session["active"]:
            raise Failure(CKR.OPERATION_NOT_INITIALIZED)
        mechanism, key = session["active"]
        session["active"] = None
        return signature(mechanism, key, data)

    def do_sign(self, application: Application, arguments: list[Any]) -> Sequence[Any]:
        number, data, room = arguments
        if application.session(number)["active"] and (room == NULL or room < SIGNATURE_LENGTH):
            return (SIGNATURE_LENGTH,)
        return (self._finish(application, number, data),)

    def do_sign_update(self, application: Application, arguments: list[Any]) -> Sequence[Any]:
        session = application.session(arguments[0])
        if not session["active"]:
            raise Failure(CKR.OPERATION_NOT_INITIALIZED)
        session["parts"] += arguments[1] or b""
        return ()

    def do_sign_final(self, application: Application, arguments: list[Any]) -> Sequence[Any]:
        parts = application.session(arguments[0])["parts"]
        return (self._finish(application, arguments[0], parts),)

    def do_verify(self, application: Application, arguments: list[Any]) -> Sequence[Any]:
        if self._finish(application, arguments[0], arguments[1]) != arguments[2]:
            raise Failure(CKR.SIGNATURE_INVALID)
        return ()

    def do_sign_once(self, application: Application, arguments: list[Any]) -> Sequence[Any]:
        number, mechanism, key, data, room = arguments
        application.session(number)
        if room == NULL or room < SIGNATURE_LENGTH:
            return (SIGNATURE_LENGTH,)
        return (signature(mechanism, key, data),)

    def do_verify_once(self, application: Application, arguments: list[Any]) -> Sequence[Any]:
        number, mechanism, key, data, given = arguments
        application.session(number)
        if given != signature(mechanism, key, data):
            raise Failure(CKR.SIGNATURE_INVALID)
        return ()

    def do_digest_once(self, _: Application, arguments: list[Any]) -> Sequence[Any]:
        return (hashlib.sha512(arguments[2] or b"").digest(),)

    def do_digest(self, application: Application, arguments: list[Any]) -> Sequence[Any]:
        application.session(arguments[0])["active"] = None
        return (hashlib.sha512(arguments[1] or b"").digest(),)

    def do_session_cancel(self, application: Application, arguments: list[Any]) -> Sequence[Any]:
        application.session(arguments[0])["active"] = None
        return ()

    def do_generate_random(self, application: Application, arguments: list[Any]) -> Sequence[Any]:
        application.session(arguments[0])
        return (os.urandom(0 if arguments[1] == NULL else arguments[1]),)

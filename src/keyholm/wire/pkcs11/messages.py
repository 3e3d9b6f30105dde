"""Requests and answers: whole bodies to values, and back.

    protocol = protocol_of(Dialect(2))
    request = protocol.decode_request(body)
    ... protocol.encode_answer(request.call, slots)

The values of a request are those of `call.takes`, in that order; those of an answer of `call.gives`:

| letter | value |
|---|---|
| y, u | an int |
| v | (major, minor) |
| s, z | a str; bytes that are not UTF-8 are replaced, what is too long is cut at a character |
| ay of a request | bytes, or None for a NULL pointer; a view of the frame if it is a secret |
| ay of an answer | bytes, or an int: only the length, since the caller has no room (`fit`) |
| au | a tuple of int; of an answer also an int, only the count |
| fy, fu | an int: 0 is a NULL pointer, `NO_BYTES` a buffer without room |
| aA, fA, M | see templates.py and mechanisms.py |
| Q | the bytes of the parameter, or None: mechanisms.py reads them, by the mechanism of the init |
| P | bytes, see `mechanisms.update` |

Pure: no socket. Malformed is all that is raised, whatever the bytes; who sent such has no more to say.
"""

import struct
from collections.abc import Callable
from typing import Any, Final, cast

from msgspec import Struct

from keyholm.wire.codec import Bytes, Malformed, Reader
from keyholm.wire.pkcs11 import mechanisms
from keyholm.wire.pkcs11.calls import OURS, STOCK, Call, Parameter, Type, letters
from keyholm.wire.pkcs11.constants import CKR
from keyholm.wire.pkcs11.dialect import Dialect
from keyholm.wire.pkcs11.mechanisms import Way
from keyholm.wire.pkcs11.templates import Templates
from keyholm.wire.pkcs11.values import (
    NULL,
    read_byte,
    read_bytes,
    read_uint32,
    read_ulong,
    read_ulongs,
    write_byte,
    write_bytes,
    write_uint32,
    write_ulong,
    write_ulongs,
)

# The room of a buffer that is there and has no bytes.
NO_BYTES: Final = NULL

# code, length of the options, length of the body
HEAD: Final = struct.Struct(">III")
# A stock client says the name of its module there.
MAX_OPTIONS: Final = 64
CROWDED: Final = b"\1"
NOT_CROWDED: Final = b"\0"

Read = Callable[[Reader], Any]
Write = Callable[[Any], bytes]

_unpack_head = HEAD.unpack
_unpack_uint32 = struct.Struct(">I").unpack_from
_unpack_array = struct.Struct(">BI").unpack_from
# session, mechanism, that it has no parameter, key: as most requests of our dialect begin
_unpack_keyed = struct.Struct(">QIBQ").unpack_from
_KEYED_SIZE: Final = 21


class Request(Struct, frozen=True):
    """A call and its values. What nobody knows is no call: CKR_FUNCTION_NOT_SUPPORTED."""

    call: Call | None
    values: tuple[Any, ...]

    def __repr__(self) -> str:
        # The values are a program's data.
        return f"Request({self.call.name if self.call else None})"


class Refusal(Struct, frozen=True):
    """An answer that is an error."""

    status: int
    what: str = ""
    remedy: str = ""


class _Body(Struct, frozen=True):
    """How to read the values of one call."""

    call: Call
    signature: bytes  # its length in front
    start: int
    reads: tuple[Read, ...]
    is_keyed: bool  # begins with session, mechanism, key, in our dialect
    # The same with the mechanisms as the other versions of p11-kit send them.
    other: tuple[Read, ...] | None


def read_head(head: Bytes, largest_body: int) -> tuple[int, int, int]:
    """Of a frame: its code, and how many bytes of options and of body follow."""
    if len(head) != HEAD.size:
        raise Malformed(f"the head of a frame has {HEAD.size} bytes, not {len(head)}")
    code, options, body = _unpack_head(head)
    if code == 0:
        raise Malformed("a frame with the code 0")
    if options > MAX_OPTIONS:
        raise Malformed(f"options of {options} bytes")
    if body > largest_body:
        raise Malformed(f"a body of {body} bytes: more than {largest_body} are not taken")
    return code, options, body


def frame(code: int, body: bytes, options: bytes = b"") -> bytes:
    return HEAD.pack(code, len(options), len(body)) + options + body


def fit(result: bytes, room: int) -> bytes | int:
    """What to answer where the caller has so much room: the result, or else its length.

    An int ends no operation: the caller has asked how much room it takes, or comes again.
    """
    size = len(result)
    if room == NO_BYTES:
        return size or b""
    return result if room and size <= room else size


def fit_ulongs(result: tuple[int, ...], room: int) -> tuple[int, ...] | int:
    """The same for a list."""
    count = len(result)
    if room == NO_BYTES:
        return count or ()
    return result if room and count <= room else count


class Protocol:
    """Reads and writes the bodies of one dialect. What it needs of a call it makes when asked."""

    __slots__ = ("_answers", "_calls", "_givers", "_requests", "_takers", "_types", "dialect")

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self._calls = OURS if dialect.is_ours else STOCK
        self._types = _Types(dialect)
        self._requests: dict[int, _Body] = {}
        self._answers: dict[int, _Body] = {}
        self._takers: dict[int, tuple[bytes, tuple[Write, ...]]] = {}
        self._givers: dict[int, tuple[bytes, tuple[Write, ...]]] = {}

    def number(self, call: Call) -> int:
        number = call.ours if self.dialect.is_ours else call.stock
        if number is None:
            raise LookupError(f"{call.name} is no call of this dialect")
        return number

    def decode_request(self, body: Bytes) -> Request:
        if len(body) < 4:
            raise Malformed("a body without a call")
        (number,) = _unpack_uint32(body)
        how = self._requests.get(number)
        if how is None:
            call = self._calls.get(number)
            if call is None:
                return Request(None, ())
            how = self._requests[number] = self._body(call, call.takes, is_answer=False)
        return Request(how.call, _read_values(how, body))

    def encode_request(self, call: Call, *values: Any) -> bytes:
        number = self.number(call)
        if number not in self._takers:
            self._takers[number] = self._writers(number, call.takes, is_answer=False)
        head, writes = self._takers[number]
        return head + _joined(writes, values)

    def encode_answer(self, call: Call, *values: Any) -> bytes:
        number = cast(int, call.ours if self.dialect.is_ours else call.stock)
        found = self._givers.get(number)
        if found is None:
            found = self._givers[number] = self._writers(number, call.gives, is_answer=True)
        head, writes = found
        if len(writes) == len(values) == 1:
            return head + writes[0](values[0])
        return head + _joined(writes, values)

    def encode_error(self, status: int, what: str = "", remedy: str = "") -> bytes:
        """The stock protocol has no place for sentences."""
        if status == CKR.OK:
            raise ValueError("CKR_OK is no error")
        if not self.dialect.is_ours:
            return _STOCK_ERROR + write_ulong(status)
        sentences = write_bytes(what.encode()) + write_bytes(remedy.encode())
        return _OWN_ERROR + write_ulong(status) + sentences

    def decode_answer(self, call: Call, body: Bytes) -> tuple[Any, ...] | Refusal:
        if len(body) < 4:
            raise Malformed("a body without a call")
        (number,) = _unpack_uint32(body)
        if number == 0:
            return self._refusal(body)
        if number != self.number(call):
            raise Malformed(f"an answer to the call {number}")
        how = self._answers.get(number)
        if how is None:
            how = self._answers[number] = self._body(call, call.gives, is_answer=True)
        return _read_values(how, body)

    def _refusal(self, body: Bytes) -> Refusal:
        head = _OWN_ERROR if self.dialect.is_ours else _STOCK_ERROR
        if body[: len(head)] != head:
            raise Malformed("an error with another signature")
        reader = Reader(body)
        reader.at = len(head)
        status = read_ulong(reader)
        if status == CKR.OK:
            raise Malformed("an error that is CKR_OK")
        sentences = (_read_text(reader), _read_text(reader)) if self.dialect.is_ours else ()
        reader.end()
        return Refusal(status, *sentences)

    def _signature(self, parameters: tuple[Parameter, ...], *, is_answer: bool) -> str:
        text = letters(parameters)
        if self.dialect.is_ours:
            return text
        return text.replace(Type.MESSAGE, "" if is_answer else Type.BYTES)

    def _sent(self, parameters: tuple[Parameter, ...], *, is_answer: bool) -> list[Parameter]:
        unsent = {Type.NOTHING}
        if is_answer and not self.dialect.is_ours:
            unsent.add(Type.MESSAGE)
        return [parameter for parameter in parameters if parameter.type not in unsent]

    def _body(self, call: Call, parameters: tuple[Parameter, ...], *, is_answer: bool) -> _Body:
        signature = write_bytes(self._signature(parameters, is_answer=is_answer).encode())
        sent = self._sent(parameters, is_answer=is_answer)
        types = self._types
        order = [parameter.type for parameter in sent[:3]]
        reads = tuple(types.reader(parameter, is_answer=is_answer) for parameter in sent)
        other = tuple(types.other(parameter) for parameter in sent)
        return _Body(
            call,
            signature,
            4 + len(signature),
            reads,
            self.dialect.is_ours and order == [Type.ULONG, Type.MECHANISM, Type.ULONG],
            None
            if not any(other)
            else tuple(second or first for first, second in zip(reads, other, strict=True)),
        )

    def _writers(
        self, number: int, parameters: tuple[Parameter, ...], *, is_answer: bool
    ) -> tuple[bytes, tuple[Write, ...]]:
        signature = write_bytes(self._signature(parameters, is_answer=is_answer).encode())
        sent = self._sent(parameters, is_answer=is_answer)
        writes = tuple(self._types.writer(parameter, is_answer=is_answer) for parameter in sent)
        return write_uint32(number) + signature, writes


def _read_values(how: _Body, body: Bytes) -> tuple[Any, ...]:
    start = how.start
    if body[4:start] != how.signature:
        raise Malformed(f"{how.call.name} with another signature")
    reader = Reader(body)
    reader.at = start
    if how.is_keyed:
        return _read_keyed(how.reads, reader)
    if how.other is None:
        return _whole(reader, how.reads)
    try:
        return _whole(reader, how.reads)
    except Malformed:
        reader.at = start
        return _whole(reader, how.other)


def _read_keyed(reads: tuple[Read, ...], reader: Reader) -> tuple[Any, ...]:
    """The first three values at once, if the mechanism has no parameter: that is the hot path."""
    at = reader.at
    if at + _KEYED_SIZE > reader.size:
        return _whole(reader, reads)
    session, number, has_parameter, key = _unpack_keyed(reader.data, at)
    if has_parameter:
        return _whole(reader, reads)
    reader.at = at + _KEYED_SIZE
    more = [read(reader) for read in reads[3:]]
    if reader.at != reader.size:
        reader.end()
    return (session, mechanisms.without_parameter(number), key, *more)


def _whole(reader: Reader, reads: tuple[Read, ...]) -> tuple[Any, ...]:
    values = tuple([read(reader) for read in reads])
    if reader.at != reader.size:
        reader.end()
    return values


def _joined(writes: tuple[Write, ...], values: tuple[Any, ...]) -> bytes:
    return b"".join([write(value) for write, value in zip(writes, values, strict=True)])


class _Types:
    """How each type crosses in one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._templates = Templates(dialect)
        # p11-kit changed how it sends mechanisms without saying so: a client of 0.25.6 that was
        # sent another version still has the new way. What is left over, or short, tells.
        stock_way = Way.NEW if dialect.version == 2 else Way.OLD
        self._way = Way.OURS if dialect.is_ours else stock_way

    def reader(self, parameter: Parameter, *, is_answer: bool) -> Read:
        if is_answer and parameter.type in _READ_RESULT:
            return _READ_RESULT[parameter.type]
        match parameter.type:
            case Type.SPACED:
                return _spaced_reader(parameter.width)
            case Type.BYTES if parameter.secret:
                return _read_secret
            case Type.ATTRIBUTES:
                return self._templates.read
            case Type.ATTRIBUTE_ROOM:
                if self._dialect.version == 0:
                    return self._templates.read_wanted
                return self._templates.read_wanted_nested
            case Type.MECHANISM:
                return mechanisms.reader(self._way, authenticated=parameter.authenticated)
            case Type.MESSAGE if not self._dialect.is_ours:
                return _read_array
            case _:
                return _READ[parameter.type]

    def other(self, parameter: Parameter) -> Read | None:
        """A second way to read it, which no byte tells from the first."""
        if self._dialect.is_ours:
            return None
        match parameter.type:
            case Type.MECHANISM:
                return mechanisms.other_reader(self._way)
            case Type.ATTRIBUTE_ROOM if self._dialect.version == 0:
                return self._templates.read_wanted_nested
            case Type.ATTRIBUTE_ROOM:
                return self._templates.read_wanted
            case _:
                return None

    def writer(self, parameter: Parameter, *, is_answer: bool) -> Write:
        if is_answer and parameter.type in _WRITE_RESULT:
            return _WRITE_RESULT[parameter.type]
        match parameter.type:
            case Type.SPACED:
                return _spaced_writer(parameter.width)
            case Type.ATTRIBUTES:
                return self._templates.write
            case Type.ATTRIBUTE_ROOM:
                return self._templates.write_wanted
            case Type.MECHANISM:
                return mechanisms.writer(self._way, authenticated=parameter.authenticated)
            case Type.MESSAGE if not self._dialect.is_ours:
                return _write_array
            case _:
                return _WRITE[parameter.type]


def _read_array(reader: Reader) -> bytes | None:
    """An array that the caller has. NULL is a flag 0 and no bytes until 0.24, NULL since."""
    at, data = reader.at + 5, reader.data
    if at > reader.size:
        reader.take(5)
    is_there, size = _unpack_array(data, at - 5)
    end = at + size
    if is_there == 1 and end <= reader.size:
        reader.at = end
        return bytes(data[at:end])
    reader.at = at
    if is_there == 1:
        return None if size == NULL else reader.take(size)
    if is_there or size:
        raise Malformed(f"no array, of {size} bytes")
    return None


def _read_secret(reader: Reader) -> memoryview | None:
    is_there, size = read_byte(reader), read_uint32(reader)
    if is_there == 1:
        return None if size == NULL else reader.view(size)
    if is_there or size:
        raise Malformed(f"no array, of {size} bytes")
    return None


def _write_array(value: Bytes | None) -> bytes:
    return b"\1\xff\xff\xff\xff" if value is None else b"\1" + write_bytes(value)


def _read_result(reader: Reader) -> bytes | int:
    return read_bytes(reader) if read_byte(reader) else read_uint32(reader)


def _write_result(value: Bytes | int) -> bytes:
    if isinstance(value, int):
        return b"\0" + write_uint32(value)
    return b"\1" + write_bytes(value)


def _read_list(reader: Reader) -> tuple[int, ...]:
    if read_byte(reader):
        return read_ulongs(reader)
    if count := read_uint32(reader):
        raise Malformed(f"no array, of {count} numbers")
    return ()


def _write_list(value: tuple[int, ...]) -> bytes:
    return b"\1" + write_ulongs(value)


def _read_list_result(reader: Reader) -> tuple[int, ...] | int:
    return read_ulongs(reader) if read_byte(reader) else read_uint32(reader)


def _write_list_result(value: tuple[int, ...] | int) -> bytes:
    return b"\0" + write_uint32(value) if isinstance(value, int) else _write_list(value)


def _read_message(reader: Reader) -> bytes | None:
    match read_byte(reader):
        case 0:
            return None
        case 1:
            return read_bytes(reader)
        case other:
            raise Malformed(f"a parameter of the kind {other}")


def _write_message(value: bytes | None) -> bytes:
    return b"\0" if value is None else b"\1" + write_bytes(value)


def _read_update(reader: Reader) -> bytes:
    """All but the key handle, which is the last value: only the request tells how long it is."""
    if reader.left < 8:
        raise Malformed("an answer without its key")
    return reader.take(reader.left - 8)


def _read_text(reader: Reader) -> str:
    return read_bytes(reader).decode(errors="replace")


def _spaced_reader(width: int) -> Read:
    def read(reader: Reader) -> str:
        value = read_bytes(reader)
        if len(value) != width:
            raise Malformed(f"a text of {len(value)} bytes, not {width}")
        return value.decode(errors="replace").rstrip(" ")

    return read


def _spaced_writer(width: int) -> Write:
    def write(value: str) -> bytes:
        # Cut between characters: half of one is no UTF-8.
        text = value.encode()[:width].decode(errors="ignore").encode()
        return write_bytes(text.ljust(width))

    return write


def _read_version(reader: Reader) -> tuple[int, int]:
    major, minor = reader.take(2)
    return major, minor


_READ: Final[dict[Type, Read]] = {
    Type.BYTE: read_byte,
    Type.ULONG: read_ulong,
    Type.VERSION: _read_version,
    Type.TEXT: _read_text,
    Type.BYTES: _read_array,
    Type.ROOM: read_uint32,
    Type.ULONGS: _read_list,
    Type.ULONG_ROOM: read_uint32,
    Type.MECHANISM_UPDATE: _read_update,
    Type.MESSAGE: _read_message,
}
_WRITE: Final[dict[Type, Write]] = {
    Type.BYTE: write_byte,
    Type.ULONG: write_ulong,
    Type.VERSION: bytes,
    Type.TEXT: lambda value: write_bytes(value.encode()),
    Type.BYTES: _write_array,
    Type.ROOM: write_uint32,
    Type.ULONGS: _write_list,
    Type.ULONG_ROOM: write_uint32,
    Type.MECHANISM_UPDATE: bytes,
    Type.MESSAGE: _write_message,
}
_READ_RESULT: Final[dict[Type, Read]] = {
    Type.BYTES: _read_result,
    Type.ULONGS: _read_list_result,
}
_WRITE_RESULT: Final[dict[Type, Write]] = {
    Type.BYTES: _write_result,
    Type.ULONGS: _write_list_result,
}
_STOCK_ERROR: Final = write_uint32(0) + write_bytes(b"u")
_OWN_ERROR: Final = write_uint32(0) + write_bytes(b"uzz")

_protocols: dict[Dialect, Protocol] = {}


def protocol_of(dialect: Dialect) -> Protocol:
    """One for all connections that speak it."""
    if dialect not in _protocols:
        _protocols[dialect] = Protocol(dialect)
    return _protocols[dialect]

"""What a call takes: the value of each parameter to the arguments that it is made of."""

from collections.abc import Callable
from typing import Any, Final

from keyholm.stores.modules.binding.failing import Failed
from keyholm.stores.modules.binding.output import MOST
from keyholm.stores.modules.binding.output import SIZE as OUTPUT_SIZE
from keyholm.stores.modules.binding.parameters import NOTHING, lay
from keyholm.stores.modules.binding.structures import WORD, narrow
from keyholm.stores.modules.binding.templates import lay_template
from keyholm.stores.modules.binding.work import Work, lay_raw
from keyholm.wire.codec import Malformed
from keyholm.wire.pkcs11.attributes import Template
from keyholm.wire.pkcs11.calls import Call, Parameter, Type
from keyholm.wire.pkcs11.constants import CKR
from keyholm.wire.pkcs11.mechanisms import MESSAGE_FORMS, Mechanism, read_message
from keyholm.wire.pkcs11.messages import NO_BYTES

Arguments = list[Any]
Load = Callable[[Work, Arguments, Any], None]

MOST_LISTED: Final = 65536
# The cells that lengths are in: that of a result has this one, in every call.
LENGTH: Final = 0


def loader(call: Call, parameter: Parameter) -> Load:
    at = [call.arguments.index(name) for name in parameter.c.split()]
    match parameter.type:
        case Type.ULONG:
            return _ulong(*at)
        case Type.BYTE:
            return _byte(*at) if at else _last
        case Type.SPACED:
            return _spaced(at[0], parameter.width)
        case Type.BYTES if parameter.secret:
            return _secret(*at)
        case Type.BYTES:
            return _bytes(*at)
        case Type.ROOM if parameter.c.split()[1].startswith("ul"):
            return _exact_room(*at)
        case Type.ROOM:
            return _room(*at)
        case Type.ULONG_ROOM:
            return _list_room(*at, by_value=parameter.c.split()[1].startswith("ul"))
        case Type.ATTRIBUTES:
            return _template(*at)
        case Type.MECHANISM:
            return _mechanism(*at, keep="Init" in call.name, authenticated=parameter.authenticated)
        case Type.MESSAGE:
            return _message(at[0], at[1], verb_of(call))
        case other:
            raise TypeError(f"{call.name}: no way to pass on {other!r}")


def verb_of(call: Call) -> str:
    """What a message call does: Encrypt, Decrypt, Sign or Verify."""
    return next(verb for verb in ("Encrypt", "Decrypt", "Sign", "Verify") if verb in call.name)


def _ulong(at: int) -> Load:
    if WORD == 8:

        def load(_work: Work, arguments: Arguments, value: int) -> None:
            arguments[at] = value

    else:

        def load(_work: Work, arguments: Arguments, value: int) -> None:
            arguments[at] = narrow(value)

    return load


def _byte(at: int) -> Load:
    def load(_work: Work, arguments: Arguments, value: int) -> None:
        arguments[at] = value

    return load


def _last(work: Work, _arguments: Arguments, value: int) -> None:
    work.is_last = bool(value)


def _spaced(at: int, width: int) -> Load:
    def load(work: Work, arguments: Arguments, value: str) -> None:
        # Cut between characters, as it is cut on the wire.
        text = value.encode()[:width].decode(errors="ignore").encode()
        arguments[at] = work.memory.put(text.ljust(width))

    return load


def _bytes(pointer: int, length: int) -> Load:
    def load(work: Work, arguments: Arguments, value: bytes | None) -> None:
        size = 0 if value is None else len(value)
        work.given += size
        arguments[pointer], arguments[length] = value, size

    return load


def _secret(pointer: int, length: int) -> Load:
    def load(work: Work, arguments: Arguments, value: memoryview | None) -> None:
        if value is None:
            arguments[pointer], arguments[length] = None, 0
        else:
            arguments[pointer], arguments[length] = work.memory.put(value), len(value)

    return load


def _room(pointer: int, length: int) -> Load:
    """As much as the caller has, but for what no result takes."""

    def load(work: Work, arguments: Arguments, value: int) -> None:
        if not work.is_last:
            return
        work.room = value
        if value == 0:
            work.only_length = True
            capacity = 0
        else:
            most = min(work.given + OUTPUT_SIZE, MOST)
            capacity = 0 if value == NO_BYTES else min(value, most)
            arguments[pointer] = work.output.room(capacity)
        arguments[length] = work.addresses[LENGTH]
        work.cells[LENGTH] = work.capacity = capacity

    return load


def _exact_room(pointer: int, length: int) -> Load:
    def load(work: Work, arguments: Arguments, value: int) -> None:
        size = 0 if value == NO_BYTES else value
        if size > MOST:
            raise Failed(CKR.ARGUMENTS_BAD, f"{size} bytes at once are too many.")
        work.room = work.capacity = size
        arguments[pointer], arguments[length] = work.output.room(size), size

    return load


def _list_room(pointer: int, count: int, *, by_value: bool) -> Load:
    def load(work: Work, arguments: Arguments, value: int) -> None:
        work.room = value
        capacity = 0 if value == NO_BYTES else min(value, MOST_LISTED)
        work.capacity = capacity
        if value or by_value:
            arguments[pointer] = work.memory.room(capacity * WORD)
        else:
            work.only_length = True
        if by_value:
            arguments[count] = capacity
        else:
            arguments[count] = work.addresses[LENGTH]
            work.cells[LENGTH] = capacity

    return load


def _template(pointer: int, count: int) -> Load:
    def load(work: Work, arguments: Arguments, value: Template) -> None:
        arguments[pointer], arguments[count] = lay_template(work.memory, value)

    return load


def _mechanism(at: int, *, keep: bool, authenticated: bool) -> Load:
    def load(work: Work, arguments: Arguments, value: Mechanism) -> None:
        if keep:
            work.keep(value)
        arguments[at] = work.lay_mechanism(value, memory=work.kept, authenticated=authenticated)

    return load


def _message(pointer: int, length: int, verb: str) -> Load:
    def load(work: Work, arguments: Arguments, value: bytes | None) -> None:
        session = work.library.sessions.find(work.session)
        number = session.mechanisms.get(verb) if session else None
        if number is None:
            raise Failed(CKR.OPERATION_NOT_INITIALIZED, "No messages were begun in this session.")
        work.mechanism_type, work.parameter, work.laid = number, None, NOTHING
        if value is not None:
            try:
                parameter = read_message(number, value)
            except Malformed as error:
                what = f"The parameter of the message cannot be read: {error}."
                raise Failed(CKR.MECHANISM_PARAM_INVALID, what) from None
            work.parameter = value if parameter is None else parameter
            if parameter is None:
                work.laid = lay_raw(work.memory, value)
            else:
                encrypts = verb == "Encrypt"
                work.laid = lay(work.memory, MESSAGE_FORMS[number], parameter, encrypts=encrypts)
        arguments[pointer], arguments[length] = work.laid.address, work.laid.size

    return load

"""Encrypt, decrypt, sign, verify: an init, and then all at once or part by part.

Four kinds of use that differ in a name and in what goes in and out. Every one is an operation
of the gate; `Once` calls of our dialect are an init and its use in one, and touch no session.

A result that does not fit its buffer waits in the session, since the key was used for it. A
question for the length is answered without using the key, from above where it is not known.
"""

from collections.abc import Callable
from typing import Final, TypeVar

from keyholm.core.gate import Use
from keyholm.core.mechanisms import Vendor, Verb
from keyholm.core.model import Key
from keyholm.core.model import Kind as ObjectKind
from keyholm.core.operation import Operation
from keyholm.cryptoki.mechanisms import Chosen
from keyholm.cryptoki.wrong import Wrong
from keyholm.doors.pkcs11 import lengths
from keyholm.doors.pkcs11.application import Session
from keyholm.doors.pkcs11.client import Checked, Client, key_of, mechanism_for
from keyholm.doors.pkcs11.handlers import digesting
from keyholm.doors.pkcs11.objects import Shown
from keyholm.doors.pkcs11.running import VERBS, Active, Kind, core_of, fits, refuse_parts
from keyholm.wire.pkcs11.constants import CK, CKA, CKF, CKR
from keyholm.wire.pkcs11.mechanisms import NO_MECHANISM, Mechanism

Made = TypeVar("Made")
ALLOWED_BY: Final[dict[Kind, int]] = {
    Kind.SIGN: CKA.SIGN,
    Kind.VERIFY: CKA.VERIFY,
    Kind.ENCRYPT: CKA.ENCRYPT,
    Kind.DECRYPT: CKA.DECRYPT,
    Kind.SIGN_RECOVER: CKA.SIGN_RECOVER,
    Kind.VERIFY_RECOVER: CKA.VERIFY_RECOVER,
    Kind.MESSAGE_SIGN: CKA.SIGN,
    Kind.MESSAGE_VERIFY: CKA.VERIFY,
}
FUNCTIONS: Final[dict[Kind, int]] = {
    Kind.SIGN: CKF.SIGN,
    Kind.VERIFY: CKF.VERIFY,
    Kind.ENCRYPT: CKF.ENCRYPT,
    Kind.DECRYPT: CKF.DECRYPT,
    Kind.SIGN_RECOVER: CKF.SIGN_RECOVER,
    Kind.VERIFY_RECOVER: CKF.VERIFY_RECOVER,
    Kind.MESSAGE_SIGN: CKF.MESSAGE_SIGN,
    Kind.MESSAGE_VERIFY: CKF.MESSAGE_VERIFY,
}
# What Begin calls them.
BEGINS: Final = (Kind.SIGN, Kind.VERIFY, Kind.ENCRYPT, Kind.DECRYPT)
BEGINS_DIGEST: Final = 4
MAY_BE_FOLDED: Final = 1


# --- beginning -----------------------------------------------------------------------------


def init(kind: Kind) -> Callable[[Client, int, Mechanism, int], None]:
    def begin(client: Client, handle: int, mechanism: Mechanism, key: int) -> None:
        session = client.session(handle)
        with session.lock:
            if mechanism == NO_MECHANISM:  # ends what is under way (3.0)
                session.end(kind)
                return
            session.start(_active(client, kind, mechanism, key))

    return begin


def _active(client: Client, kind: Kind, mechanism: Mechanism, key: int) -> Active:
    checked = _checked(client, kind, mechanism, key)
    return Active(kind, checked.shown, checked.chosen, wants_pin=checked.wants_pin)


def _checked(client: Client, kind: Kind, mechanism: Mechanism, key: int) -> Checked:
    """That this use may be, which is found out once for as long as nothing changes."""
    use = (kind, key, id(mechanism))
    checked = client.remembered(use, key)
    if checked is None:
        changes = client.views.changes  # before anything is looked up
        shown = client.object(key, CKR.KEY_HANDLE_INVALID)
        chosen = _chosen(kind, mechanism, shown)
        wants_pin = VERBS[kind] in (Verb.SIGN, Verb.DECRYPT) and shown.flag(CKA.ALWAYS_AUTHENTICATE)
        length = lengths.of_signature(shown, chosen.mechanism) if kind is Kind.SIGN else 0
        checked = Checked(changes, mechanism, shown, chosen, wants_pin, length)
        client.remember(use, checked)
    return checked


def _chosen(kind: Kind, mechanism: Mechanism, shown: Shown) -> Chosen:
    chosen = mechanism_for(shown, mechanism, FUNCTIONS[kind])
    if not shown.flag(ALLOWED_BY[kind]):
        raise Wrong(
            CKR.KEY_FUNCTION_NOT_PERMITTED, f"The key was not made to {VERBS[kind]} with it."
        )
    return chosen


def begin(
    client: Client, handle: int, what: int, mechanism: Mechanism, key: int
) -> tuple[object, ...]:
    if what == BEGINS_DIGEST:
        return digesting.begin(client, handle, mechanism)
    if what >= len(BEGINS):
        raise Wrong(CKR.ARGUMENTS_BAD)
    kind = BEGINS[what]
    session = client.session(handle)
    with session.lock:
        active = _active(client, kind, mechanism, key)
        session.start(active)
    if kind is not Kind.SIGN:
        return CK.UNAVAILABLE_INFORMATION, _folding(active)
    length = lengths.of_signature(active.shown, active.mechanism)
    # Where a result may have to wait for room, there must be a session that it waits in.
    return (CK.UNAVAILABLE_INFORMATION, 0) if length is None else (length, _folding(active))


def _folding(active: Active) -> int:
    return 0 if active.wants_pin else MAY_BE_FOLDED


# --- all at once ---------------------------------------------------------------------------


def at_once(kind: Kind) -> Callable[[Client, int, bytes | None, int], tuple[object, ...]]:
    """C_Sign, C_Encrypt, C_Decrypt, ..."""

    def use(client: Client, handle: int, data: bytes | None, room: int) -> tuple[object, ...]:
        session = client.session(handle)
        with session.lock:
            active = _ready(session, kind)
            _or_end(session, active, lambda: refuse_parts(active))
            given = data or b""
            return _given(session, active, room, len(given), lambda: _use(client, active, given))

    return use


def once(kind: Kind) -> Callable[..., tuple[object, ...]]:
    """An init and its use in one (our dialect): no session state is read or left."""

    def use(
        client: Client, handle: int, mechanism: Mechanism, key: int, data: bytes | None, room: int
    ) -> tuple[object, ...]:
        client.session(handle)
        checked = _checked(client, kind, mechanism, key)
        if checked.wants_pin:
            raise _pin_wanted()
        if kind is Kind.SIGN:
            if checked.length is None:
                raise Wrong(CKR.FUNCTION_NOT_SUPPORTED)
            if not fits(checked.length, room):
                return (checked.length,)
            return (_sign(client, checked.shown, checked.chosen, data or b""),)
        return (_through(client, Active(kind, checked.shown, checked.chosen), data or b""),)

    return use


def verify_once(
    client: Client,
    handle: int,
    mechanism: Mechanism,
    key: int,
    data: bytes | None,
    signature: bytes | None,
) -> None:
    client.session(handle)
    active = _active(client, Kind.VERIFY, mechanism, key)
    _verify(client, active, data or b"", signature or b"")


def _given(
    session: Session, active: Active, room: int, size: int, make: Callable[[], bytes]
) -> tuple[object, ...]:
    """The result if it fits. What does not fit, and a question for the length, end nothing."""
    if active.result is None:
        most = _most(active, size)
        if not room or (_is_exact(active) and not fits(most, room)):
            return (most,)
        active.result = _or_end(session, active, make)
    result = active.result
    if not fits(len(result), room):
        return (len(result),)
    session.end(active.kind)
    return (result,)


def verify(client: Client, handle: int, data: bytes | None, signature: bytes | None) -> None:
    session = client.session(handle)
    with session.lock:
        active = _ready(session, Kind.VERIFY)
        try:
            refuse_parts(active)
            _verify(client, active, data or b"", signature or b"")
        finally:
            session.end(Kind.VERIFY)


# --- part by part --------------------------------------------------------------------------


def update(kind: Kind) -> Callable[..., tuple[object, ...]]:
    """C_EncryptUpdate, C_DecryptUpdate: each part gives what is known of the result."""

    def part(client: Client, handle: int, data: bytes | None, room: int) -> tuple[object, ...]:
        session = client.session(handle)
        with session.lock:
            active = _ready(session, kind)
            given = data or b""
            operation = _operation(client, session, active)
            return _given_part(session, active, room, lambda: operation.update(given), len(given))

    return part


def _given_part(
    session: Session, active: Active, room: int, make: Callable[[], bytes], size: int
) -> tuple[object, ...]:
    if active.result is None:
        if not room:
            return (_most(active, size),)
        active.result = _or_end(session, active, make)
    result = active.result
    if not fits(len(result), room):
        return (len(result),)
    active.result = None
    return (result,)


def final(kind: Kind) -> Callable[[Client, int, int], tuple[object, ...]]:
    """C_EncryptFinal, C_DecryptFinal, C_SignFinal."""

    def last(client: Client, handle: int, room: int) -> tuple[object, ...]:
        session = client.session(handle)
        with session.lock:
            active = _ready(session, kind)

            def make() -> bytes:
                if active.chosen.row.whole:
                    return _use(client, active, b"".join(active.parts))
                return _operation(client, session, active).finish()

            return _given(session, active, room, active.size, make)

    return last


def take(kind: Kind) -> Callable[[Client, int, bytes | None], None]:
    """C_SignUpdate, C_VerifyUpdate: parts that give nothing."""

    def part(client: Client, handle: int, data: bytes | None) -> None:
        session = client.session(handle)
        with session.lock:
            active = _ready(session, kind)
            given = data or b""
            if not active.chosen.row.whole:
                operation = _operation(client, session, active)
                _or_end(session, active, lambda: operation.update(given))
            else:
                active.streamed = True
                _or_end(session, active, lambda: active.keep(given))

    return part


def verify_final(client: Client, handle: int, signature: bytes | None) -> None:
    session = client.session(handle)
    with session.lock:
        active = _ready(session, Kind.VERIFY)
        try:
            if not active.chosen.row.whole:
                operation = _operation(client, session, active)
                operation.finish(signature or b"")
            else:
                _verify(client, active, b"".join(active.parts), signature or b"")
        finally:
            session.end(Kind.VERIFY)


# --- one of many messages (3.0) ----------------------------------------------------------------


def one_of_many(
    client: Client, handle: int, kind: Kind, data: bytes, room: int
) -> tuple[bytes | int]:
    """A signature of a message; its init stays for the next."""
    session = client.session(handle)
    with session.lock:
        active = _ready(session, kind)
        length = _most(active, len(data))
        if not fits(length, room):
            return (length,)
        return (_sign(client, active.shown, active.chosen, data),)


def verify_one_of_many(client: Client, handle: int, data: bytes, signature: bytes) -> None:
    session = client.session(handle)
    with session.lock:
        _verify(client, _ready(session, Kind.MESSAGE_VERIFY), data, signature)


# --- the signature first (3.2) -------------------------------------------------------------


def verify_signature_init(
    client: Client, handle: int, mechanism: Mechanism, key: int, signature: bytes | None
) -> None:
    session = client.session(handle)
    with session.lock:
        active = _active(client, Kind.VERIFY, mechanism, key)
        active.signature = signature or b""
        session.start(active)


def verify_signature(client: Client, handle: int, data: bytes | None) -> None:
    signature = client.session(handle).running(Kind.VERIFY).signature
    verify(client, handle, data, signature)


def verify_signature_final(client: Client, handle: int) -> None:
    signature = client.session(handle).running(Kind.VERIFY).signature
    verify_final(client, handle, signature)


# --- through the gate ----------------------------------------------------------------------


def _most(active: Active, given: int) -> int:
    return lengths.most(active.shown, active.mechanism, active.verb, given)


def _is_exact(active: Active) -> bool:
    return active.kind is Kind.SIGN and not isinstance(active.mechanism, Vendor)


def _ready(session: Session, kind: Kind) -> Active:
    active = session.running(kind)
    if active.wants_pin:
        raise _pin_wanted()
    return active


def _pin_wanted() -> Wrong:
    return Wrong(
        CKR.USER_NOT_LOGGED_IN,
        "This key wants its PIN for each use.",
        remedy="Log in with CKU_CONTEXT_SPECIFIC first.",
    )


def _use(client: Client, active: Active, data: bytes) -> bytes:
    if active.kind is Kind.SIGN:
        return _sign(client, active.shown, active.chosen, data)
    return _through(client, active, data)


def _sign(client: Client, shown: Shown, chosen: Chosen, data: bytes) -> bytes:
    key = key_of(shown)
    if key.kind is ObjectKind.SECRET:
        operation = client.gate.begin(client.caller, Use(key, core_of(chosen), Verb.SIGN))
        operation.update(data)
        return operation.finish()
    return client.gate.sign(client.caller, key, core_of(chosen), chosen.input(data))


def _through(client: Client, active: Active, data: bytes) -> bytes:
    operation = _begun(client, active)
    return operation.update(data) + operation.finish()


def _verify(client: Client, active: Active, data: bytes, signature: bytes) -> None:
    operation = _begun(client, active)
    operation.update(data)
    operation.finish(signature)


def _operation(client: Client, session: Session, active: Active) -> Operation:
    """What is streamed is begun when its first part comes."""
    if active.operation is None:
        active.streamed = True
        active.operation = _or_end(session, active, lambda: _begun(client, active))
    return active.operation


def _begun(client: Client, active: Active) -> Operation:
    which, verb, mechanism = active.shown.held, active.verb, active.mechanism
    if isinstance(which, Key):
        return client.gate.begin(client.caller, Use(which, mechanism, verb))
    if isinstance(which, int):
        raise Wrong(CKR.KEY_HANDLE_INVALID)
    return client.gate.begin_with(client.caller, which, verb, mechanism)


def _or_end(session: Session, active: Active, act: Callable[[], Made]) -> Made:
    """Every error ends its operation."""
    try:
        return act()
    except BaseException:
        session.end(active.kind)
        raise

"""Calls of our dialect that no module has: an init and its operation in one round trip.

When the operation fails the module may still have it open, though the standard says that it is
over. It is ended, so that the session can be used again.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from keyholm.stores.modules.binding.arguments import LENGTH
from keyholm.stores.modules.binding.failing import Failed, broken, refused
from keyholm.stores.modules.binding.output import MOST, SIZE
from keyholm.stores.modules.binding.results import LONGEST
from keyholm.stores.modules.binding.work import Work
from keyholm.wire.pkcs11.constants import CKF, CKR
from keyholm.wire.pkcs11.mechanisms import NO_MECHANISM, Mechanism
from keyholm.wire.pkcs11.messages import fit

# What a verification says that has come to its end.
_ENDED: Final = (CKR.SIGNATURE_INVALID, CKR.SIGNATURE_LEN_RANGE, CKR.OPERATION_NOT_INITIALIZED)
# What Begin tells of the length of a result, and that it may not be folded.
_UNKNOWN: Final = ((1 << 64) - 1, 0)


class Verb(NamedTuple):
    name: str
    init: str
    final: str
    flag: int  # of C_SessionCancel
    takes_key: bool = True


def _verb(name: str, flag: int, *, takes_key: bool = True) -> Verb:
    return Verb(name, f"{name}Init", f"{name}Final", flag, takes_key)


SIGN: Final = _verb("Sign", CKF.SIGN)
VERIFY: Final = _verb("Verify", CKF.VERIFY)
ENCRYPT: Final = _verb("Encrypt", CKF.ENCRYPT)
DECRYPT: Final = _verb("Decrypt", CKF.DECRYPT)
DIGEST: Final = _verb("Digest", CKF.DIGEST, takes_key=False)
# By the numbers that Begin has for them.
_BEGUN: Final = (SIGN, VERIFY, ENCRYPT, DECRYPT, DIGEST)

Answer = tuple[Any, ...]


def begin(work: Work, session: int, what: int, mechanism: Mechanism, key: int) -> Answer:
    """An init: a module tells no more than that it is good."""
    if what >= len(_BEGUN):
        raise Failed(CKR.ARGUMENTS_BAD, f"Nothing of the kind {what} can be begun.")
    verb = _BEGUN[what]
    work.keep(mechanism)
    _init(work, verb, session, mechanism, key)
    work.remember(verb.init, session)
    return _UNKNOWN


def once(verb: Verb) -> Callable[..., Answer]:
    def run(
        work: Work, session: int, mechanism: Mechanism, key: int, data: bytes | None, room: int
    ) -> Answer:
        _init(work, verb, session, mechanism, key)
        return (_operate(work, verb, session, data, room),)

    return run


def digest_once(
    work: Work, session: int, mechanism: Mechanism, data: bytes | None, room: int
) -> Answer:
    _init(work, DIGEST, session, mechanism, 0)
    return (_operate(work, DIGEST, session, data, room),)


def verify_once(
    work: Work,
    session: int,
    mechanism: Mechanism,
    key: int,
    data: bytes | None,
    signature: bytes | None,
) -> Answer:
    verify = work.function("Verify")
    _init(work, VERIFY, session, mechanism, key)
    rv = verify(session, data, _size(data), signature, _size(signature))
    if rv:
        if rv not in _ENDED:
            _end(work, VERIFY, session)
        raise refused("C_Verify", rv)
    return ()


def _init(work: Work, verb: Verb, session: int, mechanism: Mechanism, key: int) -> None:
    if mechanism.type == NO_MECHANISM.type:
        raise Failed(CKR.ARGUMENTS_BAD, "There is no mechanism.")
    function = work.function(verb.init)
    address = work.lay_mechanism(mechanism, memory=work.kept)
    rv = function(session, address, key) if verb.takes_key else function(session, address)
    if rv:
        raise refused(f"C_{verb.init}", rv)


def _operate(work: Work, verb: Verb, session: int, data: bytes | None, room: int) -> bytes | int:
    try:
        if not room and _can_cancel(work):  # how long it would be, before the key is used
            length = _run(work, verb, session, data, 0)
            _end(work, verb, session)
            return length
        size = min(_size(data) + SIZE, MOST)
        length = _run(work, verb, session, data, size)
        if length > size:
            length = _run(work, verb, session, data, min(length, MOST))
        if length > work.capacity:
            raise broken(f"C_{verb.name}", f"has a result of {length} bytes, which are too many")
        return fit(work.output.take(length), room)
    except Failed:
        work.output.wipe()
        _end(work, verb, session)
        raise


def _run(work: Work, verb: Verb, session: int, data: bytes | None, size: int) -> int:
    """The length of the result, which is more than `size` if it was too long."""
    work.capacity = size
    work.cells[LENGTH] = size
    address = work.output.room(size) if size else None
    function = work.function(verb.name)
    rv = function(session, data, _size(data), address, work.addresses[LENGTH])
    length: int = work.cells[LENGTH]
    if rv != CKR.BUFFER_TOO_SMALL:
        if rv:
            raise refused(f"C_{verb.name}", rv)
        if size and length > size:
            raise broken(f"C_{verb.name}", f"gave {length} bytes into room for {size}")
    if length > LONGEST or (rv and length <= size):
        raise broken(f"C_{verb.name}", f"says that its result has {length} bytes")
    return length


def _can_cancel(work: Work) -> bool:
    return "SessionCancel" in work.library.functions


def _end(work: Work, verb: Verb, session: int) -> None:
    """What is over already says so, which does not matter."""
    cancel = work.library.functions.get("SessionCancel")
    if cancel is not None and cancel(session, verb.flag) == CKR.OK:
        return
    final = work.library.functions.get(verb.final)
    if final is None:
        return
    work.cells[LENGTH] = SIZE
    if verb is VERIFY:
        final(session, work.output.room(1), 1)
    else:
        final(session, work.output.room(SIZE), work.addresses[LENGTH])
    work.output.wipe()


def _size(data: bytes | None) -> int:
    return 0 if data is None else len(data)

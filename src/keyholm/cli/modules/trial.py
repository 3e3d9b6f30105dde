"""A module in a worker of its own, without the daemon: loaded, asked what it has, and ended.

No session is opened and no PIN is sent: all this costs a token is being looked at.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from keyholm.core.errors import KeyholmError
from keyholm.stores.modules import identity, quirks, recursion
from keyholm.stores.modules.errors import Answered, error_of
from keyholm.stores.modules.identity import Identity
from keyholm.stores.modules.info import ModuleInfo, decode_info
from keyholm.stores.modules.line import COUNT, Line
from keyholm.wire.pkcs11.constants import CKF, CKM, CKR
from keyholm.worker.proxy import NotLoaded, Worker, WorkerFailed
from keyholm.worker.spec import Spec
from keyholm.worker.start import DirectStarter

SERVICE: Final = "keyholm.stores.modules.host"
MOST_SLOTS: Final = 64
CALL_SECONDS: Final = 20.0
P256: Final = 256  # bits
# What signs with elliptic curves; one of them is enough.
ECDSA: Final = frozenset({CKM.ECDSA, CKM.ECDSA_SHA256, CKM.ECDSA_SHA384})
NO_TOKEN: Final = frozenset({CKR.TOKEN_NOT_PRESENT, CKR.SLOT_ID_INVALID, CKR.DEVICE_REMOVED})


@dataclass(frozen=True, slots=True)
class Failure:
    """At which step, and what to do: file, process, load, interface, initialize, ask."""

    step: str
    what: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class TokenSeen:
    who: Identity
    flags: int
    utc_time: str
    mechanisms: tuple[int, ...]
    p256: bool

    def has(self, flag: int) -> bool:
        return bool(self.flags & flag)


@dataclass(frozen=True, slots=True)
class SlotSeen:
    number: int
    description: str
    flags: int
    token: TokenSeen | None = None
    error: str = ""

    @property
    def removable(self) -> bool:
        return bool(self.flags & CKF.REMOVABLE_DEVICE)


@dataclass(frozen=True, slots=True)
class Trial:
    name: str
    library: str
    isolation: str = ""
    info: ModuleInfo | None = None
    slots: tuple[SlotSeen, ...] = ()
    failure: Failure | None = None
    lines: tuple[str, ...] = ()  # the last that it wrote to its standard error

    @property
    def tokens(self) -> tuple[TokenSeen, ...]:
        """Those that hold something, or could."""
        seen = (slot.token for slot in self.slots)
        return tuple(each for each in seen if each and each.has(CKF.TOKEN_INITIALIZED))


def run(spec: Spec, seconds: float) -> Trial:
    """`seconds`: how long it may take to start."""
    starter = DirectStarter(lambda name, path: spec, SERVICE)
    worker = Worker(starter, spec.name, start_seconds=seconds)
    begun = Trial(spec.name, spec.library)
    try:
        with worker.channel() as channel:
            isolation, info = str(worker.isolation), decode_info(worker.info)
            if reason := recursion.by_info(info.manufacturer, info.library_description):
                failure = Failure("ask", reason, "Add the modules behind it, each by itself.")
                return Trial(spec.name, spec.library, isolation, info, failure=failure)
            return _asked(spec, isolation, info, Line(channel, CALL_SECONDS))
    except NotLoaded as error:
        return _failed(begun, _not_loaded(spec, error), error.lines)
    except WorkerFailed as error:
        failure = Failure("start", error.what, "Its maker may know more; see what it wrote.")
        return _failed(begun, failure, error.lines)
    except KeyholmError as error:
        return _failed(begun, Failure("process", error.what, error.remedy))
    finally:
        worker.close()


def _failed(trial: Trial, failure: Failure, lines: tuple[str, ...] = ()) -> Trial:
    return Trial(trial.name, trial.library, failure=failure, lines=lines)


def _not_loaded(spec: Spec, error: NotLoaded) -> Failure:
    if error.step != "initialize" or not error.code:
        return Failure(error.step, f"{spec.name} could not be loaded: {error.text}.")
    what, remedy = quirks.init_meaning(quirks.of(spec.library), error.code)
    word = CKR.name(error.code)
    return Failure(
        error.step, f"{spec.name} did not start: {what} ({word} of C_Initialize).", remedy
    )


def _asked(spec: Spec, isolation: str, info: ModuleInfo, line: Line) -> Trial:
    found: list[SlotSeen] = []
    failure = None
    try:
        found += _slots(line)
    except Answered as answered:
        error = error_of(answered, spec.name)
        failure = Failure("ask", error.what, error.remedy)
    except KeyholmError as error:
        failure = Failure("ask", error.what, error.remedy)
    return Trial(spec.name, spec.library, isolation, info, tuple(found), failure)


def _slots(line: Line) -> Iterator[SlotSeen]:
    (numbers,) = line.call("GetSlotList", 0, COUNT)
    for number in (numbers or ())[:MOST_SLOTS]:
        description, _, flags, *_ = line.call("GetSlotInfo", number)
        slot = SlotSeen(number, _plain(description), flags)
        if not flags & CKF.TOKEN_PRESENT:
            yield slot
            continue
        try:
            token = _token(line, number)
        except Answered as answered:
            gone = answered.status in NO_TOKEN
            told = "" if gone else error_of(answered, slot.description).what
            yield SlotSeen(number, slot.description, flags, error=told)
        else:
            yield SlotSeen(number, slot.description, flags, token)


def _token(line: Line, slot: int) -> TokenSeen:
    who, facts = identity.read(line, slot)
    if not facts.has(CKF.TOKEN_INITIALIZED):
        return TokenSeen(who, facts.info.flags, facts.info.time, (), p256=True)
    (mechanisms,) = line.call("GetMechanismList", slot, COUNT)
    mechanisms = tuple(mechanisms or ())
    p256 = any(_takes_p256(line, slot, each) for each in ECDSA.intersection(mechanisms))
    return TokenSeen(who, facts.info.flags, facts.info.time, mechanisms, p256)


def _takes_p256(line: Line, slot: int, mechanism: int) -> bool:
    least, most, _ = line.call("GetMechanismInfo", slot, mechanism)
    return bool(least <= P256 and (most >= P256 or most == 0))


def _plain(text: object) -> str:
    return " ".join("".join(c for c in str(text) if c.isprintable()).split())

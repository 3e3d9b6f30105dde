"""One vendor's module: its worker, the tokens in its slots, and who watches them come and go."""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from keyholm.core.errors import KeyholmError, StoreFailed
from keyholm.core.policies import Policies
from keyholm.core.store import Change, Event
from keyholm.stores.modules import identity, quirks, recursion
from keyholm.stores.modules.abilities import token_of
from keyholm.stores.modules.contents import STORE
from keyholm.stores.modules.errors import Answered, error_of
from keyholm.stores.modules.human import Human
from keyholm.stores.modules.identity import Facts, Identity
from keyholm.stores.modules.info import decode_info
from keyholm.stores.modules.line import Line, failed
from keyholm.stores.modules.setup import Setup
from keyholm.stores.modules.token import ModuleToken, Surroundings
from keyholm.wire.pkcs11.constants import CKF, CKR
from keyholm.worker.proxy import NotLoaded, Worker, WorkerFailed

POLL: Final = 1.0  # seconds between two looks at the slots
RECENT: Final = 60.0  # seconds after a question for which the slots are looked at
ENDING: Final = 1.0  # seconds that a look may still take when the store is closed
LISTEN: Final = 5.0  # seconds between two looks at what is on each token


@dataclass(frozen=True, slots=True)
class House:
    """What all modules of a store share."""

    owner: int
    human: Human
    policies: Policies
    tell: Callable[[Event], None]
    clock: Callable[[], float] = time.monotonic


class Module:
    """Thread-safe. `tokens` tells what is known and never waits."""

    def __init__(self, setup: Setup, worker: Worker, house: House) -> None:
        self.setup, self.worker, self._house = setup, worker, house
        self.problem: KeyholmError | None = None
        self.quirk = quirks.of(setup.library)
        self._tokens: Mapping[Identity, ModuleToken] = {}
        self._looking = threading.Lock()
        self._wake = threading.Condition()
        self._asked = self._looked_inside = float("-inf")
        self._wanted = self._closed = False
        self._ready = threading.Event()
        self._watcher: threading.Thread | None = None
        self._line: Line | None = None

    @property
    def name(self) -> str:
        return self.setup.name

    @property
    def tokens(self) -> tuple[ModuleToken, ...]:
        return tuple(self._tokens.values())

    # --- looking -----------------------------------------------------------------------

    def begin(self) -> None:
        """Somebody wants to know; the first one has it started."""
        with self._wake:
            before, self._asked = self._asked, self._house.clock()
            if self._watcher is None and not self._closed:
                self._watcher = threading.Thread(
                    target=self._watch, name=f"module {self.name}", daemon=True
                )
                self._watcher.start()
            elif self._asked - before > RECENT:
                self._wake.notify()

    def wait(self, deadline: float) -> None:
        """Until it was looked at once, however that went."""
        self._ready.wait(max(0.0, deadline - time.monotonic()))

    def look(self) -> None:
        """Somebody noticed that a token is not what it was: see now."""
        with self._wake:
            self._wanted = True
            self._wake.notify()

    def _watch(self) -> None:
        while not self._closed:
            self.refresh()
            self._ready.set()
            with self._wake:
                if not self._wanted and not self._closed:
                    self._wake.wait(self._pause())
                self._wanted = False

    def _pause(self) -> float | None:
        """None: until somebody asks."""
        recent = self._house.clock() - self._asked <= RECENT
        asleep = self.setup.idle_seconds and not self.worker.info
        return POLL if recent and not asleep else None

    def refresh(self) -> None:
        """See which tokens are there now, and tell of those that came and went."""
        with self._looking:
            try:
                found = self._found()
            except Answered as answered:
                self.problem = error_of(answered, self.name)
                return
            except KeyholmError as error:
                self.problem = error
                return
            self.problem = None
            self._take(found)
        self._look_inside()

    def _found(self) -> dict[Identity, Facts]:
        line = self._own_line()
        found: dict[Identity, Facts] = {}
        for slot in identity.slots(line):
            try:
                who, facts = identity.read(line, slot)
            except Answered as answered:
                if answered.status not in _NO_TOKEN:
                    raise
                continue
            hidden = self.quirk.hides is not None and self.quirk.hides.search(who.label)
            if facts.has(CKF.TOKEN_INITIALIZED) and not hidden:
                found.setdefault(who, facts)
        return found

    def _own_line(self) -> Line:
        if self._line is None or not self._line.alive:
            self._line = self.line(background=True)
        return self._line

    def line(self, *, background: bool = False) -> Line:
        """A new line to the worker. Raises `StoreFailed`, with what it says of its failure."""
        try:
            channel = self.worker.channel(background=background)
        except NotLoaded as error:
            raise self._not_loaded(error) from error
        except WorkerFailed as error:
            raise failed(error) from error
        try:
            self._check_itself()
        except StoreFailed:
            channel.close()
            raise
        return Line(channel, self.setup.call_seconds)

    def _check_itself(self) -> None:
        """A file can be called anything; a module says who it is. Raises `StoreFailed`."""
        told = self.worker.info
        if not told:
            return  # it has ended again, which its first call will notice
        info = decode_info(told)
        if reason := recursion.by_info(info.manufacturer, info.library_description):
            raise StoreFailed(
                f"The module {self.name} is not used. {reason}",
                remedy=f"`keyholm module remove {self.name}`; add the modules behind it by themselves.",
            )

    def _not_loaded(self, error: NotLoaded) -> StoreFailed:
        if error.step != "initialize" or not error.code:
            return StoreFailed(
                f"The module {self.name} could not be loaded: {error.text}.",
                remedy="`keyholm doctor` looks at the module.",
            )
        what, remedy = quirks.init_meaning(self.quirk, error.code)
        return StoreFailed(
            f"The module {self.name} did not start: {what} ({CKR.name(error.code)} of "
            "C_Initialize).",
            remedy=remedy,
        )

    # --- coming and going --------------------------------------------------------------

    def _take(self, found: Mapping[Identity, Facts]) -> None:
        now = dict(self._tokens)
        gone = [now.pop(who) for who in self._tokens if who not in found]
        changed = [
            now.pop(who) for who, token in tuple(now.items()) if _is_other(token, found[who])
        ]
        came: list[ModuleToken] = []
        for who, facts in found.items():
            if who in now:
                now[who].access.facts = facts
                continue
            with suppress(KeyholmError):  # a card that is pulled out again: see the next time
                token = self._new(who, facts, [each.name for each in now.values()])
                came.append(token)
                now[who] = token
        self._tokens = now
        for token in (*gone, *changed):
            self._house.tell(Event(STORE, token.name, Change.TOKEN_WENT))
            token.close()
        for token in came:
            self._house.tell(Event(STORE, token.name, Change.TOKEN_CAME))

    def _new(self, who: Identity, facts: Facts, taken: list[str]) -> ModuleToken:
        around = Surroundings(
            self.setup,
            self.line,
            self._house.human,
            self._house.policies,
            self._house.tell,
            self.look,
        )
        return token_of(who.name(self.name, taken), who, facts, self._house.owner, around)

    def _look_inside(self) -> None:
        """Other programs may make and destroy keys on the same token."""
        now = self._house.clock()
        if now - self._looked_inside < LISTEN:
            return
        self._looked_inside = now
        for token in self.tokens:
            with suppress(KeyholmError):
                token.look_again()

    def close(self) -> None:
        with self._wake:
            self._closed = True
            self._wake.notify()
        self.worker.close()  # first: whoever waits for an answer has one
        if self._watcher is not None:
            self._watcher.join(ENDING)
        for token in self.tokens:
            token.close()
        with self._looking:  # whoever looks has been answered by now: the worker is gone
            if self._line is not None:
                self._line.close()


_NO_TOKEN: Final = frozenset(
    {CKR.TOKEN_NOT_PRESENT, CKR.TOKEN_NOT_RECOGNIZED, CKR.SLOT_ID_INVALID, CKR.DEVICE_REMOVED}
)
# What decides what a token can do at all.
_DECIDING: Final = CKF.LOGIN_REQUIRED | CKF.PROTECTED_AUTHENTICATION_PATH | CKF.WRITE_PROTECTED


def _is_other(token: ModuleToken, facts: Facts) -> bool:
    return (token.facts.info.flags ^ facts.info.flags) & _DECIDING != 0

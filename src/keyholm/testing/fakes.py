"""Stand-ins for what a test cannot or should not have: shipped, so that others use them too.

Each keeps its side of an interface of the core and nothing more; a test that uses one says
"contract fake" in its name where that matters to what it shows.
"""

import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from keyholm.core.audit.records import Management, Operation, Record
from keyholm.core.caller import Process
from keyholm.core.certificates import Certificates
from keyholm.core.consent import Consent
from keyholm.core.errors import NoPrompter, TrailUnavailable
from keyholm.core.gate import Gate
from keyholm.core.inventory import Inventory
from keyholm.core.prompt import Answer, Kind, Notice, Question
from keyholm.core.recording import Recorder
from keyholm.core.secret import Secret
from keyholm.core.store import Store
from keyholm.core.usage import Counts


@dataclass
class Clock:
    """A clock that moves when it is told to."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class ListTrail:
    """A trail in a list: what would be written, in order."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.full = False
        self._lock = threading.Lock()

    def append(self, record: Record, *, durable: bool = False, essential: bool = False) -> int:
        with self._lock:
            if self.full and not essential:
                raise TrailUnavailable("The disk of the trail is full.", remedy="Make room.")
            self.records.append(record)
            return len(self.records)

    def refuse(self, refusal: Operation | Management, caller: Hashable) -> int | None:
        return self.append(refusal, essential=True)

    def of(self, kind: type) -> list[Record]:
        return [record for record in self.records if type(record) is kind]


class _Notice:
    def withdraw(self) -> None:
        pass


@dataclass
class ScriptedPrompters:
    """Answers questions as a script says, and keeps them. An empty script: nobody is there."""

    script: list[bool | bytes] = field(default_factory=list)
    asked: list[Question] = field(default_factory=list)

    def ask(self, question: Question) -> Answer:
        self.asked.append(question)
        if not self.script:
            raise NoPrompter("Nobody can be asked.", remedy="Configure a prompter.")
        answer = self.script.pop(0)
        if isinstance(answer, bytes):
            return Answer(question.kind is Kind.SECRET, "script", Secret.of(answer))
        return Answer(answer, "script", reason="" if answer else "denied")

    def show(self, question: Question) -> Notice:
        self.asked.append(question)
        return _Notice()


def nobody(path: str) -> tuple[int, int, bool] | None:
    """Files of executable rules: none is there."""
    return None


def files(known: dict[str, tuple[int, int, bool]]) -> Callable[[str], tuple[int, int, bool] | None]:
    return known.get


def process(pid: int = 1, *, parents: Sequence[str] = ()) -> Process:
    return Process(pid=pid, start=1, command="test", parents=tuple(parents))


def gate_over(
    stores: Sequence[Store],
    trail: ListTrail,
    people: ScriptedPrompters,
    clock: Clock,
    *,
    certificates: Path | None = None,
    forbidden: frozenset[str] = frozenset(),
) -> Gate:
    """The real gate, on one clock, with its trail in a list and its people in a script."""
    return Gate(
        Inventory(stores),
        Recorder(trail, clock),
        Consent(people, clock=clock),
        files=nobody,
        certificates=Certificates(certificates),
        counts=Counts(None),
        forbidden=forbidden,
        wall=clock,
        clock=clock,
    )

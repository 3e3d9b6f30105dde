"""What `keyholm-agent -d` says on standard error: each record, as the trail gets it."""

import sys
from collections.abc import Hashable
from typing import Final

import msgspec

from keyholm.core.audit.records import Record
from keyholm.core.audit.refusals import Refusal
from keyholm.core.audit.trail import Trail

# What a person looks for; all of it is in the trail.
SHOWN: Final = (
    "event", "action", "op", "mechanism", "target", "result", "what", "exe", "command", "uid",
    "pid", "via", "rule", "consent", "purpose", "user", "namespace",
)  # fmt: skip


class SpokenTrail:
    """As `Trail`, aloud."""

    def __init__(self, trail: Trail) -> None:
        self._trail = trail

    def append(self, record: Record, *, durable: bool = False, essential: bool = False) -> int:
        number = self._trail.append(record, durable=durable, essential=essential)
        _say(record, str(number))
        return number

    def refuse(self, record: Refusal, caller: Hashable) -> int | None:
        number = self._trail.refuse(record, caller)
        _say(record, "counted" if number is None else str(number))
        return number


def _say(record: Record, number: str) -> None:
    facts = msgspec.to_builtins(record)
    shown = " ".join(f"{name}={facts[name]!s}" for name in SHOWN if facts.get(name))
    sys.stderr.write(f"debug1: {number}: {shown}\n")
    sys.stderr.flush()

"""What verification found, and what the trail is worth."""

from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Final


@unique
class Worth(StrEnum):
    CHAINED = "chained"
    SEALED = "sealed"
    WITNESSED = "witnessed"
    SEPARATE_UID = "separate uid"


MEANING: Final = {
    Worth.CHAINED: "finds accidents; a program of the user who writes it could rewrite it whole",
    Worth.SEALED: "a TPM or card signed it; what it signed cannot be rewritten",
    Worth.WITNESSED: "agrees with copies of its checkpoints that were kept elsewhere",
    Worth.SEPARATE_UID: "belongs to a user that none of its callers is",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What is not as it was written, and where."""

    trail: str
    file: str
    what: str
    offset: int | None = None
    record: int | None = None

    def __str__(self) -> str:
        place = f"{self.trail}/{self.file}"
        if self.offset is not None:
            place += f", byte {self.offset}"
        if self.record is not None:
            place += f", record {self.record}"
        return f"{place}: {self.what}"


@dataclass(slots=True)
class TrailReport:
    """One trail of the pool."""

    name: str
    origin: str = ""
    first: int = 0  # older records were pruned
    records: int = 0  # the number that the next one will have
    signed: int = 0  # covered by the newest checkpoint
    sealed: int = 0  # covered by the newest checkpoint that a seal has signed
    witnessed: int = 0  # covered by the newest copy that agrees
    separate: bool = False
    findings: list[Finding] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def found(
        self, file: str, what: str, *, offset: int | None = None, record: int | None = None
    ) -> None:
        self.findings.append(Finding(self.name, file, what, offset, record))

    @property
    def worth(self) -> tuple[Worth, ...]:
        if self.findings:
            return ()
        reached = {
            Worth.CHAINED: True,
            Worth.SEALED: self.sealed > 0,
            Worth.WITNESSED: self.witnessed > 0,
            Worth.SEPARATE_UID: self.separate,
        }
        return tuple(worth for worth, is_reached in reached.items() if is_reached)


@dataclass(frozen=True, slots=True)
class Report:
    trails: tuple[TrailReport, ...]
    findings: tuple[Finding, ...]

    @property
    def is_intact(self) -> bool:
        return not self.findings

    @property
    def records(self) -> int:
        return sum(each.records - each.first for each in self.trails)

    @property
    def is_tamper_evident(self) -> bool:
        """Against the programs of the user who writes it."""
        return all(set(each.worth) - {Worth.CHAINED} for each in self.trails)

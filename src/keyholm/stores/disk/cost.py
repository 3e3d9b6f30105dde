"""What a guess at a passphrase costs: the parameters of argon2id, and which are believed."""

from dataclasses import dataclass
from typing import Final

from keyholm.core.errors import StoreDamaged


@dataclass(frozen=True, slots=True)
class Cost:
    passes: int = 3
    memory: int = 256 * 1024  # KiB
    lanes: int = 4

    def __str__(self) -> str:
        return f"argon2id t={self.passes} m={self.memory / 1024:g} MiB p={self.lanes}"

    def __le__(self, other: "Cost") -> bool:
        return (
            self.passes <= other.passes
            and self.memory <= other.memory
            and self.lanes <= other.lanes
        )


DEFAULT: Final = Cost()
# RFC 9106, section 4, its choice for little memory: a file that asks for less is refused.
FLOOR: Final = Cost(3, 64 * 1024, 4)
# More would be a way to take the daemon's memory by a file.
CEILING: Final = Cost(16, 4 * 1024 * 1024, 16)


def check(cost: Cost, floor: Cost, where: str) -> None:
    """Raises `StoreDamaged`: we do not write such a file."""
    # RFC 9106, 3.1: eight KiB a lane at least.
    if floor <= cost <= CEILING and cost.memory >= 8 * cost.lanes:
        return
    raise StoreDamaged(
        f"{where} wants {cost}, and what is read has between {floor} and {CEILING}.",
        remedy="Restore the token from a backup.",
    )

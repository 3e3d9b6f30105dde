"""What one application unlocked for itself: its logins, which no other application has.

A door whose protocol has logins (PKCS#11) gives all connections of one application the same
`Logins`; callers of other doors have none.
"""

from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Final

SHORTEST_PIN: Final = 4  # bytes
LONGEST_PIN: Final = 255


@unique
class Role(StrEnum):
    """Who logs in to a token."""

    USER = "user"
    OFFICER = "so"


@dataclass(eq=False, slots=True)
class Logins:
    """Who the application is at which token: a store's name and the token's."""

    roles: dict[tuple[str, str], Role] = field(default_factory=dict)

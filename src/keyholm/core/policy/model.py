"""What a policy can say. Every field has a default that forbids nothing."""

from typing import Final

from msgspec import Struct

from keyholm.core.caller import Door
from keyholm.core.destination import Destination, from_wire
from keyholm.core.errors import ConstraintUnsupported
from keyholm.core.policy.hours import Hours
from keyholm.wire.ssh.constraints import RestrictDestination


class CallerRule(Struct, frozen=True):
    """Matches a caller of whom everything that is said here is true."""

    uid: int | None = None
    executable: str = ""  # an absolute path; see `callers` for what it is worth
    unit: str = ""  # systemd unit; also where it forwards for somebody else
    forwarded: bool | None = None


class Confirm(Struct, frozen=True):
    """Whether a human is asked: at each use, or once in some minutes for a program."""

    asked: bool = False
    minutes: int = 0


class Rate(Struct, frozen=True):
    """At most `burst` uses in any second and `per_minute` in any minute."""

    per_minute: int
    burst: int


class Policy(Struct, frozen=True):
    """The rules of one key."""

    deny: tuple[CallerRule, ...] = ()
    allow: tuple[CallerRule, ...] = ()  # empty: anybody who may use the token
    doors: frozenset[Door] | None = None
    operations: frozenset[str] | None = None
    mechanisms: frozenset[str] | None = None
    namespaces: frozenset[str] = frozenset()  # of SSHSIG
    destinations: tuple[Destination, ...] = ()
    readable: bool = False  # signs only SSH logins and SSHSIG, which the gate can read
    hours: Hours | None = None
    expires: float | None = None  # seconds since the epoch
    max_uses: int = 0  # 0: no limit
    rate: Rate | None = None
    confirm: Confirm = Confirm()
    also: tuple["Policy", ...] = ()  # other policies that must agree

    def __post_init__(self) -> None:
        # Nothing at all cannot be written, since an empty list reads as no limit.
        if frozenset() in (self.doors, self.operations, self.mechanisms):
            raise ValueError("a policy that allows no door, operation or mechanism")

    @property
    def parts(self) -> tuple["Policy", ...]:
        """This one and those that must agree, none of which has others in turn."""
        return (self, *self.also)

    @property
    def most_uses(self) -> int:
        """The smallest limit of all parts; 0: none."""
        return min((part.max_uses for part in self.parts if part.max_uses), default=0)

    @property
    def is_counted(self) -> bool:
        return any(part.max_uses or part.rate for part in self.parts)

    @property
    def is_bound(self) -> bool:
        """Whether what is signed decides."""
        return any(part.destinations or part.namespaces or part.readable for part in self.parts)

    @property
    def is_constrained(self) -> bool:
        return any(part.destinations for part in self.parts)


OPEN: Final = Policy()


def from_constraints(
    *,
    confirm: bool,
    max_uses: int | None,
    destinations: RestrictDestination | None,
    readable_only: bool = False,
) -> Policy:
    """What `ssh-add` asked for, as a policy. Raises `ConstraintUnsupported`."""
    if max_uses == 0:
        # A limit of 0 is none at all in a policy, and whoever sent it did not mean that.
        raise ConstraintUnsupported("A key that is good for no signature was not taken.")
    return Policy(
        destinations=from_wire(destinations),
        readable=readable_only,
        max_uses=max_uses or 0,
        confirm=Confirm(asked=confirm),
    )

"""Who asks: the process at the other end of a connection, and how it came to us.

The kernel says which uid and pid connected; the rest is looked up once, when a decision
or a record first needs it, by the steward (the keeper's sandbox cannot read another
process's /proc entries). What a program is called is attribution and noise control, not
a boundary: a process can exec another program after it connected, and code can be
injected into one (SECURITY.md).
"""

from collections.abc import Callable
from enum import StrEnum, unique
from itertools import count
from typing import Any, Final

from msgspec import Struct, field

from keyholm.core.destination import Binding
from keyholm.core.session import Logins


@unique
class Door(StrEnum):
    AGENT = "agent"
    PKCS11 = "pkcs11"
    DBUS = "dbus"
    CONTROL = "control"
    API = "api"


@unique
class Via(StrEnum):
    """How a request came here."""

    DIRECT = "direct"  # from a process of this machine, for itself
    RELAY = "relay"  # through an ssh process that passes a socket on
    FORWARDED = "forwarded"  # session-bound by ssh for a host beyond the next
    UNBOUND = "unbound"  # cannot be known


# What is said behind a path that is not to be found here.
DELETED: Final = " (deleted)"
ELSEWHERE: Final = " (of another mount namespace)"


class Executable(Struct, frozen=True):
    """A program by what the kernel runs, not by its name: two paths can be one file."""

    path: str
    device: int
    inode: int
    trusted: bool  # owned by root and writable by nobody else
    interpreter: bool  # runs scripts, so that its name says nothing

    @property
    def plain_path(self) -> str:
        return self.path.removesuffix(ELSEWHERE).removesuffix(DELETED)

    @property
    def name(self) -> str:
        return self.plain_path.rpartition("/")[2]


class Peer(Struct, frozen=True):
    """What the kernel said at accept."""

    uid: int
    gid: int
    pid: int


class Process(Struct, frozen=True):
    """What was found out about a peer. Empty strings and None: could not be known."""

    pid: int
    start: int = 0  # clock ticks after boot, with the pid unique until the next boot
    executable: Executable | None = None
    unit: str = ""  # systemd unit
    cgroup: str = ""
    tty: str = ""
    command: str = ""  # its name (comm), never its arguments: they may hold secrets
    parents: tuple[str, ...] = ()  # command names, nearest first
    relay: bool = False  # an ssh or sshd process


UNKNOWN_PROCESS = Process(pid=0)

_numbers = count(1)


class Caller(Struct, eq=False):
    """One connection's client, and of one thread. The door appends to `bindings`; all else is
    fixed."""

    door: Door
    peer: Peer
    identify: Callable[[], Process] = lambda: UNKNOWN_PROCESS
    relayed: bool = False  # the door knows that it serves a relay (`keyholm p11 --stdio`)
    bindings: list[Binding] = field(default_factory=list)
    bind_attempted: bool = False  # even a failed session-bind marks a connection as remote
    number: int = field(default_factory=lambda: next(_numbers))
    memory: dict[object, Any] = field(default_factory=dict)
    """What the gate remembers of this connection: decisions, its session record."""
    logins: Logins | None = None  # of its application, where the door's protocol has logins
    _process: Process | None = None

    def __repr__(self) -> str:  # without what is remembered
        return f"Caller({self.number}, {self.door}, {self.peer})"

    @property
    def process(self) -> Process:
        # No functools.cached_property: until Python 3.12 all callers would wait for each other.
        found = self._process
        if found is None:
            found = self._process = self.identify()
        return found

    @property
    def via(self) -> Via:
        if any(binding.is_forwarding for binding in self.bindings):
            return Via.FORWARDED
        if self.relayed:
            return Via.RELAY
        if self.process.start == 0:
            return Via.UNBOUND
        if self.process.relay and not self.bindings:
            # An ssh process asks for itself, or passes somebody else's bytes on: on the
            # agent's socket it says which by session-bind, elsewhere it never can.
            return Via.UNBOUND if self.door is Door.AGENT else Via.RELAY
        return Via.DIRECT

    @property
    def uid(self) -> int:
        return self.peer.uid

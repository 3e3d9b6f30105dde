"""What a decision is made from, and what it says."""

from collections.abc import Callable

from msgspec import Struct

from keyholm.core.caller import Door, Process, Via
from keyholm.core.destination import Binding
from keyholm.core.mechanisms import Input, Mechanism
from keyholm.wire.codec import Malformed
from keyholm.wire.ssh import sshsig, userauth
from keyholm.wire.ssh.sshsig import SshSig
from keyholm.wire.ssh.userauth import UserAuth

Context = UserAuth | SshSig | None

Files = Callable[[str], tuple[int, int, bool] | None]
"""Device, inode and trustworthiness of a path; None where it is not there."""


class Usage(Struct, frozen=True):
    """How often the key was used. The times are of a clock that never goes back."""

    uses: int = 0
    recent: tuple[float, ...] = ()  # times of the last uses, oldest first
    now: float = 0.0


class Request(Struct, frozen=True, kw_only=True):
    """All that a decision may depend on."""

    uid: int
    door: Door
    via: Via
    process: Process
    bindings: tuple[Binding, ...] = ()
    bind_attempted: bool = False
    operation: str = "sign"
    key_blob: bytes  # the plain public key that is asked for
    mechanism: Mechanism
    input: Input | None  # None: not there yet, an operation is being begun
    context: Context = None
    now: float  # seconds since the epoch
    usage: Usage = Usage()


class ConsentNeeded(Struct, frozen=True):
    minutes: int = 0  # for how long it may be remembered; 0: not at all
    host: str = ""  # that is logged in to, as a destination of the policy calls it


class Decision(Struct, frozen=True):
    """`rule` names what decided, as in `destinations`; `cacheable` says that the answer
    holds for this connection, key, mechanism and kind of input until the policy or a
    binding changes."""

    allowed: bool
    rule: str
    reason: str = ""
    remedy: str = ""
    consent: ConsentNeeded | None = None
    cacheable: bool = True


class Step(Struct, frozen=True):
    """One rule that was looked at. `outcome` is `skip` (a caller's rule that does not match),
    `pass`, `ask`, `refuse` or `decides`."""

    rule: str
    outcome: str
    reason: str


class Refusal(Struct, frozen=True):
    rule: str
    reason: str
    remedy: str = ""


def context_of(data: bytes) -> Context:
    """What a message is about, if it is one that we can read."""
    if data.startswith(sshsig.MAGIC):
        parse: Callable[[bytes], UserAuth | SshSig] = sshsig.parse_signed
    elif userauth.begins(data):
        parse = userauth.parse
    else:
        return None
    try:
        return parse(data)
    except Malformed:
        return None

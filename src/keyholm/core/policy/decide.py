"""What follows from a policy for one request, and which rule says so.

A rule about a program matches the device and inode of what the kernel runs against those
of the rule's path, which must belong to root and be writable by nobody else. It matches
direct callers only, and no interpreter, whose name says nothing. That is attribution and
noise control, not a boundary: a process can exec another program after it connected.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from keyholm.core.caller import Door, Process, Via
from keyholm.core.destination import Binding, permitted
from keyholm.core.model import Input, Mechanism, Message, spelling
from keyholm.core.policy.model import MINUTES_OF_DAY, CallerRule, Hours, Policy, Rate
from keyholm.wire.codec import Malformed
from keyholm.wire.ssh import sshsig, userauth
from keyholm.wire.ssh.sshsig import SshSig
from keyholm.wire.ssh.userauth import UserAuth

DEFAULT: Final = "default"

Files = Callable[[str], tuple[int, int, bool] | None]
"""Device, inode and trustworthiness of a path; None where it is not there."""


@dataclass(frozen=True, slots=True)
class Usage:
    uses: int = 0
    recent: tuple[float, ...] = ()  # times of the last uses, oldest first


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """All that a decision may depend on."""

    uid: int
    door: Door
    via: Via
    process: Process
    bindings: tuple[Binding, ...] = ()
    bind_attempted: bool = False
    operation: str = "sign"
    mechanism: Mechanism
    input: Input | None  # None: not there yet, an operation is being begun
    context: UserAuth | SshSig | None = None
    now: float
    usage: Usage = Usage()


@dataclass(frozen=True, slots=True)
class ConsentNeeded:
    minutes: int = 0  # for how long it may be remembered; 0: not at all


@dataclass(frozen=True, slots=True)
class Decision:
    """`rule` names what decided, as in `destinations`; `cacheable` says that the answer
    holds for this connection, key and mechanism until the policy or a binding changes."""

    allowed: bool
    rule: str
    reason: str = ""
    remedy: str = ""
    consent: ConsentNeeded | None = None
    cacheable: bool = True


@dataclass(frozen=True, slots=True)
class Step:
    """One rule that was looked at: `outcome` is pass, refuse, ask or decides."""

    rule: str
    outcome: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Refusal:
    rule: str
    reason: str
    remedy: str = ""


_Check = Callable[[Policy, Request, Files], _Refusal | None]


def context_of(data: bytes) -> UserAuth | SshSig | None:
    """What a message is about, if it is one that we can read."""
    if data.startswith(sshsig.MAGIC):
        parse: Callable[[bytes], UserAuth | SshSig] = sshsig.parse_signed
    else:
        parse = userauth.parse
    try:
        return parse(data)
    except Malformed:
        return None


def decide(policy: Policy, request: Request, files: Files) -> Decision:
    consent: list[ConsentNeeded] = []
    for part in policy.parts:
        for check in _CHECKS.values():
            refusal = check(part, request, files)
            if refusal is not None:
                return Decision(
                    False, refusal.rule, refusal.reason, refusal.remedy, cacheable=False
                )
        if part.confirm.asked:
            consent.append(ConsentNeeded(part.confirm.minutes))
    cacheable = not any(map(_depends_on_more, policy.parts))
    if consent:
        shortest = min(consent, key=lambda needed: needed.minutes)
        return Decision(True, "confirm", consent=shortest, cacheable=False)
    return Decision(True, _deciding(policy, request, files), cacheable=cacheable)


def explain(policy: Policy, request: Request, files: Files) -> tuple[Step, ...]:
    """Every rule that the policy has, in the order in which they are looked at."""
    return tuple(_steps(policy, request, files))


def _steps(policy: Policy, request: Request, files: Files) -> Iterator[Step]:
    for part in policy.parts:
        for name, check in _CHECKS.items():
            if not _has(part, name):
                continue
            refusal = check(part, request, files)
            if refusal is not None:
                yield Step(refusal.rule, "refuse", refusal.reason)
                return
            yield Step(name, "pass", "")
        if part.confirm.asked:
            yield Step("confirm", "ask", "somebody is asked before the key is used")
    yield Step(decide(policy, request, files).rule, "decides", "the key may be used")


def _has(policy: Policy, name: str) -> bool:
    if name == "readable":
        return bool(policy.readable or policy.namespaces or policy.destinations)
    value = getattr(policy, name)
    return value is not None and value not in ((), frozenset(), 0, False)


def _depends_on_more(policy: Policy) -> bool:
    """Whether the answer depends on the message, the time, or how often it was given."""
    return bool(
        policy.namespaces
        or policy.destinations
        or policy.readable
        or policy.hours
        or policy.expires is not None
        or policy.max_uses
        or policy.rate
    )


def _deciding(policy: Policy, request: Request, files: Files) -> str:
    """The rule that let it through, most telling first."""
    for number, rule in enumerate(policy.allow):
        if _matches(rule, request, files):
            return f"allow[{number}]"
    if isinstance(request.context, UserAuth) and policy.destinations:
        return "destinations"
    if isinstance(request.context, SshSig) and policy.namespaces:
        return "namespaces"
    return DEFAULT


# --- callers -------------------------------------------------------------------------


def _matches(rule: CallerRule, request: Request, files: Files) -> bool:
    if rule.uid is not None and rule.uid != request.uid:
        return False
    if rule.forwarded is not None and rule.forwarded != (request.via is not Via.DIRECT):
        return False
    if rule.unit and rule.unit != request.process.unit:
        return False
    return not rule.executable or _is_program(rule.executable, request, files)


def _is_program(path: str, request: Request, files: Files) -> bool:
    program = request.process.executable
    if program is None or program.interpreter or request.via is not Via.DIRECT:
        return False
    found = files(path)
    if found is None:
        return False
    device, inode, trusted = found
    return trusted and (device, inode) == (program.device, program.inode)


def _deny(policy: Policy, request: Request, files: Files) -> _Refusal | None:
    for number, rule in enumerate(policy.deny):
        if _matches(rule, request, files):
            return _Refusal(f"deny[{number}]", "The key's policy denies this caller.")
    return None


def _allow(policy: Policy, request: Request, files: Files) -> _Refusal | None:
    if not policy.allow or any(_matches(rule, request, files) for rule in policy.allow):
        return None
    program = request.process.executable
    who = program.path if program else f"uid {request.uid}"
    return _Refusal(
        "allow",
        f"The key's policy does not allow {who} ({request.via}).",
        "`keyholm policy explain --pid PID KEY` shows what it looks at.",
    )


# --- what is done --------------------------------------------------------------------


def _doors(policy: Policy, request: Request, files: Files) -> _Refusal | None:
    if policy.doors is None or request.door in policy.doors:
        return None
    return _Refusal("doors", f"The key may not be used through the {request.door} door.")


def _operations(policy: Policy, request: Request, files: Files) -> _Refusal | None:
    if policy.operations is None or request.operation in policy.operations:
        return None
    return _Refusal("operations", f"The key may not be used to {request.operation}.")


def _mechanisms(policy: Policy, request: Request, files: Files) -> _Refusal | None:
    name = spelling(request.mechanism)
    if policy.mechanisms is None or name in policy.mechanisms:
        return None
    return _Refusal("mechanisms", f"The key may not be used with {name}.")


def _readable(policy: Policy, request: Request, files: Files) -> _Refusal | None:
    """What a key that is bound to namespaces or destinations may sign."""
    if not (policy.namespaces or policy.destinations or policy.readable):
        return None
    if request.input is None:
        return None  # decided when the message is there
    context = request.context
    if not isinstance(request.input, Message):
        return _Refusal(
            _bound_by(policy),
            "The key signs only what can be read, and was given a bare digest.",
            "`ssh -I` and other PKCS#11 clients send digests: use the agent instead.",
        )
    if context is None:
        return _Refusal(
            _bound_by(policy), "The key signs only SSH logins and SSHSIG, and this is neither."
        )
    if isinstance(context, SshSig):
        return _namespace(policy, context)
    return _destination(policy, request, context)


def _bound_by(policy: Policy) -> str:
    if policy.namespaces:
        return "namespaces"
    return "destinations" if policy.destinations else "readable"


def _namespace(policy: Policy, context: SshSig) -> _Refusal | None:
    if context.namespace in policy.namespaces:
        return None
    if not policy.namespaces and not policy.destinations:
        return None
    if not policy.namespaces:
        return _Refusal("destinations", "The key is for logins, and this is a file's signature.")
    return _Refusal(
        "namespaces",
        f"The key signs for {', '.join(sorted(policy.namespaces))}, not for {context.namespace!r}.",
    )


def _destination(policy: Policy, request: Request, context: UserAuth) -> _Refusal | None:
    if not policy.destinations:
        if not policy.namespaces:
            return None
        names = ", ".join(sorted(policy.namespaces))
        return _Refusal("namespaces", f"The key signs for {names}, and this is a login.")
    verdict = permitted(policy.destinations, request.bindings, request.bind_attempted, context)
    if verdict.permitted:
        return None
    return _Refusal(
        "destinations",
        f"The key may not be used there: {verdict.reason}.",
        "It is bound to destinations; ssh 8.9 and later prove where they connect to.",
    )


# --- when and how often --------------------------------------------------------------


def _hours(policy: Policy, request: Request, files: Files) -> _Refusal | None:
    if policy.hours is None or _is_within(policy.hours, request.now):
        return None
    return _Refusal("hours", "The key's policy does not allow its use at this hour.")


def _is_within(hours: Hours, now: float) -> bool:
    local = datetime.fromtimestamp(now, ZoneInfo(hours.zone))
    minute = 60 * local.hour + local.minute
    if hours.start <= minute < min(hours.end, MINUTES_OF_DAY) and local.weekday() in hours.days:
        return True
    # A span over midnight belongs to the day on which it began.
    yesterday = (local - timedelta(days=1)).weekday()
    return minute < hours.end - MINUTES_OF_DAY and yesterday in hours.days


def _expires(policy: Policy, request: Request, files: Files) -> _Refusal | None:
    if policy.expires is None or request.now < policy.expires:
        return None
    return _Refusal("expires", "The key has expired.", "`keyholm policy` can give it more time.")


def _max_uses(policy: Policy, request: Request, files: Files) -> _Refusal | None:
    if not policy.max_uses or request.usage.uses < policy.max_uses:
        return None
    return _Refusal(
        "max_uses",
        f"The key was good for {policy.max_uses} uses, and all are used up.",
        "`keyholm policy` can give it more.",
    )


def _rate(policy: Policy, request: Request, files: Files) -> _Refusal | None:
    if policy.rate is None or _has_token(policy.rate, request.usage.recent, request.now):
        return None
    return _Refusal(
        "rate",
        f"The key may be used {policy.rate.per_minute} times a minute, and was used more often.",
        "Wait a little.",
    )


def _has_token(rate: Rate, recent: Sequence[float], now: float) -> bool:
    """A bucket of `burst` tokens that fills `per_minute`, replayed over the last uses."""
    level, before = float(rate.burst), None
    for time in recent:
        if before is not None:
            level = min(float(rate.burst), level + max(0.0, time - before) * rate.per_minute / 60)
        level -= 1
        before = time
    if before is not None:
        level = min(float(rate.burst), level + max(0.0, now - before) * rate.per_minute / 60)
    return level >= 1


# In the order in which they are looked at; the names are those of the fields.
_CHECKS: Final[dict[str, _Check]] = {
    "deny": _deny,
    "allow": _allow,
    "doors": _doors,
    "operations": _operations,
    "mechanisms": _mechanisms,
    "readable": _readable,
    "hours": _hours,
    "expires": _expires,
    "max_uses": _max_uses,
    "rate": _rate,
}

"""What follows from a policy for one request, and which rule says so."""

from collections.abc import Callable, Iterator
from typing import Final

from keyholm.core.destination import Verdict, permitted
from keyholm.core.mechanisms import Message, spelling
from keyholm.core.policy import callers
from keyholm.core.policy.model import OPEN, Policy
from keyholm.core.policy.request import (
    ConsentNeeded,
    Decision,
    Files,
    Refusal,
    Request,
    Step,
)
from keyholm.wire.codec import Malformed
from keyholm.wire.ssh import certificates
from keyholm.wire.ssh.sshsig import SshSig
from keyholm.wire.ssh.userauth import UserAuth

DEFAULT: Final = "default"
ASKED: Final = "somebody is asked before the key is used"

_Check = Callable[[Policy, Request, Files], Refusal | None]


def decide(policy: Policy, request: Request, files: Files) -> Decision:
    consent: list[int] = []
    rule = ""
    for prefix, part in _named_parts(policy):
        refusal = _refusal(part, request, files)
        if refusal is not None:
            name = prefix + refusal.rule
            return Decision(False, name, refusal.reason, refusal.remedy, cacheable=False)
        if part.confirm.asked:
            consent.append(part.confirm.minutes)
            rule = rule or f"{prefix}confirm"
    if consent:
        needed = ConsentNeeded(min(consent), _host(policy, request))
        return Decision(True, rule, consent=needed, cacheable=False)
    cacheable = not any(map(_depends_on_more, policy.parts))
    return Decision(True, _deciding(policy, request, files), cacheable=cacheable)


def explain(policy: Policy, request: Request, files: Files) -> tuple[Step, ...]:
    """Every rule that the policy has, in the order in which they are looked at."""
    return tuple(_steps(policy, request, files))


def _steps(policy: Policy, request: Request, files: Files) -> Iterator[Step]:
    for prefix, part in _named_parts(policy):
        for step in _steps_of(part, request, files):
            yield Step(prefix + step.rule, step.outcome, step.reason)
            if step.outcome == "refuse":
                return
    decision = decide(policy, request, files)
    yield Step(decision.rule, "decides", ASKED if decision.consent else "the key may be used")


def _steps_of(part: Policy, request: Request, files: Files) -> Iterator[Step]:
    for name, check in _CHECKS.items():
        if name in ("deny", "allow"):
            yield from callers.steps(name, getattr(part, name), request, files)
        refusal = check(part, request, files)
        if refusal is not None:
            yield Step(refusal.rule, "refuse", refusal.reason)
            return
        for field in _BINDING if name == "bound" else ():
            if _has(part, field):
                yield Step(field, "pass", _if_undecided(request))
        if name in _PLAIN and _has(part, name):
            yield Step(name, "pass", "")
    if part.confirm.asked:
        yield Step("confirm", "ask", ASKED)


def _named_parts(policy: Policy) -> Iterator[tuple[str, Policy]]:
    yield "", policy
    for number, part in enumerate(policy.also):
        yield f"also[{number}].", part


def _refusal(part: Policy, request: Request, files: Files) -> Refusal | None:
    return next(
        (found for check in _CHECKS.values() if (found := check(part, request, files))), None
    )


def _has(policy: Policy, name: str) -> bool:
    return bool(getattr(policy, name) != getattr(OPEN, name))


def _depends_on_more(policy: Policy) -> bool:
    """Whether the answer depends on the message, the time, or how often it was given."""
    return any(_has(policy, name) for name in (*_BINDING, *_PASSING))


def _deciding(policy: Policy, request: Request, files: Files) -> str:
    """The rule that let it through, most telling first."""
    for number, rule in enumerate(policy.allow):
        if not callers.mismatch(rule, request, files):
            return f"allow[{number}]"
    if isinstance(request.context, UserAuth) and policy.destinations:
        return "destinations"
    if isinstance(request.context, SshSig) and policy.namespaces:
        return "namespaces"
    return DEFAULT


# --- what is done --------------------------------------------------------------------


def _doors(policy: Policy, request: Request, files: Files) -> Refusal | None:
    if policy.doors is None or request.door in policy.doors:
        return None
    return Refusal("doors", f"The key may not be used through the {request.door} door.")


def _operations(policy: Policy, request: Request, files: Files) -> Refusal | None:
    if policy.operations is None or request.operation in policy.operations:
        return None
    return Refusal("operations", f"The key may not be used to {request.operation}.")


def _mechanisms(policy: Policy, request: Request, files: Files) -> Refusal | None:
    name = spelling(request.mechanism)
    if policy.mechanisms is None or name in policy.mechanisms:
        return None
    return Refusal("mechanisms", f"The key may not be used with {name}.")


# --- what is signed ------------------------------------------------------------------


def _bound(policy: Policy, request: Request, files: Files) -> Refusal | None:
    """What a key that is bound to namespaces or destinations may sign.

    Bound to both, it signs in either.
    """
    by = next((name for name in _BINDING if _has(policy, name)), "")
    if not by:
        return None
    if request.operation != "sign":
        return Refusal(
            by, f"The key is bound to what it signs, and is not used to {request.operation}."
        )
    if request.input is None:  # without a message: decided when it is there
        return None
    if not isinstance(request.input, Message):
        return Refusal(
            by,
            "The key signs only what can be read, and was given a bare digest.",
            "`ssh -I` and other PKCS#11 clients send digests: use the agent instead.",
        )
    match request.context:
        case UserAuth() as login:
            return _login(policy, request, login)
        case SshSig() as signature:
            return _signature(policy, signature)
        case None:
            return Refusal(by, "The key signs only SSH logins and SSHSIG, and this is neither.")


def _signature(policy: Policy, context: SshSig) -> Refusal | None:
    if context.namespace in policy.namespaces:
        return None
    if policy.namespaces:
        names = ", ".join(sorted(policy.namespaces))
        return Refusal("namespaces", f"The key signs for {names}, not for {context.namespace!r}.")
    if policy.destinations:
        return Refusal("destinations", "The key is for logins, and this is a file's signature.")
    return None


def _login(policy: Policy, request: Request, context: UserAuth) -> Refusal | None:
    if not policy.destinations and policy.namespaces:
        names = ", ".join(sorted(policy.namespaces))
        return Refusal("namespaces", f"The key signs for {names}, and this is a login.")
    if not _is_with(request.key_blob, context):
        by = "destinations" if policy.destinations else "readable"
        return Refusal(by, "The login names another key than the one that is to sign it.")
    if not policy.destinations:
        return None
    verdict = _verdict(policy, request, context)
    if verdict.permitted:
        return None
    return Refusal(
        "destinations",
        f"The key may not be used there: {verdict.reason}.",
        "It is bound to destinations; ssh 8.9 and later prove where they connect to.",
    )


def _verdict(policy: Policy, request: Request, context: UserAuth) -> Verdict:
    return permitted(
        policy.destinations, request.bindings, request.bind_attempted, context, now=request.now
    )


def _host(policy: Policy, request: Request) -> str:
    """What the first destination that permits a login calls the host; empty where none does."""
    context = request.context
    if not isinstance(context, UserAuth):
        return ""
    verdicts = (_verdict(part, request, context) for part in policy.parts if part.destinations)
    return next((verdict.host for verdict in verdicts if verdict.permitted), "")


def _is_with(key_blob: bytes, context: UserAuth) -> bool:
    try:
        return certificates.plain_blob(context.key_blob) == key_blob
    except Malformed:
        return False


def _if_undecided(request: Request) -> str:
    return "" if request.input else "it depends on what is signed, which is not known yet"


# --- when and how often --------------------------------------------------------------


def _hours(policy: Policy, request: Request, files: Files) -> Refusal | None:
    within = policy.hours is None or policy.hours.contains(request.now)
    if within is None:
        return Refusal(
            "hours",
            f"The key's policy names hours of {policy.hours}, and this machine does not know "
            "that time zone.",
            "Install the time zones (Debian: tzdata).",
        )
    if within:
        return None
    return Refusal("hours", f"The key may be used only {policy.hours}.")


def _expires(policy: Policy, request: Request, files: Files) -> Refusal | None:
    if policy.expires is None or request.now < policy.expires:
        return None
    return Refusal(
        "expires", "The key has expired.", "`keyholm policy edit` can give it more time."
    )


def _max_uses(policy: Policy, request: Request, files: Files) -> Refusal | None:
    if not policy.max_uses or request.usage.uses < policy.max_uses:
        return None
    return Refusal(
        "max_uses",
        f"The key was good for {policy.max_uses} uses, and all are used up.",
        "`keyholm policy edit` can give it more.",
    )


def _rate(policy: Policy, request: Request, files: Files) -> Refusal | None:
    if policy.rate is None:
        return None
    for most, seconds, span in (
        (policy.rate.burst, 1.0, "second"),
        (policy.rate.per_minute, 60.0, "minute"),
    ):
        recent = request.usage.recent
        if len(recent) >= most and request.usage.now - recent[-most] < seconds:
            return Refusal(
                "rate", f"The key was used {most} times in a {span} already.", "Wait a little."
            )
    return None


_BINDING: Final = ("namespaces", "destinations", "readable")
_PASSING: Final[dict[str, _Check]] = {
    "hours": _hours,
    "expires": _expires,
    "max_uses": _max_uses,
    "rate": _rate,
}
# In the order in which they are looked at; the names are those of the fields, but for `bound`,
# which stands for the fields of `_BINDING`.
_CHECKS: Final[dict[str, _Check]] = {
    "deny": callers.deny,
    "allow": callers.allow,
    "doors": _doors,
    "operations": _operations,
    "mechanisms": _mechanisms,
    "bound": _bound,
    **_PASSING,
}
_PLAIN: Final = frozenset(_CHECKS) - {"deny", "allow", "bound"}

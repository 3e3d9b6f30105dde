"""Whether a rule is about this caller.

A rule about a program matches the device and inode of what the kernel runs against those
of the rule's path, which must belong to root and be writable by nobody else. It matches
direct callers only, and no interpreter, whose name says nothing. That is attribution and
noise control, not a boundary: a process can exec another program after it connected.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from keyholm.core.caller import Via
from keyholm.core.policy.model import CallerRule, Policy
from keyholm.core.policy.request import Files, Refusal, Request, Step

WORTH: Final = "told by its file when it connected: order, and no wall against a hostile program"


def mismatch(rule: CallerRule, request: Request, files: Files) -> str:
    """Why `rule` is not about this caller; empty where it is."""
    if rule.uid is not None and rule.uid != request.uid:
        return f"the caller's uid is {request.uid}"
    if rule.forwarded is not None and rule.forwarded != (request.via is not Via.DIRECT):
        return f"the caller is {request.via}"
    if rule.unit and rule.unit != request.process.unit:
        return f"the caller's unit is {request.process.unit or 'unknown'}"
    return _other_program(rule.executable, request, files) if rule.executable else ""


def _other_program(path: str, request: Request, files: Files) -> str:
    program = request.process.executable
    if program is None:
        return "which program the caller runs is unknown"
    if request.via is not Via.DIRECT:
        return f"programs are told apart on direct connections, and this one is {request.via}"
    if program.interpreter:
        return f"{program.path} is an interpreter: which script it runs cannot be told"
    found = files(path)
    if found is None:
        return f"{path} is not there"
    device, inode, trusted = found
    if not trusted:
        return f"others than root can change {path}"
    return "" if (device, inode) == (program.device, program.inode) else f"it is {program.path}"


def deny(policy: Policy, request: Request, files: Files) -> Refusal | None:
    for number, rule in enumerate(policy.deny):
        if not mismatch(rule, request, files):
            return Refusal(
                f"deny[{number}]",
                f"The key's policy denies {who(request)}.",
                "`keyholm policy show KEY` shows the rule.",
            )
    return None


def allow(policy: Policy, request: Request, files: Files) -> Refusal | None:
    if not policy.allow or any(not mismatch(rule, request, files) for rule in policy.allow):
        return None
    return Refusal(
        "allow",
        f"The key's policy allows others, but not {who(request)}.",
        "`keyholm policy explain --pid PID KEY` shows why no rule of it matches.",
    )


def steps(name: str, rules: Iterable[CallerRule], request: Request, files: Files) -> Iterator[Step]:
    """The rules of the list called `name` that do not match, up to the first that does."""
    for number, rule in enumerate(rules):
        reason = mismatch(rule, request, files)
        if reason:
            yield Step(f"{name}[{number}]", "skip", reason)
            continue
        if name == "allow":
            yield Step(f"{name}[{number}]", "pass", WORTH if rule.executable else "")
        return


def who(request: Request) -> str:
    program = request.process.executable
    name = program.path if program else "an unknown program"
    return f"{name} of uid {request.uid} ({request.via})"

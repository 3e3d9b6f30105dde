"""Turns what the gate did into records of the trail.

The caller's facts go into one `session` record, before the first record that needs them;
all others name it. Refusals of one caller beyond ten a second are counted, so that nobody
can fill the disk with them.
"""

import hashlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final, Protocol

from keyholm.core.audit.records import (
    Destination,
    Management,
    Operation,
    Outcome,
    Record,
    Session,
)
from keyholm.core.caller import Caller
from keyholm.core.errors import KeyholmError, Refused
from keyholm.core.mechanisms import Input
from keyholm.core.model import Key
from keyholm.wire.ssh import keys
from keyholm.wire.ssh.sshsig import SshSig
from keyholm.wire.ssh.userauth import UserAuth

SESSION: Final = "session record"


class Trail(Protocol):
    """What the gate needs of `core.audit.trail.Trail`."""

    def append(self, record: Record, *, durable: bool = False, essential: bool = False) -> int: ...
    def refuse(self, refusal: Operation | Management, caller: Hashable) -> int | None:
        """Record a refusal, or count it where `caller` had too many."""
        ...


class Recorder:
    def __init__(self, trail: Trail, clock: Callable[[], float]) -> None:
        self.trail, self.clock = trail, clock

    def session(self, caller: Caller) -> int:
        known: tuple[int, int] | None = caller.memory.get(SESSION)
        # What ssh proved about a connection can change how it came to us: tell it again.
        if known is not None and known[0] == len(caller.bindings):
            return known[1]
        number = self.trail.append(_session(caller), essential=True)
        caller.memory[SESSION] = (len(caller.bindings), number)
        return number

    def used(
        self,
        caller: Caller,
        key: Key,
        op: str,
        mechanism: str,
        data: Input,
        output: bytes,
        *,
        rule: str,
        policy: str,
        begun: float,
        durable: bool,
        context: UserAuth | SshSig | None = None,
        consent: str = "",
    ) -> None:
        place = key.place
        record = Operation(
            self.session(caller),
            caller.door,
            op,
            mechanism,
            key.id,
            place.store,
            place.token,
            hashlib.sha256(data.data).hexdigest(),
            len(data.data),
            hashlib.sha256(output).hexdigest(),
            "ok",
            rule,
            policy,
            int((self.clock() - begun) * 1e6),
            consent,
        )
        if context is not None or caller.bindings:
            _add_context(record, caller, context)
        self.trail.append(record, durable=durable)

    def not_used(
        self,
        caller: Caller,
        key: Key,
        op: str,
        mechanism: str,
        data: Input | None,
        error: KeyholmError,
        *,
        rule: str = "",
        begun: float,
        context: UserAuth | SshSig | None = None,
    ) -> None:
        given = data.data if data is not None else b""
        record = Operation(
            self.session(caller),
            caller.door,
            op,
            mechanism,
            key.id,
            key.place.store,
            key.place.token,
            hashlib.sha256(given).hexdigest(),
            len(given),
            result=_result(error),
            rule=rule,
            latency=int((self.clock() - begun) * 1e6),
            error=type(error).__name__,
            what=str(error),
        )
        _add_context(record, caller, context)
        self.trail.refuse(record, caller.uid)

    def intends(
        self, caller: Caller, action: str, target: str, detail: dict[str, str], key: str = ""
    ) -> int:
        return self.trail.append(
            Management(self.session(caller), caller.door, action, target, "intent", key, detail),
            essential=True,
        )

    def managed(
        self, intent: int, *, begun: float, key: str = "", detail: dict[str, str] | None = None
    ) -> None:
        latency = int((self.clock() - begun) * 1e6)
        self.trail.append(
            Outcome(intent, latency=latency, key=key, detail=detail or {}), essential=True
        )

    def not_managed(self, intent: int, error: KeyholmError, *, begun: float) -> None:
        self.trail.append(
            Outcome(
                intent,
                result=_result(error),
                latency=int((self.clock() - begun) * 1e6),
                error=type(error).__name__,
                what=str(error),
            ),
            essential=True,
        )

    def refused(self, caller: Caller, action: str, target: str, error: KeyholmError) -> None:
        """Management that was not even begun."""
        self.trail.refuse(
            Management(
                self.session(caller),
                caller.door,
                action,
                target,
                _result(error),
                error=type(error).__name__,
                what=str(error),
            ),
            caller.uid,
        )


@dataclass(slots=True)
class Account:
    """One use of a key that is not over at once, and what becomes of it in the trail."""

    recorder: Recorder
    caller: Caller
    key: Key
    op: str
    mechanism: str
    rule: str
    policy: str
    begun: float
    durable: bool
    consent: str = ""
    intent: int = 0

    def intend(self) -> None:
        """Written before the first byte of a result leaves, when more is to follow."""
        self.intent = self._append("intent", "", 0, "")

    def done(self, digest: bytes, length: int, output: bytes) -> None:
        """`digest` and `output` are the SHA-256 of all that went in and came out."""
        if not self.intent:
            self._append("ok", digest.hex(), length, output.hex())
            return
        detail = {"input": digest.hex(), "input_length": str(length)}
        outcome = Outcome(self.intent, output=output.hex(), latency=self._latency(), detail=detail)
        self.recorder.trail.append(outcome, durable=self.durable)

    def failed(self, digest: bytes, length: int, error: KeyholmError) -> None:
        if self.intent:
            self.recorder.not_managed(self.intent, error, begun=self.begun)
            return
        record = self._record(_result(error), digest.hex(), length, "")
        record.error, record.what = type(error).__name__, str(error)
        self.recorder.trail.refuse(record, self.caller.uid)

    def _append(self, result: str, digest: str, length: int, output: str) -> int:
        record = self._record(result, digest, length, output)
        return self.recorder.trail.append(record, durable=self.durable)

    def _record(self, result: str, digest: str, length: int, output: str) -> Operation:
        place = self.key.place
        return Operation(
            self.recorder.session(self.caller),
            self.caller.door,
            self.op,
            self.mechanism,
            self.key.id,
            place.store,
            place.token,
            digest,
            length,
            output,
            result,
            self.rule,
            self.policy,
            self._latency(),
            self.consent,
        )

    def _latency(self) -> int:
        return int((self.recorder.clock() - self.begun) * 1e6)


def _result(error: KeyholmError) -> str:
    return "refused" if isinstance(error, Refused) else "failed"


def _session(caller: Caller) -> Session:
    process = caller.process
    program = process.executable
    return Session(
        caller.number,
        caller.door,
        caller.via,
        caller.peer.uid,
        caller.peer.gid,
        caller.peer.pid,
        process.start,
        program.path if program else "",
        program.device if program else 0,
        program.inode if program else 0,
        program.trusted if program else False,
        program.interpreter if program else False,
        process.command,
        process.unit,
        process.cgroup,
        process.tty,
        process.parents,
    )


def _add_context(record: Operation, caller: Caller, context: UserAuth | SshSig | None) -> None:
    if isinstance(context, UserAuth):
        record.purpose, record.user = "ssh-userauth", context.user
    elif isinstance(context, SshSig):
        record.purpose, record.namespace = "sshsig", context.namespace
    if caller.bindings:
        last = caller.bindings[-1]
        record.destination = Destination(
            keys.fingerprint(last.host_key), "", last.is_forwarding, len(caller.bindings)
        )

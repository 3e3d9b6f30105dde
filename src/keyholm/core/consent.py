"""Asking a human before a key is used, and remembering for how long they agreed."""

import threading
import time
from collections.abc import Callable

from keyholm.core.caller import Caller
from keyholm.core.errors import ConsentDenied
from keyholm.core.model import Key
from keyholm.core.policy import ConsentNeeded
from keyholm.core.prompt import Kind, Prompters, Question
from keyholm.core.secret import Secret
from keyholm.core.session import Role
from keyholm.core.store import HasPins, PassesThrough, Token
from keyholm.wire.ssh import keys
from keyholm.wire.ssh.sshsig import SshSig
from keyholm.wire.ssh.userauth import UserAuth

Context = UserAuth | SshSig | None
MAX_QUOTED = 128


class Consent:
    def __init__(
        self,
        prompters: Prompters,
        *,
        fingerprint: Callable[[bytes], str] = keys.fingerprint,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`fingerprint`: how a key is shown (`ssh-agent -E`)."""
        self._prompters, self._fingerprint, self._clock = prompters, fingerprint, clock
        self._lock = threading.Lock()
        self._until: dict[tuple[object, ...], float] = {}

    def obtain(self, caller: Caller, key: Key, needed: ConsentNeeded, context: Context) -> str:
        """How consent was given, as the trail says it. Raises `ConsentDenied`, `NoPrompter`."""
        grant = _grant(caller, key)
        if needed.minutes and grant is not None:
            with self._lock:
                if self._until.get(grant, 0.0) > self._clock():
                    return "remembered"
        answer = self._prompters.ask(self._question(caller, key, context, needed.host))
        if not answer.granted:
            raise ConsentDenied(
                f"The use of {key.label} was not agreed to ({answer.reason or 'denied'}).",
                remedy="Try again, and agree when you are asked.",
            )
        if needed.minutes and grant is not None:
            with self._lock:
                self._until[grant] = self._clock() + 60 * needed.minutes
        return f"confirm:{answer.prompter}"

    def passphrase(self, caller: Caller, token: Token, key: Key) -> Secret:
        """Ask for the passphrase of a locked token. Raises `ConsentDenied`, `NoPrompter`."""
        wants = f"wants to use {quoted(key.label)}, which is on the locked token"
        prompt = "PIN:" if isinstance(token, HasPins) else "Passphrase:"
        return self._secret(caller, token, f"{wants} {quoted(token.label)}.", prompt)

    def pin(self, caller: Caller, token: Token) -> Secret:
        """The same where a program logs in. Raises `ConsentDenied`, `NoPrompter`."""
        return self._secret(caller, token, f"logs in to {quoted(token.label)}.", "PIN:")

    def _secret(self, caller: Caller, token: Token, what: str, prompt: str) -> Secret:
        answer = self._prompters.ask(
            Question(
                Kind.SECRET,
                "keyholm",
                f"{who(caller)} {what}",
                prompt=prompt,
                attempts_left=_few_left(token),
                pid=caller.peer.pid,
                uid=caller.uid,
            )
        )
        if answer.secret is None:
            raise ConsentDenied(f"{token.label} is closed to this program: nobody said its secret.")
        return answer.secret

    def _question(self, caller: Caller, key: Key, context: Context, host: str) -> Question:
        lines = [
            # The first two lines are ssh-agent's own, which askpass programs know.
            f"Allow use of key {quoted(key.label)}?",
            f"Key fingerprint {self._fingerprint(key.blob or key.spki)}.",
            f"Asked by {who(caller)}.",
        ]
        if isinstance(context, UserAuth):
            lines.append(f"To log in as {quoted(context.user)}.")
        elif isinstance(context, SshSig):
            lines.append(f"To sign for {quoted(context.namespace)}.")
        else:
            lines.append("What it signs cannot be told.")
        if caller.bindings:
            last = caller.bindings[-1]
            way = "forwarded to" if last.is_forwarding else "for"
            name = f"{quoted(host)}, " if host else ""
            lines.append(
                f"The connection is {way} {name}host key {self._fingerprint(last.host_key)}."
            )
        return Question(
            Kind.CONFIRM, "keyholm", "\n".join(lines), pid=caller.peer.pid, uid=caller.uid
        )

    def forget(self) -> None:
        """After a lock, everybody is asked again."""
        with self._lock:
            self._until.clear()


def _few_left(token: Token) -> int | None:
    """How many tries of its PIN are left, where some were lost."""
    if not isinstance(token, HasPins):
        return None
    state = token.pin_state(Role.USER)
    left = state.tries_left
    if isinstance(token, PassesThrough) and left > 1:
        return None  # it says that tries were lost, and not how many are left
    return left if left < state.tries else None


def _grant(caller: Caller, key: Key) -> tuple[object, ...] | None:
    """For which program consent is remembered; not at all where that is not known."""
    process = caller.process
    program = process.executable
    if program is None:
        return None
    # All scripts run the same interpreter: who agreed to one did not agree to the others.
    known = (process.pid, process.start) if program.interpreter else (program.device, program.inode)
    destination = caller.bindings[-1].host_key if caller.bindings else b""
    return (key.id, caller.uid, *known, caller.via, destination)


def who(caller: Caller) -> str:
    process = caller.process
    program = process.executable.path if process.executable else process.command
    name = quoted(program) if program else "an unknown program"
    return f"{name} (process {caller.peer.pid}, uid {caller.uid})"


def quoted(text: str) -> str:
    """Text that somebody else chose, on one line and without anything that acts on a screen."""
    shown = "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )
    return shown if len(shown) <= MAX_QUOTED else shown[: MAX_QUOTED - 1] + "…"

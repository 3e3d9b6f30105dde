"""One request and its answer: what a method is given, what it gives, what it needs.

The frame around both is `server`; the methods themselves are in `keys`, `tokens`, `rules`
and `daemon`, and their table is in `methods`.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import TYPE_CHECKING, Any, TypeVar

from keyholm.core import actions
from keyholm.core.caller import Caller
from keyholm.core.errors import BadRequest
from keyholm.core.gate import Gate
from keyholm.core.secret import Secret
from keyholm.doors.control import schema

if TYPE_CHECKING:
    from keyholm.doors.control.server import ControlDoor

T = TypeVar("T")


@unique
class Needs(StrEnum):
    """What a caller must be or bring, beyond being let in at all. The gate enforces it."""

    SIGHT = "sight"  # of the token: its owner, root, or a uid on its access list
    POLICY = "policy"  # of the key must allow the use
    MANAGEMENT = "management"  # the owner or root, not over a forwarded or relayed connection
    PROOF = "proof"  # management, and the passphrase of the token as fresh proof
    PROOF_TO_LOOSEN = "proof-to-loosen"  # management, and proof where something is loosened


@dataclass(frozen=True, slots=True)
class Given:
    """What followed the JSON."""

    secrets: tuple[Secret, ...] = ()
    blobs: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    door: "ControlDoor"
    caller: Caller
    params: Any  # of the shape that the method's line in the table names
    given: Given
    stack: ExitStack  # closes secrets once the reply is sent

    @property
    def gate(self) -> Gate:
        return self.door.gate

    def secret(self, number: int = 0) -> Secret | None:
        secrets = self.given.secrets
        return secrets[number] if number < len(secrets) else None

    def needed(self, what: str, number: int = 0) -> Secret:
        secret = self.secret(number)
        if secret is None:
            raise BadRequest(f"This method needs {what}, which follows the request as a secret.")
        return secret

    def room(self, size: int) -> memoryview:
        """Locked memory until the reply is sent."""
        return self.stack.enter_context(Secret(size)).view

    def manage(self, action: actions.Action, kind: type[T], proof: Secret | None = None) -> T:
        """What `action` gives, which is of `kind`."""
        result = self.gate.manage(self.caller, action, proof)
        if not isinstance(result, kind):
            raise TypeError(f"{type(action).__name__} gave a {type(result).__name__}")
        return result


@dataclass(frozen=True, slots=True)
class Result:
    """What a method gives, with what follows its JSON."""

    value: schema.Answer
    secrets: tuple[Secret, ...] = ()
    blobs: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Method:
    handler: Callable[[Request], Result | schema.Answer]
    params: type[schema.Shape]
    result: type[schema.Answer]
    needs: Needs
    about: str
    secrets: tuple[str, ...] = ()  # what they are; one in brackets may be left out
    blob: str = ""
    gives: str = ""
    gives_blob: str = ""

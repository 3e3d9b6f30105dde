"""Modules that clients of the agent name (`ssh-add -s`): one worker each, for as long as one of
its keys is offered.

The path was allowed before it comes here, and the steward asks itself again. A PIN that came
along goes to the one token that wants one; where there are more, nobody said which is meant.
"""

import os
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from keyholm.core.errors import BadRequest, TokenLocked
from keyholm.core.mechanisms import Input, Mechanism
from keyholm.core.model import Key, Kind
from keyholm.core.policies import Policies
from keyholm.core.secret import Secret
from keyholm.core.session import Role
from keyholm.core.store import Provided
from keyholm.stores.modules.human import Human
from keyholm.stores.modules.logins import WithPin
from keyholm.stores.modules.module import House, Module
from keyholm.stores.modules.setup import Setup
from keyholm.stores.modules.token import ModuleToken
from keyholm.worker.proxy import Worker

CALL_SECONDS: Final = 60.0  # for a touch, or a PIN pad


class Providers:
    """`worker_of` gives the worker of a path, which is not started yet."""

    def __init__(self, worker_of: Callable[[str], Worker], human: Human, owner: int) -> None:
        self._worker_of = worker_of
        # Their policies are what the client asked for, and the memory store's to keep.
        self._house = House(owner, human, Policies(None), lambda event: None)
        self._lock = threading.Lock()
        self._held: dict[str, _Provider] = {}

    def load(self, path: str, pin: Secret) -> Sequence[Provided]:
        """Its keys that SSH has words for; each is to be released once.

        Raises `PinIncorrect`, `StoreFailed`, `BadRequest`, ..."""
        while True:
            with self._lock:
                provider = self._held.get(path)
                if provider is None:
                    provider = self._held[path] = self._new(path)
            found = provider.load(pin)
            if found is not None:
                return found  # else its last key went just now

    def _new(self, path: str) -> "_Provider":
        setup = Setup(os.path.basename(path), path, call_seconds=CALL_SECONDS)
        module = Module(setup, self._worker_of(path), self._house)
        return _Provider(module, self._house.human, partial(self._forget, path))

    def _forget(self, path: str, provider: "_Provider") -> None:
        with self._lock:
            if self._held.get(path) is provider:
                del self._held[path]

    def close(self) -> None:
        with self._lock:
            held, self._held = tuple(self._held.values()), {}
        for provider in held:
            provider.close()


class _Provider:
    """One module, and how many of its keys somebody offers."""

    def __init__(self, module: Module, human: Human, forget: "Callable[[_Provider], None]") -> None:
        self._module, self._human, self._forget = module, human, forget
        self._lock = threading.Lock()
        self._offered = 0
        self._closed = False

    def load(self, pin: Secret) -> Sequence[Provided] | None:
        """None: it is closed already."""
        with self._lock:
            if self._closed:
                return None
            try:
                found = self._load(pin)
            finally:
                if not self._offered:
                    self._close()
            return found

    def _load(self, pin: Secret) -> Sequence[Provided]:
        module = self._module
        module.refresh()
        if module.problem is not None:
            raise module.problem
        if len(pin):
            self._log_in(pin)
        found = [
            Provided(
                key.public,
                key.label or module.name,
                partial(self._sign, token, key),
                self._release,
            )
            for token in module.tokens
            for key in token.keys()  # noqa: SIM118 - no mapping
            if key.kind is Kind.PRIVATE and key.ssh is not None
        ]
        self._offered += len(found)
        return found

    def _log_in(self, pin: Secret) -> None:
        wanting = [
            token
            for token in self._module.tokens
            if isinstance(token, WithPin) and token.pin_state(Role.USER).is_set
        ]
        if len(wanting) > 1:
            names = ", ".join(token.label for token in wanting)
            raise BadRequest(
                f"{self._module.name} has {len(wanting)} tokens that want a PIN ({names}), and "
                "nobody said whose PIN this is.",
                remedy="Add the module by `keyholm module add`, and unlock the token by its name.",
            )
        for token in wanting:
            token.unlock(pin)

    def _sign(self, token: ModuleToken, key: Key, mechanism: Mechanism, data: Input) -> bytes:
        try:
            return token.sign(key, mechanism, data)
        except TokenLocked:
            if not isinstance(token, WithPin):
                raise
        with self._human.pin(f"{token.label} wants its PIN to use {key.label!r}.") as pin:
            token.unlock(pin)
        return token.sign(key, mechanism, data)

    def _release(self) -> None:
        """One of its keys is not offered any more; with the last one the worker goes."""
        with self._lock:
            self._offered -= 1
            if not self._offered:
                self._close()

    def _close(self) -> None:
        if not self._closed:
            self._closed = True
            self._forget(self)
            self._module.close()

    def close(self) -> None:
        with self._lock:
            self._close()

"""The modules store: tokens behind vendors' PKCS#11 modules, each module in a worker of its own.

A module is started when somebody first asks for tokens, all of them side by side, and waited
for once. After that `tokens` says what is known, and a thread a module keeps it true.
"""

import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from keyholm.core.errors import KeyholmError, StoreFailed
from keyholm.core.policies import Policies
from keyholm.core.store import Change, Event, Listener
from keyholm.stores.modules.contents import STORE
from keyholm.stores.modules.human import Human
from keyholm.stores.modules.module import House, Module
from keyholm.stores.modules.setup import Setup
from keyholm.stores.modules.token import ModuleToken
from keyholm.worker.proxy import Worker


class ModulesStore:
    name = STORE

    def __init__(
        self,
        modules: Iterable[tuple[Setup, Worker]],
        *,
        human: Human,
        policies: Policies,
        owner: int | None = None,
        broken: Mapping[str, KeyholmError] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._listeners: list[Listener] = []
        owner = os.getuid() if owner is None else owner
        self._house = House(owner, human, policies, self._tell, clock)
        self._first = threading.Lock()
        self._waited = self._closed = False
        self._modules: tuple[Module, ...] = ()
        self.replace(modules, kept=(), broken=broken or {})

    def replace(
        self,
        modules: Iterable[tuple[Setup, Worker]],
        *,
        kept: Collection[str],
        broken: Mapping[str, KeyholmError],
    ) -> None:
        """Have `modules` instead of all but those that are named in `kept`. `broken` ones are
        configured wrongly."""
        come = [Module(setup, worker, self._house) for setup, worker in modules]
        stay = [module for module in self._modules if module.name in kept]
        gone = [module for module in self._modules if module.name not in kept]
        self._broken = broken
        self._modules = tuple(
            sorted([*stay, *come], key=lambda each: (-each.setup.priority, each.name))
        )
        self._waited = self._waited and not come
        for module in gone:
            tokens = module.tokens
            module.close()
            for token in tokens:
                self._tell(Event(STORE, token.name, Change.TOKEN_WENT))

    def tokens(self) -> Sequence[ModuleToken]:
        if self._closed:
            raise StoreFailed("The modules store is closed.", remedy="Start keyholm again.")
        for module in self._modules:
            module.begin()
        if not self._waited:
            self._wait()
        return self.known_tokens()

    def known_tokens(self) -> Sequence[ModuleToken]:
        """Those that are known already: nothing is started for it."""
        return [token for module in self._modules for token in module.tokens]

    def _wait(self) -> None:
        with self._first:
            if self._waited:
                return
            begun = time.monotonic()
            for module in self._modules:
                module.wait(begun + module.setup.start_seconds)
            self._waited = True

    def problems(self) -> Mapping[str, KeyholmError]:
        """Modules that do not work, each with what is wrong with it."""
        found = {each.name: each.problem for each in self._modules if each.problem is not None}
        return {**self._broken, **found}

    def damage(self) -> Mapping[str, str]:
        """The same as sentences, for `keyholm status`; and of the policies of their keys."""
        found = {name: str(error) for name, error in self.problems().items()}
        policies = self._house.policies.damage
        return found if policies is None else {**found, "policies": str(policies)}

    def modules(self) -> Sequence[Module]:
        return self._modules

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def _tell(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)

    def close(self) -> None:
        self._closed = True
        for module in self._modules:
            module.close()

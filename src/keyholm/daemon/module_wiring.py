"""Vendors' modules as they are configured, as a store; and who sees their tokens."""

import os
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from keyholm.core.errors import BadConfiguration, KeyholmError
from keyholm.core.policies import Policies
from keyholm.core.visibility import Rule, Selection
from keyholm.daemon import module_files
from keyholm.daemon.asker import Asker
from keyholm.daemon.module_files import Login, Modules, ModuleSettings
from keyholm.daemon.places import Places
from keyholm.daemon.steward.client import StewardClient
from keyholm.daemon.token_human import TokenHuman
from keyholm.doors.control import schema
from keyholm.stores.modules.contents import STORE
from keyholm.stores.modules.module import Module
from keyholm.stores.modules.providers import Providers
from keyholm.stores.modules.setup import Setup
from keyholm.stores.modules.store import ModulesStore
from keyholm.worker.proxy import Worker


class ConfiguredModules:
    """The modules store with what its modules' files say, which can be read again."""

    def __init__(
        self, places: Places, steward: StewardClient, asker: Asker, policies: Policies
    ) -> None:
        self._places, self._steward = places, steward
        self._modules = modules_of(places)
        self.store = ModulesStore(
            self._pairs(self._modules, ()),
            human=TokenHuman(steward, asker),
            policies=policies,
            broken=self._modules.bad,
        )

    @property
    def rules(self) -> tuple[Rule, ...]:
        return visible_rules(self._modules)

    def read(self) -> Modules:
        """The files as they are now. Raises `BadConfiguration` where their folder is wrong."""
        return module_files.read_folder(module_files.folder(self._places))

    def use(self, modules: Modules) -> None:
        """A module goes on undisturbed if its file says what it said before."""
        before, self._modules = self._modules, modules
        kept = {
            name
            for name, settings in modules.good.items()
            if settings.enabled and before.good.get(name) == settings
        }
        self.store.replace(self._pairs(modules, kept), kept=kept, broken=modules.bad)

    def _pairs(self, modules: Modules, kept: Collection[str]) -> Iterator[tuple[Setup, Worker]]:
        for name, settings in modules.good.items():
            if settings.enabled and name not in kept:
                yield _setup(name, settings), _worker(name, settings, self._steward)

    def told(self) -> list[schema.Module]:
        """For `keyholm module list`."""
        running = {module.name: module for module in self.store.modules()}
        good = [
            _told(name, settings, running.get(name))
            for name, settings in self._modules.good.items()
        ]
        return good + [_wrong(name, error) for name, error in self._modules.bad.items()]


def modules_of(places: Places) -> Modules:
    """A folder that cannot be trusted has no modules: the daemon is there all the same."""
    try:
        return module_files.read_folder(module_files.folder(places))
    except BadConfiguration as error:
        return Modules({}, {"all": error})


def _told(name: str, settings: ModuleSettings, module: Module | None) -> schema.Module:
    if module is None:
        return _schema(name, settings.path, "off")
    worker, problem = module.worker, module.problem
    isolation = worker.isolation
    asleep = "idle" if problem is None else "failed"
    return _schema(
        name,
        settings.path,
        asleep if isolation is None else "running",
        pid=worker.pid,
        isolation="" if isolation is None else str(isolation),
        tokens=[token.name for token in module.tokens],
        crashes=worker.crashes,
        error=problem.what if problem else "",
        remedy=problem.remedy if problem else "",
    )


def providers_of(steward: StewardClient, asker: Asker) -> Providers:
    """Those that `ssh-add -s` names."""
    return Providers(
        lambda path: Worker(steward, "", path), TokenHuman(steward, asker), os.getuid()
    )


def _wrong(name: str, error: KeyholmError) -> schema.Module:
    return _schema(name, "", "wrong", error=error.what, remedy=error.remedy)


def _schema(name: str, library: str, state: str, **more: Any) -> schema.Module:
    unknown: dict[str, Any] = {
        "pid": None,
        "isolation": "",
        "tokens": [],
        "crashes": 0,
        "error": "",
        "remedy": "",
    }
    return schema.Module(name=name, library=library, state=state, **unknown | more)


def _setup(name: str, settings: ModuleSettings) -> Setup:
    return Setup(
        name,
        settings.path,
        settings.login is Login.APPLICATION,
        settings.call_seconds,
        settings.start_seconds,
        settings.idle_seconds,
        settings.priority,
    )


def _worker(name: str, settings: ModuleSettings, steward: StewardClient) -> Worker:
    return Worker(
        steward,
        name,
        start_seconds=settings.start_seconds,
        idle_seconds=settings.idle_seconds,
    )


def _tokens_of(name: str, modules: Iterable[str]) -> Selection:
    """Of `card`, not of a module that is called `card-2`."""
    longer = (each for each in modules if each.startswith(f"{name}-"))
    return Selection(
        tokens=(f"{STORE}/{name}-*",), but_tokens=tuple(f"{STORE}/{each}-*" for each in longer)
    )


def visible_rules(modules: Modules) -> tuple[Rule, ...]:
    """`enable_in` and `disable_in`: what p11-kit has them for, which is order, not protection."""
    rules: list[Rule] = []
    for name, settings in modules.good.items():
        tokens = _tokens_of(name, modules.good)
        if settings.disable_in:
            rules.append(Rule(settings.disable_in, hide=tokens))
        if settings.enable_in:
            rules.append(Rule(others_than=settings.enable_in, hide=tokens))
    return tuple(rules)

"""Vendors' modules as they are configured, as a store; and who sees their tokens."""

import os

from keyholm.core.errors import BadConfiguration
from keyholm.core.policies import Policies
from keyholm.core.visibility import Rule, Selection
from keyholm.daemon import module_files
from keyholm.daemon.asker import Asker
from keyholm.daemon.module_files import Login, Modules, ModuleSettings
from keyholm.daemon.places import Places
from keyholm.daemon.steward.client import StewardClient
from keyholm.daemon.token_human import TokenHuman
from keyholm.stores.modules.contents import STORE
from keyholm.stores.modules.providers import Providers
from keyholm.stores.modules.setup import Setup
from keyholm.stores.modules.store import ModulesStore
from keyholm.worker.proxy import Worker


def modules_of(places: Places) -> Modules:
    """A folder that cannot be trusted has no modules: the daemon is there all the same."""
    try:
        return module_files.read_folder(module_files.folder(places))
    except BadConfiguration as error:
        return Modules({}, {"all": error})


def store_of(
    modules: Modules, places: Places, steward: StewardClient, asker: Asker
) -> ModulesStore:
    return ModulesStore(
        [
            (_setup(name, settings), _worker(name, settings, steward))
            for name, settings in modules.good.items()
            if settings.enabled
        ],
        human=TokenHuman(steward, asker),
        policies=Policies(places.data),
        broken=modules.bad,
    )


def providers_of(steward: StewardClient, asker: Asker) -> Providers:
    """Those that `ssh-add -s` names."""
    return Providers(
        lambda path: Worker(steward, "", path), TokenHuman(steward, asker), os.getuid()
    )


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


def visible_rules(modules: Modules) -> tuple[Rule, ...]:
    """`enable_in` and `disable_in`: what p11-kit has them for, which is order, not protection."""
    rules: list[Rule] = []
    for name, settings in modules.good.items():
        tokens = Selection(tokens=(f"{STORE}/{name}-*",))
        if settings.disable_in:
            rules.append(Rule(settings.disable_in, hide=tokens))
        if settings.enable_in:
            rules.append(Rule(others_than=settings.enable_in, hide=tokens))
    return tuple(rules)

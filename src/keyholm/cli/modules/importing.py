"""Modules that p11-kit knows, taken over: what p11-kit says of each, as far as it has a sense here.

`enable-in` and `disable-in` say who sees the tokens. `managed` and `critical` are about programs
that load modules themselves: here each module is managed, and none keeps another from working.
"""

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from keyholm.cli.modules import p11_kit
from keyholm.cli.modules.adding import Plan, Wish, planned
from keyholm.cli.modules.p11_kit import Described
from keyholm.core.errors import AlreadyExists, BadConfiguration, KeyholmError
from keyholm.daemon.module_files import Login, Modules
from keyholm.daemon.places import Places
from keyholm.daemon.vendors import known


@dataclass(frozen=True, slots=True)
class Taken:
    """One of p11-kit's modules: the plan of what to add, or why it is not added."""

    described: Described
    plan: Plan | None
    skipped: str = ""
    remarks: tuple[str, ...] = ()


def takeover(
    configuration: p11_kit.Configuration,
    there: Modules,
    places: Places,
    environment: Mapping[str, str],
    login: Login,
) -> list[Taken]:
    found = []
    good = dict(there.good)
    for described in configuration.modules:
        taken = _taken(described, Modules(good, there.bad), places, environment, login)
        if taken.plan is not None:
            good[taken.plan.name] = taken.plan.settings
        found.append(taken)
    return found


def _taken(
    described: Described,
    there: Modules,
    places: Places,
    environment: Mapping[str, str],
    login: Login,
) -> Taken:
    if reason := not_for_us(described):
        return Taken(described, None, reason)
    wish = Wish(
        described.path,
        name_of(described),
        init_args=described.init_args,
        login=login,
        enable_in=described.enable_in,
        disable_in=described.disable_in,
        priority=described.priority,
    )
    try:
        plan = planned(wish, there, places, environment)
    except AlreadyExists as error:
        return Taken(described, None, error.what)
    except KeyholmError as error:
        return Taken(described, None, str(error))
    return Taken(described, plan, remarks=(*described.remarks, *remarks_on(described)))


def not_for_us(described: Described) -> str:
    """Why a module of p11-kit is not taken over; empty: it is."""
    if described.remote:
        return (
            "it is remote: p11-kit starts a program for it, or asks a server. Add p11-kit-client "
            "with --env P11_KIT_SERVER_ADDRESS=..., or add the module where it is."
        )
    if not described.module:
        return "it is switched off: its `module:` is empty."
    if not os.path.exists(described.path):
        return f"{described.path} is not there."
    found = known.of_file(described.path)
    if found is not None and found.name == "p11-kit-trust":
        return (
            "it has certificates of authorities and no keys; programs go on having it by p11-kit."
        )
    return ""


def name_of(described: Described) -> str:
    """The well-known name, or p11-kit's as far as it is one here."""
    found = known.of_file(described.path)
    if found is not None:
        return found.name
    name = re.sub(r"[^a-z0-9]+", "-", described.name.lower()).strip("-")
    return name[:32].strip("-") or known.name_for(described.path)


def remarks_on(described: Described) -> Iterator[str]:
    """What of p11-kit's words has no effect here."""
    if described.critical:
        yield "`critical: yes`: here no module keeps another one from working."
    if not described.managed:
        yield "`managed: no`: here every module is shared by all programs."
    if described.trust_policy:
        yield "`trust-policy: yes`: whom to trust is no business of keyholm's."


def masked(found: Iterable[Described], environment: Mapping[str, str]) -> Iterator[str]:
    """Commands that take modules away from p11-kit, now that keyholm has them."""
    where = p11_kit.usual(environment)
    folder = os.path.join(where.user or where.system, "modules")
    yield f"mkdir -p {shlex.quote(folder)}"
    for described in found:
        file = os.path.join(folder, f"{described.name}{p11_kit.SUFFIX}")
        yield f"echo module: > {shlex.quote(file)}"


def read(environment: Mapping[str, str]) -> p11_kit.Configuration:
    """Raises `BadConfiguration`, also where p11-kit has no module at all."""
    configuration = p11_kit.read(p11_kit.usual(environment))
    if not configuration.modules:
        raise BadConfiguration(
            "p11-kit has no modules in its configuration.",
            remedy="`keyholm module add PATH` adds one by its library.",
        )
    return configuration

"""A module that shall be added: looked at from outside, and what it will see, worked out.

Nothing is loaded. What can be known to fail is refused here, with what to do, before a file is
written: a library for another machine, one whose own libraries are missing, one that others could
replace, one that leads back to keyholm.
"""

import os
import shlex
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from keyholm.core.errors import AlreadyExists, BadConfiguration, BadRequest
from keyholm.daemon import module_files, trusted
from keyholm.daemon.module_files import Login, Modules, ModuleSettings
from keyholm.daemon.places import Places
from keyholm.daemon.vendors import elf, known
from keyholm.daemon.vendors.linker import Linker
from keyholm.daemon.vendors.needs import Here, Kind, Need, distinct, values
from keyholm.stores.modules import recursion

GIVEN: Final = "you said so"
LDCONFIG: Final = (
    "Install the package that has it; or put its folder into a file of /etc/ld.so.conf.d and run "
    "`ldconfig`."
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What was typed."""

    library: str  # a path, or the name of a well-known module
    name: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    init_args: str = ""
    login: Login = Login.DAEMON
    pin_hash: bool = False
    more: Sequence[Need] = ()  # that it shall see besides
    enable_in: tuple[str, ...] = ()
    disable_in: tuple[str, ...] = ()
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    name: str
    title: str  # what it is; empty: not well known
    settings: ModuleSettings
    needs: tuple[Need, ...]
    warnings: tuple[str, ...]


def planned(wish: Wish, there: Modules, places: Places, environment: Mapping[str, str]) -> Plan:
    """Raises `KeyholmError` where the module could not work, or must not be there."""
    path = library_path(wish.library, environment)
    check_library(path)
    found = known.of_file(path)
    here = Here(wish.env, wish.init_args, environment)
    if found and (wanted := found.wants(here)):
        what, _, options = wanted.partition(": ")
        raise BadRequest(f"{found.title} cannot start so. {what}.", remedy=f"Add {options}")
    needs = distinct([*known.needs_of_module(path, here), *wish.more])
    settings = _settings(wish, path, needs)
    module_files.check_values(settings)
    module_files.check_reach(settings, places)
    name = _name(wish, path, settings, there)
    warnings = [*_of_known(found, wish, environment), *_out_of_reach(needs)]
    return Plan(name, found.title if found else "", settings, tuple(needs), tuple(warnings))


# --- the library ---------------------------------------------------------------------


def library_path(given: str, environment: Mapping[str, str]) -> str:
    """Where it is, absolute, but with its links: they stay right when a package is updated."""
    if "/" not in given and not os.path.exists(given):
        path = known.named(given, Here(environment=environment))
        if path:
            return path
        if given in known.BY_NAME:
            title = known.BY_NAME[given].title
            raise BadRequest(
                f"{title} is not installed where libraries usually are.",
                remedy="Install it, or give the whole path of its library.",
            )
    path = os.path.abspath(os.path.expanduser(given))
    if not os.path.exists(path):
        raise BadRequest(
            f"{path} is not there.",
            remedy="`keyholm doctor` lists the modules that it finds on this machine.",
        )
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise BadRequest(f"{path} is no file.", remedy="Give the path of the module's library.")
    return path


def check_library(path: str) -> None:
    """What can be told from outside. Raises `BadConfiguration`."""
    if reason := recursion.by_file(path):
        raise BadConfiguration(reason, remedy="Add the modules behind it, each by itself.")
    library = elf.read(path)
    check_machine(library)
    if not library.cryptoki:
        raise BadConfiguration(
            f"{path} is no PKCS#11 module: it has no C_GetFunctionList.",
            remedy="Look into the documentation of its vendor for the right file.",
        )
    check_libraries(path)
    trusted.real_path(path)


def check_machine(library: elf.Library) -> None:
    """Raises `BadConfiguration`."""
    ours = elf.machine_of(os.path.realpath(sys.executable))
    if library.machine != ours:
        raise BadConfiguration(
            f"{library.path} is for {library.machine}, and this Python is for {ours}.",
            remedy="Install the vendor's package for this machine.",
        )
    if not library.shared:
        raise BadConfiguration(f"{library.path} is a program, and no library.")


def check_libraries(path: str) -> None:
    """Raises `BadConfiguration`, which names the libraries that cannot be found."""
    missing = Linker().missing(path)
    if not missing:
        return
    told = [f"{each.library} ({each.why}), which {each.wanted_by} wants" for each in missing]
    raise BadConfiguration(
        f"{path} cannot be loaded: it lacks {'; '.join(told[:4])}.", remedy=LDCONFIG
    )


# --- the file ------------------------------------------------------------------------


def _settings(wish: Wish, path: str, needs: Sequence[Need]) -> ModuleSettings:
    env = dict(wish.env)
    for need in needs:
        if need.kind is Kind.ENV:
            name, _, value = need.value.partition("=")
            env.setdefault(name, value)
    return ModuleSettings(
        path,
        env=env,
        init_args=wish.init_args,
        login=wish.login,
        sha256=module_files.digest(path) if wish.pin_hash else "",
        reads=values(needs, Kind.READS),
        writes=values(needs, Kind.WRITES),
        devices=values(needs, Kind.DEVICES),
        sockets=values(needs, Kind.SOCKETS),
        network=any(need.kind is Kind.NETWORK for need in needs),
        ipc=any(need.kind is Kind.IPC for need in needs),
        enable_in=wish.enable_in,
        disable_in=wish.disable_in,
        priority=wish.priority,
    )


def _name(wish: Wish, path: str, settings: ModuleSettings, there: Modules) -> str:
    name = wish.name or known.name_for(path)
    module_files.file_of(Path("/"), name)  # refuses what is no name
    for other, found in there.good.items():
        if _same(found, settings):
            raise AlreadyExists(
                f"{path} is added already, as {other}.",
                remedy=f"`keyholm module remove {other}` takes it away.",
            )
    if name in there.good or name in there.bad:
        raise AlreadyExists(
            f"There is a module {name} already.",
            remedy=f"Give this one another --name, or `keyholm module remove {name}` first.",
        )
    return name


def _same(one: ModuleSettings, other: ModuleSettings) -> bool:
    """The same library on the same data; on other data it is another module, with other keys."""
    alike = os.path.realpath(one.path) == os.path.realpath(other.path)
    return alike and replace(one, path="").env == other.env and one.init_args == other.init_args


def _of_known(
    found: known.Known | None, wish: Wish, environment: Mapping[str, str]
) -> Iterator[str]:
    if found is None:
        return
    if found.warning:
        yield found.warning
    for name in found.variables:
        if name in environment and name not in wish.env:
            value = shlex.quote(environment[name])
            yield f"{name} is set here, but the module will not have it: --env {name}={value}"


def _out_of_reach(needs: Sequence[Need]) -> Iterator[str]:
    """What it will not get at as this user. The daemon of another user has other rights."""
    for need in needs:
        if need.kind not in (Kind.READS, Kind.WRITES, Kind.SOCKETS, Kind.DEVICES):
            continue
        looks = need.kind is Kind.READS or (need.kind is Kind.SOCKETS and os.path.isdir(need.value))
        wanted = os.R_OK if looks else os.R_OK | os.W_OK
        if "*" in need.value:
            continue
        if not os.path.exists(need.value):
            yield f"{need.value} is not there ({need.why})."
        elif not os.access(need.value, wanted):
            may = "read" if need.kind is Kind.READS else "use"
            yield f"You may not {may} {need.value} ({need.why})."

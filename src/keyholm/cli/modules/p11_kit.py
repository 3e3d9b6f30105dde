"""p11-kit's configuration of modules, read as p11-kit reads it (pkcs11.conf(5), its conf.c).

    /etc/pkcs11/pkcs11.conf           user-config: none | merge | only
    ~/.config/pkcs11/pkcs11.conf      the same; what it says counts more
    ~/.config/pkcs11/modules          a file a module; each field counts before
    /etc/pkcs11/modules               that of a file of the same name here, and before
    /usr/share/p11-kit/modules        one here

An empty `module:` switches off what a later folder says. Root's home is not looked at.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from keyholm.core.errors import BadConfiguration
from keyholm.daemon.vendors.linker import usual_folders

PACKAGED: Final = "/usr/share/p11-kit/modules"
SYSTEM: Final = "/etc/pkcs11"
SUFFIX: Final = ".module"
LARGEST: Final = 1 << 20
MOST: Final = 256  # files of a folder
FILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\.module")
PROXY: Final = "p11-kit-proxy"  # in lists of programs it stands for the proxy module

Fields = dict[str, str]


@dataclass(frozen=True, slots=True)
class Described:
    """A module as p11-kit knows it."""

    name: str
    files: tuple[str, ...]
    module: str  # as it was written; empty: it is switched off
    path: str  # where that is; empty: nowhere
    enable_in: tuple[str, ...] = ()
    disable_in: tuple[str, ...] = ()
    priority: int = 0
    critical: bool = False
    managed: bool = True
    trust_policy: bool = False
    remote: str = ""
    init_args: str = ""
    remarks: tuple[str, ...] = ()  # what was strange in it


@dataclass(frozen=True, slots=True)
class Where:
    """The folders; `user` is empty where a user's own configuration is not read."""

    system: str = SYSTEM
    packaged: str = PACKAGED
    user: str = ""
    libraries: tuple[str, ...] = field(default_factory=lambda: default_folders())


class Configuration(NamedTuple):
    modules: list[Described]
    remarks: list[str]


def default_folders() -> tuple[str, ...]:
    """Where a module is that is named without a folder."""
    return tuple(os.path.join(base, "pkcs11") for base in usual_folders())


def usual(environment: Mapping[str, str]) -> Where:
    """p11-kit does not look into root's home."""
    home = environment.get("HOME", "")
    config = environment.get("XDG_CONFIG_HOME", "") or os.path.join(home, ".config")
    own = os.path.join(config, "pkcs11") if os.geteuid() and os.path.isabs(config) else ""
    return Where(user=own)


def read(where: Where) -> Configuration:
    """Every module, those with a higher priority first. Raises `BadConfiguration`."""
    remarks: list[str] = []
    folders: list[str] = []
    mode = _user_mode(where)
    if where.user and mode != "none":
        folders.append(os.path.join(where.user, "modules"))
    if mode != "only":
        folders += [os.path.join(where.system, "modules"), where.packaged]
    else:
        remarks.append("`user-config: only`: the system's modules are left out, as p11-kit does.")
    merged: dict[str, tuple[Fields, list[str]]] = {}
    for folder in folders:
        for name, path in _files(folder, remarks):
            fields, files = merged.setdefault(name, ({}, []))
            for key, value in parse(_text(path), path, remarks).items():
                fields.setdefault(key, value)
            files.append(path)
    found = [_described(name, *each, where) for name, each in merged.items()]
    return Configuration(sorted(found, key=lambda each: (-each.priority, each.name)), remarks)


def _user_mode(where: Where) -> str:
    mode = "merge"
    for folder in (where.system, where.user):
        if not folder or mode == "none":
            continue
        path = os.path.join(folder, "pkcs11.conf")
        given = parse(_text(path), path, []).get("user-config", mode)
        mode = {"override": "only"}.get(given, given)
        if mode not in ("none", "merge", "only"):
            raise BadConfiguration(
                f"{path}: user-config is {given!r}; it must be none, merge or only.",
                remedy="p11-kit refuses it too. Correct it there.",
            )
    return mode


def _files(folder: str, remarks: list[str]) -> Iterator[tuple[str, str]]:
    try:
        names = sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        remarks.append(f"{folder} cannot be read: {error.strerror}.")
        return
    for name in names[:MOST]:
        path = os.path.join(folder, name)
        if os.path.isdir(path):
            continue
        if FILE_NAME.fullmatch(name):
            yield name.removesuffix(SUFFIX), path
        else:
            remarks.append(f"{path} was passed over: p11-kit wants NAME.module.")


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read(LARGEST)
    except OSError:
        return ""


def parse(text: str, path: str, remarks: list[str]) -> Fields:
    """The fields of one file; a later line of the same name counts."""
    fields: Fields = {}
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        name, colon, value = stripped.partition(":")
        if not colon:
            remarks.append(f"{path}:{number}: {stripped[:40]!r} is no `name: value`.")
            continue
        fields[name.strip()] = value.strip()
    return fields


def _described(name: str, fields: Fields, files: list[str], where: Where) -> Described:
    module = fields.get("module", "")
    found = Described(
        name,
        tuple(files),
        module,
        _library(module, where),
        _programs(fields.get("enable-in", "")),
        _programs(fields.get("disable-in", "")),
        _number(fields.get("priority", "")),
        fields.get("critical", "no") == "yes",
        fields.get("managed", "yes") != "no",
        fields.get("trust-policy", "no") == "yes",
        fields.get("remote", ""),
        fields.get("x-init-reserved", ""),
    )
    if found.enable_in and found.disable_in:
        remark = "it has both enable-in and disable-in: enable-in counts, as in p11-kit."
        found = replace(found, disable_in=(), remarks=(remark,))
    return found


def _library(module: str, where: Where) -> str:
    """An absolute path as it is; another one in the folder of modules."""
    if not module or os.path.isabs(module):
        return module
    places = [os.path.join(folder, module) for folder in where.libraries]
    return next((path for path in places if os.path.exists(path)), places[0] if places else "")


def _programs(given: str) -> tuple[str, ...]:
    names = [name for name in re.split(r"[\s,]+", given) if name and name != PROXY]
    return tuple(dict.fromkeys(names))


def _number(given: str) -> int:
    try:
        return int(given) if given else 0
    except ValueError:
        return 0

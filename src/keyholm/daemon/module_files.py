"""Vendors' PKCS#11 modules: one TOML file a module, in the folder `modules` beside config.toml.

    ~/.config/keyholm/modules/opensc.toml        path = "/usr/lib/.../opensc-pkcs11.so"

A file each, since programs write them, as packages do p11-kit's; what one of them says wrongly
concerns no other module. The library is code that runs: neither it nor anything on the way to
it may be changed by anybody but root and the daemon's user.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from enum import StrEnum, unique
from pathlib import Path
from typing import Any, Final, NamedTuple

from msgspec import Struct, field
from msgspec.structs import fields

from keyholm.core.errors import BadConfiguration
from keyholm.core.policy.writing import quoted
from keyholm.daemon import toml_files, trusted, whole_files
from keyholm.daemon.places import Places, make_private

REMEDY: Final = "docs/modules.md has all keys; `keyholm module list` reads the file again."
SUFFIX: Final = ".toml"
NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
MOST: Final = 64  # modules
READABLE: Final = 0o644
FOLDER: Final = 0o755
HEADER: Final = "# Written by `keyholm module`; docs/modules.md has all keys.\n"


@unique
class Login(StrEnum):
    """Who logs in to the tokens of a module."""

    APPLICATION = "application"
    """Each program by itself, with the PIN that it was given."""
    DAEMON = "daemon"
    """keyholm, once, by asking its user; then every program that policy lets."""


class ModuleSettings(Struct, frozen=True):
    path: str
    """The library, by its whole path."""
    env: dict[str, str] = field(default_factory=dict)
    """The worker's environment, beside a few variables that every program needs."""
    init_args: str = ""
    """The string that some modules want at C_Initialize (NSS: where its database is)."""
    login: Login = Login.DAEMON
    sha256: str = ""
    """What the library must hash to, in hexadecimal; empty: anything."""
    reads: tuple[str, ...] = ()
    """Files and folders that it may read, beside the system's libraries."""
    writes: tuple[str, ...] = ()
    """Files and folders that it may also write."""
    devices: tuple[str, ...] = ()
    """Devices that it may open, or patterns of them."""
    sockets: tuple[str, ...] = ()
    """Unix sockets that it may connect to, or folders of them."""
    network: bool = False
    """Whether it may use the network."""
    ipc: bool = False
    """Whether it shares memory and semaphores with other processes of the system."""
    memory_mib: int = 1024
    """Memory that its worker may use."""
    descriptors: int = 256
    """Files that it may have open."""
    call_seconds: float = 60.0
    """How long one call may take, with a touch or a PIN pad in it."""
    start_seconds: float = 20.0
    """How long it may take to start."""
    idle_seconds: float = 0.0
    """After this time without use its worker ends; 0: it stays."""
    enabled: bool = True
    enable_in: tuple[str, ...] = ()
    """The only programs that see its tokens, by name."""
    disable_in: tuple[str, ...] = ()
    """Programs that do not see its tokens."""
    priority: int = 0
    """Tokens of a module with a higher one come first."""


# What a number may be; the type alone does not say.
BOUNDS: Final[Mapping[str, tuple[float, float]]] = {
    "memory_mib": (64, 1024 * 1024),
    "descriptors": (32, 65536),
    "call_seconds": (1, 3600),
    "start_seconds": (1, 600),
    "idle_seconds": (0, 86400 * 365),
    "priority": (-1000000, 1000000),
}
PATHS: Final = ("reads", "writes", "devices", "sockets")
VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
LONGEST: Final = 4096  # characters of a text
MOST_ITEMS: Final = 256  # of a list
LARGEST_LIBRARY: Final = 1 << 30  # bytes


class Modules(NamedTuple):
    """All files of a folder. The good ones as they count: by priority, then by name."""

    good: Mapping[str, ModuleSettings]
    bad: Mapping[str, BadConfiguration]


def folder(places: Places) -> Path:
    return places.config.parent / "modules"


def file_of(modules: Path, name: str) -> Path:
    """Raises `BadConfiguration` for what is no name."""
    if not NAME.fullmatch(name):
        raise BadConfiguration(
            f"{name!r} is no name for a module.",
            remedy="Use up to 32 small letters, digits and hyphens between them.",
        )
    return modules / f"{name}{SUFFIX}"


# --- reading -------------------------------------------------------------------------


def read_folder(modules: Path) -> Modules:
    """Every module file there; nothing where there is no folder. Raises `BadConfiguration`
    if others could put files there, or if it cannot be read."""
    try:
        names = sorted(
            entry.removesuffix(SUFFIX)
            for entry in os.listdir(modules)
            if entry.endswith(SUFFIX) and not entry.startswith(".")
        )
    except (FileNotFoundError, NotADirectoryError):
        return Modules({}, {})
    except OSError as error:
        raise BadConfiguration(f"{modules} cannot be read: {error.strerror}.") from error
    trusted.check_folder(modules)
    if len(names) > MOST:
        raise BadConfiguration(f"{modules} has {len(names)} files; {MOST} modules are the most.")
    good: dict[str, ModuleSettings] = {}
    bad: dict[str, BadConfiguration] = {}
    for name in names:
        try:
            good[name] = read(modules, name)
        except BadConfiguration as error:
            bad[name] = error
    ordered = sorted(good.items(), key=lambda pair: (-pair[1].priority, pair[0]))
    return Modules(dict(ordered), bad)


def read(modules: Path, name: str) -> ModuleSettings:
    """Raises `BadConfiguration`, also where there is no such module."""
    file = file_of(modules, name)
    if not file.exists():
        raise BadConfiguration(
            f"There is no module {name}: {file} is missing.",
            remedy="`keyholm module list` shows all; `keyholm module add PATH` makes one.",
        )
    try:
        return check(toml_files.read(file, REMEDY))
    except BadConfiguration as error:
        what = error.what if error.what.startswith(str(file)) else f"{file}: {error.what}"
        raise BadConfiguration(what, remedy=error.remedy) from error


def check(text: str) -> ModuleSettings:
    """What a file says. Raises `BadConfiguration` with the key that is wrong."""
    settings = toml_files.parse(text, ModuleSettings, REMEDY)
    check_values(settings)
    return settings


def check_values(settings: ModuleSettings) -> None:
    """Raises `BadConfiguration` with the key that is wrong."""
    for name, (least, most) in BOUNDS.items():
        value = getattr(settings, name)
        if not least <= value <= most:
            raise _wrong(f"{name} is {value}; it must be from {least} to {most}.")
    _check_texts(settings)
    for name in PATHS:
        for path in getattr(settings, name):
            _check_path(name, path)
    if not os.path.isabs(settings.path):
        raise _wrong(f"path is {settings.path!r}, which is no absolute path.")
    for name in settings.env:
        _check_variable(name)
    if settings.sha256 and not re.fullmatch("[0-9a-f]{64}", settings.sha256):
        raise _wrong("sha256 must be 64 hexadecimal digits.")
    if settings.enable_in and settings.disable_in:
        raise _wrong("enable_in and disable_in exclude each other.")


def _wrong(what: str) -> BadConfiguration:
    return BadConfiguration(what, remedy=REMEDY)


def _check_texts(settings: ModuleSettings) -> None:
    texts = {"path": (settings.path,), "init_args": (settings.init_args,)}
    texts |= {f"env.{name}": (value,) for name, value in settings.env.items()}
    texts |= {name: getattr(settings, name) for name in (*PATHS, "enable_in", "disable_in")}
    for name, values in texts.items():
        if len(values) > MOST_ITEMS:
            raise _wrong(f"{name} has {len(values)} entries; {MOST_ITEMS} are the most.")
        for value in values:
            if "\0" in value or len(value) > LONGEST:
                raise _wrong(f"{name} has a text with a zero in it, or a very long one.")
    if len(settings.env) > MOST_ITEMS:
        raise _wrong(f"env has {len(settings.env)} entries; {MOST_ITEMS} are the most.")


def _check_path(name: str, path: str) -> None:
    if not os.path.isabs(path):
        raise _wrong(f"{name} has {path!r}, which is no absolute path.")
    if not os.path.normpath(path).strip("/"):
        raise _wrong(f"{name} has {path!r}, which is everything there is.")


def _check_variable(name: str) -> None:
    if not VARIABLE.fullmatch(name):
        raise _wrong(f"env has {name!r}, which is no name of a variable.")
    if name.startswith(("LD_", "PYTHON", "GLIBC_TUNABLES", "KEYHOLM_")):
        raise BadConfiguration(
            f"env has {name}, which is read when a process starts, before the module is loaded.",
            remedy="A folder of libraries belongs into /etc/ld.so.conf.d and into `reads`.",
        )


def check_reach(settings: ModuleSettings, places: Places) -> None:
    """Refuses a module that would see keyholm's own files or sockets: with them it could ask for
    what its worker keeps from it, or for its own keys. Raises `BadConfiguration`."""
    ours = [os.path.realpath(each) for each in (places.data, places.run, places.config.parent)]
    for name in PATHS:
        for path in getattr(settings, name):
            real = os.path.realpath(path)
            if any(_holds(real, own) or _holds(own, real) for own in ours):
                raise BadConfiguration(
                    f"{name} has {path}, where keyholm's own files are.",
                    remedy="Name what the module needs, and not what lies around it.",
                )


def _holds(folder: str, path: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


# --- the library ---------------------------------------------------------------------


def check_library(name: str, settings: ModuleSettings) -> str:
    """The real path of the library. Raises `BadConfiguration` if it is missing, if others
    could replace it, or if it is not the one that was pinned."""
    try:
        real = trusted.real_path(settings.path)
    except BadConfiguration as error:
        remedy = error.remedy or "Install what it came from, or `keyholm module remove` it."
        raise BadConfiguration(f"Module {name}: {error.what}", remedy=remedy) from error
    if settings.sha256 and digest(real) != settings.sha256:
        raise BadConfiguration(
            f"Module {name}: {real} is not the file that was pinned.",
            remedy="If its package was updated (`dpkg --verify` or `rpm --verify` says whether the "
            f"file is the package's), accept the new one: `keyholm module pin {name}`.",
        )
    return real


def digest(path: str) -> str:
    """The SHA-256 of a file, in hexadecimal. Raises `BadConfiguration`."""
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size > LARGEST_LIBRARY:
                raise BadConfiguration(f"{path} is larger than any library.")
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadConfiguration(f"{path} cannot be read: {error.strerror}.") from error


# --- writing -------------------------------------------------------------------------


def write(modules: Path, name: str, settings: ModuleSettings) -> Path:
    """Put the module's file in place, at once and whole. Raises `BadConfiguration` for what
    could not be read again, and `StoreFailed`."""
    file = file_of(modules, name)
    text = written(settings)
    try:
        content = text.encode()
    except UnicodeEncodeError:
        raise _wrong("A module's file is UTF-8, and this is not.") from None
    check(text)
    make_private(modules.parent, mode=FOLDER)
    make_private(modules, mode=FOLDER)
    trusted.check_folder(modules)
    whole_files.replace(str(file), content, READABLE)
    return file


def remove(modules: Path, name: str) -> None:
    """Raises `BadConfiguration`."""
    try:
        file_of(modules, name).unlink()
    except FileNotFoundError:
        raise BadConfiguration(
            f"There is no module {name}.", remedy="`keyholm module list` shows all."
        ) from None
    except OSError as error:
        raise BadConfiguration(f"Module {name} cannot be removed: {error.strerror}.") from error


def written(settings: ModuleSettings) -> str:
    """The file's text: all that is not as it is by default."""
    lines = [
        f"{each.name} = {_toml(getattr(settings, each.name))}\n"
        for each in fields(settings)
        if each.required or getattr(settings, each.name) != _default(each)
    ]
    return HEADER + "".join(lines)


def _default(each: Any) -> Any:
    return each.default_factory() if callable(each.default_factory) else each.default


def _toml(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return quoted(value)
        case int() | float():
            return str(value)
        case tuple():
            return f"[{', '.join(map(_toml, value))}]"
        case dict():
            pairs = (f"{quoted(name)} = {_toml(each)}" for name, each in value.items())
            return f"{{{', '.join(pairs)}}}"
        case _:
            raise TypeError(f"{type(value).__name__} has no form in TOML")

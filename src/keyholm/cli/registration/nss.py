"""NSS: Firefox, Thunderbird, Chromium, and any database of its own (`nss DIR`).

Which modules a program loads stands in the file pkcs11.txt of its database. Our entry is what
`modutil -add` writes, letter by letter (a test compares), so that nobody needs modutil, and
what is there can be put back exactly. A database of a program that runs is left alone: it has
read the list already, and may write it again.
"""

import configparser
import json
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from keyholm.cli.files import PRIVATE
from keyholm.cli.registration.target import Edit, Target, Wish
from keyholm.core.errors import BadRequest

FILE: Final = "pkcs11.txt"
NAME: Final = "keyholm"
POLICIES: Final = "/etc/firefox/policies/policies.json"
CREATE: Final = "certutil -N --empty-password -d sql:{}   # of Debian's libnss3-tools"


def entry(module: str) -> bytes:
    if "\n" in module or "\r" in module:
        raise BadRequest("A path with a line break cannot stand in pkcs11.txt.")
    return f"library={module}\nname={NAME}\n\n".encode()


def database(folder: str, module: str) -> Edit:
    """Raises `BadRequest` where there is none of today's form."""
    path = os.path.join(folder, FILE)
    if not os.path.exists(path):
        old = os.path.exists(os.path.join(folder, "secmod.db"))
        what = "only one of the old form (secmod.db)" if old else "none"
        raise BadRequest(
            f"An NSS database is looked for in {folder}, and there is {what}.",
            remedy=f"Start the program once, or make one: {CREATE.format(folder)}",
        )
    ours = entry(module)

    def with_ours(before: bytes | None) -> bytes:
        parts = list(_entries(before or b""))
        known = [part for part in parts if f"\nname={NAME}\n".encode() in part]
        if not known:
            return b"".join((*parts, ours))
        return b"".join(ours if part in known else part for part in parts)

    return Edit(path, with_ours, PRIVATE)


def _entries(text: bytes) -> Iterator[bytes]:
    """Each with the empty line behind it."""
    while text:
        head, end, text = text.partition(b"\n\n")
        if not end:
            head, end = head.rstrip(b"\n"), b"\n\n"
        yield head + end


# --- any database --------------------------------------------------------------------


def nss_edits(wish: Wish) -> Sequence[Edit]:
    return [database(os.path.abspath(os.path.expanduser(wish.argument)), wish.needs_module())]


def nss_usage(wish: Wish) -> Sequence[str]:
    folder = os.path.abspath(os.path.expanduser(wish.argument))
    return (f"modutil -dbdir sql:{folder} -list", f"certutil -d sql:{folder} -K -h all")


# --- Firefox and Thunderbird ---------------------------------------------------------


def profiles(above: str) -> list[str]:
    """Those that profiles.ini names, and that were used."""
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read(os.path.join(above, "profiles.ini"), encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        return []
    found = []
    for section in parser.sections():
        path = parser.get(section, "Path", fallback="") if section.startswith("Profile") else ""
        if path:
            relative = parser.get(section, "IsRelative", fallback="1") == "1"
            found.append(os.path.join(above, path) if relative else path)
    return [folder for folder in found if os.path.exists(os.path.join(folder, FILE))]


def _mozilla(wish: Wish, program: str) -> str:
    where = {"firefox": ".mozilla/firefox", "thunderbird": ".thunderbird"}[program]
    return os.path.join(wish.home, where)


def _profile_edits(wish: Wish, program: str) -> Sequence[Edit]:
    above = _mozilla(wish, program)
    found = profiles(above)
    if not found:
        raise BadRequest(
            f"{program.capitalize()} has no profile in {above} yet.",
            remedy=f"Start {program} once. One of Flatpak or Snap cannot load modules from outside.",
        )
    return [database(folder, wish.needs_module()) for folder in found]


def _profiles_in_use(wish: Wish, program: str) -> str:
    """A profile's `lock` is a link to the address and the process that has it open."""
    for folder in profiles(_mozilla(wish, program)):
        pid = _linked(os.path.join(folder, "lock"), "+")
        if pid:
            return f"{program.capitalize()} is running (process {pid})."
    return ""


def firefox_edits(wish: Wish) -> Sequence[Edit]:
    if wish.root:
        return [Edit(POLICIES, _policies(wish.needs_module()))]
    return _profile_edits(wish, "firefox")


def firefox_in_use(wish: Wish) -> str:
    return "" if wish.root else _profiles_in_use(wish, "firefox")


def _policies(module: str) -> Callable[[bytes | None], bytes]:
    """https://mozilla.github.io/policy-templates: SecurityDevices, for all users."""

    def with_ours(before: bytes | None) -> bytes:
        try:
            document: Any = json.loads(before or b"{}")
        except (ValueError, RecursionError) as error:
            raise BadRequest(f"{POLICIES} is not JSON: {error}.") from error
        devices = document
        for name in ("policies", "SecurityDevices"):
            if not isinstance(devices, dict):
                raise BadRequest(f"{POLICIES} is not of the form that Firefox reads.")
            devices = devices.setdefault(name, {})
        if not isinstance(devices, dict):
            raise BadRequest(f"{POLICIES} is not of the form that Firefox reads.")
        old = bool(devices) and not {"Add", "Delete"} & devices.keys()
        wanted = devices if old else devices.setdefault("Add", {})
        if wanted.get(NAME) == module and before is not None:
            return before
        wanted[NAME] = module
        return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()

    return with_ours


def firefox_usage(wish: Wish) -> Sequence[str]:
    return ("firefox   # about:preferences#privacy, Security Devices, lists keyholm",)


def databases(wish: Wish) -> list[str]:
    """The lists of modules of all browsers' databases that are here."""
    folders = [chromium_database(wish)]
    for program in ("firefox", "thunderbird"):
        folders += profiles(_mozilla(wish, program))
    paths = [os.path.join(folder, FILE) for folder in folders]
    return [path for path in paths if os.path.exists(path)]


# --- Chromium ------------------------------------------------------------------------

CHROMIUMS: Final = (
    "chromium", "google-chrome", "google-chrome-beta", "BraveSoftware/Brave-Browser",
    "microsoft-edge", "vivaldi",
)  # fmt: skip


def chromium_database(wish: Wish) -> str:
    """Newer ones take the second place where the first is not there."""
    usual = os.path.join(wish.home, ".pki", "nssdb")
    data = wish.environment.get("XDG_DATA_HOME", "")
    data = data if os.path.isabs(data) else os.path.join(wish.home, ".local/share")
    other = os.path.join(data, "pki", "nssdb")
    return other if os.path.exists(other) and not os.path.exists(usual) else usual


def chromium_edits(wish: Wish) -> Sequence[Edit]:
    return [database(chromium_database(wish), wish.needs_module())]


def chromium_in_use(wish: Wish) -> str:
    """`SingletonLock` is a link to the host and the process that runs."""
    for name in CHROMIUMS:
        pid = _linked(os.path.join(wish.config, name, "SingletonLock"), "-")
        if pid:
            return f"{name.rpartition('/')[2]} is running (process {pid})."
    return ""


def _linked(path: str, separator: str) -> int:
    """The process that a lock names, if it is of this host and is there; else 0."""
    try:
        where, _, number = os.readlink(path).rpartition(separator)
    except OSError:
        return 0
    if not number.isdecimal() or (separator == "-" and where != socket.gethostname()):
        return 0
    return int(number) if os.path.exists(f"/proc/{int(number)}") else 0


def chromium_usage(wish: Wish) -> Sequence[str]:
    folder = chromium_database(wish)
    return (f"modutil -dbdir sql:{folder} -list", "chromium   # asks which certificate to show")


NSS: Final = Target("nss", "any NSS database", "", nss_edits, nss_usage, argument="DIR")
FIREFOX: Final = Target(
    "firefox", "each profile; as root all users, by policy", "/usr/bin/firefox*", firefox_edits,
    firefox_usage, firefox_in_use,
)  # fmt: skip
THUNDERBIRD: Final = Target(
    "thunderbird", "each profile", "/usr/bin/thunderbird",
    lambda wish: _profile_edits(wish, "thunderbird"),
    in_use=lambda wish: _profiles_in_use(wish, "thunderbird"),
)  # fmt: skip
CHROMIUM: Final = Target(
    "chromium", "Chromium, Chrome, Brave, Edge", "/usr/bin/chromium*", chromium_edits, chromium_usage,
    chromium_in_use,
)  # fmt: skip

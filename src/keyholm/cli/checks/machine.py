"""What a vendor's module needs of this machine: daemons that answer, files that it may touch."""

import calendar
import grp
import os
import pwd
import shlex
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from keyholm.cli.checks.finding import BAD, WARNING, Finding
from keyholm.cli.exit_status import NOT_ALLOWED, UNAVAILABLE

if TYPE_CHECKING:
    from keyholm.daemon.module_files import ModuleSettings

CHECK: Final = "module"
PATIENCE: Final = 2.0  # seconds for a daemon to take a connection
PCSCD: Final = "/run/pcscd"
PCSCD_SOCKET: Final = "pcscd.comm"
READS, WRITES = 4, 2
LISTENERS: Final = "/proc/net/unix"
ACCEPTS: Final = "00010000"  # __SO_ACCEPTCON
SCDAEMON: Final = "scdaemon"


class Daemon(NamedTuple):
    """Who listens at a socket, and how that is started."""

    name: str
    start: str


UNKNOWN: Final = Daemon("", "Start the program that it belongs to.")
# By the name of the socket.
DAEMONS: Final = {
    PCSCD_SOCKET: Daemon("pcscd", "systemctl enable --now pcscd.socket (of the package pcscd)"),
    "pkcsslotd.socket": Daemon("pkcsslotd", "systemctl enable --now pkcsslotd"),
    "system_bus_socket": Daemon(
        "The system bus, over which tpm2-abrmd is reached,", "systemctl start dbus tpm2-abrmd"
    ),
    "nserver": Daemon("nShield's hardserver", "/opt/nfast/sbin/init.d-ncipher start"),
    "S.gpg-agent": Daemon("gpg-agent", "gpgconf --launch gpg-agent"),
}


# --- daemons -------------------------------------------------------------------------


def silent_daemons(name: str, settings: "ModuleSettings") -> Iterator[Finding]:
    for path in settings.sockets:
        real = os.path.join(path, PCSCD_SOCKET) if path.rstrip("/") == PCSCD else path
        if os.path.isdir(real):
            continue
        trouble = trouble_at(real)
        if trouble:
            daemon = _daemon(real, settings)
            what = f"{daemon.name} does not run" if daemon.name else f"Nobody answers at {real}"
            why = f"{name} is to reach it at {real}: {trouble}."
            yield Finding(BAD, CHECK, f"{what}.", why, daemon.start, UNAVAILABLE)


def _daemon(path: str, settings: "ModuleSettings") -> Daemon:
    if settings.env.get("PCSCLITE_CSOCK_NAME") == path:
        return DAEMONS[PCSCD_SOCKET]
    return DAEMONS.get(os.path.basename(path), UNKNOWN)


def trouble_at(path: str, table: str = LISTENERS) -> str:
    """Why nobody can be reached there; empty: somebody can.

    The kernel's table is asked first. To connect and hang up is no innocent question:
    pkcsslotd 3.8 dies of it.
    """
    try:
        facts = os.stat(path)
    except PermissionError:
        return ""  # somebody may be there: `out_of_reach` tells of it
    except OSError:
        return "it is not there"
    if not stat.S_ISSOCK(facts.st_mode):
        return "it is no socket"
    if os.path.realpath(path) in _listening(table):
        return ""
    return "nobody listens" if _refuses(path) else ""


def _listening(table: str) -> set[str]:
    """Sockets of this network namespace, by their paths as they were bound."""
    try:
        with open(table, encoding="utf-8", errors="surrogateescape") as file:
            lines = [line.rstrip("\n").split(None, 7) for line in file]
    except OSError:
        return set()
    # Num RefCount Protocol Flags Type St Inode Path
    return {
        os.path.realpath(fields[7])
        for fields in lines
        if len(fields) == 8 and fields[3] == ACCEPTS and fields[7].startswith("/")
    }


def _refuses(path: str) -> bool:
    """Of a socket that is not in the table: its daemon has ended, or is in another namespace."""
    with socket.socket(socket.AF_UNIX) as program:
        program.settimeout(PATIENCE)
        try:
            program.connect(path)
        except PermissionError:
            return False
        except OSError:
            return True
    return False


def reads_cards(settings: "ModuleSettings") -> bool:
    """Whether it goes through pcscd."""
    named = settings.env.get("PCSCLITE_CSOCK_NAME", "")
    return any(
        path.rstrip("/") == PCSCD or path == named or os.path.basename(path) == PCSCD_SOCKET
        for path in settings.sockets
    )


class Holder(NamedTuple):
    name: str
    pid: int


def card_holder(processes: str = "/proc") -> Holder | None:
    """A program that may have taken the card for itself."""
    for entry in Path(processes).glob("[0-9]*/comm"):
        try:
            if entry.read_text().strip() == SCDAEMON:
                return Holder(SCDAEMON, int(entry.parent.name))
        except OSError:
            continue  # it has ended
    return None


# --- files ---------------------------------------------------------------------------


def out_of_reach(name: str, settings: "ModuleSettings") -> Iterator[Finding]:
    """What it is to see and this user may not. The daemon is taken to be of the same user."""
    wanted = [(path, READS) for path in settings.reads]
    wanted += [(path, READS | WRITES) for path in (*settings.writes, *settings.devices)]
    wanted += [(path, READS | WRITES) for path in settings.sockets]
    for path, access in wanted:
        if "*" in path:
            continue
        try:
            facts = os.stat(path)
        except PermissionError:
            blocked = _blocked_by(path)
            yield no_access(name, blocked, os.stat(blocked), READS)
        except OSError:
            yield from _absent(name, path, settings)
        else:
            if path in settings.sockets and stat.S_ISDIR(facts.st_mode):
                access = READS
            if not may(facts, access):
                yield no_access(name, path, facts, access)


def _blocked_by(path: str) -> str:
    """The folder above `path` that lets nobody of us through."""
    above = os.path.dirname(path)
    while above != "/" and not os.path.exists(above):
        above = os.path.dirname(above)
    return above


def _absent(name: str, path: str, settings: "ModuleSettings") -> Iterator[Finding]:
    if path in settings.sockets:
        return  # its daemon does not run, which is told
    if path in settings.devices:
        what = f"{path}, which {name} is to use, is not there."
        why = "The device is not plugged in, switched off in the firmware, or has no driver."
        yield Finding(BAD, CHECK, what, why, "dmesg shows what the kernel found", UNAVAILABLE)
    else:
        what = f"{path}, which {name} is to use, is not there."
        remedy = "Make it, or correct the module's file (`keyholm module list --json` names it)."
        yield Finding(WARNING, CHECK, what, "", remedy)


def may(
    facts: os.stat_result,
    access: int,
    user: int | None = None,
    groups: tuple[int, ...] | None = None,
) -> bool:
    """Whether a user (ours) may read or write a file with these permissions."""
    user = os.geteuid() if user is None else user
    groups = (os.getegid(), *os.getgroups()) if groups is None else groups
    if user == 0:
        return True
    shift = 6 if facts.st_uid == user else 3 if facts.st_gid in groups else 0
    return (facts.st_mode >> shift) & access == access


def no_access(name: str, path: str, facts: os.stat_result, access: int) -> Finding:
    verb = "write to" if access & WRITES else "read"
    what = f"You may not {verb} {path}, which {name} is to use."
    owner, group = _user(facts.st_uid), _group(facts.st_gid)
    why = f"It belongs to {owner} and the group {group}, mode {stat.S_IMODE(facts.st_mode):04o}."
    if (facts.st_mode >> 3) & access == access and facts.st_gid:
        remedy = f"sudo usermod -aG {group} {_user(os.geteuid())}; then log in again"
    else:
        remedy = f"sudo setfacl -m u:{_user(os.geteuid())}:{'rw' if access & WRITES else 'r'} "
        remedy += shlex.quote(path)
    return Finding(BAD, CHECK, what, why, remedy, NOT_ALLOWED)


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


# --- what to do with a token ---------------------------------------------------------

INITIALISE: Final = {
    "libsofthsm2.so": "softhsm2-util --init-token --free --label NAME",
    "libtpm2_pkcs11.so": "tpm2_ptool init; tpm2_ptool addtoken --pid 1 --label NAME",
    "libsoftokn3.so": "certutil -N -d sql:FOLDER",
}
PIV: Final = "ykman piv access unblock-pin (a YubiKey), or pkcs15-tool --unblock-pin"


def initialising(library: str) -> str:
    """The command that makes a token of a blank one."""
    name = os.path.basename(library)
    known = next((told for file, told in INITIALISE.items() if name.startswith(file)), "")
    return known or f"pkcs11-tool --module {library} --init-token --label NAME"


def unblocking(library: str) -> str:
    """The command by which the officer gives the user a new PIN."""
    name = os.path.basename(library)
    if name.startswith(("opensc-pkcs11", "onepin-opensc", "libykcs11")):
        return PIV
    return f"pkcs11-tool --module {library} --init-pin --login --login-type so"


def time_of(utc_time: str) -> float | None:
    """A token's clock: YYYYMMDDhhmmss00 (CK_TOKEN_INFO)."""
    try:
        return float(calendar.timegm(time.strptime(utc_time[:14], "%Y%m%d%H%M%S")))
    except ValueError:
        return None

"""Which sockets are there, who listens on them, and which one do ssh and git use?"""

import os
import socket
import stat
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from keyholm.cli.checks.finding import BAD, GOOD, WARNING, Finding, Patient
from keyholm.cli.exit_status import UNAVAILABLE

VARIABLE: Final = "SSH_AUTH_SOCK"
USE_OURS: Final = 'eval "$(keyholm env)"'
PATIENCE: Final = 2.0  # seconds
PEER: Final = struct.Struct("3i")


class Other(NamedTuple):
    """An agent that sets SSH_AUTH_SOCK, how it is known, and how it is told not to."""

    name: str
    commands: tuple[str, ...]  # of its process; the kernel keeps 15 letters
    paths: tuple[str, ...]  # parts of its socket's path, when systemd listens for it
    remedy: str


OTHERS: Final = (
    Other(
        "GNOME's keyring",
        ("gnome-keyring-d", "gcr-ssh-agent"),
        ("/keyring/", "/gcr/"),
        "systemctl --user mask gcr-ssh-agent.socket gcr-ssh-agent.service",
    ),
    Other(
        "GnuPG's agent",
        ("gpg-agent",),
        ("S.gpg-agent.ssh",),
        "remove enable-ssh-support from ~/.gnupg/gpg-agent.conf; gpgconf --kill gpg-agent",
    ),
    Other("OpenSSH's agent", ("ssh-agent",), ("/ssh-", "/.ssh/agent/", "openssh_agent"), ""),
    Other("KeePassXC", ("keepassxc",), (), ""),
    Other("1Password", ("1password",), ("/.1password/",), ""),
    Other("Bitwarden", ("bitwarden",), ("bitwarden",), ""),
    Other("another keyholm-agent", ("keyholm-agent",), (), ""),
    Other("another keyholm", ("keyholm",), (), ""),
)


def agent_is_ours(patient: Patient) -> Iterator[Finding]:
    named = patient.environment.get(VARIABLE, "")
    ours = str(patient.places.socket("ssh"))
    if not named:
        why = "ssh, git and scp find no agent, unless ~/.ssh/config has IdentityAgent."
        yield Finding(WARNING, VARIABLE, "It is not set.", why, USE_OURS, UNAVAILABLE)
        return
    if os.path.realpath(named) == os.path.realpath(ours):
        if listener(named) is not None:
            yield Finding(GOOD, VARIABLE, "It names keyholm's agent.")
        return  # that nobody listens there is found by `none_is_stale`
    pid = listener(named)
    if pid is None:
        what = f"It names {named}, where nobody listens."
        why = "The agent that was there has ended, and the shell still has its name."
        yield Finding(BAD, VARIABLE, what, why, USE_OURS, UNAVAILABLE)
        return
    who, remedy = owner_of(named, pid, patient.environment.get("SSH_AGENT_PID", ""))
    what = f"It names {named}, which belongs to {who}, not to keyholm."
    why = "ssh asks that agent, and sees none of keyholm's keys."
    commands = "; ".join(filter(None, (remedy, USE_OURS)))
    yield Finding(WARNING, VARIABLE, what, why, commands, UNAVAILABLE)


def none_is_stale(patient: Patient) -> Iterator[Finding]:
    for door in ("ssh", "pkcs11", "control"):
        path = str(patient.places.socket(door))
        if is_socket(path) and listener(path) is None:
            yield Finding(
                BAD,
                "socket",
                f"Nobody listens on {path}.",
                "A daemon was killed before it could remove its socket.",
                f"rm {path}; keyholm serve",
                UNAVAILABLE,
            )


def is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def listener(path: str) -> int | None:
    """The process that listens at `path`, as the kernel knows it."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(PATIENCE)
        try:
            probe.connect(path)
            raw = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size)
        except OSError:
            return None
    pid: int = PEER.unpack(raw)[0]
    return pid


def owner_of(path: str, pid: int, told: str = "") -> tuple[str, str]:
    """Whose socket this is, and the command that takes it away from them."""
    command = _command(pid)
    if not command:
        # The kernel names who began to listen; an agent that forked afterwards is another,
        # and may have hidden its descriptors. `told` is what it said itself.
        pid = _holder(path) or (int(told) if told.isdecimal() else pid)
        command = _command(pid)
    for other in OTHERS:
        if command in other.commands or any(part in path for part in other.paths):
            return f"{other.name} (process {pid})", other.remedy
    return f"{command or 'a program'} (process {pid})", ""


def _holder(path: str) -> int | None:
    """Which process has the socket open, as far as we may look."""
    numbers = _sockets_at(path)
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        folder = f"/proc/{pid}/fd"
        try:
            held = [os.readlink(f"{folder}/{number}") for number in os.listdir(folder)]
        except OSError:
            continue
        if numbers.intersection(held):
            return int(pid)
    return None


def _sockets_at(path: str) -> set[str]:
    try:
        with open("/proc/net/unix") as file:
            rows = [line.split(maxsplit=7) for line in file]
    except OSError:
        return set()
    return {f"socket:[{row[6]}]" for row in rows if len(row) == 8 and row[7].strip() == path}


def _command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:
        return ""

"""What a module must see to work: one fact a line, with why, for its user to judge.

A worker sees the system's libraries and nothing else of the disk, the devices and the network,
unless its module's file declares it. What a well-known module needs is in `known`; of any other
we take what its variables and its arguments name.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Final, NamedTuple

LARGEST: Final = 1 << 20  # bytes of a configuration file of a module


@unique
class Kind(StrEnum):
    """A key of a module's file."""

    ENV = "env"
    READS = "reads"
    WRITES = "writes"
    DEVICES = "devices"
    SOCKETS = "sockets"
    NETWORK = "network"
    IPC = "ipc"


class Need(NamedTuple):
    kind: Kind
    value: str  # of ENV: NAME=VALUE; of NETWORK and IPC: nothing
    why: str


@dataclass(frozen=True, slots=True)
class Here:
    """What was asked for, and where: `environment` is the user's, `root` where / is."""

    env: Mapping[str, str] = field(default_factory=dict)
    init_args: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    root: str = "/"

    def real(self, path: str) -> str:
        return os.path.join(self.root, path.lstrip("/"))

    def exists(self, path: str) -> bool:
        return os.path.exists(self.real(path))

    def is_folder(self, path: str) -> bool:
        return os.path.isdir(self.real(path))

    def read(self, path: str) -> str:
        """What is in a file, as far as it can be read."""
        try:
            with open(self.real(path), encoding="utf-8", errors="replace") as file:
                return file.read(LARGEST)
        except OSError:
            return ""

    def home(self, below: str) -> str:
        """A path in the user's home; empty without one."""
        home = self.environment.get("HOME", "")
        return os.path.join(home, below) if os.path.isabs(home) else ""


def reads(path: str, why: str) -> Need:
    return Need(Kind.READS, path, why)


def writes(path: str, why: str) -> Need:
    return Need(Kind.WRITES, path, why)


def socket(path: str, why: str) -> Need:
    return Need(Kind.SOCKETS, path, why)


def device(path: str, why: str) -> Need:
    return Need(Kind.DEVICES, path, why)


def variable(name: str, value: str, why: str) -> Need:
    return Need(Kind.ENV, f"{name}={value}", why)


def network(why: str) -> Need:
    return Need(Kind.NETWORK, "", why)


def ipc(why: str) -> Need:
    return Need(Kind.IPC, "", why)


def values(needs: Iterable[Need], kind: Kind) -> tuple[str, ...]:
    """What stands under that key of a module's file."""
    return tuple(need.value for need in needs if need.kind is kind)


def of_variables(here: Here, known: Iterable[str] = ()) -> Iterator[Need]:
    """Files that --env names, but for those of `known` variables."""
    taken = set(known)
    for name, value in here.env.items():
        if name not in taken and os.path.isabs(value) and here.exists(value):
            yield reads(value, f"{name} names it")


def distinct(found: Iterable[Need]) -> list[Need]:
    """Each once. What is written may be read as well; what lies in a declared folder is in it."""
    kept: dict[tuple[Kind, str], Need] = {}
    for need in found:
        if need.value or need.kind in (Kind.NETWORK, Kind.IPC):
            kept.setdefault((need.kind, need.value), need)
    written = {value for kind, value in kept if kind is Kind.WRITES}
    return [
        need
        for need in kept.values()
        if not (need.kind is Kind.READS and any(_within(need.value, each) for each in written))
    ]


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")

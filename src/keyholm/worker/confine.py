"""Closes a worker in, before anything foreign runs in it, as its Spec says."""

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Final

from keyholm.sandbox import landlock, limits, namespaces, process, seccomp, view
from keyholm.sandbox.landlock import READ, WRITE, Access, Rule
from keyholm.sandbox.view import May, Shown
from keyholm.worker import calls
from keyholm.worker.spec import MASTER, Isolation, Spec

# What every library may need of a system: programs' files, who a uid is, which certificates
# are trusted, what time it is.
SYSTEM: Final = (
    "/usr",
    "/etc/ld.so.cache",
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/etc/crypto-policies",
    "/etc/passwd",
    "/etc/group",
    "/etc/nsswitch.conf",
    "/etc/localtime",
    "/etc/timezone",
)
NETWORK: Final = (
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
)
DEVICE: Final = Access.READ_FILE | Access.WRITE_FILE | Access.READ_DIR | Access.IOCTL_DEV
RIGHTS: Final = {May.READ: READ, May.WRITE: WRITE, May.USE: DEVICE}


def confine(spec: Spec) -> Isolation:
    """Returns in the process that is to load the library, which may be another than the caller.

    Call it before the first thread, with every module imported that is needed early.
    """
    process.refuse_core_files()
    process.refuse_new_privileges()
    shown = tuple(what_is_shown(spec))
    reason = namespaces.enter(
        network=spec.network,
        ipc=spec.ipc,
        build=partial(view.build, shown, shares=spec.ipc),
        lose=partial(os.close, MASTER),
    )
    limits.apply(
        memory_mib=spec.memory_mib,
        descriptors=spec.descriptors,
        own_users=not reason and os.geteuid() != 0,
    )
    process.give_up_capabilities()
    process.refuse_debuggers()
    version = landlock.apply(_rules(shown, spec, inside=not reason), network=spec.network)
    filtered = seccomp.apply(calls.allowed(os.getpid(), _families(spec), ipc=spec.ipc))
    os.environ.update(spec.env)
    lacks = {"Landlock": not version, "seccomp": not filtered}
    missing = tuple(name for name, lacking in lacks.items() if lacking)
    return Isolation(full=not reason, reason=reason, lacks=missing, forks=not filtered)


def what_is_shown(spec: Spec) -> Iterator[Shown]:
    for path in (*SYSTEM, *(NETWORK if spec.network else ()), *_python_places(), spec.library):
        yield Shown(path)
    for path in spec.reads:
        yield Shown(path)
    for path in spec.writes:
        yield Shown(path, May.WRITE)
    for path in _matches(spec.devices):
        yield Shown(path, May.USE)
    for path in spec.sockets:
        yield Shown(_place_of(path, spec.sockets))


def _python_places() -> set[str]:
    """Where modules that are imported late come from: each package by itself, since what is
    beside it may be somebody's home."""
    found = {os.path.dirname(os.__file__)}
    for name, module in tuple(sys.modules.items()):
        if "." not in name:
            found.update(getattr(module, "__path__", ()))
    return found


def _matches(patterns: Iterable[str]) -> Iterator[str]:
    """What is there now. Of `/dev/bus/usb/*/*` the folder, for what is plugged in later."""
    for pattern in patterns:
        folder = pattern
        while folder.endswith("/*"):
            folder = folder.removesuffix("/*")
        if not any(letter in folder for letter in "*?[") and folder not in ("", "/dev"):
            yield folder
        else:
            from glob import iglob

            yield from iglob(pattern)


def _place_of(path: str, declared: Iterable[str]) -> str:
    """The socket's folder, if there is nothing in it that was not declared: a daemon that is
    restarted makes another socket there, and the old one is dead."""
    folder = os.path.dirname(os.path.realpath(path))
    wanted = {os.path.realpath(each) for each in declared}
    try:
        others = [entry.path for entry in os.scandir(folder) if not _is_plain(entry)]
    except OSError:
        return path
    return folder if wanted.issuperset(others) else path


def _is_plain(entry: "os.DirEntry[str]") -> bool:
    return stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode)


def _families(spec: Spec) -> set[int]:
    families = {calls.AF_UNIX} if spec.sockets else set()
    if spec.network:
        families |= {calls.AF_INET, calls.AF_INET6, calls.AF_NETLINK}
    if spec.devices:
        families.add(calls.AF_NETLINK)  # how libusb learns what is plugged in
    return families


def _rules(shown: Iterable[Shown], spec: Spec, *, inside: bool) -> Iterator[Rule]:
    for each in shown:
        yield Rule(each.path, RIGHTS[each.may])
    for path in view.PARTS:
        yield Rule(path, READ)
    for path in view.DEVICES:
        yield Rule(path, DEVICE)
    # In a view of its own all of /proc is of its own processes, and /tmp its own too.
    yield Rule("/proc" if inside and not spec.ipc else "/proc/self", READ)
    if inside:
        yield Rule(view.SCRATCH, WRITE)
    if inside or spec.ipc:
        yield Rule(view.SHARED_MEMORY, WRITE)

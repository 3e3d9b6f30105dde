"""Who is a process? What /proc says of it, read at one go.

Everything is read through one handle on /proc/PID, which stays with that process: should it
end while we read, reading fails; a later process of the same number is never taken for it.
Whether it is still the process that connected is the keeper's to say, by its pidfd.
"""

import os
import re
from functools import lru_cache
from stat import S_IWGRP, S_IWOTH
from typing import Final

from msgspec import Struct

from keyholm.core.caller import DELETED, ELSEWHERE, UNKNOWN_PROCESS, Executable, Process

PARENTS: Final = 3  # how many are named; more only costs time
GENERATIONS: Final = 64  # how far up a descendant of ours is looked for
MOST: Final = 4096  # bytes read of one /proc file


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Programs that run other programs' text, so that their own name says nothing about what is
# done. Versions (python3.11) and the suffix of a build (-dbg) are cut off before comparing.
INTERPRETERS: Final = _words("""
    python pypy perl ruby node nodejs deno bun lua luajit php tclsh wish guile racket gosh
    java mono dotnet scala groovy erl beam.smp escript elixir julia Rscript R octave
    sh bash dash zsh ksh mksh ash fish csh tcsh rc es busybox toybox
    awk gawk mawk nawk sed ed ex vi vim nvim emacs gdb lldb strace ltrace
    env nohup setsid xargs find ld-linux-x86-64.so ld-linux-aarch64.so ld-linux.so ld-musl
    ld.so qemu-x86_64 qemu-aarch64 wine wine64 osascript expect make
""")
# Processes that pass somebody else's requests on (a forwarded agent, a jump host).
RELAYS: Final = _words("""
    ssh sshd sshd-session sshd-auth hpnssh hpnsshd dropbear dbclient dropbearmulti plink
    tinysshd autossh mosh-client mosh-server et etserver
""")
_VERSION: Final = re.compile(r"[-.]?\d[\d.]*[a-z]{0,2}$|\.\d+$")


class Stat(Struct, frozen=True):
    """The fields of /proc/PID/stat that matter here."""

    command: str
    parent: int
    group: int
    terminal: int
    foreground: int  # the process group in the foreground of that terminal
    start: int


def identify(pid: int) -> Process:
    """`UNKNOWN_PROCESS` with this pid where nothing can be known."""
    try:
        handle = os.open(f"/proc/{pid}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except (OSError, ValueError):
        return UNKNOWN_PROCESS if pid <= 0 else Process(pid=pid)
    try:
        stat = read_stat(handle)
        executable = _executable(handle)
        cgroup, unit = _placed(_read(handle, "cgroup"))
    except (OSError, ValueError):
        return Process(pid=pid)
    finally:
        os.close(handle)
    return Process(
        pid=pid,
        start=stat.start,
        executable=executable,
        unit=unit,
        cgroup=cgroup,
        tty=terminal_name(stat.terminal),
        command=stat.command,
        parents=_parents(pid, stat.start, stat.parent),
        relay=executable is not None and os.path.basename(executable.path) in RELAYS,
    )


def owner_of(pid: int) -> int | None:
    """Root for a process that does not let itself be looked at."""
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except (OSError, ValueError):
        return None


def descends_from(pid: int, ancestor: int) -> bool:
    """Whether `ancestor` is `pid` or one of its parents."""
    for _ in range(GENERATIONS):
        if pid == ancestor:
            return True
        if pid <= 1:
            return False
        try:
            pid = stat_of(pid).parent
        except (OSError, ValueError):
            return False
    return True  # nobody honest has that many parents


def resolve(path: str) -> Executable | None:
    """The file that a rule's path names here and now."""
    try:
        facts = os.stat(path)
    except (OSError, ValueError):
        return None
    return _described(os.path.realpath(path), facts)


def _executable(handle: int) -> Executable | None:
    """Raises nothing: an executable that cannot be seen is None, and matches no rule."""
    try:
        path = os.readlink("exe", dir_fd=handle)
        facts = os.stat("exe", dir_fd=handle)
    except OSError:
        return None
    path = printable(path)
    if not path.endswith(DELETED) and not _is_here(path, facts):
        # A bind mount or a namespace of its own: the name there is not the name here.
        path += ELSEWHERE
    return _described(path, facts)


def _is_here(path: str, facts: os.stat_result) -> bool:
    try:
        here = os.stat(path)
    except OSError:
        return False
    return (here.st_dev, here.st_ino) == (facts.st_dev, facts.st_ino)


def _described(path: str, facts: os.stat_result) -> Executable:
    return Executable(
        path=path,
        device=facts.st_dev,
        inode=facts.st_ino,
        trusted=facts.st_uid == 0 and not facts.st_mode & (S_IWGRP | S_IWOTH),
        interpreter=is_interpreter(path),
    )


@lru_cache(maxsize=256)
def is_interpreter(path: str) -> bool:
    name = os.path.basename(path.removesuffix(ELSEWHERE).removesuffix(DELETED))
    while name not in INTERPRETERS:
        shorter = _VERSION.sub("", name.removesuffix("-dbg"))
        if shorter == name:
            return False
        name = shorter
    return True


def read_stat(handle: int) -> Stat:
    return parse_stat(_read(handle, "stat"))


def stat_of(pid: int) -> Stat:
    return parse_stat(_read_path(f"/proc/{pid}/stat"))


def parse_stat(line: str) -> Stat:
    """proc(5). The name stands in brackets and may hold any character, brackets too."""
    opening, closing = line.index("("), line.rindex(")")
    rest = line[closing + 2 :].split(maxsplit=20)
    return Stat(
        command=printable(line[opening + 1 : closing]),
        parent=int(rest[1]),
        group=int(rest[2]),
        terminal=int(rest[4]),
        foreground=int(rest[5]),
        start=int(rest[19]),
    )


@lru_cache(maxsize=256)
def _placed(text: str) -> tuple[str, str]:
    """The cgroup that the file names, and its unit."""
    cgroup = cgroup_in(text)
    return cgroup, unit_of(cgroup)


def cgroup_in(text: str) -> str:
    """The path in the hierarchy that systemd keeps: the unified one, else its own."""
    found = ""
    for line in text.splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0" and path != "/":
            return printable(path)
        if controllers == "name=systemd":
            found = path
    return printable(found)


def unit_of(cgroup: str) -> str:
    """The systemd unit of a cgroup. One of a user's own manager begins with `user:`.

    The outermost unit counts, since whoever a cgroup is delegated to may make folders of any
    name in it. For the same reason a user's unit must never be spelt like a system unit.
    """
    units = [part for part in cgroup.split("/") if part.endswith((".service", ".scope"))]
    if not units:
        return ""
    if units[0].startswith("user@") and units[0].endswith(".service"):
        return f"user:{units[1]}" if len(units) > 1 else units[0]
    return units[0]


def terminal_name(device: int) -> str:
    """The name of the terminal with this device number, checked against /dev; else empty."""
    major, minor = os.major(device), os.minor(device)
    if 136 <= major <= 143:
        path = f"/dev/pts/{minor + (major - 136) * 256}"
    elif major == 4:
        path = f"/dev/tty{minor}" if minor < 64 else f"/dev/ttyS{minor - 64}"
    else:
        return ""
    try:
        return path if os.stat(path).st_rdev == device else ""
    except OSError:
        return ""


def printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else "?" for letter in text)


@lru_cache(maxsize=256)
def _parents(child: int, start: int, pid: int) -> tuple[str, ...]:
    """Names of the processes above `child`. They are for people to read, so they may be as
    old as the child's first connection; they are most of the cost of looking one up."""
    names: list[str] = []
    while pid > 1 and len(names) < PARENTS:
        try:
            stat = stat_of(pid)
        except (OSError, ValueError):
            break
        names.append(stat.command)
        pid = stat.parent
    return tuple(names)


def _read(handle: int, name: str) -> str:
    return _read_path(name, handle)


def _read_path(path: str, handle: int | None = None) -> str:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=handle)
    try:
        return os.read(file, MOST).decode(errors="replace")
    finally:
        os.close(file)

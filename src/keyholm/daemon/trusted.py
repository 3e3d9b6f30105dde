"""Files that are run or obeyed: nobody but root and the daemon's user may be able to change them.

Not the file alone counts: who can write to a folder on the way to it, or replace a symbolic link
there, decides what is loaded. A folder with the sticky bit lets nobody take away what is
another's, so in it the owner of each entry counts.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from stat import S_IWGRP, S_IWOTH
from typing import Final

from keyholm.core.errors import BadConfiguration

MOST_LINKS: Final = 40  # as the kernel's own limit

Step = tuple[str, os.stat_result]


def real_path(path: str, *, owner: int | None = None) -> str:
    """Where `path` leads, with no link in it. Raises `BadConfiguration` unless it can be trusted.

    `owner` is the user who may change it beside root; None: ours.
    """
    trusted = {0, os.geteuid() if owner is None else owner}
    name = path
    try:
        for name, facts in _steps(path):
            _check(name, facts, trusted)
    except OSError as error:
        raise BadConfiguration(_missing(path, error)) from error
    return name


def _missing(path: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return f"{path} is not there."
    return f"{path} cannot be reached: {error.strerror}."


def _steps(path: str) -> Iterator[Step]:
    """Every folder and link on the way, and at last what `path` is in the end."""
    if not os.path.isabs(path):
        raise BadConfiguration(f"{path!r} is no absolute path.")
    here, links = "/", 0
    ahead = [part for part in reversed(path.split("/")) if part not in ("", ".")]
    yield here, os.lstat(here)
    while ahead:
        part = ahead.pop()
        if part == "..":
            here = os.path.dirname(here)
            continue
        name = os.path.join(here, part)
        facts = os.lstat(name)
        yield name, facts
        if not stat.S_ISLNK(facts.st_mode):
            here = name
            continue
        links += 1
        if links > MOST_LINKS:
            raise BadConfiguration(f"{path} leads from link to link without end.")
        target = os.readlink(name)
        ahead += [part for part in reversed(target.split("/")) if part not in ("", ".")]
        here = "/" if os.path.isabs(target) else here
        yield here, os.lstat(here)
    yield here, os.lstat(here)


def _check(name: str, facts: os.stat_result, trusted: set[int]) -> None:
    if facts.st_uid not in trusted:
        raise BadConfiguration(
            f"{name} belongs to uid {facts.st_uid}, who could put anything there.",
            remedy=f"See what it is, then `chown root {name}`, or use a copy that root owns.",
        )
    if stat.S_ISLNK(facts.st_mode):
        return  # its mode says nothing
    if stat.S_ISDIR(facts.st_mode) and facts.st_mode & stat.S_ISVTX:
        return
    if facts.st_mode & S_IWOTH or (facts.st_mode & S_IWGRP and has_others(facts.st_gid, trusted)):
        raise BadConfiguration(
            f"{name} can be written by others, who could put anything there.",
            remedy=f"See what is in it, then `chmod go-w {name}`.",
        )


def has_others(group: int, trusted: set[int]) -> bool:
    """Whether anybody else is in `group`. A user's own group, or /usr/local's empty one, is well."""
    import grp
    import pwd

    try:
        members = {pwd.getpwnam(name).pw_uid for name in grp.getgrgid(group).gr_mem}
    except KeyError:
        return True
    return not (
        members | {each.pw_uid for each in pwd.getpwall() if each.pw_gid == group} <= trusted
    )


def check_folder(folder: Path) -> None:
    """Raises `BadConfiguration` if others could put files into `folder`, or above it."""
    real_path(str(folder))

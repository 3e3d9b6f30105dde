"""Files of the disk store: whole or not at all, ours alone, and never larger than they may be."""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from keyholm.core.errors import KeyholmError, StoreDamaged, StoreFailed, StoreFull

MAX_FILE: Final = 256 * 1024
FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def failed(path: Path, doing: str, error: OSError) -> KeyholmError:
    """What an `OSError` is called here."""
    told = f"{path} cannot be {doing}: {error.strerror}."
    if error.errno in FULL:
        return StoreFull(told, remedy="Make room on its disk; nothing was changed.")
    return StoreFailed(told, remedy="Check its disk and permissions; nothing was changed.")


def read(path: Path, most: int = MAX_FILE) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except FileNotFoundError:
        raise StoreDamaged(f"{path} is missing.", remedy="Restore it from a backup.") from None
    except OSError as error:
        raise failed(path, "read", error) from error
    if len(content) > most:
        raise StoreDamaged(f"{path} is larger than {most} bytes.", remedy="Look what it is.")
    return content


def write(path: Path, content: bytes, *, keep: Path | None = None) -> None:
    """Replace `path`, keeping what was there before as `keep`. On the disk when it returns."""
    new = path.with_name(f".{path.name}.new")
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            write_all(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if keep is not None and path.exists():
            # By a link, so that there is no moment without `path`.
            link = path.with_name(f".{path.name}.prev")
            link.unlink(missing_ok=True)
            os.link(path, link)
            link.replace(keep)
        new.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise failed(path, "written", error) from error


def write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700)
        sync_folder(folder.parent)
    except FileExistsError:
        pass
    except OSError as error:
        raise failed(folder, "made", error) from error


def check_folder(folder: Path) -> None:
    """Raises `StoreFailed` where others could read or replace what lies in it."""
    try:
        facts = folder.lstat()
    except OSError as error:
        raise failed(folder, "looked at", error) from error
    if not stat.S_ISDIR(facts.st_mode):
        raise StoreFailed(f"{folder} is not a folder.")
    if facts.st_uid not in (0, os.geteuid()):
        raise StoreFailed(
            f"{folder} belongs to uid {facts.st_uid}.", remedy="Move it away, or `chown` it."
        )
    if facts.st_mode & 0o077:
        raise StoreFailed(
            f"{folder} can be entered by others (mode {stat.S_IMODE(facts.st_mode):04o}).",
            remedy=f"`chmod 700 {folder}`, and think about who has read it.",
        )


def destroy(path: Path) -> None:
    """Overwrite, as far as a disk still does that in place, and unlink."""
    with suppress(OSError):
        size = path.stat().st_size
        if path.stat().st_nlink == 1:
            with path.open("r+b") as file:
                file.write(bytes(size))
                file.flush()
                os.fsync(file.fileno())
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise failed(path, "removed", error) from error

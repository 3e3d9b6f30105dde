"""Files of the disk store: whole or not at all, ours alone, never larger than they may be."""

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from keyholm.core.errors import KeyholmError, StoreDamaged, StoreFailed, StoreFull

NEW: Final = ".new"
FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FLAGS: Final = os.O_CLOEXEC | os.O_NOFOLLOW


def failed(path: Path, doing: str, error: OSError) -> KeyholmError:
    """What an `OSError` is called here."""
    told = f"{path} cannot be {doing}: {error.strerror}."
    if error.errno in FULL:
        return StoreFull(told, remedy="Make room on its disk and try again; nothing was changed.")
    if error.errno == errno.EROFS:
        return StoreFailed(told, remedy="Make its file system writable; nothing was changed.")
    return StoreFailed(told, remedy="Look at its disk and its permissions; nothing was changed.")


def read(path: Path, most: int) -> bytes:
    """Raises `StoreDamaged` where it is missing or too large, `StoreFailed` where others can
    read or replace it."""
    try:
        # A pipe in its place must not make us wait.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | FLAGS)
    except FileNotFoundError:
        raise StoreDamaged(
            f"{path} is missing.", remedy="Restore the token from a backup."
        ) from None
    except OSError as error:
        raise failed(path, "read", error) from error
    try:
        facts = os.fstat(descriptor)
        check_private(path, facts, stat.S_ISREG)
        if facts.st_size > most:
            raise StoreDamaged(
                f"{path} has {facts.st_size} bytes, more than it can have.",
                remedy="Restore the token from a backup.",
            )
        return _read_all(descriptor, facts.st_size)
    except OSError as error:
        raise failed(path, "read", error) from error
    finally:
        os.close(descriptor)


def _read_all(descriptor: int, size: int) -> bytes:
    content = os.read(descriptor, size + 1)
    while len(content) < size and (more := os.read(descriptor, size - len(content))):
        content += more
    return content


def check_private(path: Path, facts: os.stat_result, is_kind: Callable[[int], bool]) -> None:
    """Raises `StoreFailed` unless it is ours alone."""
    if not is_kind(facts.st_mode):
        raise StoreFailed(f"{path} is something else than it should be.", remedy="Move it away.")
    if facts.st_uid not in (0, os.geteuid()):
        raise StoreFailed(
            f"{path} belongs to uid {facts.st_uid}.", remedy="Move it away, or `chown` it."
        )
    if facts.st_mode & 0o077:
        raise StoreFailed(
            f"{path} is open to others (mode {stat.S_IMODE(facts.st_mode):04o}).",
            remedy=f"`chmod go-rwx {path}`, and think about who may have read it.",
        )


def check_folder(folder: Path) -> None:
    try:
        facts = folder.lstat()
    except OSError as error:
        raise failed(folder, "looked at", error) from error
    check_private(folder, facts, stat.S_ISDIR)


def make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700)
        sync_folder(folder.parent)
    except FileExistsError:
        pass
    except OSError as error:
        raise failed(folder, "made", error) from error


def write_new(path: Path, content: bytes, *, sync_parent: bool = True) -> None:
    """Put `path` where nothing is, whole and on the disk, or leave nothing."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | FLAGS, 0o600)
    except OSError as error:
        raise failed(path, "written", error) from error
    try:
        try:
            write_all(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if sync_parent:
            sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            path.unlink()
        raise failed(path, "written", error) from error


def replace(content: bytes, *paths: Path) -> None:
    """Put `content` in the place of what is at `paths`, which are in one folder.

    On the disk when it returns. Room is taken for all of them before the first is replaced.
    """
    news = [path.with_name(path.name + NEW) for path in paths]
    try:
        for new in news:
            new.unlink(missing_ok=True)  # what a crash left
            write_new(new, content, sync_parent=False)
        for new, path in zip(news, paths, strict=True):
            new.rename(path)
        sync_folder(paths[0].parent)
    except (OSError, KeyholmError) as error:
        for new in news:
            with suppress(OSError):
                new.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise failed(paths[0], "written", error) from error
        raise


def write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def sync(folder: Path) -> None:
    try:
        sync_folder(folder)
    except OSError as error:
        raise failed(folder, "written", error) from error


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def wipe(path: Path) -> bool:
    """Overwrite, as far as a disk still does that in place, and unlink. Whether it is gone."""
    try:
        with suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_WRONLY | FLAGS)
            try:
                write_all(descriptor, bytes(os.fstat(descriptor).st_size))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
    except OSError:
        pass  # a full or failing disk: then it is only unlinked
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return False
    return True

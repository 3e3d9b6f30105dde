"""Files that are replaced at once and whole, so that nobody ever reads half of one."""

import os
from contextlib import suppress

from keyholm.core.errors import StoreFailed


def replace(path: str, content: bytes, mode: int, owner: tuple[int, int] | None = None) -> None:
    """Put `content` in the place of what `path` held, safe on the disk.

    `owner` is the uid and gid that the file shall have, if not ours. Raises `StoreFailed`.
    """
    temporary = f"{path}.{os.getpid()}.new"
    try:
        # What lies there is of a run that was killed; or it was laid there for root to write to.
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        number = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(number, "wb") as file:
            if owner is not None:
                os.fchown(number, *owner)
            os.fchmod(number, mode)
            file.write(content)
            file.flush()
            os.fsync(number)
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            os.unlink(temporary)
        raise StoreFailed(f"{path} cannot be written: {error.strerror}.") from error

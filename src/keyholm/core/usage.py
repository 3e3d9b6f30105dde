"""How often a key was used: for `rate` (in memory) and `max_uses` (kept over restarts).

Only keys whose policy asks for it are counted. A count is on disk before the use that
it stands for, so that a crash never gives a use back.
"""

import json
import os
import threading
from collections import deque
from pathlib import Path
from typing import Final

from keyholm.core.errors import StoreFailed
from keyholm.core.model import KeyId

RECENT: Final = 1024  # how many times of use are kept for `rate`


class Counts:
    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._uses: dict[KeyId, int] = {}
        self._recent: dict[KeyId, deque[float]] = {}
        if path is not None and path.exists():
            try:
                counts = json.loads(path.read_text())
                self._uses = {KeyId(str(key)): int(count) for key, count in counts.items()}
            except (OSError, ValueError, AttributeError) as error:
                raise StoreFailed(
                    f"{path} cannot be read: {error}.",
                    remedy="It counts the uses of keys that have a limit; restore it from a backup.",
                ) from error

    def uses(self, key: KeyId) -> int:
        return self._uses.get(key, 0)

    def recent(self, key: KeyId) -> tuple[float, ...]:
        """Times of the last uses, oldest first."""
        return tuple(self._recent.get(key, ()))

    def count(self, key: KeyId, now: float, *, most: int = 0, lasting: bool) -> bool:
        """Count one use, unless `most` have been counted already. Raises `StoreFailed`."""
        with self._lock:
            uses = self._uses.get(key, 0)
            if most and uses >= most:
                return False
            self._uses[key] = uses + 1
            if lasting:
                self._write()
            self._recent.setdefault(key, deque(maxlen=RECENT)).append(now)
            return True

    def forget(self, key: KeyId) -> None:
        with self._lock:
            self._uses.pop(key, None)
            self._recent.pop(key, None)

    def _write(self) -> None:
        if self._path is None:
            return
        new = self._path.with_name(self._path.name + ".new")
        try:
            with new.open("w") as file:
                json.dump(self._uses, file)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
        except OSError as error:
            raise StoreFailed(
                f"The use cannot be counted in {self._path}: {error.strerror}.",
                remedy="Make room or make the folder writable, then try again.",
            ) from error

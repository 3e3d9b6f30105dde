"""The folder of a token's keys: what the files in it are called, and which there are."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from keyholm.stores.disk import files

NAME: Final = "keys"
SUFFIX: Final = ".key"
# A token with more keys than this is not ours.
MAX_FILES: Final = 1_000_000
_OBJECT: Final = re.compile(r"[0-9a-f]{16}")
_NAME: Final = re.compile(rf"({_OBJECT.pattern})\.([1-9][0-9]{{0,9}})\.key(\.new)?")


def is_object(name: str) -> bool:
    """Whether a key can be called so: what a backup says becomes the name of a file."""
    return _OBJECT.fullmatch(name) is not None


@dataclass(slots=True)
class Seen:
    """Generations of each object, and what has no business there."""

    keys: dict[str, set[int]] = field(default_factory=dict)
    new: dict[str, set[int]] = field(default_factory=dict)
    strangers: list[Path] = field(default_factory=list)

    def of(self, name: str) -> set[int]:
        return self.keys.get(name, set())


class Folder:
    def __init__(self, path: Path) -> None:
        self.path = path

    def key(self, name: str, generation: int) -> Path:
        return self.path / f"{name}.{generation}{SUFFIX}"

    def new(self, name: str, generation: int) -> Path:
        return self.path / f"{name}.{generation}{SUFFIX}{files.NEW}"

    def every(self) -> list[Path]:
        """Whatever is called as a key's file is."""
        seen = self.scan()
        old = [self.key(name, each) for name, all_ in seen.keys.items() for each in all_]
        return old + [self.new(name, each) for name, all_ in seen.new.items() for each in all_]

    def scan(self) -> Seen:
        """Raises `KeyholmError` where the folder cannot be read."""
        files.check_folder(self.path)
        seen = Seen()
        try:
            with os.scandir(self.path) as entries:
                for _, found in zip(range(MAX_FILES), entries, strict=False):
                    _note(seen, self.path / found.name)
        except OSError as error:
            raise files.failed(self.path, "read", error) from error
        return seen


def _note(seen: Seen, path: Path) -> None:
    named = _NAME.fullmatch(path.name)
    if named is None:
        seen.strangers.append(path)
        return
    name, generation, is_new = named.groups()
    group = seen.new if is_new else seen.keys
    group.setdefault(name, set()).add(int(generation))

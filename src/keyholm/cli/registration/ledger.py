"""What `keyholm enable` did: remembered before it is done, so that it can always be undone.

One JSON file a target in the data folder, with what each file held before. A file that holds
neither that nor what was written was changed by somebody else since: it is not touched.
"""

import json
import os
from base64 import b64decode, b64encode
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from keyholm.cli import files
from keyholm.cli.registration.target import Edit
from keyholm.core.errors import BadRequest, StoreFailed
from keyholm.daemon import whole_files
from keyholm.daemon.places import make_private

FOLDER: Final = "enabled"
LARGEST: Final = 8 * 1024 * 1024  # bytes of a file that is changed at all
VERSION: Final = 1
SAVED: Final = ".before-disable"


class Change(NamedTuple):
    """Of one file, from `before` to `after`; None: it is not there."""

    path: str
    before: bytes | None
    after: bytes | None
    mode: int

    @property
    def folders(self) -> tuple[str, ...]:
        """Those that have to be made, the outermost first."""
        missing: list[str] = []
        above = os.path.dirname(self.path)
        while above and not os.path.isdir(above):
            missing.append(above)
            above = os.path.dirname(above)
        return tuple(reversed(missing))


class Done(NamedTuple):
    """One file as the ledger has it."""

    path: str
    before: bytes | None
    after: str  # SHA-256
    mode: int  # that the file had
    folders: tuple[str, ...]  # that were made for it

    @property
    def held(self) -> bytes | None:
        return content_of(self.path)

    @property
    def stands(self) -> bool:
        """It is as it was written."""
        held = self.held
        return held is not None and digest(held) == self.after

    @property
    def was_changed(self) -> bool:
        """Somebody else wrote to it since."""
        return not self.stands and self.held != self.before


def content_of(path: str) -> bytes | None:
    """None where there is no such file. Raises `BadRequest`."""
    if not os.path.lexists(path):
        return None
    return files.read(path, LARGEST)


def digest(content: bytes) -> str:
    return sha256(content).hexdigest()


def changes_of(edits: Sequence[Edit]) -> list[Change]:
    """What these edits come to, as the files are now; nothing for those that are done."""
    found = []
    for edit in edits:
        path = os.path.realpath(edit.path)  # a link stays one
        before = content_of(path)
        after = edit.with_ours(before)
        if after != before:
            mode = edit.mode if before is None else os.stat(path).st_mode & 0o7777
            found.append(Change(path, before, after, mode))
    return found


class Ledger:
    def __init__(self, data: Path) -> None:
        self._folder = data / FOLDER

    def _file(self, name: str) -> Path:
        return self._folder / f"{quote(name, safe=' ')}.json"

    def names(self) -> list[str]:
        from urllib.parse import unquote

        with suppress(OSError):
            return sorted(unquote(path.stem) for path in self._folder.glob("*.json"))
        return []

    def done(self, name: str) -> list[Done] | None:
        """What was done for that target; None: nothing. Raises `BadRequest`."""
        path = self._file(name)
        if not path.exists():
            return None
        try:
            told: dict[str, Any] = json.loads(files.read(str(path), 8 * LARGEST))
            return [
                Done(
                    str(each["path"]),
                    None if each["before"] is None else b64decode(each["before"]),
                    str(each["after"]),
                    int(each["mode"]),
                    tuple(map(str, each["folders"])),
                )
                for each in told["files"]
            ]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise BadRequest(
                f"{path} does not hold what `keyholm enable` wrote there.",
                remedy="Undo by hand what it did (docs/programs.md), and remove that file.",
            ) from error

    def make(self, name: str, changes: Sequence[Change]) -> None:
        """Remember them, then make them. Raises `StoreFailed` with nothing half written."""
        known = {each.path: each for each in self.done(name) or ()}
        for change in changes:
            old = known.get(change.path)
            before = change.before
            if old is not None and old.stands:
                before = old.before  # what was there before all that we did
            elif old is not None and old.was_changed:
                raise changed_since(name, old)
            known[change.path] = Done(
                change.path,
                before,
                digest(change.after or b""),
                change.mode,
                (*(old.folders if old else ()), *change.folders),
            )
        _check_still(changes)
        self._remember(name, list(known.values()))
        for change in changes:
            write(change)

    def _remember(self, name: str, done: Sequence[Done]) -> None:
        make_private(self._folder.parent)
        make_private(self._folder)
        told = {
            "version": VERSION,
            "target": name,
            "files": [
                {
                    **each._asdict(),
                    "before": None if each.before is None else b64encode(each.before).decode(),
                }
                for each in done
            ],
        }
        files.replace(str(self._file(name)), json.dumps(told, indent=1) + "\n", files.PRIVATE)

    # --- back --------------------------------------------------------------------------

    def undoing(self, name: str, *, force: bool) -> list[Change]:
        """What `forget` will do. Raises `BadRequest` where a file was changed meanwhile."""
        done = self.done(name)
        if done is None:
            raise BadRequest(
                f"keyholm did not enable {name} here.", remedy="`keyholm enable` lists what it did."
            )
        for each in done:
            if each.was_changed and not force:
                raise changed_since(name, each)
        return [
            Change(each.path, held, each.before, each.mode)
            for each in reversed(done)
            if (held := each.held) != each.before
        ]

    def forget(self, name: str, changes: Sequence[Change]) -> list[str]:
        """Make them, and forget the target. Gives where files were kept that somebody changed."""
        done = {each.path: each for each in self.done(name) or ()}
        kept = []
        _check_still(changes)
        for change in changes:
            if done[change.path].was_changed and change.before is not None:
                kept.append(change.path + SAVED)
                whole_files.replace(kept[-1], change.before, files.PRIVATE)
            write(change)
        for each in done.values():
            for folder in reversed(each.folders):
                with suppress(OSError):  # somebody else has put something there
                    os.rmdir(folder)
        self._file(name).unlink()
        with suppress(OSError):
            self._folder.rmdir()
        return kept


def _check_still(changes: Sequence[Change]) -> None:
    for change in changes:
        if content_of(change.path) != change.before:
            raise BadRequest(
                f"{change.path} was changed just now by somebody else; nothing was done.",
                remedy="Try again.",
            )


def changed_since(name: str, done: Done) -> BadRequest:
    return BadRequest(
        f"{done.path} was changed since `keyholm enable {name}` wrote to it.",
        remedy=f"Take keyholm out by hand, or `keyholm disable {name} --force`: it puts back what "
        f"was there before, and keeps the file of now as {os.path.basename(done.path)}{SAVED}.",
    )


def write(change: Change) -> None:
    """At once and whole; the file keeps its owner and its permissions."""
    try:
        if change.after is None:
            os.unlink(change.path)
            return
        owner = _make_folders(change)
        if change.before is not None:
            owner = _owner(change.path)
    except OSError as error:
        raise StoreFailed(f"{change.path} cannot be changed: {error.strerror}.") from error
    whole_files.replace(change.path, change.after, change.mode, owner)


def _make_folders(change: Change) -> tuple[int, int] | None:
    """Those that are missing; what root makes in somebody's home is theirs. Gives whose."""
    missing = change.folders
    owner = _owner(os.path.dirname(missing[0] if missing else change.path))
    for folder in missing:
        os.mkdir(folder, 0o700 if os.geteuid() or owner else 0o755)
        if owner:
            os.chown(folder, *owner)
    return owner


def _owner(path: str) -> tuple[int, int] | None:
    """None: it is ours."""
    facts = os.stat(path)
    return None if facts.st_uid == os.geteuid() else (facts.st_uid, facts.st_gid)

"""The keys of one token as files, with the journal that says which there must be.

    keys/OBJECT.GENERATION.key       the key as it is, and as it was before its last change
    keys/OBJECT.GENERATION.key.new   written, but perhaps not yet in the journal

A write makes the new file, then its line of the journal, which is the moment it counts, then
renames the file. What a crash leaves between the two is finished or undone at the next
unlock (`mending`); what no crash can explain is named, and the rest goes on.
"""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Protocol

import msgspec

from keyholm.core.errors import KeyholmError, TokenLocked
from keyholm.core.secret import Secret
from keyholm.stores.disk import entry, files, folder, journal
from keyholm.stores.disk.crypto import Subkeys
from keyholm.stores.disk.entry import Facts, Head
from keyholm.stores.disk.folder import Folder
from keyholm.stores.disk.journal import (
    Begin,
    Chain,
    Ending,
    HeaderIs,
    Hold,
    Journal,
    Put,
    Record,
    Remove,
    Version,
)


class Saved(Protocol):
    """A key that is brought in from elsewhere."""

    @property
    def object(self) -> str: ...
    @property
    def facts(self) -> Facts: ...
    @property
    def private(self) -> memoryview: ...


class Listed(msgspec.Struct, frozen=True, gc=False):
    """One key as the journal has it."""

    facts: Facts
    file: Version
    previous: Version | None = None


@dataclass(slots=True)
class Said:
    """What the lines of a journal come to."""

    listed: dict[str, Listed]  # what has a file
    removed: set[str]
    objects: dict[str, Hold]  # public ones, which have none
    header: int = 0

    @classmethod
    def by(cls, records: Iterable[Record | None]) -> "Said":
        said = cls({}, set(), {})
        for record in records:
            said.take(record)
        return said

    def take(self, record: Record | None) -> None:
        match record:
            case Put(name, file, previous, facts):
                self.listed[name] = Listed(facts, file, previous)
                self.removed.discard(name)
            case Hold(name):
                self.objects[name] = record
            case Remove(name):
                if self.objects.pop(name, None) is None:
                    self.listed.pop(name, None)
                    self.removed.add(name)
            case Begin(header=header) | HeaderIs(header):
                self.header = header
            case None:
                pass


class Entries:
    """What is listed may be read by all; the rest wants `unlock` first."""

    def __init__(self, place: Path, store: str, token: str, *, former: str = "") -> None:
        self.folder = Folder(place / folder.NAME)
        self.journal = Journal(place / journal.NAME)
        self._store, self._token = store, token
        self._former = former  # what was here before it was emptied: its files count no longer
        self._is_former = False
        self._shown = b""  # SHA-256 of the journal that `said` was read from
        self.said = Said({}, set(), {})
        self.header = 0  # the generation of token.json, to be told with the next line
        self.damage: list[str] = []  # of the journal and of the folder
        self.bad: dict[str, str] = {}  # object: what is wrong with its file
        self._keys: Subkeys | None = None

    @property
    def listed(self) -> dict[str, Listed]:
        return self.said.listed

    @property
    def objects(self) -> dict[str, Hold]:
        return self.said.objects

    def open(self) -> None:
        """What the journal says, nothing of which is verified."""
        raw = self._loaded()
        if raw is not None:
            # Whether the facts of a line hold together is looked at now, since they are shown.
            self._read(raw, None)

    def _loaded(self) -> bytes | None:
        self.damage, self.bad, self._is_former = [], {}, False
        try:
            files.check_folder(self.folder.path)
        except KeyholmError as error:
            self.damage.append(error.what)
        try:
            return self.journal.load()
        except KeyholmError as error:
            self.damage.append(error.what)
            self.said, self._shown = Said.by(()), b""
            return None

    def _read(self, raw: bytes, chain: Chain | None) -> None:
        """Go through all lines; with `chain`, believe only those that fit."""
        said, path = Said.by(()), self.journal.path
        wrong, number, last, all_hold = [], 0, journal.FIRST, True
        for number, line in enumerate(journal.lines(raw), 1):
            last = line.mac
            if number == 1 and self._former and _begins(line.record, self._former):
                self._is_former, self.said, self._shown = True, said, b""
                self.journal.spoil()
                return
            holds = _holds(line.record)
            all_hold = all_hold and holds
            if chain is not None and not (chain.fits(line) and holds):
                wrong.append(number)
            elif holds:
                said.take(line.record)
        ending = journal.ending_of(raw)
        if ending is Ending.ALTERED:
            self.damage.append(f"The end of line {number} of {path} was altered.")
        if not number:
            self.damage.append(f"{path} is empty.")
        self.damage += [f"Line {each} of {path} was altered." for each in wrong]
        self.journal.went_through(len(raw), number, last, ending)
        self.said = said
        is_sound = all_hold and not wrong and ending is not Ending.ALTERED and number
        self._shown = hashlib.sha256(raw).digest() if is_sound else b""

    def unlock(self, keys: Subkeys) -> None:
        """Verify what was shown. `mending.mend` then looks at the files."""
        self._keys = keys
        raw = self._loaded()
        if raw is not None and not self._is_as_shown(raw, keys):
            self._read(raw, Chain(keys.journal))
            if self._is_former:
                self._sweep(keys)
                self._read(self.journal.load(), Chain(keys.journal))
        if self.damage:
            self.journal.spoil()

    def _is_as_shown(self, raw: bytes, keys: Subkeys) -> bool:
        """Whether it is what was read before, and all of it as it was written: then nothing
        need be read again, which for a large token takes longer than all else of an unlock."""
        if not self._shown or hashlib.sha256(raw).digest() != self._shown:
            return False
        chain = Chain(keys.journal)
        return all(chain.fits(line) for line in journal.lines(raw, decoded=False))

    def _sweep(self, keys: Subkeys) -> None:
        """Of what was here before; its journal last, which says that there is something."""
        for path in self.folder.every():
            files.wipe(path)
        self.journal.rewrite([Begin(self._token, self.header)], keys.journal)

    def lock(self) -> None:
        self._keys = None

    @property
    def is_unlocked(self) -> bool:
        return self._keys is not None

    @property
    def keys(self) -> Subkeys:
        if self._keys is None:
            raise TokenLocked("The token is locked.", remedy="`keyholm unlock`")
        return self._keys

    # --- reading -----------------------------------------------------------------------

    def read(self, name: str) -> Secret:
        """The private half of a listed key. Raises `StoreDamaged`, which names the file."""
        listed = self.listed[name]
        path = self.folder.key(name, listed.file.generation)
        content = self.content(name)
        head, private = entry.decode(content, self.keys.wrap, path)
        if head.key != listed.facts:
            private.close()
            raise entry.damaged(path, "does not say what the journal says")
        return private

    def content(self, name: str) -> bytes:
        """The file of a listed key as it must be. Raises `StoreDamaged`."""
        listed = self.listed[name]
        path = self.folder.key(name, listed.file.generation)
        new = self.folder.new(name, listed.file.generation)
        if not path.exists() and new.exists():  # its renaming failed: `mend` tries again
            path = new
        return self.verified(path, name, listed.file)

    def verified(self, path: Path, name: str, version: Version) -> bytes:
        content = files.read(path, entry.MAX_FILE)
        if entry.hash_of(content) != version.hash:
            raise entry.damaged(path, _difference(content, name, version))
        return content

    # --- writing -----------------------------------------------------------------------

    def put(self, name: str, facts: Facts, private: memoryview) -> None:
        """On the disk when it returns; nothing is changed when it raises."""
        before = self.listed.get(name)
        generation = before.file.generation + 1 if before else 1
        head = Head(self._store, self._token, name, generation, facts)
        content = entry.encode(head, private, self.keys.wrap)
        new = self.folder.new(name, generation)
        with suppress(OSError):
            new.unlink(missing_ok=True)  # of a write that failed
        files.write_new(new, content)
        version = Version(generation, entry.hash_of(content))
        previous = before.file if before and name not in self.bad else None
        try:
            self._tell(Put(name, version, previous, facts))
        except KeyholmError:
            with suppress(OSError):
                new.unlink()
            raise
        # It counts from here on: what fails now is finished at the next unlock.
        with suppress(OSError):
            new.rename(self.folder.key(name, generation))
        self.bad.pop(name, None)
        if before and before.previous:
            files.wipe(self.folder.key(name, before.previous.generation))

    def remove(self, name: str) -> None:
        listed = self.listed[name]
        self._tell(Remove(name))
        self.bad.pop(name, None)
        for version in (listed.file, listed.previous):
            if version:
                files.wipe(self.folder.key(name, version.generation))
                files.wipe(self.folder.new(name, version.generation))

    def hold(self, held: Hold) -> None:
        """A public object, new or changed. The same promise."""
        self._tell(held)

    def release(self, name: str) -> None:
        self._tell(Remove(name))

    def header_is(self, generation: int) -> None:
        self.header = generation
        self._tell(HeaderIs(generation))

    def fill(
        self, header: int, keys: Subkeys, saved: Iterable[Saved], objects: Iterable[Hold] = ()
    ) -> None:
        """A new token's keys: a restored one has some, in files that nobody looks at yet."""
        self._keys, self.header = keys, header
        records: list[Record] = [Begin(self._token, header)]
        for each in saved:
            head = Head(self._store, self._token, each.object, 1, each.facts)
            content = entry.encode(head, each.private, keys.wrap)
            files.write_new(self.folder.key(each.object, 1), content, sync_parent=False)
            records.append(Put(each.object, Version(1, entry.hash_of(content)), None, each.facts))
        files.sync(self.folder.path)
        self.journal.rewrite(chain(records, objects), keys.journal)

    def _tell(self, record: Record) -> None:
        """Write a line, or all of them anew with it, and only then believe it."""
        self._shown = b""
        if self.journal.wants_rewriting(len(self.listed) + len(self.objects)):
            said = Said(dict(self.listed), set(self.said.removed), dict(self.objects))
            said.take(record)
            self.journal.rewrite(self._records(said), self.keys.journal)
        else:
            self.journal.append(record, self.keys.journal)
        self.said.take(record)

    def _records(self, said: Said) -> Iterator[Record]:
        yield Begin(self._token, self.header)
        for name, listed in said.listed.items():
            yield Put(name, listed.file, listed.previous, listed.facts)
        yield from said.objects.values()
        seen = self.folder.scan()
        # A file that could not be wiped must not look like one that nobody knows of.
        for name in said.removed & seen.keys.keys():
            yield Remove(name)


def _begins(record: Record | None, token: str) -> bool:
    return isinstance(record, Begin) and record.token == token


def _holds(record: Record | None) -> bool:
    if isinstance(record, Put):
        try:
            record.key.check()
        except ValueError:
            return False
    if isinstance(record, Hold):
        return record.is_public
    return record is not None


def _difference(content: bytes, name: str, version: Version) -> str:
    """In which way `content` is not the file that it should be."""
    try:
        head = entry.head_of(content)
    except ValueError:
        return "was altered"
    if head.object != name:
        return f"is the file of another key ({head.key.label})"
    if head.generation != version.generation:
        return f"is version {head.generation} of the key, and {version.generation} is the last one"
    return "was altered"

"""What the journal says, held against the files that are there.

After unlock, `mend` finishes or undoes what a crash left:

    .new, and the journal has its hash           renamed: the crash came after it counted
    .new                                         removed: it was never acknowledged; but
                                                 where lines are damaged, taken for a .key
    of a key whose removal is in the journal     wiped: the crash came before that
    older than the last two                      wiped: the crash came before that
    anything else                                named, and left alone; but where lines of the
                                                 journal are damaged, taken over if it is ours

`check` reads every file there is.
"""

from contextlib import suppress
from pathlib import Path

from keyholm.core.errors import KeyholmError
from keyholm.stores.disk import entry, files, journal
from keyholm.stores.disk.entries import Entries, Listed
from keyholm.stores.disk.folder import Seen
from keyholm.stores.disk.journal import Version


def mend(entries: Entries) -> None:
    is_whole = not entries.damage
    seen = _scan(entries)
    if seen is None:
        return
    _finish_new(entries, seen, is_whole=is_whole)
    for name in sorted(seen.keys):
        # The newest first: it is the one to take over, if one must be.
        for generation in sorted(seen.of(name), reverse=True):
            if is_whole:
                _explain(entries, name, generation)
            else:
                _take_over(entries, name, generation)


def _scan(entries: Entries) -> Seen | None:
    try:
        seen = entries.folder.scan()
    except KeyholmError as error:
        entries.damage.append(error.what)
        return None
    entries.damage += [f"{path} does not belong here." for path in sorted(seen.strangers)]
    return seen


def _finish_new(entries: Entries, seen: Seen, *, is_whole: bool) -> None:
    for name, generations in seen.new.items():
        listed = entries.listed.get(name)
        for generation in generations:
            path = entries.folder.new(name, generation)
            counts = listed is not None and Version(generation, _hash_of(path)) == listed.file
            if is_whole and not counts:
                files.wipe(path)
            elif generation not in seen.of(name):
                with suppress(OSError):  # a disk that only reads: it is read as it is called
                    path.rename(entries.folder.key(name, generation))
                    # Its line may be the damaged one: then the file is asked.
                    seen.keys.setdefault(name, set()).add(generation)


def _hash_of(path: Path) -> str:
    try:
        return entry.hash_of(files.read(path, entry.MAX_FILE))
    except KeyholmError:
        return ""


def _explain(entries: Entries, name: str, generation: int) -> None:
    """The journal is whole: what it does not say is left over, or does not belong here."""
    path = entries.folder.key(name, generation)
    listed = entries.listed.get(name)
    if listed is None:
        if name in entries.said.removed:
            files.wipe(path)
        else:
            entries.damage.append(f"{path} is not in the journal.")
    elif generation > listed.file.generation:
        entries.damage.append(f"{path} is newer than what the journal says.")
    elif generation < listed.file.generation and (
        listed.previous is None or generation != listed.previous.generation
    ):
        files.wipe(path)


def _take_over(entries: Entries, name: str, generation: int) -> None:
    """The journal is damaged: a sealed file speaks for itself, if for nothing newer."""
    listed = entries.listed.get(name)
    if name in entries.said.removed:
        return
    if listed is not None and generation <= listed.file.generation:
        return
    path = entries.folder.key(name, generation)
    try:
        content = files.read(path, entry.MAX_FILE)
        head, private = entry.decode(content, entries.keys.wrap, path)
        private.close()
    except KeyholmError as error:
        entries.damage.append(error.what)
        return
    if (head.object, head.generation) != (name, generation):
        entries.damage.append(f"{path} is the file of another key ({head.key.label}).")
        return
    version = Version(generation, entry.hash_of(content))
    entries.listed[name] = Listed(head.key, version, listed.file if listed else None)


# --- everything ----------------------------------------------------------------------


def check(entries: Entries) -> list[str]:
    """Read every file, and say what is wrong besides what `Entries` knows already."""
    found = []
    for name, listed in entries.listed.items():
        try:
            entries.content(name)
            entries.bad.pop(name, None)
        except KeyholmError as error:
            entries.bad[name] = f"{error.what} The key {listed.facts.label!r} is not used."
        if listed.previous is not None:
            path = entries.folder.key(name, listed.previous.generation)
            try:
                entries.verified(path, name, listed.previous)
            except KeyholmError as error:
                found.append(f"{error.what} It is only the version before the last one.")
    return found + _check_journal(entries)


def _check_journal(entries: Entries) -> list[str]:
    path = entries.journal.path
    try:
        contents = journal.parse(files.read(path, journal.MAX_FILE))
    except KeyholmError as error:
        return [error.what]
    # What a locked token's journal says is found out at unlock.
    wrong = journal.altered(contents.lines, entries.keys.journal) if entries.is_unlocked else ()
    found = [f"Line {number} of {path} was altered." for number in wrong]
    if contents.ending is journal.Ending.ALTERED:
        found.append(f"The end of line {len(contents.lines)} of {path} was altered.")
    return [each for each in found if each not in entries.damage]

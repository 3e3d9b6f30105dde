"""The pool of trails of one home, `trail/<role>-<n>/`: each chain has one writer.

A process takes the first trail of its role that nobody holds and goes on with it. Its
`opened` record carries the newest checkpoints of the others, so that a trail that is put
back to an earlier state contradicts its siblings.
"""

import os
import socket
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal

from keyholm.core.audit.checkpoints import append_note
from keyholm.core.audit.clock import SYSTEM_CLOCK, Clock
from keyholm.core.audit.folder import (
    CHECKPOINT,
    CHECKPOINTS,
    KEY,
    PENDING,
    SEGMENT,
    STATE,
    TORN,
    VKEY,
    Folder,
)
from keyholm.core.audit.note import (
    Checkpoint,
    SigningKey,
    VerifyingKey,
    open_note,
)
from keyholm.core.audit.records import Opened, Recovered, Sibling, TailLost
from keyholm.core.audit.recovery import End, Torn, damaged, find_end
from keyholm.core.audit.trail import Settings, Trail
from keyholm.core.errors import TrailUnavailable
from keyholm.version import VERSION

Role = Literal["serve", "agent", "issuer"]
MOST_TRAILS: Final = 256
ORIGIN: Final = "keyholm.github.io/trail"


def open_trail(
    directory: Path,
    role: Role,
    *,
    settings: Settings | None = None,
    clock: Clock = SYSTEM_CLOCK,
    boot_id: str | None = None,
) -> Trail:
    """Go on with the first free trail of `role` under `directory`, or begin one.

    Raises TrailUnavailable if it cannot be written and TrailDamaged, having changed
    nothing, if it has been altered. Call it before the sandbox closes and after the last
    fork: a child that inherits the lock would hold it.
    """
    settings = settings or Settings()
    boot_id = running_boot() if boot_id is None else boot_id
    try:
        folder = _take_free(directory, role)
        try:
            return _go_on(folder, role, settings, clock, boot_id)
        except BaseException:
            folder.close()
            raise
    except OSError as error:
        raise TrailUnavailable(
            f"The trail in {directory} cannot be opened: {error.strerror}.",
            remedy="The folder must be yours, writable, and on a disk that is not full.",
        ) from error


def running_boot() -> str:
    """Tells one boot of the machine from the next; empty where it cannot be known."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def origin_of(folder: str, public: bytes) -> str:
    """How checkpoints name a trail: unique, and bound to its key."""
    return f"{ORIGIN}/{folder}/{sha256(public).hexdigest()[:16]}"


def trails(directory: Path) -> list[Path]:
    """The folders of the pool."""
    if not directory.is_dir():
        return []
    # A folder with a lock alone is one whose first process was killed at once.
    return sorted(path for path in directory.iterdir() if path.is_dir() and _is_trail(path))


def _is_trail(path: Path) -> bool:
    return any(
        name in {KEY, VKEY, CHECKPOINT, CHECKPOINTS} or name.endswith(SEGMENT)
        for name in os.listdir(path)
    )


# --- taking one -------------------------------------------------------------------------


def _take_free(directory: Path, role: Role) -> Folder:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in range(MOST_TRAILS):
        path = directory / f"{role}-{number}"
        path.mkdir(mode=0o700, exist_ok=True)
        folder = Folder(path)
        try:
            if folder.take_lock():
                return folder
        except OSError:
            folder.close()
            raise
        folder.close()
    raise TrailUnavailable(
        f"All {MOST_TRAILS} trails of the role {role} in {directory} are in use.",
        remedy="End some of these processes first.",
    )


def _go_on(folder: Folder, role: Role, settings: Settings, clock: Clock, boot_id: str) -> Trail:
    key = _key(folder)
    end = find_end(folder, key.verifying)
    _move_aside(folder, end.torn)
    if end.unlisted is not None:
        append_note(folder, end.unlisted)
    trail = Trail(folder, key, end, boot_id, settings, clock)
    try:
        previous = _how_it_ended(end, boot_id)
        trail.append(_opened(folder, key, role, boot_id, previous), essential=True)
        if previous == "reboot":
            within = round(settings.timing.sync_within * 1000)
            trail.append(TailLost(end.boot_id, end.tree.size - 1, within), essential=True)
        _record_recovered(trail, folder)
    except TrailUnavailable:
        trail.close()
        raise
    return trail


def _opened(folder: Folder, key: SigningKey, role: Role, boot_id: str, previous: str) -> Opened:
    return Opened(
        version=VERSION,
        boot_id=boot_id,
        host=socket.gethostname(),
        origin=key.name,
        role=role,
        vkey=str(key.verifying),
        previous=previous,
        pid=os.getpid(),
        uid=os.getuid(),
        siblings=_siblings(folder),
    )


def _how_it_ended(end: End, boot_id: str) -> str:
    if not end.tree.size:
        return "none"
    if end.ended:
        return "closed"
    return "killed" if end.boot_id == boot_id else "reboot"


def _siblings(folder: Folder) -> tuple[Sibling, ...]:
    found = []
    for path in trails(folder.path.parent):
        if path == folder.path:
            continue
        try:
            vkey = VerifyingKey.parse((path / VKEY).read_text().rstrip("\n"))
            note = open_note((path / CHECKPOINT).read_bytes(), vkey)
            checkpoint = Checkpoint.parse(note.text)
        except (OSError, ValueError):
            continue  # no checkpoint yet, or damaged: that one's own verification says so
        root = b64encode(checkpoint.root).decode()
        found.append(Sibling(checkpoint.origin, checkpoint.size, root))
    return tuple(found)


# --- the key ------------------------------------------------------------------------------


def _key(folder: Folder) -> SigningKey:
    text = folder.read(KEY)
    if text is None:
        if folder.segments() or folder.read(VKEY) is not None:
            raise damaged(folder, KEY, "it is missing")
        return _new_key(folder)
    try:
        key = SigningKey.parse(text.decode("ascii").removesuffix("\n"))
    except ValueError as error:
        raise damaged(folder, KEY, str(error)) from error
    public = f"{key.verifying}\n".encode()
    found = folder.read(VKEY)
    if found is None and not folder.segments():
        folder.replace(VKEY, public)
    elif found != public:
        raise damaged(folder, VKEY, f"it is not the public half of {KEY}")
    return key


def _new_key(folder: Folder) -> SigningKey:
    seed = os.urandom(32)
    public = SigningKey("new", seed).verifying.public
    key = SigningKey(origin_of(folder.name, public), seed)
    folder.replace(KEY, f"{key.private_text()}\n".encode())
    folder.replace(VKEY, f"{key.verifying}\n".encode())
    folder.sync()
    return key


# --- what an interrupted write left --------------------------------------------------------


def _move_aside(folder: Folder, torn: list[Torn]) -> None:
    """To a file of its own, on the disk, before it is taken from where it stood."""
    for piece in torn:
        name = f"{TORN}{piece.file}-{piece.offset}-{piece.sha256[:16]}{PENDING}"
        folder.remove(name)  # of a start that was interrupted right here
        folder.write_new(name, piece.data)
        folder.sync()
        if piece.file == STATE:
            folder.remove(STATE)
            continue
        fd = folder.open(piece.file, os.O_RDWR)
        try:
            os.ftruncate(fd, piece.offset)
            os.fsync(fd)
        finally:
            os.close(fd)


def _record_recovered(trail: Trail, folder: Folder) -> None:
    """Also what an earlier start moved aside and did not come to record."""
    pending = [name for name in folder.names() if name.endswith(PENDING)]
    for name in pending:
        file, offset, _ = name.removeprefix(TORN).removesuffix(PENDING).rsplit("-", 2)
        data = folder.read(name) or b""
        record = Recovered(
            file=name.removesuffix(PENDING),
            segment=file,
            offset=int(offset),
            length=len(data),
            sha256=sha256(data).hexdigest(),
        )
        trail.append(record, durable=True, essential=True)
        folder.rename(name, record.file)

"""Where things lie: configuration, data and sockets, and that the folders are only ours.

                    configuration                     data                        sockets
    a user's        $XDG_CONFIG_HOME/keyholm/…        $XDG_DATA_HOME/keyholm      $XDG_RUNTIME_DIR/keyholm
    KEYHOLM_HOME    config.toml                       data/                       run/
    the system's    /etc/keyholm/config.toml          /var/lib/keyholm            /run/keyholm

A folder that somebody else owns or can write to, or that is a symbolic link, is refused: what
lies in it could be replaced under our hands. A home that is not there is never made.
"""

import errno
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct

from keyholm.core.errors import BadConfiguration, StoreFailed

NAME: Final = "keyholm"
PRIVATE: Final = 0o700
# Anybody may reach the system daemon's sockets; what they may do is the gate's business.
SHARED: Final = 0o755
LONGEST_SOCKET: Final = 107  # bytes of sun_path, without its NUL


class Places(Struct, frozen=True):
    config: Path  # a file
    data: Path
    run: Path
    system: bool = False

    @property
    def store(self) -> Path:
        return self.data / "store"

    @property
    def trail(self) -> Path:
        return self.data / "trail"

    @property
    def certificates(self) -> Path:
        return self.data / "certificates"

    @property
    def counts(self) -> Path:
        return self.data / "uses.json"

    @property
    def lock(self) -> Path:
        return self.data / "serve.lock"

    def socket(self, door: str) -> Path:
        return self.run / door

    def prepare(self) -> None:
        """Make the folders, or see that they are good. Raises `StoreFailed`."""
        make_private(self.data)
        make_private(self.run, mode=SHARED if self.system else PRIVATE)
        longest = self.socket("control")
        if len(os.fsencode(longest)) > LONGEST_SOCKET:
            raise StoreFailed(
                f"{longest} is too long for a socket: {LONGEST_SOCKET} bytes is the most.",
                remedy="Set XDG_RUNTIME_DIR or KEYHOLM_HOME to a shorter path.",
            )


SYSTEM: Final = Places(
    Path("/etc/keyholm/config.toml"), Path("/var/lib/keyholm"), Path("/run/keyholm"), system=True
)


def find(environment: Mapping[str, str], *, system: bool = False) -> Places:
    """Raises `BadConfiguration` where neither a home nor anything in its place is known."""
    if home := environment.get("KEYHOLM_HOME"):
        folder = Path(home).absolute()
        return Places(folder / "config.toml", folder / "data", folder / "run", system)
    if system:
        return SYSTEM
    data = _folder(environment, "XDG_DATA_HOME", ".local/share") / NAME
    return Places(
        _folder(environment, "XDG_CONFIG_HOME", ".config") / NAME / "config.toml",
        data,
        runtime_folder(environment) or data / "run",
    )


def runtime_folder(environment: Mapping[str, str]) -> Path | None:
    """The user's folder that lives as long as a login, if there is one."""
    given = environment.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(given):
        return Path(given) / NAME
    # A login without pam_systemd's environment (su, cron) still has the folder.
    usual = Path(f"/run/user/{os.getuid()}")
    return usual / NAME if _is_ours(usual) else None


def _folder(environment: Mapping[str, str], variable: str, below_home: str) -> Path:
    given = environment.get(variable, "")
    if os.path.isabs(given):  # "All paths must be absolute"; others are ignored (XDG)
        return Path(given)
    home = environment.get("HOME", "")
    if not os.path.isabs(home):
        raise BadConfiguration(
            "HOME is not set, so there is no place for keyholm's files.",
            remedy="Set HOME, or KEYHOLM_HOME to a folder of yours.",
        )
    return Path(home) / below_home


def make_private(folder: Path, *, mode: int = PRIVATE) -> None:
    """Make `folder` for us alone, with what is missing above it, or check that it is so.

    Raises `StoreFailed`.
    """
    try:
        _make_parents(folder)
        try:
            folder.mkdir(mode=mode)
        except FileExistsError:
            _check(folder, mode)
        else:
            folder.chmod(mode)  # whatever the umask was
    except OSError as error:
        raise StoreFailed(
            f"{folder} cannot be made: {error.strerror}.",
            remedy="Check that the folder above it is there and yours, or set KEYHOLM_HOME.",
        ) from error


def _make_parents(folder: Path) -> None:
    """What is missing between `folder` and the first folder that is there, which must be ours.

    So nothing is made in / for a home that does not exist, even by root.
    """
    missing = []
    above = folder.parent
    while not above.exists():
        missing.append(above)
        above = above.parent
    if missing and not _is_ours(above):
        raise PermissionError(errno.EPERM, f"{above} is not yours", str(missing[-1]))
    if missing and above.parent == above:
        raise FileNotFoundError(errno.ENOENT, "there is no such home", str(missing[-1]))
    for parent in reversed(missing):
        parent.mkdir(mode=PRIVATE, exist_ok=True)


def _is_ours(folder: Path) -> bool:
    try:
        facts = folder.stat()
    except OSError:
        return False
    sticky = facts.st_mode & stat.S_ISVTX
    return stat.S_ISDIR(facts.st_mode) and (facts.st_uid == os.geteuid() or bool(sticky))


def _check(folder: Path, mode: int) -> None:
    facts = folder.lstat()
    if stat.S_ISLNK(facts.st_mode):
        raise StoreFailed(
            f"{folder} is a symbolic link.",
            remedy="Put a folder of yours there, or set KEYHOLM_HOME to where it should be.",
        )
    if not stat.S_ISDIR(facts.st_mode):
        raise StoreFailed(f"{folder} is no folder.", remedy="Move it away.")
    if facts.st_uid != os.geteuid():
        raise StoreFailed(
            f"{folder} belongs to uid {facts.st_uid}, and this is uid {os.geteuid()}.",
            remedy="Run keyholm as the owner, or set KEYHOLM_HOME to a folder of yours.",
        )
    if facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise StoreFailed(
            f"Others can write to {folder}.",
            remedy=f"See what is in it, then `chmod go-w {folder}`.",
        )
    if stat.S_IMODE(facts.st_mode) & ~mode:
        folder.chmod(mode)


def for_agent(environment: Mapping[str, str]) -> tuple[Places, str]:
    """Where keyholm-agent keeps its trail, and what to tell if that is not the usual place.

    An agent must start even for a user without a usable home, as ssh-agent does.
    """
    try:
        places = find(environment)
        make_private(places.data)
    except (StoreFailed, BadConfiguration) as error:
        data = _for_this_login(environment)
        config = Path(os.devnull)
        return (
            Places(config, data, data / "run"),
            f"{error.what} The trail of this agent is in {data}.",
        )
    return places, ""


def _for_this_login(environment: Mapping[str, str]) -> Path:
    if runtime := runtime_folder(environment):
        try:
            make_private(runtime)
            make_private(runtime / "agent")
        except StoreFailed:
            pass
        else:
            return runtime / "agent"
    temporary = Path(environment.get("TMPDIR") or "/tmp")  # noqa: S108 - checked below
    usual = temporary / f"{NAME}-{os.geteuid()}"
    try:
        make_private(usual)
    except StoreFailed:
        # Somebody sits there: take a name that nobody can guess.
        import tempfile

        return Path(tempfile.mkdtemp(prefix=f"{NAME}-"))
    return usual

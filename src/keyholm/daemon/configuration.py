"""The configuration: one TOML file, every field with its meaning and its default.

`toml_files` reads it, and refuses what no field is called.
"""

import os
import re
from collections.abc import Mapping
from enum import StrEnum, unique
from pathlib import Path
from typing import Any, Final, get_origin, get_type_hints

from msgspec import Struct, field

from keyholm.core.errors import BadConfiguration
from keyholm.core.model import Kind
from keyholm.daemon import toml_files

REMEDY: Final = "`keyholm config check` reads the file again; docs/configuration.md has all keys."


@unique
class Durability(StrEnum):
    WRITTEN = "written"
    DURABLE = "durable"


@unique
class PrompterName(StrEnum):
    ASKPASS = "askpass"
    PINENTRY = "pinentry"
    TERMINAL = "terminal"


class Access(Struct, frozen=True):
    """`[tokens.NAME]`"""

    uids: tuple[int, ...] = ()
    """Who may see and use the token beside its owner and root."""


class Witness(Struct, frozen=True):
    """`[trail.witness]`: where a copy of each checkpoint goes, out of the trail's reach."""

    file: str = ""
    """A file that each checkpoint is appended to; on another host's disk it is worth most."""
    journal: bool = False
    """Also the system's journal."""
    command: tuple[str, ...] = ()
    """A program with its arguments, started for each checkpoint, which is its standard input."""


class TrailSettings(Struct, frozen=True):
    """`[trail]`"""

    durability: Durability = Durability.WRITTEN
    """`durable`: a record is on the disk before the result leaves, at the price of a sync."""
    segment_mib: int = 16
    """How large a segment grows before the next one is begun."""
    keep_mib: int = 0
    """Remove the oldest segments beyond this much; 0: keep all."""
    reserve_mib: int = 16
    """Space kept free for what must still be recorded when the disk is full."""
    witness: Witness = field(default_factory=Witness)


class MemorySettings(Struct, frozen=True):
    """`[memory]`"""

    shield_seconds: float = 60.0
    """After this time without use only a sealed form of a key stays in memory."""


class PrompterSettings(Struct, frozen=True):
    """`[prompters]`"""

    order: tuple[PrompterName, ...] = (
        PrompterName.ASKPASS,
        PrompterName.PINENTRY,
        PrompterName.TERMINAL,
    )
    """Who is tried first. One that cannot ask here and now is passed over."""
    askpass: str = ""
    """The askpass program; empty: SSH_ASKPASS of the daemon's own environment."""
    pinentry: str = ""
    """The pinentry program; empty: the system's `pinentry`."""
    seconds: float = 60.0
    """How long a question waits; then the answer is no."""


class AgentSettings(Struct, frozen=True):
    """`[agent]`: the SSH agent door"""

    lifetime: int = 0
    """Seconds that a key handed over by ssh-add lives if it does not say; 0: for ever."""
    providers: str = "/usr/lib*/*,/usr/local/lib*/*"
    """Patterns of the FIDO middleware that may be loaded, matched after realpath."""
    remote_providers: bool = False
    """Whether a forwarded client may have middleware loaded."""
    websafe: str = "ssh:*"
    """Patterns of FIDO applications whose keys may sign anything."""
    restrict_websafe: bool = True
    """Whether keys of other applications sign logins and SSHSIG only."""
    sha1: bool = True
    """Whether RSA signatures with SHA-1 are made for a client that asks for them."""


@unique
class VisibleDoor(StrEnum):
    """The doors that ask who sees what."""

    AGENT = "agent"
    PKCS11 = "pkcs11"


class Selected(Struct, frozen=True):
    """`hide` and `only` of `[[visible]]`: keys of which all of this is true."""

    algorithms: tuple[str, ...] = ()
    """Patterns of what `keyholm list` calls the type, as in `rsa-*`."""
    tokens: tuple[str, ...] = ()
    """Patterns of places of tokens, as in `disk/work`."""
    names: tuple[str, ...] = ()
    """Patterns of names of keys, or labels of objects."""
    kinds: tuple[Kind, ...] = ()
    """Kinds of objects."""


class Visible(Struct, frozen=True):
    """`[[visible]]`: which keys a program sees"""

    exe: str | tuple[str, ...] = ()
    """Programs by their name or whole path; none: every program."""
    door: VisibleDoor | None = None
    """At which door; none: at both."""
    hide: Selected | None = None
    """What it does not see."""
    only: Selected | None = None
    """All that it sees."""

    @property
    def programs(self) -> tuple[str, ...]:
        return (self.exe,) if isinstance(self.exe, str) else self.exe


class LimitSettings(Struct, frozen=True):
    """`[limits]`"""

    connections: int = 4096
    """Open connections of one door."""
    connections_of_uid: int = 2048
    """Open connections of one user at one door."""
    frame_seconds: float = 10.0
    """How long a request may take to arrive once it was begun, or an answer to be read."""


class SocketSettings(Struct, frozen=True):
    """`[sockets]`"""

    mode: str = ""
    """Permissions of the sockets, in octal; empty: 0600, and 0666 for the system daemon."""


class TpmSettings(Struct, frozen=True):
    """`[tpm]`: the TPM of this machine"""

    device: str = ""
    """`/dev/tpm0`, `swtpm:PATH` or `swtpm:HOST:PORT`; `none`: no TPM. Empty: `/dev/tpmrm0`, where
    it is there and may be used."""


class Configuration(Struct, frozen=True):
    uids: tuple[int, ...] = ()
    """Who may connect beside the daemon's own user and root; the system daemon takes all
    when this is empty."""
    tokens: dict[str, Access] = field(default_factory=dict)
    visible: tuple[Visible, ...] = ()
    trail: TrailSettings = field(default_factory=TrailSettings)
    memory: MemorySettings = field(default_factory=MemorySettings)
    prompters: PrompterSettings = field(default_factory=PrompterSettings)
    agent: AgentSettings = field(default_factory=AgentSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    sockets: SocketSettings = field(default_factory=SocketSettings)
    tpm: TpmSettings = field(default_factory=TpmSettings)


# What a number may be; the type alone does not say.
BOUNDS: Final[Mapping[str, tuple[float, float]]] = {
    "trail.segment_mib": (1, 1024),
    "trail.keep_mib": (0, 1024 * 1024),
    "trail.reserve_mib": (0, 1024),
    "memory.shield_seconds": (0, 86400 * 365),
    "prompters.seconds": (1, 3600),
    "agent.lifetime": (0, 2**31 - 1),
    "limits.connections": (1, 65536),
    "limits.connections_of_uid": (1, 65536),
    "limits.frame_seconds": (0.1, 3600),
}
PROGRAMS: Final = ("prompters.askpass", "prompters.pinentry", "trail.witness.file")
HIGHEST_UID: Final = 2**32 - 2


def read(path: Path) -> Configuration:
    """The configuration in `path`; the defaults where there is no such file.

    Raises `BadConfiguration`.
    """
    text = toml_files.read(path, REMEDY)
    if not text:
        return Configuration()
    try:
        return check(text)
    except BadConfiguration as error:
        raise BadConfiguration(f"{path}: {error.what}", remedy=error.remedy) from error


def check(text: str) -> Configuration:
    """Raises `BadConfiguration`, with the path of the key that is wrong."""
    configuration = toml_files.parse(text, Configuration, REMEDY)
    _check_values(configuration)
    return configuration


def paths(kind: type = Configuration, above: str = "") -> tuple[str, ...]:
    """Every key there is; `NAME` stands for one that the user chooses."""
    found: list[str] = []
    for name, hint in get_type_hints(kind).items():
        if get_origin(hint) is dict:
            found.append(f"{above}{name}")
        elif isinstance(hint, type) and issubclass(hint, Struct):
            found += paths(hint, f"{above}{name}.")
        else:
            found.append(f"{above}{name}")
    return tuple(found)


def value_at(configuration: Configuration, path: str) -> Any:
    value: Any = configuration
    for name in path.split("."):
        value = getattr(value, name)
    return value


def _check_values(configuration: Configuration) -> None:
    for path, (least, most) in BOUNDS.items():
        value = value_at(configuration, path)
        if not least <= value <= most:
            raise BadConfiguration(
                f"{path} is {value}; it must be from {least} to {most}.", remedy=REMEDY
            )
    for path in PROGRAMS:
        value = value_at(configuration, path)
        if value and not os.path.isabs(value):
            raise BadConfiguration(
                f"{path} is {value!r}, which is no absolute path.",
                remedy="Give the whole path, so that nobody's PATH decides what runs.",
            )
    command = configuration.trail.witness.command
    if command and not os.path.isabs(command[0]):
        raise BadConfiguration(
            f"trail.witness.command begins with {command[0]!r}, which is no absolute path.",
            remedy="Give the whole path, so that nobody's PATH decides what runs.",
        )
    uids = {"uids": configuration.uids}
    uids |= {f"tokens.{name}.uids": access.uids for name, access in configuration.tokens.items()}
    for path, numbers in uids.items():
        for uid in numbers:
            if not 0 <= uid <= HIGHEST_UID:
                raise BadConfiguration(f"{path} names {uid}, which is no uid.", remedy=REMEDY)
    for number, rule in enumerate(configuration.visible):
        _check_visible(rule, f"visible[{number}]")
    socket_mode(configuration, system=False)


def _check_visible(rule: Visible, where: str) -> None:
    """A rule that can be about nobody, or about nothing, would be one that fails open."""
    if rule.exe == "" or "" in rule.programs:
        raise BadConfiguration(f"{where}.exe names no program.", remedy=REMEDY)
    for program in rule.programs:
        if "/" in program and not os.path.isabs(program):
            raise BadConfiguration(
                f"{where}.exe is {program!r}, which is neither a name nor an absolute path.",
                remedy=REMEDY,
            )
    if not rule.programs and rule.hide is None and rule.only is None:
        raise BadConfiguration(f"{where} says nothing.", remedy="Give it `hide` or `only`.")
    for name, selected in (("hide", rule.hide), ("only", rule.only)):
        if selected == Selected():
            raise BadConfiguration(
                f"{where}.{name} is empty, which would be everything.",
                remedy='Name `algorithms`, `tokens`, `names` or `kinds`; all of them is ["*"].',
            )
        for pattern in selected.algorithms if selected else ():
            _check_algorithm(pattern, f"{where}.{name}.algorithms")


def _check_algorithm(pattern: str, where: str) -> None:
    from keyholm.core.algorithms import KNOWN
    from keyholm.wire.ssh.patterns import match_pattern

    sized = re.fullmatch(r"(rsa|generic|aes)-[1-9][0-9]{0,5}", pattern)
    if not sized and not any(match_pattern(name, pattern) for name in KNOWN):
        from difflib import get_close_matches

        nearest = get_close_matches(pattern, KNOWN, n=1, cutoff=0.5)
        meant = f"Did you mean `{nearest[0]}`? " if nearest else ""
        raise BadConfiguration(f"{where}: no key is {pattern!r}.", remedy=f"{meant}{REMEDY}")


def socket_mode(configuration: Configuration, *, system: bool) -> int:
    """Raises `BadConfiguration`."""
    given = configuration.sockets.mode
    if not given:
        return 0o666 if system else 0o600
    try:
        mode = int(given, 8)
    except ValueError:
        mode = -1
    if not 0o600 <= mode <= 0o777 or mode & 0o600 != 0o600:
        raise BadConfiguration(
            f"sockets.mode is {given!r}; it must be octal, such as '0600' or '0660'.",
            remedy=REMEDY,
        )
    return mode

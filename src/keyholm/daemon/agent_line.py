"""ssh-agent's command line (OpenSSH 10.5): what each option means, and which go together."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from getopt import GetoptError, getopt
from typing import Final, Literal

USAGE: Final = """\
usage: keyholm-agent [-c | -s] [-DdTU] [-a bind_address] [-E fingerprint_hash]
                     [-O option] [-P allowed_providers] [-t life]
       keyholm-agent [-TU] [-a bind_address] [-E fingerprint_hash] [-O option]
                     [-P allowed_providers] [-t life] command [arg ...]
       keyholm-agent [-c | -s] -k
       keyholm-agent -u
       keyholm-agent -V
"""
OPTIONS: Final = "cDdksTuUVE:a:O:P:t:"
UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
LONGEST: Final = 2**31 - 1
# Numbers with their units; only the last one may go without. Ten digits are more than enough.
TIME: Final = re.compile(r"(?:[0-9]{1,10}[smhdwSMHDW])*(?:[0-9]{1,10})?")
PART: Final = re.compile(r"([0-9]+)([smhdw]?)")

FingerprintHash = Literal["md5", "sha256"]


@dataclass(slots=True)
class CommandLine:
    """What was asked for, as the options say it."""

    csh: bool = False
    sh: bool = False
    foreground: bool = False
    debug: bool = False
    kill: bool = False
    in_tmp: bool = False
    no_clean_up: bool = False
    clean_up: int = 0
    version: bool = False
    address: str = ""
    fingerprint_hash: FingerprintHash = "sha256"
    lifetime: int | None = None
    providers: str | None = None
    restrict_websafe: bool = True
    websafe_allow: str | None = None
    allow_remote_providers: bool = False
    command: tuple[str, ...] = ()

    @property
    def stays(self) -> bool:
        return self.foreground or self.debug


class Usage(Exception):
    """The options make no sense; the usage follows what is said."""


class Fatal(Exception):
    """As OpenSSH's fatal(): one line, then status 255."""


def parse(arguments: Sequence[str]) -> CommandLine:
    """Raises `Usage` and `Fatal`."""
    try:
        options, rest = getopt(list(arguments), OPTIONS)
    except GetoptError as error:
        wanted = OPTIONS.find(f"{error.opt}:") >= 0
        complaint = "option requires an argument" if wanted else "unknown option"
        raise Usage(f"{complaint} -- {error.opt}") from None
    line = CommandLine(command=tuple(rest))
    for name, value in options:
        _apply(line, name, value)
    if line.command and (line.csh or line.sh or line.kill or line.stays):
        raise Usage
    if not line.command and not line.csh and not line.sh:
        line.csh = os.environ.get("SHELL", "").endswith("csh")
    return line


def _apply(line: CommandLine, name: str, value: str) -> None:
    match name:
        case "-c" if not line.sh:
            line.csh = True
        case "-s" if not line.csh:
            line.sh = True
        case "-d" if not line.stays:
            line.debug = True
        case "-D" if not line.stays:
            line.foreground = True
        case "-k":
            line.kill = True
        case "-T":
            line.in_tmp = True
        case "-U":
            line.no_clean_up = True
        case "-u":
            line.clean_up += 1
        case "-V":
            line.version = True
        case "-a":
            line.address = value
        case "-E":
            line.fingerprint_hash = _hash(value)
        case "-O":
            _apply_option(line, value)
        case "-P":
            if line.providers is not None:
                raise Fatal("-P option already specified")
            line.providers = value
        case "-t":
            line.lifetime = lifetime(value)
        case _:
            raise Usage


def _hash(name: str) -> FingerprintHash:
    match name.lower():
        case "md5":
            return "md5"
        case "sha256":
            return "sha256"
        case _:
            raise Fatal(f'Invalid hash algorithm "{name}"')


def _apply_option(line: CommandLine, value: str) -> None:
    if value == "no-restrict-websafe":
        line.restrict_websafe = False
    elif value == "allow-remote-pkcs11":
        line.allow_remote_providers = True
    elif value.startswith("websafe-allow="):
        if line.websafe_allow is not None:
            raise Fatal("websafe-allow already set")
        line.websafe_allow = value.removeprefix("websafe-allow=")
    else:
        raise Fatal("Unknown -O option")


def lifetime(text: str) -> int | None:
    """Seconds of a time as sshd_config(5) writes it: `600`, `10m`, `1h30m`. None: for ever."""
    if not text or not TIME.fullmatch(text):
        raise Usage("Invalid lifetime")
    parts = PART.findall(text.lower())
    total = sum(int(number) * UNITS[unit] for number, unit in parts)
    if total > LONGEST:
        raise Usage("Invalid lifetime")
    return total or None

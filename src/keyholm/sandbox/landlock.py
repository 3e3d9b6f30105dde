"""Landlock: which files a process can reach at all, whoever's uid it has.

The ABI is asked of the kernel; what it does not know is left out. Everything that it handles
is denied but for the folders that are named. See landlock(7).
"""

import ctypes
import os
import struct
from collections.abc import Iterable
from enum import IntFlag
from typing import Final

from msgspec import Struct

# The same number on every architecture.
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
CREATE_RULESET_VERSION: Final = 1
RULE_PATH_BENEATH: Final = 1


class Access(IntFlag):
    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    REMOVE_DIR = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHAR = 1 << 6
    MAKE_DIR = 1 << 7
    MAKE_REG = 1 << 8
    MAKE_SOCK = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_BLOCK = 1 << 11
    MAKE_SYM = 1 << 12
    REFER = 1 << 13
    TRUNCATE = 1 << 14
    IOCTL_DEV = 1 << 15


FIRST: Final = Access((1 << 13) - 1)
ADDED: Final = {2: Access.REFER, 3: Access.TRUNCATE, 5: Access.IOCTL_DEV}
OF_FILES: Final = Access.EXECUTE | Access.WRITE_FILE | Access.READ_FILE | Access.TRUNCATE
READ: Final = Access.READ_FILE | Access.READ_DIR
WRITE: Final = (
    READ
    | Access.WRITE_FILE
    | Access.REMOVE_DIR
    | Access.REMOVE_FILE
    | Access.MAKE_DIR
    | Access.MAKE_REG
    | Access.REFER
    | Access.TRUNCATE
)
NETWORK_SINCE: Final = 4
NETWORK: Final = 0b11  # bind and connect of TCP
SCOPES_SINCE: Final = 6
SCOPES: Final = 0b11  # abstract unix sockets and signals of other processes

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class Rule(Struct, frozen=True):
    path: "str | os.PathLike[str]"
    access: Access


def abi() -> int:
    """0: the kernel has no Landlock, or it is switched off."""
    return max(0, _call(CREATE_RULESET, None, 0, CREATE_RULESET_VERSION))


def handled(version: int) -> Access:
    access = FIRST
    for since, added in ADDED.items():
        if version >= since:
            access |= added
    return access


def apply(rules: Iterable[Rule], *, network: bool = False) -> int:
    """Restrict this thread, and those it starts, to `rules`; gives the ABI, 0 if there is none.

    Call it before the first thread. NO_NEW_PRIVS must be set already. Paths that do not exist
    are left out. `network`: TCP stays possible.
    """
    version = abi()
    if not version:
        return 0
    access = handled(version)
    attributes = struct.pack(
        "=QQQ",
        access,
        NETWORK if version >= NETWORK_SINCE and not network else 0,
        SCOPES if version >= SCOPES_SINCE else 0,
    )
    size = 24 if version >= SCOPES_SINCE else 16 if version >= NETWORK_SINCE else 8
    ruleset = _call(CREATE_RULESET, attributes[:size], size, 0)
    if ruleset < 0:
        return 0
    try:
        for rule in rules:
            _add(ruleset, rule, access)
        return version if _call(RESTRICT_SELF, ruleset, 0) == 0 else 0
    finally:
        os.close(ruleset)


def _add(ruleset: int, rule: Rule, access: Access) -> None:
    try:
        handle = os.open(rule.path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        allowed = rule.access & access
        if not os.path.isdir(rule.path):
            allowed &= OF_FILES
        _call(ADD_RULE, ruleset, RULE_PATH_BENEATH, struct.pack("=Qi", allowed, handle), 0)
    finally:
        os.close(handle)


def _call(number: int, *arguments: bytes | int | None) -> int:
    return int(
        _libc.syscall(
            ctypes.c_long(number),
            *(
                argument if isinstance(argument, bytes | None) else ctypes.c_long(argument)
                for argument in arguments
            ),
        )
    )
